"""A mean and its interval in one unit, with as many digits as the interval is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Any

from simlab.analysis.comparison import Interval
from simlab.analysis.planning import Measure, Unit
from simlab.analysis.replications import BASE, Replications

NOT_MEASURED = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"

_SCALES: dict[Unit, tuple[tuple[float, str], ...]] = {
    Unit.SECONDS: ((172_800.0, "d"), (5400.0, "h"), (90.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (0.0, "s")),
    Unit.SHARE: ((0.0, "%"),),
    Unit.BYTES_PER_SECOND: ((1.25e8, "Gbit/s"), (1.25e5, "Mbit/s"), (0.0, "kbit/s")),
    Unit.BYTES: ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (0.0, "kB")),
    Unit.BYTES_PER_DAY: ((1e12, "TB/d"), (1e9, "GB/d"), (1e6, "MB/d"), (0.0, "kB/d")),
    Unit.COUNT: ((0.0, ""),),
}
"""From which size on a unit is written: 1.5 h are 90 min, and 100 min are 1.67 h."""

_SIZES = {
    "d": 86_400.0, "h": 3600.0, "min": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "%": 0.01, "": 1.0,
    "Gbit/s": 1.25e8, "Mbit/s": 1.25e5, "kbit/s": 125.0, "TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3,
    "TB/d": 1e12, "GB/d": 1e9, "MB/d": 1e6, "kB/d": 1e3,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scale:
    """The unit in which some numbers are written, and how many decimal places they get."""

    unit: str
    places: int

    @classmethod
    def of(cls, unit: Unit, intervals: Sequence[Interval]) -> Scale:
        """The scale for some intervals, in base units: two digits of the widest, or three of the largest mean."""
        largest = max((abs(each.mean) for each in intervals if isfinite(each.mean)), default=0.0)
        widest = max((each.high - each.mean for each in intervals if isfinite(each.high)), default=0.0)
        name = next(name for least, name in _SCALES[unit] if largest >= least)
        finest = (widest or largest / 10) / _SIZES[name]
        return cls(name, min(max(1 - floor(log10(finest)), 0), 3) if finest else 0)

    @property
    def size(self) -> float:
        """One of the unit, in base units."""
        return _SIZES[self.unit]

    def told(self, interval: Interval, *, signed: bool = False, alone: bool = False) -> str:
        """As in "9.3 [9.0, 9.6] min"; ``alone``, or where there is no interval, "9.3 min"."""
        if not isfinite(interval.mean):
            return NOT_MEASURED
        text = self._number(interval.mean, signed=signed)
        if not alone and isfinite(interval.low) and interval.low < interval.high:
            bounds = (self._number(bound, signed=signed) for bound in (interval.low, interval.high))
            text += f" [{', '.join(bounds)}]"
        return f"{text} {self.unit}" if self.unit else text

    def _number(self, value: float, *, signed: bool) -> str:
        amount = value / self.size
        text = f"{amount:+.{self.places}f}" if signed and amount else f"{amount:.{self.places}f}"
        return text.replace("-", MINUS)


def interval_in(row: Mapping[Any, Any], of: str = "") -> Interval:
    """The interval in a row of a summary: of the mean, or of the ``difference``."""
    names = (of, f"{of}_low", f"{of}_high") if of else ("mean", "low", "high")
    return Interval(*(float(row[name]) for name in names))


def heading(factor: str) -> str:
    """A factor's name on two lines: whose, and what."""
    owner, _, field = factor.removeprefix("link.").rpartition(".")
    return f"{owner}\n{field.replace('_', ' ')}" if owner else field


NOTICED = 0.01
"""A change by less than this share of what is today is nothing that anybody would notice."""


def judged(replications: Replications, measure: Measure, row: Mapping[Any, Any], today: Interval) -> str:
    """The verdict on a cell, of which ``row`` is the summary; ``today`` is the base case.

    No time is better where fewer studies got there.
    """
    if row["cell"] == BASE:
        return ""
    word = verdict(interval_in(row, "difference"), measure.better, today.mean)
    spared = word == "better" and measure.unit is Unit.SECONDS and row["cell"] in replications.thinned
    return "" if spared else word


def verdict(difference: Interval, better: int, today: float = 0.0) -> str:
    """``better``, ``worse``, ``more``, ``less``; nothing where the interval holds 0, or nobody would notice.

    ``today`` is the mean of the base case.
    """
    sign = (difference.low > 0) - (difference.high < 0)
    if not sign or abs(difference.mean) < NOTICED * abs(today):
        return ""
    if not better:
        return "more" if sign > 0 else "less"
    return "better" if sign == better else "worse"
