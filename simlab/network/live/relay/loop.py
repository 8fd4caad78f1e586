"""The relay's loop: sockets, and timers finer than a millisecond.

An epoll instance waits in whole milliseconds, which is far too coarse for 0.5 ms of line time. Its descriptor can
itself be waited for with ``select``, which takes microseconds. Where there is no epoll, the selector's own wait is
used: kqueue on macOS is fine enough, ``select`` on Windows is not. How late timers were is measured, so that a run can
tell.
"""

from __future__ import annotations

import heapq
import select
import selectors
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

IDLE = 0.5
"""Seconds that the loop sleeps at most."""

TIMERS_AT_ONCE = 256
"""Timers that are served before the sockets get their turn."""

LONG = 0.004
"""Seconds from which a wait may be rounded to whole milliseconds: the rest of it is waited for finely."""

REACTION = 40e-6
"""Seconds from a peer's send to this process's hearing of it, which is what waking a process takes: 40 to 60 us were
measured where it had slept for a millisecond, more after longer. Lines make up for it, so rather too little."""

MOST_DESCRIPTORS = 1024
"""``select`` takes descriptors below this (FD_SETSIZE)."""


class Loop:
    """Waits for sockets and timers; everything runs on its thread."""

    now = staticmethod(time.perf_counter)
    reaction = REACTION

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._numbers = count()
        self._stopped = False
        self.lateness: deque[float] = deque(maxlen=20_000)
        """Seconds that the latest timers were late."""
        self._wait = self._wait_coarse
        if hasattr(selectors, "EpollSelector") and isinstance(self._selector, selectors.EpollSelector):
            self._descriptor = self._selector.fileno()
            if self._descriptor < MOST_DESCRIPTORS:
                self._wait = self._wait_fine

    def at(self, when: float, call: Callable[..., object], *arguments: Any) -> None:
        """Have a function called at a time."""
        heapq.heappush(self._timers, (when, next(self._numbers), call, arguments))

    def watch(self, file: Any, events: int, call: Callable[[int], object]) -> None:
        """Have a function called when a socket can be read or written; 0 forgets it."""
        known = file in self._selector.get_map()
        if not events:
            if known:
                self._selector.unregister(file)
        elif known:
            self._selector.modify(file, events, call)
        else:
            self._selector.register(file, events, call)

    def run(self) -> None:
        """Serve until :meth:`stop`."""
        timers, lateness, now = self._timers, self.lateness, self.now
        while not self._stopped:
            for _ in range(TIMERS_AT_ONCE):
                if not timers or timers[0][0] > now():
                    break
                when, _, call, arguments = heapq.heappop(timers)
                lateness.append(now() - when)
                call(*arguments)
            pause = min(IDLE, max(0.0, timers[0][0] - now())) if timers else IDLE
            for key, events in self._wait(pause):
                key.data(events)

    def stop(self) -> None:
        """Let :meth:`run` return."""
        self._stopped = True

    def close(self) -> None:
        """Let go of the selector."""
        self._selector.close()

    def _wait_fine(self, seconds: float) -> list[tuple[selectors.SelectorKey, int]]:
        if seconds > LONG:
            return self._selector.select(seconds - LONG / 2)
        if seconds and not select.select((self._descriptor,), (), (), seconds)[0]:
            return []
        return self._selector.select(0)

    def _wait_coarse(self, seconds: float) -> list[tuple[selectors.SelectorKey, int]]:
        if not self._selector.get_map():  # Windows refuses to wait for nothing
            time.sleep(seconds)
            return []
        return self._selector.select(seconds)
