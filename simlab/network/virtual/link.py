"""One direction of a link in simulated time, shared by all associations: events where trains begin and end only."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import NamedTuple

import simpy
from simpy import Event

from simlab.network.link.settings import WIRE
from simlab.network.virtual.sharing import Demand, rates

TOLERANCE = 1e-9
"""Of a train: what is left is nothing. Relative, since after a year of run seconds a float resolves 4 ns."""


class Moment(NamedTuple):
    """How far a train was, and when."""

    when: float
    """Run seconds."""
    ended: float
    """Instances, and the part of one that was under way."""


class Passage:
    """A train's way over the line. Between two moments its instances end at equal distances."""

    def __init__(self, count: int, began: float) -> None:
        self.count = count
        self.moments = [Moment(began, 0.0)]

    @property
    def ends(self) -> list[float]:
        """Run seconds at which each instance ends."""
        found: list[float] = []
        for (since, done), (until, then) in pairwise(self.moments):
            while len(found) + 1 <= then:
                found.append(since + (until - since) * (len(found) + 1 - done) / (then - done))
        return found


class _Flow:
    """A train that is on its way."""

    __slots__ = ("demand", "ended", "left", "passage", "payload", "rate")

    def __init__(self, demand: Demand, payload: int, passage: Passage, ended: Event) -> None:
        self.demand = demand
        self.payload = payload
        self.passage = passage
        self.ended = ended
        self.left = float(passage.count)
        """Instances."""
        self.rate = 0.0
        """Instances a second."""


class SharedLine:
    """The line of one direction. Trains go over it at the rates of :func:`simlab.network.virtual.sharing.rates`.

    It counts what a :class:`simlab.network.link.lane.Lane` counts.
    """

    def __init__(self, env: simpy.Environment, bandwidth: float) -> None:
        """``bandwidth`` is in IP bytes per second."""
        self.bandwidth = bandwidth
        self.connections = 0
        """Associations that were requested in this direction."""
        self.payload = 0
        """Bytes of trains that ended, and of single messages."""
        self._env = env
        self._flows: list[_Flow] = []
        self._since = 0.0
        """When the rates began to be what they are."""
        self._utilisation = 0.0
        self._crossing = 0.0
        """Instances on the line, on average."""
        self._busy = 0.0
        self._version = 0

    @property
    def wire(self) -> float:
        """IP bytes that crossed the line."""
        return self.payload * WIRE

    @property
    def busy(self) -> float:
        """Seconds of line time taken so far."""
        return self._busy + self._utilisation * (self._env.now - self._since)

    def carry(self, demand: Demand, count: int, payload: int) -> Event:
        """Send a train of so many instances, ``payload`` bytes in all, one after the other. Value: :class:`Passage`."""
        self._advance()
        flow = _Flow(demand, payload, Passage(count, self._env.now), self._env.event())
        self._flows.append(flow)
        self._share()
        return flow.ended

    def cross(self, size: int) -> float:
        """Send a single message that nobody else notices; returns the seconds that it takes, in turns with others."""
        seconds = size * WIRE / self.bandwidth
        self.payload += size
        self._busy += seconds
        return seconds * (1 + self._crossing)

    def _advance(self) -> None:
        """Take account of what went over the line since the rates changed."""
        now, seconds = self._env.now, self._env.now - self._since
        if seconds > 0:
            for flow in self._flows:
                flow.left = max(0.0, flow.left - flow.rate * seconds)
                flow.passage.moments.append(Moment(now, flow.passage.count - flow.left))
        self._busy += self._utilisation * seconds
        self._since = now

    def _share(self) -> None:
        """Set the rates anew, and wait for the first train to end."""
        self._version += 1
        self._utilisation = self._crossing = 0.0
        if not self._flows:
            return
        pace = rates(Counter(flow.demand for flow in self._flows))
        for flow in self._flows:
            flow.rate = pace[flow.demand]
            self._utilisation += flow.rate * flow.demand.line
            self._crossing += 1 - flow.rate * flow.demand.think
        first = min(flow.left / flow.rate for flow in self._flows)
        self._env.timeout(first, self._version).callbacks.append(self._wake)

    def _wake(self, event: Event) -> None:
        if event.value != self._version:
            return  # the rates have changed since
        self._advance()
        now = self._env.now
        going: list[_Flow] = []
        ended: list[_Flow] = []
        for flow in self._flows:
            over = flow.left <= TOLERANCE * flow.passage.count or now + flow.left / flow.rate == now
            (ended if over else going).append(flow)
        self._flows = going
        self._share()
        for flow in ended:
            flow.passage.moments.append(Moment(now, flow.passage.count))
            self.payload += flow.payload
            flow.ended.succeed(flow.passage)
