"""How fast associations are that share a line: held against mean-value analysis, and against the closed forms."""

import itertools
from math import exp, inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simlab.analysis import closed_form
from simlab.network.link.sending import send_time, slow_start
from simlab.network.link.settings import WIRE
from simlab.network.virtual.sharing import MESSAGE_BYTES, Demand, _laguerre, demand, rates

DEMANDS = st.builds(Demand, st.floats(1e-4, 1.0), st.just(0.0) | st.floats(1e-4, 10.0))
MIXES = st.dictionaries(DEMANDS, st.integers(1, 30), min_size=1, max_size=8)

CT, MR = 526_000, 132_000


def by_recursion(customers):
    """Exact mean-value analysis of one processor-sharing station and a delay (Reiser and Lavenberg 1980)."""
    demands, most = list(customers), list(customers.values())
    on_line = {}
    for population in itertools.product(*(range(count + 1) for count in most)):
        pace, length = [0.0] * len(demands), 0.0
        for place, (line, think) in enumerate(demands):
            if population[place]:
                fewer = tuple(count - (other == place) for other, count in enumerate(population))
                residence = line * (1 + on_line[fewer])
                pace[place] = population[place] / (think + residence)
                length += pace[place] * residence
        on_line[population] = length
    return {each: pace[place] / most[place] for place, each in enumerate(demands)}


@given(st.dictionaries(DEMANDS, st.integers(1, 4), min_size=1, max_size=4))
def test_rates_are_those_of_exact_mean_value_analysis(customers):
    assert rates(customers) == pytest.approx(by_recursion(customers), rel=1e-9)


def test_rates_of_very_many():
    customers = {Demand(0.01, 1.0): 40, Demand(0.0006, 3.0): 1200}
    assert rates(customers) == pytest.approx(by_recursion(customers), rel=1e-9)


@given(MIXES)
def test_no_line_carries_more_than_it_can_and_everybody_gets_some(customers):
    pace = rates(customers)
    assert sum(count * pace[each] * each.line for each, count in customers.items()) <= 1 + 1e-9
    assert all(0 < pace[each] <= each.alone * (1 + 1e-9) for each in customers)


@given(MIXES, DEMANDS)
def test_company_slows_everybody_down(customers, newcomer):
    before, after = rates(customers), rates({**customers, newcomer: customers.get(newcomer, 0) + 1})
    assert all(after[each] <= before[each] * (1 + 1e-9) for each in customers)


@given(DEMANDS)
def test_a_lone_association_has_the_line_to_itself(alone):
    assert rates({alone: 1}) == {alone: alone.alone}


def test_those_who_never_think_share_equally():
    busy = Demand(0.02, 0.0)
    assert rates({busy: 4})[busy] == pytest.approx(1 / 0.02 / 4)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 50, 101])
def test_quadrature(count):
    nodes, weights = np.polynomial.laguerre.laggauss(count)
    assert [node for node, _ in _laguerre(count)] == pytest.approx(nodes)
    assert [exp(weight) for _, weight in _laguerre(count)] == pytest.approx(weights, abs=1e-10)


# ---- what an association demands


@pytest.mark.parametrize("window", [inf, 4 * 2**20, 64 * 1024])
@pytest.mark.parametrize("round_trip", [0.0, 0.0004, 0.02, 0.2])
@pytest.mark.parametrize("bandwidth", [1.25e6, 12.5e6, 125e6])
@pytest.mark.parametrize("size", [CT, MR, 5_000])
def test_one_instance_alone_takes_what_the_closed_form_says(size, bandwidth, round_trip, window):
    needs = demand(size, bandwidth, round_trip=round_trip, work=0.003, window=window)
    path = closed_form.Path(round_trip, bandwidth, window)
    assert 1 / needs.alone == pytest.approx(closed_form.instance_time(path, size, 0.003))


def test_several_outstanding_requests_fill_the_gaps():
    alone = demand(CT, 12.5e6, round_trip=0.1, work=0.004)
    assert demand(CT, 12.5e6, round_trip=0.1, work=0.004, outstanding=2).alone == pytest.approx(2 * alone.alone)
    assert demand(CT, 12.5e6, round_trip=0.1, work=0.004, outstanding=8) == Demand(alone.line, 0.0)
    assert demand(CT, 12.5e6, round_trip=0.1, work=0.004, outstanding=0) == Demand(alone.line, 0.0)
    assert demand(CT, 12.5e6, round_trip=0.1, work=0.5, outstanding=0).alone == pytest.approx(2), "one after the other"
    narrow = demand(CT, 12.5e6, round_trip=0.1, window=2**16, outstanding=0)
    assert narrow.alone * (CT + MESSAGE_BYTES) == pytest.approx(2**16 / 0.1), "a window a round trip"


SIZES = st.floats(100, 1e8)


@settings(max_examples=300)
@given(SIZES, st.floats(1e4, 1e9), st.floats(0, 1), st.just(inf) | st.floats(1448, 1e8), st.just(inf) | SIZES)
def test_sending_is_as_in_the_closed_form(size, bandwidth, round_trip, window, start):
    path = closed_form.Path(round_trip, bandwidth, window)
    expected = closed_form.send_time(path, size, start)
    assert send_time(size, bandwidth, round_trip, window, start) == pytest.approx(expected)


@settings(max_examples=300)
@given(SIZES, st.integers(1, 100), st.floats(1e4, 1e9), st.floats(0, 1), st.just(inf) | st.floats(1448, 1e8))
def test_slow_start_is_as_in_the_closed_form(size, count, bandwidth, round_trip, window):
    path = closed_form.Path(round_trip, bandwidth, window)
    _, expected = closed_form._one_by_one(path, size, count)
    assert slow_start(size, count, bandwidth, round_trip, window) == pytest.approx(expected, abs=1e-9)


def test_what_is_on_the_wire():
    assert demand(1_000_000, 12.5e6).line == pytest.approx((1_000_000 + MESSAGE_BYTES) * WIRE / 12.5e6)
