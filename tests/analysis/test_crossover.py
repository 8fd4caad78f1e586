"""Crossovers are found where they were put, noise or not, and the interval says how well."""

from math import inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simlab.analysis.crossover import MOST_PROBES, TOLERANCE, Probe, bisect, locate

LEAST, MOST = 1e5, 1e9


def measure_at(crossing, noise=0.0, seed=0, repetitions=4):
    """A pair whose log ratio falls through zero at ``crossing``; what was asked is kept."""
    generator = np.random.default_rng(seed)
    asked = []

    def measure(bandwidth):
        asked.append(bandwidth)
        mean = 0.5 * np.tanh(log(crossing / bandwidth))
        return Probe(bandwidth, tuple(float(mean + noise * generator.standard_normal()) for _ in range(repetitions)))

    return measure, asked


@settings(deadline=None)
@given(st.floats(LEAST * 4, MOST / 4), st.floats(0.02, 50))
def test_finds_the_crossing_from_any_guess(crossing, wrong):
    measure, asked = measure_at(crossing)
    found = bisect(measure, crossing * wrong, least=LEAST, most=MOST)
    assert found.bandwidth == pytest.approx(crossing, rel=0.02)
    assert len(asked) == len(set(asked)) <= MOST_PROBES + 10
    assert [probe.bandwidth for probe in found.probes] == sorted(asked)
    around = [probe.bandwidth for probe in found.probes if probe.mean > 0][-1:]
    above = [probe.bandwidth for probe in found.probes if probe.mean <= 0][:1]
    assert above[0] / around[0] <= TOLERANCE


def test_a_side_that_always_wins():
    measure, asked = measure_at(MOST * 100)
    assert bisect(measure, MOST / 3, least=LEAST, most=MOST).bandwidth == inf
    assert max(asked) == MOST
    measure, asked = measure_at(LEAST / 100)
    assert bisect(measure, LEAST * 3, least=LEAST, most=MOST).bandwidth == 0
    assert min(asked) == LEAST


def test_the_interval_holds_the_crossing_about_as_often_as_it_says():
    """Of 60 searches 57 are expected; fewer than 50 would be far out of line."""
    held = 0
    for seed in range(60):
        measure, _ = measure_at(1e7, noise=0.03, seed=seed)
        found = bisect(measure, 1.3e7, least=LEAST, most=MOST, seed=seed)
        held += found.low <= 1e7 <= found.high
        assert found.low <= found.bandwidth <= found.high
    assert held >= 50


def test_more_noise_makes_the_interval_wider():
    def width(noise):
        found = bisect(measure_at(1e7, noise, seed=3)[0], 1e7, least=LEAST, most=MOST)
        return found.high / found.low

    assert width(0.0) == 1
    assert 1 < width(0.01) < width(0.1)


def test_probes_that_contradict_each_other_are_pooled():
    """By themselves they would cross zero three times."""
    probes = [Probe(1e6, (0.4,)), Probe(2e6, (-0.1,)), Probe(4e6, (0.1,)), Probe(8e6, (-0.4,))]
    assert 1e6 < locate(probes).bandwidth < 8e6
    assert locate(probes).bandwidth == pytest.approx(2e6, rel=0.01)
