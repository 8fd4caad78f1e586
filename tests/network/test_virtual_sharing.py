"""How fast associations are that share a line: held against mean-value analysis, and against the closed forms."""

import itertools
from math import exp, inf

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from network.virtual_trains import path_between
from simlab.analysis import closed_form
from simlab.network.link.sending import send_time, slow_start
from simlab.network.link.settings import WIRE
from simlab.network.virtual import sharing
from simlab.network.virtual.link import SharedLine
from simlab.network.virtual.path import MESSAGE_BYTES, Freight
from simlab.network.virtual.sharing import Demand, _laguerre, shares

LINE, ARCHIVE = "line", "archive"


def line_then_think(line, think):
    return Demand(think, ((LINE, line),))


DEMANDS = st.builds(line_then_think, st.floats(1e-4, 1.0), st.just(0.0) | st.floats(1e-4, 10.0))
TWO_PLACES = st.builds(
    lambda think, line, archive: Demand(think, ((LINE, line), (ARCHIVE, archive))),
    *(st.floats(1e-4, 1.0) for _ in range(3)),
)
MIXES = st.dictionaries(DEMANDS, st.integers(1, 30), min_size=1, max_size=8)

CT, MR = 526_000, 132_000


def rates(customers):
    return shares(customers).rates


def by_recursion(customers):
    """Exact mean-value analysis of processor-sharing places and a delay (Reiser and Lavenberg 1980)."""
    demands, most = list(customers), list(customers.values())
    places = {place for each in demands for place, _ in each.needs}
    present = {}
    for population in itertools.product(*(range(count + 1) for count in most)):
        pace, here = [0.0] * len(demands), dict.fromkeys(places, 0.0)
        for which, each in enumerate(demands):
            if population[which]:
                fewer = tuple(count - (other == which) for other, count in enumerate(population))
                residence = {place: seconds * (1 + present[fewer][place]) for place, seconds in each.needs}
                pace[which] = population[which] / (each.think + sum(residence.values()))
                for place, seconds in residence.items():
                    here[place] += pace[which] * seconds
        present[population] = here
    return {each: pace[which] / most[which] for which, each in enumerate(demands)}, here


@given(st.dictionaries(DEMANDS, st.integers(1, 4), min_size=1, max_size=4))
def test_rates_are_those_of_exact_mean_value_analysis(customers):
    assert rates(customers) == pytest.approx(by_recursion(customers)[0], rel=1e-9)


@settings(max_examples=50)
@given(st.dictionaries(DEMANDS | TWO_PLACES, st.integers(1, 4), min_size=1, max_size=4))
def test_so_they_are_where_several_places_are_shared(customers):
    expected, present = by_recursion(customers)
    found = shares(customers)
    assert found.rates == pytest.approx(expected, rel=1e-9)
    for place, load in found.loads.items():
        assert load.present == pytest.approx(present[place], rel=1e-9)
        busy = sum(count * expected[each] * dict(each.needs).get(place, 0.0) for each, count in customers.items())
        assert load.utilisation == pytest.approx(busy, rel=1e-9)


def test_rates_of_very_many():
    customers = {line_then_think(0.01, 1.0): 40, line_then_think(0.0006, 3.0): 1200}
    assert rates(customers) == pytest.approx(by_recursion(customers)[0], rel=1e-9)


SCANNERS = st.lists(
    st.tuples(*(st.floats(1e-3, 1.0) for _ in range(4)), st.integers(1, 3), st.integers(1, 2)), min_size=1, max_size=4
)


@settings(max_examples=50)
@given(SCANNERS)
def test_so_they_are_where_some_meet_elsewhere_too(scanners):
    """A line and an archive that all need, and computers that are one scanner's, or two's."""
    customers = {
        Demand(think, ((LINE, line), (ARCHIVE, archive), (f"computer {computer}", own))): count
        for think, line, archive, own, count, computer in scanners
    }
    expected, present = by_recursion(customers)
    found = shares(customers)
    assert found.rates == pytest.approx(expected, rel=1e-9)
    assert {place: load.present for place, load in found.loads.items()} == pytest.approx(present, rel=1e-9)


def test_nobody_gets_more_than_there_is_however_many_places_many_share():
    """Six scanners with many associations each, every one with a computer, behind one line: only the line is short."""
    for many in (4, 40):
        customers = {
            Demand(0.05 + number / 100, ((LINE, 0.03), (ARCHIVE, 0.02), (f"scanner {number}", 0.001))): many
            for number in range(6)
        }
        found = shares(customers, {ARCHIVE: 4}).loads
        assert found[LINE].utilisation == pytest.approx(1, rel=0.005)
        assert found[LINE].utilisation <= 1 + 1e-9


@settings(max_examples=50)
@given(st.dictionaries(TWO_PLACES, st.integers(8, 12), min_size=2, max_size=2))
def test_what_would_be_too_much_is_approximated(customers):
    exact = shares(customers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "MOST_NODES", 1)
        found = shares(customers)
    assert found.rates == pytest.approx(exact.rates, rel=0.1)
    for place, load in found.loads.items():
        assert load.utilisation <= 1 + 1e-5
        assert load.present == pytest.approx(exact.loads[place].present, rel=0.25, abs=0.5)


