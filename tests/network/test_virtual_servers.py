"""Rates where a shared place has several servers: held against the normalising constant, summed up state by state."""

from itertools import product
from math import comb, factorial, prod

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simlab.network.virtual import sharing
from simlab.network.virtual.sharing import Demand, shares

LINE, ARCHIVE, ROUTER = "line", "archive", "router"
SECONDS = st.floats(1e-3, 0.1)
SERVERS = st.sampled_from([1, 2, 3, 4, 8, sharing.MOST_SERVERS])


def states(ones, others):
    return product(range(ones + 1), range(others + 1))


def constants(most, thinks, places):
    """G for every population of two classes: each place's own, folded in one after the other (Buzen 1973)."""
    found = {(n, m): thinks[0] ** n * thinks[1] ** m / factorial(n) / factorial(m) for n, m in states(*most)}
    for (one, other), servers in places:
        here = {
            (n, m): comb(n + m, n) * one**n * other**m / prod(min(number, servers) for number in range(1, n + m + 1))
            for n, m in states(*most)
        }
        found = {(n, m): sum(found[n - i, m - j] * here[i, j] for i, j in states(n, m)) for n, m in states(*most)}
    return found


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.just(0.0) | SECONDS, SECONDS),
    st.lists(st.tuples(st.tuples(SECONDS, SECONDS), SERVERS), min_size=1, max_size=3),
)
def test_rates_are_exact_with_any_number_of_servers(most, thinks, places):
    names = (ARCHIVE, ROUTER, LINE)[: len(places)]
    each = [
        Demand(think, tuple((name, seconds[which]) for name, (seconds, _) in zip(names, places, strict=True)))
        for which, think in enumerate(thinks)
    ]
    assume(each[0] != each[1])
    whole = constants(most, thinks, places)
    servers = {name: count for name, (_, count) in zip(names, places, strict=True)}
    found = shares(dict(zip(each, most, strict=True)), servers)
    for demand, count, fewer in zip(each, most, ((1, 0), (0, 1)), strict=True):
        without = whole[most[0] - fewer[0], most[1] - fewer[1]]
        assert count * found.rates[demand] == pytest.approx(without / whole[most], rel=1e-6)
    for name, (seconds, count) in zip(names, places, strict=True):
        busy = sum(n * found.rates[one] * s for one, n, s in zip(each, most, seconds, strict=True))
        assert found.loads[name].utilisation == pytest.approx(busy / count)


@pytest.mark.parametrize("thinks", [(0.1, 0.3), (0.0, 0.2)])
def test_the_unit_circle_may_go_through_a_cycle_of_nothing(thinks):
    """Where thinking takes as long as a place does, and two places are alike."""
    each = [Demand(think, ((ARCHIVE, 0.1), (ROUTER, 0.1))) for think in thinks]
    whole = constants((5, 3), thinks, [((0.1, 0.1), 2)] * 2)
    found = shares(dict(zip(each, (5, 3), strict=True)), {ARCHIVE: 2, ROUTER: 2}).rates
    assert 5 * found[each[0]] == pytest.approx(whole[4, 3] / whole[5, 3])
    assert 3 * found[each[1]] == pytest.approx(whole[5, 2] / whole[5, 3])


def test_who_finds_a_server_free_does_not_notice_the_others():
    each = Demand(0.1, ((ARCHIVE, 0.5),))
    assert shares({each: 4}, {ARCHIVE: 4}).rates[each] == pytest.approx(1 / 0.6)
    assert shares({each: 5}, {ARCHIVE: 4}).rates[each] < 1 / 0.6


def test_where_it_would_be_too_much_servers_are_a_faster_one_behind_a_delay(monkeypatch):
    each = Demand(0.1, ((LINE, 0.2), (ARCHIVE, 0.5)))
    exact = shares({each: 12}, {ARCHIVE: 4}).rates[each]
    monkeypatch.setattr(sharing, "MOST_NODES", 60)
    taken = shares({each: 12}, {ARCHIVE: 4}).rates[each]
    alike = Demand(0.1 + 0.5 * 3 / 4, ((LINE, 0.2), (ARCHIVE, 0.5 / 4)))
    assert taken == pytest.approx(shares({alike: 12}).rates[alike])
    assert taken == pytest.approx(exact, rel=0.05)
    assert taken < exact
