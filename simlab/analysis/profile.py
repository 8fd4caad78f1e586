"""What a plan's pictures need of a run besides its measures: the week by the hour, and what archives hold.

A profile is text in a row of the table of runs, so that whoever simulates tells it with the measures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Any

import numpy as np
import pandas as pd

from simlab.analysis.hours import DAYS, Amounts, Hours
from simlab.analysis.storage import Stock

PLACES = 4
"""Decimal places that are kept of a share, or of a number of patients."""
POINTS = 80
"""Of a curve that are kept."""
BEYOND = 1.15
"""How far a curve is kept: so many times the way to the day on which the archive is full."""


@dataclass(frozen=True)
class Profile:
    """The week and the storage of a run, or the mean week of several."""

    weeks: Mapping[str, Amounts]
    """The series of :func:`simlab.analysis.hours.series`: 168 means each; NaN where the run has nothing of an hour."""
    stocks: tuple[Stock, ...]

    @classmethod
    def of(cls, hours: Hours, series: Mapping[str, Amounts], stocks: Sequence[Stock]) -> Profile:
        """What to keep of a run."""
        return cls({name: hours.week(amounts) for name, amounts in series.items()}, tuple(map(_thinned, stocks)))

    @classmethod
    def read(cls, text: str) -> Profile:
        """Read what :attr:`text` wrote."""
        plain = json.loads(text)
        weeks = {name: _numbers(values) for name, values in plain["weeks"].items()}
        return cls(weeks, tuple(_stock(each) for each in plain["stocks"]))

    @property
    def text(self) -> str:
        """All of it on one line."""
        plain = {
            "weeks": {name: _plain(np.round(values, PLACES)) for name, values in self.weeks.items()},
            "stocks": [
                {
                    "archive": stock.archive,
                    "tier": stock.tier,
                    "capacity": stock.capacity,
                    "until": stock.until,
                    "full": None if isnan(stock.full) else stock.full,
                    "days": _plain(stock.days),
                    "held": _plain(np.round(stock.held)),
                }
                for stock in self.stocks
            ],
        }
        return json.dumps(plain, separators=(",", ":"))

    def table(self) -> pd.DataFrame:
        """The week as a table: a row for each series and hour, ``series``, ``weekday``, ``hour`` and ``mean``."""
        hours = np.arange(24 * len(DAYS))
        named = [
            pd.DataFrame(
                {
                    "series": name,
                    "weekday": np.array(DAYS)[hours // 24],
                    "hour": hours % 24,
                    "mean": values,
                }
            )
            for name, values in self.weeks.items()
        ]
        return pd.concat(named, ignore_index=True) if named else pd.DataFrame()


def mean_profile(profiles: Sequence[Profile]) -> Profile:
    """The mean week of some runs, hour by hour; what archives hold is that of the first."""
    first = profiles[0]
    weeks = {name: np.mean([profile.weeks[name] for profile in profiles], axis=0) for name in first.weeks}
    return Profile(weeks, first.stocks)


def _thinned(stock: Stock) -> Stock:
    """A curve with no more points than a picture shows, up to a little beyond the day on which it is full."""
    end = max(stock.until, 0.0 if isnan(stock.full) else stock.full * BEYOND)
    shown = np.flatnonzero(stock.days <= end)
    run, later = (np.flatnonzero(part) for part in (stock.days[shown] <= stock.until, stock.days[shown] > stock.until))
    kept = np.unique(np.concatenate([_some(run), _some(later)]))
    return replace(stock, days=stock.days[kept], held=stock.held[kept])


def _some(indices: Any) -> Any:
    """Some of the indices, evenly, the first and the last among them."""
    return (
        indices[np.unique(np.linspace(0, len(indices) - 1, POINTS // 2).round().astype(int))]
        if len(indices)
        else indices
    )


def _stock(plain: Mapping[str, Any]) -> Stock:
    full = nan if plain["full"] is None else float(plain["full"])
    return Stock(**{**plain, "full": full, "days": _numbers(plain["days"]), "held": _numbers(plain["held"])})


def _plain(values: Amounts) -> list[float | None]:
    """Numbers as JSON has them: those that are whole without a point."""
    return [None if isnan(value) else int(value) if value == int(value) else value for value in values.tolist()]


def _numbers(values: Sequence[float | None]) -> Amounts:
    return np.array([nan if value is None else value for value in values], np.float64)