def test_where_very_many_share_several_places_nobody_sees_the_difference():
    kinds = [
        Demand(1.0, (("north", 0.02), (ARCHIVE, 0.004))),
        Demand(0.5, (("south", 0.01), (ARCHIVE, 0.002))),
        Demand(0.8, (("west", 0.015), (ARCHIVE, 0.003))),
    ]
    found = shares(dict.fromkeys(kinds, 50)).rates
    busy = {place: 0.0 for each in kinds for place, _ in each.needs}
    for each in kinds:
        for place, seconds in each.needs:
            busy[place] += 50 * found[each] * seconds
    assert all(0.3 < share < 1.0 for share in busy.values())


@given(MIXES)
def test_no_line_carries_more_than_it_can_and_everybody_gets_some(customers):
    pace = rates(customers)
    assert sum(count * pace[each] * each.needs[0][1] for each, count in customers.items()) <= 1 + 1e-9
    assert all(0 < pace[each] <= each.alone * (1 + 1e-9) for each in customers)


@given(MIXES, DEMANDS)
def test_company_slows_everybody_down(customers, newcomer):
    before, after = rates(customers), rates({**customers, newcomer: customers.get(newcomer, 0) + 1})
    assert all(after[each] <= before[each] * (1 + 1e-9) for each in customers)


@given(DEMANDS)
def test_a_lone_association_has_the_line_to_itself(alone):
    assert rates({alone: 1}) == {alone: alone.alone}


def test_those_who_never_think_share_equally():
    busy = line_then_think(0.02, 0.0)
    assert rates({busy: 4})[busy] == pytest.approx(1 / 0.02 / 4)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 50, 101])
def test_quadrature(count):
    nodes, weights = np.polynomial.laguerre.laggauss(count)
    assert [node for node, _ in _laguerre(count)] == pytest.approx(nodes)
    assert [exp(weight) for _, weight in _laguerre(count)] == pytest.approx(weights, abs=1e-10)


# ---- what an association demands


def demand(size, bandwidth, *, round_trip=0.0, asking=0.0, serving=0.0, window=inf, outstanding=1, servers=1):
    env = simpy.Environment()
    line = SharedLine(env, bandwidth)
    path = path_between(env, round_trip, line, window=window, asking=asking, serving=serving, servers=servers)
    found = path.needs(Freight(size, outstanding))
    return found, dict(found.needs).get(line, 0.0)


@pytest.mark.parametrize("window", [inf, 4 * 2**20, 64 * 1024])
@pytest.mark.parametrize("round_trip", [0.0, 0.0004, 0.02, 0.2])
@pytest.mark.parametrize("bandwidth", [1.25e6, 12.5e6, 125e6])
@pytest.mark.parametrize("size", [CT, MR, 5_000])
def test_one_instance_alone_takes_what_the_closed_form_says(size, bandwidth, round_trip, window):
    needs, _ = demand(size, bandwidth, round_trip=round_trip, asking=0.001, serving=0.002, window=window, servers=4)
    path = closed_form.Path(round_trip, bandwidth, window)
    assert 1 / needs.alone == pytest.approx(closed_form.instance_time(path, size, 0.003))


def test_several_outstanding_requests_fill_the_gaps():
    alone, line = demand(CT, 12.5e6, round_trip=0.1, serving=0.004)
    two, _ = demand(CT, 12.5e6, round_trip=0.1, serving=0.004, outstanding=2)
    assert two.alone == pytest.approx(2 * alone.alone)
    for outstanding in (8, 0):
        many, theirs = demand(CT, 12.5e6, round_trip=0.1, serving=0.004, outstanding=outstanding)
        assert many.alone == pytest.approx(1 / line)
        assert theirs == line, "the line is what is shared then"
    slow, _ = demand(CT, 12.5e6, round_trip=0.1, serving=0.5, outstanding=0)
    assert slow.alone == pytest.approx(2), "one after the other"
    narrow, _ = demand(CT, 12.5e6, round_trip=0.1, window=2**16, outstanding=0)
    assert narrow.alone * (CT + MESSAGE_BYTES) == pytest.approx(2**16 / 0.1), "a window a round trip"


def test_each_of_several_servers_takes_as_long_as_one():
    env = simpy.Environment()
    path = path_between(env, 0.0, serving=0.012, servers=4)
    assert path.needs(Freight(CT)) == Demand(0.0, ((path.target, 0.012),))
    assert path.target.servers == 4


def test_what_is_encoded_ahead_takes_no_time_of_its_own():
    env = simpy.Environment()
    path = path_between(env, 0.0, asking=0.001, serving=0.004)
    first = path.needs(Freight(CT, encoding=0.003))
    assert 1 / first.alone == pytest.approx(0.008)
    assert 1 / path.needs(Freight(CT, encoding=0.003, ahead=True)).alone == pytest.approx(0.005)
    assert 1 / path.needs(Freight(CT, encoding=0.030, ahead=True)).alone == pytest.approx(0.030)


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
    assert demand(1_000_000, 12.5e6)[1] == pytest.approx((1_000_000 + MESSAGE_BYTES) * WIRE / 12.5e6)
