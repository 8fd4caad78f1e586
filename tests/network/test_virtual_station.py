"""A station: held against queueing theory, and against Little's law."""

import random
from math import factorial
from statistics import mean, stdev

import pytest
import simpy

from simlab.network.virtual.station import Station

T_19 = 3.883
"""Student's t with 19 degrees of freedom, 99.9 % (two-sided)."""


def erlang_c(servers, load):
    """The probability of having to wait for one of so many servers (Erlang 1917)."""
    full = load**servers / factorial(servers) / (1 - load / servers)
    return full / (sum(load**n / factorial(n) for n in range(servers)) + full)


def exponential(draws):
    return draws.expovariate(1.0)


def constant(draws):
    return 1.0


def gamma(draws):
    """A coefficient of variation of 0.5."""
    return draws.gammavariate(4, 0.25)


QUEUES = {
    "M/M/1": (1, exponential, lambda rho: rho / (1 - rho)),
    "M/M/4": (4, exponential, lambda rho: erlang_c(4, 4 * rho) / (4 * (1 - rho))),
    "M/D/1": (1, constant, lambda rho: rho / (1 - rho) / 2),
    "M/G/1": (1, gamma, lambda rho: rho / (1 - rho) * (1 + 0.5**2) / 2),
}
"""Servers, service of mean 1, and the mean wait at a utilisation (one server: Pollaczek and Khinchine)."""


def visit(env, station, gaps, services, *, warm_up=0):
    """Have somebody come after each gap; returns how long each waited, but for the first ones."""
    waits = []

    def arrivals():
        for gap, service in zip(gaps, services, strict=True):
            yield env.timeout(gap)
            waits.append(station.enter(service) - service)

    env.run(until=env.process(arrivals()))
    return waits[warm_up:]


def wait(seed, servers, draw, utilisation, visits):
    draws, env = random.Random(seed), simpy.Environment()
    gaps = (draws.expovariate(utilisation * servers) for _ in range(visits))
    services = (draw(draws) for _ in range(visits))
    return mean(visit(env, Station(env, servers), gaps, services, warm_up=visits // 10))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("utilisation", [0.5, 0.8])
@pytest.mark.parametrize("queue", QUEUES)
def test_waits_are_those_of_theory(queue, utilisation):
    servers, draw, theory = QUEUES[queue]
    means = [wait(seed, servers, draw, utilisation, 100_000) for seed in range(20)]
    half_width = T_19 * stdev(means) / 20**0.5
    print(f"{queue} {utilisation}: {mean(means):.4f} +- {half_width:.4f}, theory {theory(utilisation):.4f}")
    assert mean(means) == pytest.approx(theory(utilisation), abs=half_width)


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
