"""Warm-up: what is left out of a run because it began empty, and whether what is left has settled.

A run begins with no patient waiting and every scanner free, which no department ever is. Studies that are ordered
meanwhile wait less than others do; counting them makes every answer too good. So the first part of each run is deleted
(replication/deletion: A. M. Law, "Simulation Modeling and Analysis", section 9.5).

Whether enough was deleted is judged as by J. Geweke (1992): what was measured early in the rest is held against what
was measured late, here with an interval over the replications. A wait that still grows from half to half means that
the warm-up was too short, or that there is more to do than can be done, so that no warm-up would ever suffice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from simlab.analysis.comparison import Interval, t_interval

LEAST_DRIFT = 0.1
"""A change by less than this share of the mean is nothing that a planner would act upon."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a run that counts, in run seconds."""

    start: float
    """The end of the warm-up."""
    end: float
    """The last moment at which orders arrive; what was ordered is followed to its end."""

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start

    def counted(self, studies: pd.DataFrame) -> pd.DataFrame:
        """The studies that were ordered in it."""
        return studies[(studies["ordered"] >= self.start) & (studies["ordered"] < self.end)]

    def halves(self, studies: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The counted studies, those ordered in its first half and those ordered in its second."""
        counted = self.counted(studies)
        late = counted["ordered"] >= (self.start + self.end) / 2
        return counted[~late], counted[late]

    def busy(self, started: pd.Series[float], finished: pd.Series[float]) -> float:
        """Seconds of the window that are covered by intervals which do not overlap.

        One that has not finished (NaN) lasts to the window's end.
        """
        covered = finished.fillna(self.end).clip(upper=self.end) - started.clip(lower=self.start)
        return float(covered.clip(lower=0.0).sum())


@dataclass(frozen=True, slots=True)
class Drift:
    """How a mean changes from the first half of what counts to the second."""

    first: float
    second: float
    change: Interval

    @property
    def settled(self) -> bool:
        """Whether the change may be chance, or is too small to matter."""
        sure = self.change.low > 0 or self.change.high < 0
        return not (sure and abs(self.change.mean) > LEAST_DRIFT * max(self.first, self.second))


def drift(first: Sequence[float], second: Sequence[float]) -> Drift:
    """Compare the means of the two halves, one of each for every replication, in the same order."""
    changes = [late - early for early, late in zip(first, second, strict=True)]
    return Drift(t_interval(first).mean, t_interval(second).mean, t_interval(changes))
