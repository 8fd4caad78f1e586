"""Many runs of the same question: means with confidence intervals, and differences against the base case.

A run is one draw of chance. The same cell is run several times, under seeds of its own (*replications*), and a mean
over them has a 95 % t-interval. Every cell gets the **same** seeds: since draws are keyed by what they are for
(:mod:`simlab.draws`), the same patients come at the same times with the same examinations, whatever else was changed
(*common random numbers*). A cell is then compared with the base case run by run, and chance that both had in common
cancels out: the interval of the paired difference is often many times narrower than those of the two means
(A. M. Law, "Simulation Modeling and Analysis", sections 9.4, 10.2 and 11.2).

Each interval is right 19 times out of 20. Who looks at twenty of them should expect one to be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, isfinite

import pandas as pd

from simlab.analysis.comparison import Interval, t_interval
from simlab.analysis.planning import Measure, Unit
from simlab.analysis.stationarity import drift
from simlab.units import format_duration

BASE = 0
"""The number of the base case among the cells."""

FEWER = ("failed", "unfinished")
"""Measures of studies that did not get there: of what times there are, they are left out."""

MOST_TOLD = 4
"""Cells that are named in one sentence."""

KEYS = ("cell", "replication", "seed")
"""Columns of the table of runs, before those of the factors and of the measures."""

SCENARIO, CHANGES = "scenario", "changes"
"""Factors of a plan with what-ifs: the name of each, and what it changes; nothing in the base case."""

BETWEEN_NOTICES = " | "
"""In the column ``notices``."""

_NUMBERS = re.compile(r"\d[\d,.]*")

FEW = 100
"""Studies. The 99th percentile of fewer is little more than the slowest of them."""


@dataclass(frozen=True)
class Replications:
    """The runs of all cells, a row each, and what the columns mean."""

    runs: pd.DataFrame
    """One row per run: ``KEYS``, a column of text for each factor, one for each measure, ``verdict``, ``complete`` and
    ``notices``. ``cell`` counts from 0, which is the base case; ``replication`` from 1."""
    factors: tuple[str, ...]
    measures: tuple[Measure, ...]
    about: tuple[str, ...] = ()
    """Sentences about how it was done."""
    finished: bool = True
    """False if runs are missing, since it was interrupted."""

    @property
    def summary(self) -> pd.DataFrame:
        """As from :func:`summarise`."""
        return summarise(self.runs, self.factors, self.measures)

    @cached_property
    def thinned(self) -> frozenset[int]:
        """Cells in which more studies failed, or came to no end, than in the base case: their times are of the rest."""
        summary = self.summary
        lost = summary[summary["measure"].isin(FEWER) & (summary["difference_low"] > 0)]
        return frozenset(lost["cell"].tolist())

    @property
    def labels(self) -> tuple[str, ...]:
        """The factors that tell cells apart before people: what-ifs have names for what they change."""
        return tuple(factor for factor in self.factors if factor != CHANGES)

    def measure(self, name: str) -> Measure:
        """The measure of that name. Raises KeyError if there is none."""
        return {measure.name: measure for measure in self.measures}[name]

    @property
    def notices(self) -> list[str]:
        """What the runs themselves say must be known to understand their numbers.

        Each sentence once, and of those that differ in a number only, the first.
        """
        sentences = (sentence for notices in self.runs["notices"] for sentence in notices.split(BETWEEN_NOTICES))
        told: dict[str, str] = {}
        for sentence in filter(None, sentences):
            told.setdefault(_NUMBERS.sub("", sentence), sentence)
        return list(told.values())

    def measured(self) -> list[Measure]:
        """The measures that any run has a value of."""
        return [measure for measure in self.measures if self.runs[measure.name].notna().any()]


def summarise(runs: pd.DataFrame, factors: Sequence[str], measures: Sequence[Measure]) -> pd.DataFrame:
    """One row per cell and measure, in their order: mean and 95 % interval, and the same of the paired difference.

    Columns: ``cell``, the factors, ``measure``, ``replications`` (that have a value), ``mean``, ``low``, ``high``,
    ``difference``, ``difference_low``, ``difference_high`` (against the base case, over the replications that both
    have; NaN for the base case itself) and ``differs``: whether that interval excludes 0. Bounds of a mean end where
    the measure does: no time is negative, and no share more than 1.
    """
    base = runs[runs["cell"] == BASE].set_index("replication")
    rows = []
    for number, cell in runs.groupby("cell", sort=True):
        levels = {factor: cell[factor].iloc[0] for factor in factors}
        ours = cell.set_index("replication")
        for measure in measures:
            name = measure.name
            values = ours[name].dropna().astype(float)
            mean = _possible(t_interval(values.tolist()), measure.unit)
            difference = Interval(float("nan"), float("nan"), float("nan"))
            if number != BASE:
                difference = paired_difference(values, base[name].dropna().astype(float))
            rows.append(
                {
                    "cell": number,
                    **levels,
                    "measure": name,
                    "replications": len(values),
                    "mean": mean.mean,
                    "low": mean.low,
                    "high": mean.high,
                    "difference": difference.mean,
                    "difference_low": difference.low,
                    "difference_high": difference.high,
                    "differs": difference.low > 0 or difference.high < 0,
                }
            )
    told = ["replications", "mean", "low", "high", "difference", "difference_low", "difference_high", "differs"]
    return pd.DataFrame(rows, columns=["cell", *factors, "measure", *told])


def _possible(interval: Interval, unit: Unit) -> Interval:
    """The interval without what no run could have measured; with a single run it says nothing, and stays as it is."""
    if not isfinite(interval.low):
        return interval
    most = 1.0 if unit is Unit.SHARE else inf
    return Interval(interval.mean, max(interval.low, 0.0), min(interval.high, most))


def paired_difference(values: pd.Series[float], base: pd.Series[float]) -> Interval:
    """The mean of ``values - base`` and its 95 % interval, over the replications (index) that both have."""
    both = values.index.intersection(base.index)
    return t_interval((values.loc[both] - base.loc[both]).tolist())


def cautions(replications: Replications) -> list[str]:
    """Sentences that a reader must know to understand the numbers."""
    runs = replications.runs
    told = replications.notices
    if len(cut := runs[~runs["complete"]]):
        unfinished = int(cut["unfinished"].sum())
        told.append(
            f"{len(cut)} of {len(runs)} runs were over (finish_within) before all their studies were: {unfinished} "
            "that count did not come to their end. What they would have taken is in no mean, so times look too good."
        )
    told += [*_failed(runs), *_other_patients(runs)]
    told += _unsettled(runs)
    if len(runs) and runs["studies"].min() < FEW:
        fewest = int(runs["studies"].min())
        means = "its 99th percentile is little more than the slowest" if fewest else "it has nothing to say"
        told.append(f"The smallest run counts {fewest} studies: {means}.")
    return told


def _failed(runs: pd.DataFrame) -> list[str]:
    """Cells in which studies failed, worst first."""
    sums = runs.groupby("cell", sort=True)[["failed", "studies"]].sum().reset_index()
    worst = sums[sums["failed"] > 0].sort_values("failed", ascending=False, kind="stable")
    parts = [
        f"{row['failed']:.0f} of {row['studies']:.0f} in {_cell(int(row['cell']))}"
        for row in worst.head(MOST_TOLD).to_dict("records")
    ]
    if more := len(worst) - len(parts):
        parts.append(f"some in {more} other{'s' * (more > 1)}")
    return (
        [f"Studies failed: {', '.join(parts)}. Times are of the others alone, and may look too good."] if parts else []
    )


def _other_patients(runs: pd.DataFrame) -> list[str]:
    """Cells in which other patients come than in the base case."""
    counted = runs.pivot_table(index="replication", columns="cell", values="studies")
    if BASE not in counted:
        return []
    more = counted.sub(counted[BASE], axis=0).mean().drop(BASE)
    changed = [f"{int(str(cell))} ({change:+.3g} studies)" for cell, change in more.items() if abs(change) > 0]
    if not changed:
        return []
    others = f", and {len(changed) - MOST_TOLD} more" if len(changed) > MOST_TOLD else ""
    told = f"Other patients come in {_in(changed[:MOST_TOLD])}{others} than in the base case"
    return [f"{told}: what differs there is not told of the same people."]


def _unsettled(runs: pd.DataFrame) -> list[str]:
    """Cells in which waiting for the scanner is not what it was when counting began."""
    grown: list[str] = []
    fallen: list[str] = []
    for number, cell in runs.groupby("cell", sort=True):
        halves = cell[["waiting_first_half", "waiting_second_half"]].dropna()
        moved = drift(halves["waiting_first_half"].tolist(), halves["waiting_second_half"].tolist())
        if len(halves) > 1 and not moved.settled:
            change = f"{number} ({format_duration(moved.first)} to {format_duration(moved.second)})"
            (grown if moved.change.mean > 0 else fallen).append(change)
    told = []
    if grown:
        told.append(
            f"Waiting for the scanner still grows from the first half of what counts to the second in {_in(grown)}: "
            "these differ in their hours, the warm-up is too short, or there is more to do than scanners can do."
        )
    if fallen:
        told.append(f"Waiting for the scanner falls from the first half of what counts to the second in {_in(fallen)}.")
    return told


def _cell(number: int) -> str:
    return "the base case" if number == BASE else f"cell {number}"


def _in(changes: Sequence[str]) -> str:
    return f"cell{'s' * (len(changes) > 1)} {', '.join(changes)}"
