"""A station: its order, and Little's law. Its waits are held against queueing theory in test_theory.py."""

import random
from statistics import mean

import pytest
import simpy

from simlab.network.virtual.station import Station


@pytest.mark.parametrize("servers", [1, 3])
def test_little_s_law_holds_exactly_where_everybody_has_come_and_gone(servers):
    draws, env = random.Random(1), simpy.Environment()
    station, inside, area, since = Station(env, servers), 0, 0.0, 0.0
    stays = []

    def step(change):
        nonlocal inside, area, since
        area += inside * (env.now - since)
        inside, since = inside + change, env.now

    def come():
        step(+1)
        began = env.now
        yield env.timeout(station.enter(draws.expovariate(1.0)))
        stays.append(env.now - began)
        step(-1)

    def arrivals():
        for _ in range(5_000):
            yield env.timeout(draws.expovariate(0.9 * servers))
            env.process(come())

    env.process(arrivals())
    env.run()
    assert inside == 0
    length, rate = area / env.now, station.visits / env.now
    assert length == pytest.approx(rate * mean(stays), rel=1e-9)
    assert station.waited + station.busy == pytest.approx(sum(stays), rel=1e-9)


def test_first_come_first_served():
    env = simpy.Environment()
    station = Station(env, 2)
    assert [station.enter(seconds) for seconds in (5.0, 1.0, 1.0, 1.0)] == [5.0, 1.0, 2.0, 3.0]
    env.run(until=4.0)
    assert station.enter(1.0) == 1.0
    assert (station.visits, station.busy, station.waited) == (5, 9.0, 3.0)


def test_nobody_is_served_without_servers():
    with pytest.raises(ValueError, match="0 servers; expected at least 1"):
        Station(simpy.Environment(), 0)
