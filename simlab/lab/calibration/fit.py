"""From the throughput of a few associations to the times of the two ends: pure numbers, no clock.

Associations that store one instance after another are the customers of a closed queueing network: each alternates
between thinking (z seconds of the asking AE's own) and the c servers of the AE that is asked, for s seconds. While they
share the servers in turns, only these means count (Baskett, Chandy, Muntz and Palacios 1975), as in the virtual world.

So a throughput tells z + s while the associations are few, s/c once they are many, and c by how sharp the bend between
is. Noise of a few percent may hide that, above all where thinking takes longer than to be served. What tells better is
the time that one association is seen to spend between a response and its next request: that is thinking, and what else
of a cycle is, is taken to be as little as the throughput allows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import log, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]

MOST_SERVERS = 16

DISTRUST = 0.3
"""What thinking weighs that was not seen, as a share of the cycle, beside the logarithm of a throughput."""

NOISE = 0.1
"""Relative error of a throughput from which on it weighs less and less: something else had the machine then."""

MOST_STEPS = 60
"""Of the search for the least squares, which needs about ten."""

ENOUGH = 1e-6
"""Of the sum of squares: who gains less in a step is there."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen at one AE."""

    associations: int
    size: float
    """Bytes of an instance; 0 for messages."""
    throughput: float
    """Per second, of all associations together."""
    gap: float | None = None
    """Seconds between a response and the next request, if that was seen; for one association only."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Times in seconds, and seconds per byte."""

    servers: int
    serving: float
    serving_byte: float
    asking: float
    asking_byte: float

    def predict(self, associations: int, size: float) -> float:
        """Return the throughput of so many associations with instances of so many bytes."""
        service, think = self.serving + self.serving_byte * size, self.asking + self.asking_byte * size
        return throughput(associations, service, think, self.servers)


def throughput(customers: int, service: float, think: float, servers: int = 1) -> float:
    """Return how many cycles a second customers complete who think, and are served by one of ``servers``.

    From the probabilities of how many think, as of machines and their repairmen (Feller 1968, XVII.7).
    """
    busy, likely = float(min(customers, servers)), 1.0  # if all were there
    for there in range(customers, 0, -1):
        odds = likely * think * min(there, servers) / ((customers - there + 1) * service)
        likely = odds / (1 + odds)  # that one fewer is there, if not yet fewer
        busy += likely * (min(there - 1, servers) - busy)
    return busy / service


def fit(observations: Sequence[Observation], servers: int | None = None) -> Fitted:
    """Return the times that explain the observations best, by least squares of the logarithms of throughput.

    Large errors weigh less than their squares. ``servers`` is given where it is known. Of several numbers that do
    equally well it is the smallest.
    """
    best, least = None, np.inf
    for candidate in [servers] if servers is not None else range(1, MOST_SERVERS + 1):
        fitted, error = _fit(observations, candidate)
        if error < least * (1 - 1e-3) - 1e-12:
            best, least = fitted, error
    assert best is not None, "there is at least one candidate"
    return best


def _fit(observations: Sequence[Observation], servers: int) -> tuple[Fitted, float]:
    """Levenberg and Marquardt's method, with unknowns that are never negative; also returns the sum of squares."""
    typical = max(each.size for each in observations) or 1.0
    fewest = min(each.associations for each in observations)
    cycle = max(each.associations / each.throughput for each in observations if each.associations == fewest)
    seen, seen_byte = _seen(observations)

    def fitted(unknowns: Vector) -> Fitted:
        serving, serving_byte, more, more_byte = map(float, unknowns * cycle)
        return Fitted(servers, serving, serving_byte / typical, seen + more, seen_byte + more_byte / typical)

    def residuals(unknowns: Vector) -> Vector:
        times = fitted(unknowns)
        told = [_tempered(log(times.predict(each.associations, each.size) / each.throughput)) for each in observations]
        unseen = [
            DISTRUST * float(unknowns[2] + unknowns[3] * each.size / typical)
            for each in observations
            if each.gap is not None
        ]
        return np.array(told + unseen)

    sized = len({each.size for each in observations}) > 1
    free = (True, sized, True, sized)
    unknowns = np.array([0.5, 0.25 * sized, 0.1, 0.0])
    now, damping = residuals(unknowns), 1e-3
    slope = _slope(residuals, unknowns, now)
    for _ in range(MOST_STEPS):
        tried = _least_squares(slope, slope @ unknowns - now, unknowns, damping, free)
        then = residuals(tried)
        if then @ then < now @ now:
            gained = 1 - (then @ then) / (now @ now)
            unknowns, now, damping = tried, then, damping / 5
            if gained < ENOUGH:
                break
            slope = _slope(residuals, unknowns, now)
        elif damping > 1e6:
            break
        else:
            damping *= 5
    return fitted(unknowns), float(now @ now)


def _tempered(error: float) -> float:
    """Return what of an error counts, so that its square grows like the error where that is large (pseudo-Huber)."""
    return error * sqrt(2 / (1 + sqrt(1 + (error / NOISE) ** 2)))


def _seen(observations: Sequence[Observation]) -> tuple[float, float]:
    """Return the thinking that was seen, as seconds and as seconds per byte: a line below all of it."""
    seen = sorted((each.size, each.gap) for each in observations if each.gap is not None)
    if not seen:
        return 0.0, 0.0
    (small, least), (large, most) = seen[0], seen[-1]
    byte = max(0.0, most - least) / (large - small) if large > small else 0.0
    byte = min([byte, *(gap / size for size, gap in seen if size)])
    return min(gap - byte * size for size, gap in seen), byte


def _slope(residuals: Callable[[Vector], Vector], unknowns: Vector, now: Vector) -> Vector:
    """Return the derivatives of the residuals, by differences."""
    step = 1e-6
    return np.column_stack([(residuals(unknowns + step * unit) - now) / step for unit in np.eye(len(unknowns))])


def _least_squares(slope: Vector, wanted: Vector, near: Vector, damping: float, free: Sequence[bool]) -> Vector:
    """Minimise |slope x - wanted|^2 + damping |x - near|^2 for x >= 0: with four unknowns, by trying which are 0."""
    matrix = np.vstack([slope, np.sqrt(damping) * np.eye(len(near))])
    right = np.concatenate([wanted, np.sqrt(damping) * near])
    best, least = near, np.inf
    for chosen in product(*[(False, True) if each else (False,) for each in free]):
        if not (chosen[0] or chosen[1]):  # to be served takes some time
            continue
        places = np.flatnonzero(chosen)
        solution = np.zeros(len(near))
        solution[places] = np.linalg.lstsq(matrix[:, places], right, rcond=None)[0]
        off = matrix @ solution - right
        if solution.min() >= 0 and off @ off < least:
            best, least = solution, float(off @ off)
    return best
