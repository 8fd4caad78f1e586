"""What lies between two AEs of the virtual world, and what their work takes there."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, inf
from typing import NamedTuple

from simlab.network.link.sending import slow_start
from simlab.network.link.settings import WIRE
from simlab.network.virtual.host import Host
from simlab.network.virtual.link import SharedLine
from simlab.network.virtual.sharing import Demand
from simlab.network.virtual.traffic import Shared

SMALL_MESSAGE = 1024
"""Bytes of a request without pixels: about those of a C-FIND or an N-CREATE with its PDUs."""

SEGMENT = 60
"""Bytes of a segment without data, as TCP's set-up has them."""

MESSAGE_BYTES = 250
"""About what a C-STORE-RQ has besides its data set: command set and PDV headers (PS3.7 section 9.3.1)."""


class Freight(NamedTuple):
    """What goes over an association, instance after instance."""

    size: float
    """Bytes of each, as they are sent."""
    outstanding: int = 1
    """Requests that may wait for their response; 0 for any number."""
    encoding: float = 0.0
    """Processor seconds that the sender takes to encode each, right before it is sent."""
    ahead: bool = False
    """It is encoded while others are sent."""
    decoding: float = 0.0
    """Processor seconds that the sender takes to decode each before that."""


@dataclass(frozen=True)
class Path:
    """What lies between two AEs, one way."""

    latency: float
    """Seconds, the same both ways."""
    line: SharedLine | None
    """What they share with others; None: bytes take no time."""
    source: Host
    target: Host
    window: float = inf
    """Bytes that TCP has under way on a connection, at most."""
    line_back: SharedLine | None = None
    """What responses cross."""
    _needs: dict[Freight, Demand] = field(default_factory=dict)
    _passed: dict[Freight, tuple[tuple[Shared, float], ...]] = field(default_factory=dict)
    _slow_starts: dict[tuple[float, int], float] = field(default_factory=dict)

    @property
    def round_trip(self) -> float:
        """Seconds there and back."""
        return 2 * self.latency

    def connect(self) -> float:
        """Open a connection. Returns the seconds that it takes: a round trip, and what is in line before it."""
        if self.line is not None:
            self.line.connections += 1
        return self.cross(SEGMENT) + self.cross_back(SEGMENT) + self.round_trip

    def cross(self, size: int) -> float:
        """Send a single message of so many bytes; returns the seconds until the last one is on its way."""
        return 0.0 if self.line is None else self.line.cross(size)

    def cross_back(self, size: int) -> float:
        """As :meth:`cross`, for a response."""
        return 0.0 if self.line_back is None else self.line_back.cross(size)

    def slow_start(self, size: float, count: int) -> float:
        """Seconds by which TCP's slow start holds up a train of instances of one size, on a new connection."""
        if self.line is None or not self.latency:
            return 0.0
        known = self._slow_starts.get((size, count))
        if known is None:
            known = slow_start(size + MESSAGE_BYTES, count, self.line.bandwidth, self.round_trip, self.window)
            self._slow_starts[size, count] = known
        return known

    def release(self) -> float:
        """Release an association. Returns the seconds that it takes: a round trip, and what is in line before it."""
        return self.cross(SEGMENT) + self.cross_back(SEGMENT) + self.round_trip

    def needs(self, freight: Freight) -> Demand:
        """What C-STOREs need of the line and of both computers, and besides."""
        known = self._needs.get(freight)
        if known is None:
            known = self._needs[freight] = self._demand(freight)
        return known

    def passes(self, freight: Freight, count: int) -> None:
        """Account for so many C-STOREs at places that are not what holds them up, and do not notice them."""
        for place, seconds in self._passed.get(freight, ()):
            place.busy_besides(count * seconds / place.servers)

    def _demand(self, freight: Freight) -> Demand:
        """While several requests may be outstanding, others of the association are under way while one is waited for.

        Then a place is busy with one instance while the others are with another: a stream that is as fast as the
        slowest place, and has no more than a window on the line. That place is what it shares with others, and nobody
        notices for how long responses wait.
        """
        asking, serving = self.source.times.asking, self.target.times.serving
        payload = freight.size + MESSAGE_BYTES
        line = 0.0 if self.line is None else payload * WIRE / self.line.bandwidth
        codec = freight.decoding + freight.encoding
        work = asking.instance + asking.byte * freight.size + (0.0 if freight.ahead else codec)
        service = serving.instance + serving.byte * freight.size
        think = self.round_trip
        if self.window < payload:
            rate = inf if self.line is None else self.line.bandwidth / WIRE
            think += (ceil(payload / self.window) - 1) * max(0.0, self.round_trip - self.window / rate)
        needs: tuple[tuple[Shared, float], ...] = ((self.source, work), (self.target, service))
        if self.line is not None:
            needs = ((self.line, line), *needs)
        needs = tuple((place, seconds) for place, seconds in needs if seconds)
        cycle = think + sum(seconds for _, seconds in needs)
        if freight.outstanding != 1:
            several = cycle / freight.outstanding if freight.outstanding else 0.0
            cycle = max(several, line, work, service, payload / self.window * self.round_trip)
            slowest_first = tuple(sorted(needs, key=lambda need: -need[1] / need[0].servers))
            needs, self._passed[freight] = slowest_first[:1], slowest_first[1:]
        if freight.ahead:
            cycle = max(cycle, codec)
        meets = self.line is not None and freight.outstanding == 1
        return Demand(max(0.0, cycle - sum(seconds for _, seconds in needs)), needs, self.line_back if meets else None)

    def sending(self, freight: Freight) -> Demand:
        """What one instance needs until its last byte is on its way."""
        asking, waits = self.source.times.asking, 0.0
        work = asking.instance + asking.byte * freight.size + freight.encoding + freight.decoding
        needs: list[tuple[Shared, float]] = [(self.source, work)]
        if self.line is not None:
            payload = freight.size + MESSAGE_BYTES
            windows = 0 if self.window >= payload else ceil(payload / self.window) - 1
            waits = windows * max(0.0, self.round_trip - self.window * WIRE / self.line.bandwidth)
            needs.append((self.line, payload * WIRE / self.line.bandwidth))
        return Demand(waits, tuple((place, seconds) for place, seconds in needs if seconds))
