"""Trains in both directions of a link: the responses of each wait in the queue behind the instances of the other.

Held against the relay's own link, with every response on its way back.
"""

import math

import pytest
import simpy

from network.virtual_links import Clock
from network.virtual_trains import CT, MR, Sender
from simlab.network.link.link import Link
from simlab.network.link.settings import LEAST_QUEUE, Direction, LinkSettings
from simlab.network.virtual.host import Host
from simlab.network.virtual.link import SharedLine
from simlab.network.virtual.path import MESSAGE_BYTES, SEGMENT, Freight, Path
from simlab.network.virtual.times import Asking, Serving, Times
from simlab.network.virtual.traffic import Traffic
from simlab.network.virtual.transfer import send_train

WINDOW = 4 * 2**20
RESPONSE = 150
WORK = 0.002
FORTH, BACK = False, True


class End(Sender):
    """One end of an association: sends a message when told to, and tells when one has come."""

    def __init__(self):
        self.expected = 0
        self.flow = self.then = None

    def send(self, size):
        self.unread = size
        self.flow.pump()

    def write(self, data):
        self.expected -= len(data)
        if not self.expected:
            self.then()


class Relayed:
    """Message by message, chunk by chunk."""

    def __init__(self, bandwidth, round_trip):
        way = Direction(round_trip / 2, bandwidth=bandwidth)
        self.clock = Clock()
        self.link = Link(self.clock, "link", LinkSettings(way, way, WINDOW, "ideal"))
        self.took = []

    def send(self, at, size, count, way):
        near, far, place, left = End(), End(), len(self.took), [count]
        self.took.append(math.nan)
        near.flow, far.flow = self.link.flows((near, near), (far, far), reverse=way)

        def begin():
            near.expected, far.expected = RESPONSE, size
            near.send(size)

        def answered():
            left[0] -= 1
            self.took[place] = self.clock.now() - at
            if left[0]:
                begin()

        far.then = lambda: self.clock.at(self.clock.now() + WORK, far.send, RESPONSE)
        near.then = answered
        self.clock.at(at, begin)

    def run(self):
        self.clock.run(math.inf)
        return self.took


class Shared:
    """The same in the virtual world."""

    def __init__(self, bandwidth, round_trip):
        self.env = simpy.Environment()
        self.lines = [SharedLine(self.env, bandwidth, LEAST_QUEUE) for _ in (FORTH, BACK)]
        self.traffic = Traffic(self.env)
        self.latency = round_trip / 2
        self.took = []

    def send(self, at, size, count, way):
        place = len(self.took)
        self.took.append(math.nan)
        ends = Host(self.env, Times(asking=Asking(0.0, 0.0, WORK))), Host(self.env, Times(Serving(1, 0.0, 0.0, 0.0)))
        path = Path(self.latency, self.lines[way], *ends, WINDOW, self.lines[not way])

        def train():
            yield self.env.timeout(at)
            yield from send_train(self.env, self.traffic, path, Freight(size - MESSAGE_BYTES), count)
            self.took[place] = self.env.now - at

        self.env.process(train())

    def run(self):
        self.env.run()
        assert not any(line.answered or line.flows for line in self.lines)
        return self.took


@pytest.mark.parametrize(("bandwidth", "round_trip"), [(6.25e6, 0.01), (12.5e6, 0.01), (2.5e6, 0.04)])
@pytest.mark.parametrize(
    ("trains", "within"),
    [
        ([(0.0, *CT, FORTH), (1.0, *CT, BACK)], 0.05),
        ([(0.0, *MR, FORTH), (1.0, *CT, BACK)], 0.05),
        ([(0.0, *CT, FORTH), (0.3, *CT, FORTH), (1.0, *CT, BACK), (1.5, *CT, BACK)], 0.05),
        ([(0.0, *MR, FORTH), (0.3, *MR, FORTH), (1.0, *CT, BACK), (1.5, *CT, BACK)], 0.05),
        ([(0.0, *CT, FORTH), (0.3, *CT, FORTH), (0.5, *MR, FORTH), (2.0, *CT, BACK)], 0.05),
        # Chance has a say in who is in step with whom.
        ([(0.0, *CT, FORTH), (0.5, *MR, FORTH), (2.0, *CT, BACK)], 0.17),
    ],
    ids=["CT, CT", "MR, CT", "2 CT, 2 CT", "2 MR, 2 CT", "2 CT and MR, CT", "CT and MR, CT"],
)
def test_trains_in_both_directions_hold_each_other_up(trains, within, bandwidth, round_trip):
    relayed, shared = Relayed(bandwidth, round_trip), Shared(bandwidth, round_trip)
    for at, size, count, way in trains:
        for world in (relayed, shared):
            world.send(at, size, count // 4, way)
    assert shared.run() == [pytest.approx(took, rel=within) for took in relayed.run()]


def test_a_train_is_as_fast_as_before_once_nothing_comes_back():
    world = Shared(6.25e6, 0.01)
    world.send(0.0, *CT, FORTH)
    world.send(5.0, 526_000, 20, BACK)
    together, back = world.run()
    alone = Shared(6.25e6, 0.01)
    alone.send(0.0, *CT, FORTH)
    (without,) = alone.run()
    assert without < together < without + back


def test_whoever_releases_an_association_waits_for_it():
    env = simpy.Environment()
    line, back = SharedLine(env, 1e6), SharedLine(env, 1e6)
    path = Path(0.01, line, Host(env), Host(env), WINDOW, back)
    assert path.release() == pytest.approx(0.02 + path.cross(SEGMENT) + path.cross_back(SEGMENT))
    assert Path(0.0, None, Host(env), Host(env)).release() == 0
