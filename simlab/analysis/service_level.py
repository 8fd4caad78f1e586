"""Service levels: the share of studies that get from one milestone to another within a given time."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from simlab.units import DURATION, Threshold


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """A time within which studies shall get from one milestone to another."""

    start: str
    end: str
    threshold: Threshold

    def __str__(self) -> str:
        """Say it as it is read."""
        start = "" if self.start == "ordered" else f"{self.start} to "
        return f"{start}{self.end} {self.threshold.operator} {DURATION.exact(self.threshold.value)}"

    def share(self, studies: pd.DataFrame) -> float:
        """The share of the studies that kept to it; NaN if there were none.

        ``studies`` is a table as from :func:`simlab.analysis.studies.studies_table`. One that never reached the second
        milestone has not kept to it.
        """
        took = studies[self.end] - studies[self.start]
        return float(took.map(self.threshold.holds).astype(float).mean())
