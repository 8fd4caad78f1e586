"""Trains of C-STOREs over the relay's own link, instance by instance and chunk by chunk, on a simulated clock.

It is what the rates of the virtual world are held against.
"""

import math
import random

import simpy

from network.virtual_links import Clock
from simlab.network.link.link import Link
from simlab.network.link.settings import Direction, LinkSettings
from simlab.network.virtual.host import Host
from simlab.network.virtual.link import SharedLine
from simlab.network.virtual.path import Freight, Path
from simlab.network.virtual.times import Asking, Serving, Times
from simlab.network.virtual.traffic import Traffic
from simlab.network.virtual.transfer import send_train


class Sender:
    """Lets a flow read what is left of a message."""

    held = 0
    unread = 0

    def read(self, most):
        piece = min(most, self.unread)
        self.unread -= piece
        return range(piece) if piece else None

    def want(self, *, more):
        """A new message pumps by itself."""


class Train(Sender):
    """Both ends of an association: each instance is sent once the response to the one before it has come."""

    def __init__(self, clock, size, count, respond, then):
        self.clock = clock
        self.size, self.count = size, count
        self.respond, self.then = respond, then
        self.unread = size
        self.received = 0
        self.flow = None

    def write(self, data):
        self.received += len(data)
        if self.received == self.size:
            self.received, self.count = 0, self.count - 1
            self.clock.at(self.clock.now() + self.respond(), self.next if self.count else self.then)

    def next(self):
        self.unread = self.size
        self.flow.pump()


class Silent:
    """The direction in which nothing is sent."""

    held = 0

    def read(self, most):
        return None

    def want(self, *, more):
        """There never is."""


class RelayedTrains:
    """Trains over one link, which is a :class:`simlab.network.link.link.Link` at work.

    ``turns``: the queue takes next to nothing, so that connections take turns by chunk from the first one on.
    """

    def __init__(self, bandwidth, round_trip, *, turns=False, window=4 * 2**20, congestion="cubic"):
        self.clock = Clock()
        self.round_trip = round_trip
        way = Direction(round_trip / 2, bandwidth=bandwidth, queue=3000 if turns else None)
        self.link = Link(self.clock, "link", LinkSettings(way, way, window, "ideal" if turns else congestion))
        self.times = []
        """Seconds that each train took, in the order in which they were given."""

    def send(self, at, size, count, work):
        """Have a train begin at some time. ``work`` tells what an instance costs both ends, each time anew."""
        place = len(self.times)
        self.times.append(None)

        def end():
            self.times[place] = self.clock.now() - at

        self._begin(at, Train(self.clock, size, count, lambda: self.round_trip / 2 + work(), end))

    def endless(self, at, size, work):
        """Have a train begin that goes on for ever. Returns where it will be told when its instances have arrived."""
        arrived = []

        def respond():
            arrived.append(self.clock.now())
            return self.round_trip / 2 + work()

        self._begin(at, Train(self.clock, size, math.inf, respond, None))
        return arrived

    def _begin(self, at, train):
        train.flow, _ = self.link.flows((train, Silent()), (Silent(), train), reverse=False)
        self.clock.at(at, train.flow.pump)

    def run(self):
        self.clock.run(float("inf"))
        return self.times


def path_between(env, round_trip, line=None, *, window=4 * 2**20, asking=0.0, serving=0.0, servers=1, target=None):
    """A path from an AE of its own to one of its own, or to one that is shared; per instance they take so long."""
    source = Host(env, Times(asking=Asking(0.0, 0.0, asking)))
    target = target or Host(env, Times(Serving(servers, 0.0, 0.0, serving)))
    return Path(round_trip / 2, line, source, target, window)


class SharedTrains:
    """The same trains at the rates of the virtual world, which knows the mean work only."""

    def __init__(self, bandwidth, round_trip, *, window=4 * 2**20, queue=0):
        self.env = simpy.Environment()
        self.line = SharedLine(self.env, bandwidth, queue)
        self.traffic = Traffic(self.env)
        self.round_trip, self.window = round_trip, window
        self.times = []

    def send(self, at, size, count, work):
        place = len(self.times)
        self.times.append(None)

        path = path_between(self.env, self.round_trip, self.line, window=self.window, asking=work)

        def train():
            yield self.env.timeout(at)
            yield from send_train(self.env, self.traffic, path, Freight(size), count)
            self.times[place] = self.env.now - at

        self.env.process(train())

    def run(self):
        self.env.run()
        return self.times


CT, MR = (526_000, 200), (132_000, 300)
"""Bytes of an instance, and how many of them a train has."""

KINDS = {"CT": CT, "MR": MR}


class Poisson:
    """A random mix: two kinds of trains, CT and MR, that begin as Poisson processes."""

    BANDWIDTH = 12.5e6
    ROUND_TRIP = 0.010

    def __init__(self, seed, duration):
        draws = random.Random(seed)
        self.utilisation = draws.uniform(0.4, 0.8)
        share = draws.uniform(0.3, 0.7)
        self.work = {kind: draws.uniform(0.005, 0.045) for kind in KINDS}
        self.trains = []
        """When each begins, and of which kind."""
        for (kind, (size, count)), part in zip(KINDS.items(), (share, 1 - share), strict=True):
            gap = size * count * 1500 / 1448 / self.BANDWIDTH / (self.utilisation * part)
            now = draws.expovariate(1 / gap)
            while now < duration:
                self.trains.append((now, kind))
                now += draws.expovariate(1 / gap)

    def relayed(self, *, cv=0.5, **settings):
        """Seconds that each train takes over the relay's link; work varies with a coefficient of variation."""
        relayed, draws = RelayedTrains(self.BANDWIDTH, self.ROUND_TRIP, **settings), random.Random(1)
        shape = cv**-2
        for at, kind in self.trains:
            relayed.send(at, *KINDS[kind], lambda mean=self.work[kind]: draws.gammavariate(shape, mean / shape))
        return relayed.run()

    def shared(self, queue=0):
        shared = SharedTrains(self.BANDWIDTH, self.ROUND_TRIP, queue=queue)
        for at, kind in self.trains:
            shared.send(at, *KINDS[kind], self.work[kind])
        return shared.run()
