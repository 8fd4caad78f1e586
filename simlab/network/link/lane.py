"""One direction of a link: a line that sends one thing after another, and a queue before it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from simlab.network.link.settings import MSS, WIRE, Direction

LARGEST_CHUNK = 65536
CHUNK_TIME = 0.0002
"""Seconds of the line that one chunk takes. Longer ones cost less, and truth at 1 Gbit/s."""


class Clock(Protocol):
    """What drives a link: real or simulated time."""

    reaction: float
    """Seconds from what happens to a link's hearing of it. Simulated time knows at once."""

    def now(self) -> float:
        """Seconds."""

    def at(self, when: float, call: Callable[..., object], *arguments: Any) -> None:
        """Have a function called at a time; at once if that has passed. Calls for the same time keep their order."""


class Waiter(Protocol):
    """Who waits for room in a queue."""

    def turn(self) -> bool:
        """Put one chunk into the queue if there still is one; True if there is more to come."""


class Lane:
    """The line of one direction, shared by all connections on it.

    Everything crosses the line in the order in which it entered the queue, in chunks of 0.2 ms of line time (one
    segment at least, 64 KiB at most): FIFO by chunk. A full queue loses what a sender of TCP puts in (drop-tail),
    unless the sender has less under way than the average; then, and always with ``ideal``, it stands in line, and
    whoever stands there puts in one chunk a turn: round robin. So nobody starves, and greedy senders get equal shares.
    """

    def __init__(self, clock: Clock, direction: Direction, queue: float) -> None:
        self._clock = clock
        self._free = 0.0
        self._line: deque[Waiter] = deque()
        self._waking = False
        self._under_way = 0
        self._senders = 0
        self.busy = 0.0
        """Seconds of line time taken so far."""
        self.payload = 0
        """Bytes that crossed the line, those sent again among them."""
        self.delivered = 0
        """Payload bytes that came out at the far end, each once."""
        self.dropped = 0
        """Segments that were lost, or found the queue full."""
        self.cuts = 0
        """Times that a sender reduced its window."""
        self.connections = 0
        """Connections that were opened in this direction."""
        self.change(direction, queue)

    def change(self, direction: Direction, queue: float) -> None:
        """Change latency, bandwidth and so on; what has left already is not affected."""
        now = self._clock.now()
        left = self.backlog(now) if hasattr(self, "direction") else 0.0
        self.direction = direction
        self.latency = direction.latency
        self._bandwidth = direction.bandwidth
        self._queue = queue
        self._free = now if math.isinf(self._bandwidth) else now + left / self._bandwidth
        self.chunk = int(max(MSS, min(LARGEST_CHUNK, direction.bandwidth * CHUNK_TIME)))
        self._wake_soon()

    @property
    def wire(self) -> float:
        """IP bytes that crossed the line."""
        return self.payload * WIRE

    @property
    def equal_share(self) -> float:
        """Bytes that each sender has under way, on average over those that have any."""
        return self._under_way / self._senders if self._senders else 0.0

    def account(self, before: int, after: int) -> None:
        """Note that a sender has so much under way now, and how much it had."""
        self._under_way += after - before
        self._senders += (after > 0) - (before > 0)

    def backlog(self, now: float) -> float:
        """IP bytes in the queue."""
        return max(0.0, self._free - now) * self._bandwidth if self._free > now else 0.0

    def delay(self, now: float) -> float:
        """Seconds that the queue takes to drain."""
        return max(0.0, self._free - now)

    def has_room(self, now: float) -> bool:
        """Whether one more chunk may enter the queue: an idle line takes any."""
        return not self._line and self._fits(now)

    def _fits(self, now: float) -> bool:
        # Multiplied before they are compared, an unlimited line's zero would meet its infinity.
        return self._free <= now or (self._free - now) * self._bandwidth + self.chunk * WIRE <= self._queue

    def enter(self, size: int, now: float) -> float:
        """Put a chunk into the queue; return when its last byte has left the line.

        If the line was idle, it began to send when the chunk was there, and not when the link heard of it.
        """
        took = size * WIRE / self._bandwidth
        self._free = max(self._free, now - self._clock.reaction) + took
        self.busy += took
        self.payload += size
        return self._free

    def stand_in_line(self, waiter: Waiter) -> None:
        """Have a sender's ``turn`` called when there is room."""
        self._line.append(waiter)
        self._wake_soon()

    def _wake_soon(self) -> None:
        """Wake when the queue has room for a chunk and a little more, not for every segment."""
        if self._line and not self._waking:
            self._waking = True
            low = max(0.0, self._queue * (1 - 1 / 64) - self.chunk * WIRE)
            self._clock.at(self._free - (0.0 if math.isinf(self._bandwidth) else low / self._bandwidth), self._wake)

    def _wake(self) -> None:
        self._waking = False
        while self._line and self._fits(self._clock.now()):
            waiter = self._line.popleft()
            if waiter.turn():
                self._line.append(waiter)
        self._wake_soon()
