"""The fit, against networks whose times are known: pure numbers."""

from dataclasses import replace
from math import exp

import numpy as np
import pytest

from simlab.lab.calibration.fit import Fitted, Observation, fit, throughput
from simlab.network.virtual.sharing import Demand, shares

SIZES = (132_772, 525_988)
LEVELS = (1, 2, 4, 8)


@pytest.mark.parametrize("think", [0.0, 1e-7, 5e-4, 0.005, 0.1])
@pytest.mark.parametrize("servers", [1, 2, 4, 16])
@pytest.mark.parametrize("customers", [1, 2, 5, 16, 40])
def test_what_is_fitted_is_what_the_virtual_world_computes_with(customers, servers, think):
    each = Demand(think, (("archive", 0.002),))
    expected = customers * shares({each: customers}, {"archive": servers}).rates[each]
    assert throughput(customers, 0.002, think, servers) == pytest.approx(expected, rel=1e-6)


def test_one_customer_never_waits_however_many_servers_there_are():
    for servers in (1, 3, 16):
        assert throughput(1, 0.002, 0.005, servers) == pytest.approx(1 / 0.007)


def test_many_customers_keep_all_servers_busy():
    assert throughput(400, 0.002, 0.005, 4) == pytest.approx(4 / 0.002, rel=1e-3)


def observed(truth, noise, seed=1, levels=LEVELS):
    """What eight cells would show: throughput, and at one association the time between response and request."""
    draws = np.random.default_rng(seed)
    return [
        Observation(
            level,
            size,
            truth.predict(level, size) * exp(draws.normal(0, noise)),
            (truth.asking + truth.asking_byte * size) * exp(draws.normal(0, noise)) if level == 1 else None,
        )
        for level in levels
        for size in SIZES
    ]


def service(times, size):
    return times.serving + times.serving_byte * size


@pytest.mark.parametrize("servers", [1, 2, 4])
@pytest.mark.parametrize("asking", [5e-5, 1e-3])
def test_the_truth_is_found_again_without_noise(servers, asking):
    truth = Fitted(servers, 2e-3, 3e-9, asking, 1e-9)
    found = fit(observed(truth, 0.0))
    assert found.servers == servers
    for name in ("serving", "serving_byte", "asking", "asking_byte"):
        assert getattr(found, name) == pytest.approx(getattr(truth, name), rel=0.01)


@pytest.mark.parametrize("servers", [1, 2, 4])
def test_the_truth_is_found_again_in_noise(servers):
    """2 % of noise in every cell: without bias, and hardly ever another number of servers."""
    truth = Fitted(servers, 2e-3, 3e-9, 1e-3, 1e-9)
    found = [fit(observed(truth, 0.02, seed)) for seed in range(6)]
    assert sum(each.servers == servers for each in found) >= 5
    for size in SIZES:
        errors = [service(each, size) / service(truth, size) - 1 for each in found]
        assert abs(np.mean(errors)) < 0.02
        assert np.std(errors) < 0.05


def test_a_cell_that_went_wrong_does_little_harm():
    """One throughput of eight is half of what it was: something else had the machine."""
    truth = Fitted(1, 2e-3, 3e-9, 1e-4, 0.0)
    for broken in (2, 5, 7):
        observations = observed(truth, 0.0)
        observations[broken] = replace(observations[broken], throughput=observations[broken].throughput / 2)
        found = fit(observations)
        for size in SIZES:
            assert service(found, size) == pytest.approx(service(truth, size), rel=0.1)


def test_no_time_is_negative():
    """Throughput that falls as more associate, as no such network has it."""
    seen = [
        Observation(1, 1e5, 900, 1e-5),
        Observation(2, 1e5, 700),
        Observation(8, 1e5, 500),
        Observation(1, 5e5, 950),
    ]
    found = fit(seen)
    assert found.servers == 1
    assert min(found.serving, found.serving_byte, found.asking, found.asking_byte) >= 0
    assert found.serving > 0


def test_thinking_is_at_least_what_was_seen():
    truth = Fitted(1, 2e-3, 3e-9, 0.0, 0.0)
    seen = [Observation(o.associations, o.size, o.throughput, 1e-4 if o.gap is not None else None)
            for o in observed(truth, 0.0)]  # fmt: skip
    assert fit(seen).asking == pytest.approx(1e-4)


def test_messages_have_no_size():
    truth = Fitted(1, 4e-3, 0.0, 3e-3, 0.0)
    seen = [Observation(level, 0.0, truth.predict(level, 0.0)) for level in LEVELS]
    found = fit(seen, servers=1)
    assert (found.serving_byte, found.asking_byte) == (0.0, 0.0)
    assert found.serving == pytest.approx(4e-3, rel=0.05)
    assert found.asking == pytest.approx(3e-3, rel=0.1)


@pytest.mark.parametrize("servers", [1, 2, 4])
def test_throughput_without_noise_tells_the_number_of_servers(servers):
    truth = Fitted(servers, 4e-3, 0.0, 1e-3, 0.0)
    found = fit([Observation(level, 0.0, truth.predict(level, 0.0)) for level in LEVELS])
    assert found.servers == servers
    assert found.serving == pytest.approx(4e-3, rel=0.01)
    assert found.asking == pytest.approx(1e-3, rel=0.01)


def test_in_noise_it_takes_the_time_between_response_and_request():
    """4 % of noise, and thinking takes as long as to be served."""
    truth = Fitted(2, 2e-3, 3e-9, 3e-3, 1e-9)
    with_gaps = [observed(truth, 0.04, seed) for seed in range(8)]
    without = [[replace(each, gap=None) for each in cells] for cells in with_gaps]
    told, guessed = (sum(fit(cells).servers == 2 for cells in cases) for cases in (with_gaps, without))
    assert told >= 7
    assert guessed < told
