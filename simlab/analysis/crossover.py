"""Crossovers: the bandwidth at which two transfer syntaxes take the same time, found by bisection of its logarithm.

At each probe both are measured side by side, several times. The crossing is read off the probes' mean log ratios, made
monotone (Ayer et al. 1955) and interpolated; its 95 % interval is a residual bootstrap over all probes (Efron 1979),
since three repetitions alone say little about their own spread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, inf, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from simlab.draws import Draws

TOLERANCE = 1.1
"""A bracket is narrow enough when its ends differ by less than this factor."""

STEP = 2.0
"""Factor by which a bracket grows while it holds no crossover."""

MOST_PROBES = 16
RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Probe:
    """Two transfer syntaxes side by side at one bandwidth."""

    bandwidth: float
    """Bytes per second."""
    log_ratios: tuple[float, ...]
    """ln of the first one's study time over the other's, for each repetition: positive if the other is faster."""

    @property
    def mean(self) -> float:
        """Mean log ratio."""
        return sum(self.log_ratios) / len(self.log_ratios)


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where two transfer syntaxes take the same time. Bytes per second."""

    bandwidth: float
    """``inf`` if the other one was faster at every probe, 0 if it never was."""
    low: float
    """95 % interval; NaN where there is no crossing."""
    high: float
    probes: tuple[Probe, ...]


def bisect(measure: Callable[[float], Probe], expected: float, *, least: float, most: float, seed: int = 0) -> Crossing:
    """Find the bandwidth below which the other one is faster.

    Begins on both sides of where it is ``expected``, goes on outwards until the crossing is in between, no further than
    ``least`` and ``most``, and then halves the bracket.
    """
    expected = min(max(expected, least * sqrt(STEP)), most / sqrt(STEP))
    low, high = expected / sqrt(STEP), expected * sqrt(STEP)
    probes: dict[float, Probe] = {}

    def other_is_faster(bandwidth: float) -> bool:
        if bandwidth not in probes:
            probes[bandwidth] = measure(bandwidth)
        return probes[bandwidth].mean > 0

    def without_crossing(bandwidth: float) -> Crossing:
        return Crossing(bandwidth, nan, nan, tuple(sorted(probes.values(), key=lambda probe: probe.bandwidth)))

    while not other_is_faster(low):
        if low <= least:
            return without_crossing(0.0)
        high, low = low, max(low / STEP, least)
    while other_is_faster(high):
        if high >= most:
            return without_crossing(inf)
        low, high = high, min(high * STEP, most)
    while high / low > TOLERANCE and len(probes) < MOST_PROBES:
        middle = sqrt(low * high)
        if other_is_faster(middle):
            low = middle
        else:
            high = middle
    return locate(list(probes.values()), seed)


def locate(probes: Sequence[Probe], seed: int = 0) -> Crossing:
    """The crossing that the probes tell of, and its interval."""
    probes = sorted(probes, key=lambda probe: probe.bandwidth)
    places = np.log([probe.bandwidth for probe in probes])
    means = np.array([probe.mean for probe in probes])
    residuals = np.concatenate([
        (np.array(probe.log_ratios) - probe.mean) * sqrt(len(probe.log_ratios) / (len(probe.log_ratios) - 1))
        for probe in probes
        if len(probe.log_ratios) > 1
    ] or [np.zeros(1)])  # fmt: skip
    generator = Draws(seed).generator("bootstrap", "crossover")
    drawn = [generator.choice(residuals, (RESAMPLES, len(probe.log_ratios))).mean(axis=1) for probe in probes]
    spread = [_crossing(places, means + shifts) for shifts in np.transpose(drawn)]
    low, high = np.quantile(spread, (0.025, 0.975), method="inverted_cdf")
    return Crossing(exp(_crossing(places, means)), exp(low), exp(high), tuple(probes))


def _crossing(places: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Where a falling curve through the values crosses zero; the nearest end if it does not."""
    falling = _falling(values)
    if falling[0] <= 0:
        return float(places[0])
    after = int(np.argmax(falling <= 0))
    if falling[after] > 0:
        return float(places[-1])
    share = falling[after - 1] / (falling[after - 1] - falling[after])
    return float(places[after - 1] + share * (places[after] - places[after - 1]))


def _falling(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The falling sequence nearest to the values: neighbours that rise are pooled until none do."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        blocks.append((float(value), 1))
        while len(blocks) > 1 and blocks[-2][0] < blocks[-1][0]:
            (one, few), (other, many) = blocks[-2:]
            blocks[-2:] = [((one * few + other * many) / (few + many), few + many)]
    return np.repeat([mean for mean, _ in blocks], [count for _, count in blocks])
