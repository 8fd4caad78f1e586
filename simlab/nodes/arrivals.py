"""When patients arrive, in scenario time: Poisson processes and appointment grids.

Each process is a generator without end, in the order of arrival, that holds no more than is about to arrive. All draws
are keyed by the process and a candidate's number, or by the scanner and the slot; so a process is the same in both
worlds, whatever else arrives, and however much of it is wanted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from statistics import NormalDist
from typing import NamedTuple

from simlab.draws import Draws

HOUR = 3600.0
DAY = 24 * HOUR
YEAR = 365 * DAY

_LEAST = 2.0**-53
"""What a draw of exactly 0 is taken for where a normal quantile is wanted."""
_FARTHEST = -NormalDist().inv_cdf(_LEAST)
"""Standard deviations from the mean that a keyed normal variate can be: 8.2."""


class Arrival(NamedTuple):
    """One patient. Times are scenario seconds after the epoch."""

    seconds: float
    """When the patient is there; the time of the appointment if nobody comes."""
    scheduled: float
    """When the examination is scheduled."""
    entity: str
    """Names the arrival for further keyed draws."""
    scanner: str = ""
    """The node that the appointment is with; empty without one."""
    shows: bool = True
    """Whether the patient comes at all."""


@dataclass(frozen=True, slots=True)
class Week:
    """How the intensity of arrivals varies over a week: piecewise constant, an hour each, from Monday 0 h."""

    intensities: tuple[float, ...]
    """168 of them, relative to their mean."""

    @classmethod
    def of(cls, hours: Sequence[float] = (1.0,) * 24, weekdays: Sequence[float] = (1.0,) * 7) -> Week:
        """The product of a day's profile and that of a week's days; at least one intensity is above 0."""
        product = [day * hour for day in weekdays for hour in hours]
        mean = math.fsum(product) / len(product)
        return cls(tuple(intensity / mean for intensity in product))

    @property
    def peak(self) -> float:
        """The largest relative intensity."""
        return max(self.intensities)

    def at(self, moment: datetime, seconds: float) -> float:
        """Relative intensity so many seconds after a moment."""
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        monday = moment.weekday() * DAY + (moment - midnight).total_seconds()
        return self.intensities[int((monday + seconds) // HOUR) % len(self.intensities)]


FLAT = Week((1.0,) * 168)


@dataclass(frozen=True, slots=True)
class Growth:
    """Steady growth of an intensity: by ``share`` a year, at every moment in proportion to what it is."""

    share: float = 0.0

    def factor(self, seconds: float) -> float:
        """What the intensity is multiplied by, so long after the epoch: 1 at the epoch."""
        return math.exp(self._rate * seconds)

    def expanded(self, seconds: float) -> float:
        """The integral of the factor from the epoch: operational time, in which there is no growth."""
        return seconds if not self._rate else math.expm1(self._rate * seconds) / self._rate

    def seconds(self, expanded: float) -> float:
        """The inverse of ``expanded``."""
        return expanded if not self._rate else math.log1p(self._rate * expanded) / self._rate

    @property
    def _rate(self) -> float:
        return math.log1p(self.share) / YEAR


def poisson_arrivals(
    draws: Draws,
    key: str,
    epoch: datetime,
    rate: float,
    *,
    week: Week | None = None,
    growth: float = 0.0,
    first: float = 0.0,
) -> Iterator[Arrival]:
    """Yield the arrivals of a Poisson process with ``rate`` per second, on average over a week, at the epoch.

    It begins ``first`` seconds after the epoch; without a ``week`` the first patient comes at that very moment. With
    one, it is thinned (Lewis and Shedler, "Simulation of nonhomogeneous Poisson processes by thinning", Naval Research
    Logistics Quarterly 26:403, 1979): candidates arrive as at the busiest hour, and each is kept with the probability
    that its own hour bears to that. Growth stretches time (inversion of the integrated rate: Cinlar, "Introduction to
    Stochastic Processes", 1975), so that more of it brings the same patients earlier.
    """
    shape, steady = week or FLAT, Growth(growth)
    peak = shape.peak
    expanded = steady.expanded(first)
    for number in count(1):
        entity = f"{key} {number}"
        if number > 1 or week is not None:
            expanded += draws.exponential("arrival", entity, 1 / (rate * peak))
        seconds = steady.seconds(expanded)
        if peak * draws.uniform("thinning", entity) < shape.at(epoch, seconds):
            yield Arrival(seconds, seconds, entity)


@dataclass(frozen=True, slots=True)
class Grid:
    """An appointment grid: the same slots on each scanner, one patient each."""

    scanners: tuple[str, ...]
    opens: float
    """Seconds after midnight; the same for ``closes``."""
    closes: float
    days: tuple[int, ...]
    """From 0 for Monday."""
    slot: float
    """Seconds; at least one fits between opening and closing."""
    booked: float = 1.0
    """Share of the slots that are given to somebody, at the epoch."""
    growth: float = 0.0
    """Of the share that is booked, by the year; a full grid stays full."""
    no_shows: float = 0.0
    """Share of the patients who do not come."""
    lateness_mean: float = 0.0
    lateness_sd: float = 0.0
    """Normal, in seconds. Who is less than 0 late is early."""

    @property
    def slots(self) -> int:
        """Slots of one scanner on one day: those that end by the closing time."""
        return int((self.closes - self.opens) / self.slot * (1 + 1e-12))

    @property
    def earliest(self) -> float:
        """Seconds by which nobody is ever earlier than the appointment."""
        return max(0.0, _FARTHEST * self.lateness_sd - self.lateness_mean)


def appointments(draws: Draws, key: str, epoch: datetime, grid: Grid) -> Iterator[Arrival]:
    """Yield the patients of an appointment grid from the epoch on, also those who do not come, as they arrive."""
    waiting: list[Arrival] = []
    for start, scanner in _slots(epoch, grid):
        while waiting and waiting[0].seconds <= start - grid.earliest:
            yield heappop(waiting)
        arrival = _appointment(draws, key, epoch, grid, start, scanner)
        if arrival is not None:
            heappush(waiting, arrival)


def _slots(epoch: datetime, grid: Grid) -> Iterator[tuple[float, str]]:
    """Yield the slots that begin at the epoch or later: seconds after it, and the scanner."""
    midnight = epoch.replace(hour=0, minute=0, second=0, microsecond=0)
    passed = (epoch - midnight).total_seconds()
    for day in count():
        if (epoch.weekday() + day) % 7 in grid.days:
            for index in range(grid.slots):
                start = day * DAY + grid.opens + index * grid.slot - passed
                if start >= 0:
                    yield from ((start, scanner) for scanner in grid.scanners)


def _appointment(draws: Draws, key: str, epoch: datetime, grid: Grid, start: float, scanner: str) -> Arrival | None:
    """The patient of one slot; None if it is free."""
    entity = f"{key} {scanner} {epoch + timedelta(seconds=start):%Y-%m-%dT%H:%M:%S}"
    if draws.uniform("booked", entity) >= grid.booked * Growth(grid.growth).factor(start):
        return None
    if draws.uniform("no-show", entity) < grid.no_shows:
        return Arrival(start, start, entity, scanner, shows=False)
    quantile = max(draws.uniform("lateness", entity), _LEAST)
    late = grid.lateness_mean + grid.lateness_sd * NormalDist().inv_cdf(quantile)
    return Arrival(max(0.0, start + late), start, entity, scanner)
