"""What lies between two nodes of the virtual world, and what their work takes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import simpy
from simpy import Event

from simlab.network.link.sending import slow_start
from simlab.network.virtual.link import Passage, SharedLine
from simlab.network.virtual.sharing import MESSAGE_BYTES, demand

SMALL_MESSAGE = 1024
"""Bytes of a request without pixels: about those of a C-FIND or an N-CREATE with its PDUs."""


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """Fixed times in seconds: what one association, message or instance costs both ends together.

    Orders of magnitude of the live world on a laptop; nothing here is calibrated.
    """

    association: float = 0.010
    message: float = 0.005
    instance: float = 0.004
    make_instance: float = 0.025
    derive_instance: float = 0.020


@dataclass(frozen=True, slots=True)
class Path:
    """What lies between two nodes, one way."""

    latency: float
    """Seconds, the same both ways."""
    line: SharedLine | None = None
    """What they share with others; None: bytes take no time."""
    window: float = inf
    """Bytes that TCP has under way on a connection, at most."""

    @property
    def round_trip(self) -> float:
        """Seconds there and back."""
        return 2 * self.latency

    def connect(self) -> None:
        """Note that an association is requested."""
        if self.line is not None:
            self.line.connections += 1

    def cross(self, size: int) -> float:
        """Send a single message of so many bytes; returns the seconds until the last one is on its way."""
        return 0.0 if self.line is None else self.line.cross(size)

    def burst(self, env: simpy.Environment, size: int) -> Event:
        """Send one instance of so many bytes in turns with others; the event is when its last byte is on its way."""
        if self.line is None:
            return env.timeout(0)
        needs = demand(size, self.line.bandwidth, round_trip=self.round_trip, window=self.window)
        no_response = needs._replace(think=max(0.0, needs.think - self.round_trip))
        return self.line.carry(no_response, 1, size + MESSAGE_BYTES)

    def train(
        self, env: simpy.Environment, sizes: Sequence[int], work: float, outstanding: int = 1
    ) -> Generator[Event, Any, list[float]]:
        """Send instances of so many bytes over one association, as :func:`demand` has it.

        Returns the run seconds at which each has its response. All are taken to be of average size, and the first are
        held up by TCP's slow start.
        """
        if not sizes:
            return []
        count, size = len(sizes), sum(sizes) / len(sizes)
        bandwidth = inf if self.line is None else self.line.bandwidth
        needs = demand(
            size, bandwidth, round_trip=self.round_trip, work=work, window=self.window, outstanding=outstanding
        )
        if self.line is None:
            began = env.now
            yield env.timeout(count * needs.think)
            return [began + number * needs.think for number in range(1, count + 1)]
        payload = sum(sizes) + count * MESSAGE_BYTES
        yield env.timeout(slow_start(payload / count, count, bandwidth, self.round_trip, self.window))
        passage: Passage = yield self.line.carry(needs, count, payload)
        return passage.ends
