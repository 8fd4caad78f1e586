"""Associations that share lines and servers, held against queueing theory, and against a simulation by instance.

As in test_theory.py, each is simulated 20 times with its warm-up deleted, and draws are keyed.
"""

from math import sqrt

import numpy as np
import pytest
import simpy

from network.theory import REPLICATIONS, estimate, m_g_1_wait, single_server_waits
from network.virtual_cycles import InLine, Thinking, Turns, instances_a_second
from network.virtual_trains import path_between
from simlab.draws import Draws
from simlab.network.link.settings import WIRE
from simlab.network.virtual.link import SharedLine
from simlab.network.virtual.path import MESSAGE_BYTES, Freight
from simlab.network.virtual.sharing import Demand
from simlab.network.virtual.traffic import Traffic

# ---- one line

WARM_UP = 1_000
BURSTS = 12_000
"""In each replication."""

SIZES, LIKELY = (0.5, 2.5), (0.75, 0.25)
"""Seconds of a line: 1 on average."""

CV = sqrt(np.dot(LIKELY, np.square(SIZES)) - 1)


def sojourns(gaps, sizes):
    """How long each burst takes on a line that those under way share."""
    env = simpy.Environment()
    line, traffic, times = SharedLine(env, 1.0), Traffic(env), np.zeros(len(sizes))
    demands = {size: Demand(0.0, ((line, size),)) for size in SIZES}

    def arrivals():
        for number, (gap, size) in enumerate(zip(gaps.tolist(), sizes.tolist(), strict=True)):
            yield env.timeout(gap)
            env.process(burst(number, demands[size]))

    def burst(number, demand):
        began = env.now
        yield traffic.carry(demand, 1)
        times[number] = env.now - began

    env.process(arrivals())
    env.run()
    return times


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("utilisation", [0.5, 0.8])
def test_bursts_share_as_in_an_m_g_1_ps_queue(utilisation):
    """Kleinrock (1967). The control is the wait of the same bursts one behind the other, on a line as fast."""
    means, control = [], []
    for replication in range(REPLICATIONS):
        generator = Draws(1).generator("bursts", f"{utilisation} {replication}")
        gaps, sizes = generator.exponential(1 / utilisation, BURSTS), generator.choice(SIZES, BURSTS, p=LIKELY)
        means.append(sojourns(gaps, sizes)[WARM_UP:].mean())
        control.append(single_server_waits(gaps, sizes)[WARM_UP:].mean())
    simulated, theory = estimate(means, control, m_g_1_wait(utilisation, CV)), 1 / (1 - utilisation)
    print(f"M/G/1-PS {utilisation}: {simulated.mean:.4f} +- {simulated.precision:.2%}, theory {theory:.4f}")
    assert simulated.holds(theory)
    assert simulated.precision <= 0.02


# ---- a line, servers behind it, and round trips

BANDWIDTH, SIZE = 12.5e6, 526_000
LINE = (SIZE + MESSAGE_BYTES) * WIRE / BANDWIDTH
"""Seconds of an instance."""

ASSOCIATIONS = range(1, 17)
LOADS = (0.5, 1.0, 2.0)
"""How much longer the servers take for an instance, all busy, than the line."""

INSTANCES, CYCLES_BEFORE = 6_000, 500


def pace(associations, round_trip, service, servers):
    """Instances a second by the rates of the virtual world."""
    env = simpy.Environment()
    path = path_between(env, round_trip, SharedLine(env, BANDWIDTH), serving=service, servers=servers)
    traffic, needs = Traffic(env), path.needs(Freight(SIZE))
    env.run(until=env.all_of([traffic.carry(needs, 1) for _ in range(associations)]))
    return associations / env.now


def by_instance(associations, round_trip, service, place):
    """The same by simulation; all that takes time has a coefficient of variation of 0.5."""
    generator = Draws(1).generator("cycles", f"{associations} {round_trip} {service}")
    draws = iter(generator.gamma(4, 1 / 4, 3 * (INSTANCES + CYCLES_BEFORE + associations)).tolist())
    stages = ((Thinking(), round_trip), (Turns(), LINE), (place, service))
    drawn = [(stage, lambda mean=mean: mean * next(draws)) for stage, mean in stages]
    return instances_a_second(associations, drawn, INSTANCES, CYCLES_BEFORE)


def over_simulated(place, servers, round_trip):
    """The rates over those of a simulation, for each load and number of associations."""
    found = {
        (load, associations): pace(associations, round_trip, load * servers * LINE, servers)
        / by_instance(associations, round_trip, load * servers * LINE, place(servers))
        for load in LOADS
        for associations in ASSOCIATIONS
    }
    load, associations = max(found, key=lambda each: abs(found[each] - 1))
    worst = f"{found[load, associations]:.3f} at load {load} with {associations} associations"
    print(f"{place.__name__}, servers {servers}, round trip {round_trip} s: {worst}")
    return np.array(list(found.values()))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("round_trip", [0.02, 0.1])
@pytest.mark.parametrize("servers", [1, 2, 4])
def test_rates_are_those_of_a_simulation_by_instance(servers, round_trip):
    assert over_simulated(Turns, servers, round_trip) == pytest.approx(1, abs=0.02)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("round_trip", [0.02, 0.1])
@pytest.mark.parametrize(("servers", "slower"), [(1, 0.11), (2, 0.08), (4, 0.06)])
def test_servers_before_which_one_queues_are_faster_than_those_in_turns(servers, slower, round_trip):
    """Who comes first is served first: with times that vary less than exponential ones, fewer wait for longer."""
    found = over_simulated(InLine, servers, round_trip)
    assert 1 - slower < found.min()
    assert found.max() < 1.02
