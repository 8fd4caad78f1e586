"""One direction of a link in simulated time, shared by all associations."""

from __future__ import annotations

import simpy

from simlab.network.link.settings import WIRE
from simlab.network.virtual.traffic import Shared


class SharedLine(Shared):
    """The line of one direction. It counts what a :class:`simlab.network.link.lane.Lane` counts."""

    def __init__(self, env: simpy.Environment, bandwidth: float, queue: float = 0.0) -> None:
        """``bandwidth`` is in IP bytes per second; so many of them may ``queue``, first come, first served."""
        super().__init__(env)
        self.queue = queue / bandwidth
        self.bandwidth = bandwidth
        self.connections = 0
        """Associations that were requested in this direction."""
        self.payload = 0
        """Bytes of trains that were begun, and of single messages."""

    @property
    def wire(self) -> float:
        """IP bytes that crossed the line."""
        return self.payload * WIRE

    @property
    def wait(self) -> float:
        """Seconds for which what comes now waits in the queue, as things are."""
        return min(self.queue, self.backlog)

    def cross(self, size: int) -> float:
        """Send a single message that nobody else notices; returns the seconds that it takes.

        It gets into the queue behind what is there of the instances of trains. What of these finds no room there has
        turns, and so does the message.
        """
        self.payload += size
        return self.wait + self.take(size * WIRE / self.bandwidth)
