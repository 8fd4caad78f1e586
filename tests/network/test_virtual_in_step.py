"""Trains that fall into step in a queue: held against the relay's own link, and against what nobody can beat."""

import random
from collections import Counter
from math import inf

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from network.virtual_trains import CT, MR, RelayedTrains
from simlab.network.link import lane
from simlab.network.link.settings import LEAST_QUEUE, WIRE
from simlab.network.virtual.in_step import Cycle, go_round, in_step
from simlab.network.virtual.link import SharedLine
from simlab.network.virtual.sharing import Demand, shares

CT_JPEGLS, MR_JPEGLS, KNEE = (146_000, 0.005), (37_000, 0.004), (57_000, 0.001)
"""Bytes of an instance, and seconds of work."""
CT_PLAIN, MR_PLAIN, SLOW_MR = (CT[0], 0.010), (MR[0], 0.006), (MR[0], 0.030)

THIN = 2.5e6, 0.04
USUAL = 12.5e6, 0.02
"""Bytes per second, and round trip."""


def relayed(mix, bandwidth, round_trip, cv=0.2, cycles=150):
    """Instances a second of each of these trains over the relay's link."""
    trains, draws, shape = RelayedTrains(bandwidth, round_trip, congestion="ideal"), random.Random(1), cv**-2
    arrived = [
        trains.endless(0.05 * place, size, lambda work=work: draws.gammavariate(shape, work / shape))
        for place, (size, work) in enumerate(mix)
    ]
    lines = [size * WIRE / bandwidth for size, _ in mix]
    turn = max(line + round_trip + work for line, (_, work) in zip(lines, mix, strict=True)) + sum(lines)
    trains.clock.run(cycles * turn)
    late = [[moment for moment in each if moment > cycles * turn / 5] for each in arrived]
    return [(len(each) - 1) / (each[-1] - each[0]) for each in late]


def computed(mix, bandwidth, round_trip, *, queue=True):
    line = SharedLine(simpy.Environment(), bandwidth, LEAST_QUEUE)
    demands = [Demand(round_trip + work, ((line, size * WIRE / bandwidth),)) for size, work in mix]
    came = in_step(Counter(demands), {line: line.queue}, shares) if queue else shares(Counter(demands))
    assert came.loads[line].utilisation <= 1 + 1e-6
    return [came.rates[each] for each in demands]


@pytest.mark.parametrize(
    ("mix", "link"),
    [
        ([CT_JPEGLS, *2 * [MR_JPEGLS]], THIN),
        ([CT_JPEGLS, *4 * [MR_JPEGLS]], THIN),
        (2 * [CT_JPEGLS] + 2 * [MR_JPEGLS], THIN),
        (4 * [MR_JPEGLS], THIN),
        (2 * [CT_JPEGLS] + 4 * [KNEE], THIN),
        ([CT_JPEGLS, *2 * [KNEE]], THIN),
        (2 * [CT_PLAIN], USUAL),
        ([CT_PLAIN, *2 * [MR_PLAIN]], USUAL),
        (2 * [CT_PLAIN] + 2 * [MR_PLAIN], USUAL),
        (2 * [CT_PLAIN] + 4 * [MR_PLAIN], USUAL),
        (2 * [MR_PLAIN] + 2 * [SLOW_MR], USUAL),
    ],
)
def test_each_train_is_as_fast_as_over_the_relays_link(mix, link, monkeypatch):
    monkeypatch.setattr(lane, "CHUNK_TIME", 0.0005)
    expected = relayed(mix, *link)
    # Where instances do not fit into the queue, chance has a say in who is in step with whom.
    assert computed(mix, *link) == pytest.approx(expected, rel=0.01 if link is THIN else 0.1)
    in_turns = computed(mix, *link, queue=False)
    assert max(abs(was / right - 1) for was, right in zip(in_turns, expected, strict=True)) > 0.05, "or why all this?"


TIMES = st.floats(1e-4, 1.0)
CYCLES = st.tuples(st.builds(Cycle, TIMES, TIMES, TIMES, st.integers(0, 1)), st.integers(1, 3))


@given(st.lists(CYCLES, min_size=1, max_size=4), st.sampled_from([1e-3, 0.1, 1.0, inf]))
def test_nobody_is_faster_than_alone_and_everybody_has_turns(together, room):
    together = tuple(sorted(dict(together).items()))
    if room < 1.0 and max(cycle.line for cycle, _ in together) > 50 * room:
        return  # thousands of parts
    ways = sorted({cycle.way for cycle, _ in together})
    if len(ways) == 1:
        together = tuple((cycle._replace(way=0), count) for cycle, count in together)
    rates, backlogs = go_round(together, *(room for _ in ways))
    assert len(backlogs) == len(ways)
    for way, backlog in enumerate(backlogs):
        mine = [(cycle, count) for cycle, count in together if cycle.way == way]
        assert sum(count * rates[cycle] * cycle.line for cycle, count in mine) <= 1 + 1e-9
        assert backlog <= sum(count * cycle.line for cycle, count in mine) + 1e-9
    for cycle, _ in together:
        # Whoever is there before goes first, and whoever has turns gets no more meanwhile.
        longest = cycle.alone - cycle.line
        longest += sum(
            count * (max(cycle.line, each.line) if cycle.way == each.way else each.line) for each, count in together
        )
        # Their work varies, and its mean is only nearly what was asked for.
        assert 0.85 / longest <= rates[cycle] <= 1.1 / cycle.alone


def test_alone_on_the_line_nobody_waits():
    cycle, other = Cycle(0.02, 0.0, 0.01), Cycle(10.0, 0.0, 0.001)
    rates = go_round(((cycle, 1), (other, 1)), 1.0).rates
    assert rates[cycle] == pytest.approx(1 / 0.03, rel=0.01)
    assert rates[other] == pytest.approx(1 / 10.001, rel=0.01)


def test_large_instances_and_slow_trains_are_not_gone_round_for_ever():
    large, slow, quick = Cycle(0.02, 0.0, 20.0), Cycle(100.0, 0.0, 0.5), Cycle(0.0001, 0.0, 0.0001)
    rates = go_round(((quick, 1), (slow, 1)), 0.02).rates
    assert rates[slow] == pytest.approx(1 / 100.5, rel=0.05)
    assert 0.9 / 0.0002 < rates[quick] < 1.01 / 0.0002
    rates = go_round(((large, 2),), 0.02).rates
    assert rates[large] == pytest.approx(1 / 40, rel=0.05)


def test_the_same_trains_are_as_fast_whoever_is_named_first():
    mix = [CT_PLAIN, MR_PLAIN, MR_PLAIN]
    assert computed(mix, *USUAL) == computed(mix[::-1], *USUAL)[::-1]
