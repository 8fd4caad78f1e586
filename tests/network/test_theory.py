"""Waiting times at a station, held against queueing theory.

Each is simulated 20 times, its warm-up deleted. Draws are keyed by queue, utilisation and replication; arrivals cost
one event each, and nothing else does. The control variate (see :mod:`network.theory`) is the wait of the same arrivals
before another queue: a single server that has as much work, and is a ninth faster than all servers of the station.
Without it, runs would have to be several times as long, thirty times for the lognormal service at 0.8.
"""

from math import factorial, log, sqrt

import numpy as np
import pytest
import simpy

from network.theory import REPLICATIONS, estimate, m_g_1_wait, single_server_waits
from simlab.draws import Draws
from simlab.network.virtual.station import Station

WARM_UP = 4_000
"""Visits: 40 relaxation times of an M/M/1 queue at 0.8, 1 / (1 - sqrt(0.8))**2 services each."""

VISITS = 100_000
"""In each replication."""

FASTER = 0.9
"""Service of the single server, as a share."""

CV = 1.5
"""Coefficient of variation of the lognormal service."""


def erlang_c(servers, load):
    """The probability of having to wait for one of so many servers (Erlang 1917)."""
    full = load**servers / factorial(servers) / (1 - load / servers)
    return full / (sum(load**n / factorial(n) for n in range(servers)) + full)


def m_m_c(servers):
    return lambda utilisation: erlang_c(servers, servers * utilisation) / (servers * (1 - utilisation))


def m_g_1(cv):
    return lambda utilisation: m_g_1_wait(utilisation, cv)


def constant(generator, visits):
    return np.ones(visits)


def exponential(generator, visits):
    return generator.exponential(size=visits)


def lognormal(generator, visits):
    sigma = sqrt(log(1 + CV**2))
    return generator.lognormal(-(sigma**2) / 2, sigma, visits)


QUEUES = {
    "M/M/1": (1, exponential, 1.0, m_m_c(1)),
    "M/M/2": (2, exponential, 1.0, m_m_c(2)),
    "M/M/4": (4, exponential, 1.0, m_m_c(4)),
    "M/D/1": (1, constant, 0.0, m_g_1(0.0)),
    "M/G/1": (1, lognormal, CV, m_g_1(CV)),
}
"""Servers, service of mean 1 and its coefficient of variation, and the mean wait at a utilisation."""


def waits(servers, gaps, services):
    """How long each visit waits for its service, in SimPy."""
    env = simpy.Environment()
    station, waited = Station(env, servers), []

    def arrivals():
        enter, timeout = station.enter, env.timeout
        for gap, service in zip(gaps.tolist(), services.tolist(), strict=True):
            yield timeout(gap)
            waited.append(enter(service) - service)

    env.run(until=env.process(arrivals()))
    return np.array(waited)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("utilisation", [0.5, 0.8])
@pytest.mark.parametrize("queue", QUEUES)
def test_waits_are_those_of_theory(queue, utilisation):
    servers, serve, cv, theory = QUEUES[queue]
    share = FASTER / servers
    means, control = [], []
    for replication in range(REPLICATIONS):
        generator = Draws(1).generator("theory", f"{queue} {utilisation} {replication}")
        gaps = generator.exponential(1 / (utilisation * servers), VISITS)
        services = serve(generator, VISITS)
        means.append(waits(servers, gaps, services)[WARM_UP:].mean())
        control.append(single_server_waits(gaps, share * services)[WARM_UP:].mean())
    simulated = estimate(means, control, m_g_1_wait(FASTER * utilisation, cv, share))
    print(f"{queue} {utilisation}: {simulated.mean:.4f} +- {simulated.precision:.2%}, theory {theory(utilisation):.4f}")
    assert simulated.holds(theory(utilisation))
    assert simulated.precision <= 0.02


@pytest.mark.parametrize("visits", [1, 2, 500])
@pytest.mark.parametrize("servers", [1, 2, 4])
def test_who_waits_is_served_by_the_first_that_is_free(servers, visits):
    """Kiefer and Wolfowitz (1955), with all servers looked at each time."""
    generator = Draws(1).generator("servers", f"{servers} {visits}")
    gaps, services = generator.exponential(size=visits), generator.exponential(0.9 * servers, visits)
    free, now, expected = [0.0] * servers, 0.0, []
    for gap, service in zip(gaps, services, strict=True):
        now += gap
        free.sort()
        begins = max(now, free[0])
        free[0] = begins + service
        expected.append(begins - now)
    assert waits(servers, gaps, services) == pytest.approx(expected)
