"""Queues of a node's own: who need not wait does not, and costs no event."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Any

import simpy
from simpy import Event


class Turns:
    """So many may be at it at a time, the others wait; first come, first served."""

    def __init__(self, env: simpy.Environment, capacity: int = 1) -> None:
        self._env = env
        self._free = capacity
        self._waiting: deque[Event] = deque()

    def turn(self) -> Generator[Event, Any, None]:
        """Wait for one's turn. Whoever had it says when it is over (:meth:`over`)."""
        if self._free:
            self._free -= 1
            return
        turn = self._env.event()
        self._waiting.append(turn)
        yield turn

    def over(self) -> None:
        """A turn is over; it is the next one's."""
        if self._waiting:
            self._waiting.popleft().succeed()
        else:
            self._free += 1


class Inbox:
    """What was put here is taken out in the order in which it came."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._items: deque[object] = deque()
        self._waiting: deque[Event] = deque()

    def put(self, item: object) -> None:
        """Put something in."""
        if self._waiting:
            self._waiting.popleft().succeed(item)
        else:
            self._items.append(item)

    def get(self) -> Event:
        """Take something out, as soon as there is anything."""
        taken = self._env.event()
        if self._items:
            taken.succeed(self._items.popleft())
        else:
            self._waiting.append(taken)
        return taken
