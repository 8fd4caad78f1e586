"""A SimPy environment paced by the wall clock, with a door for other threads.

One thread runs the environment and with it the workflows of a group of nodes. Handlers and transfers run on threads of
their own; they never touch the environment, but hand in a completion, stamped with the time at which it happened::

    worker thread                         environment's thread
    result = transfer()
    inbox <- (wall time, callable)  --->  moved into the heap at that time, run when its turn comes

``simpy.rt.RealtimeEnvironment`` paces, but has no such door.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import simpy
from simpy import Event

T = TypeVar("T")

LONGEST_WAIT = 0.25
"""Seconds. Bounds every wait for the next event, so that a signal is noticed on every platform."""

LAG_SAMPLES = 100_000


class LiveEnvironment(simpy.Environment):
    """Run seconds are wall seconds since :meth:`start`."""

    def __init__(self) -> None:
        super().__init__()
        self._inbox: deque[tuple[float, Callable[[], object]]] = deque()
        self._arrival = threading.Condition()
        self._origin = time.perf_counter()
        self.lag: deque[float] = deque(maxlen=LAG_SAMPLES)
        """Wall clock minus scheduled time of the last events, in seconds: how far behind the generator itself was."""

    def start(self, origin: float) -> None:
        """Let run second 0 be ``origin`` on this process's ``perf_counter``. Call it before anything is scheduled."""
        self._origin = origin

    def wall(self) -> float:
        """Run seconds by the wall clock; unlike ``now`` it goes on while an event is being processed."""
        return time.perf_counter() - self._origin

    # ---- any thread

    def hand_in(self, completion: Callable[[], object]) -> None:
        """Have ``completion`` called on the environment's thread, at the present wall time."""
        with self._arrival:
            self._inbox.append((self.wall(), completion))
            self._arrival.notify()

    def crash(self, error: BaseException) -> None:
        """End the run with an exception: a bug that no workflow waits for."""
        self.hand_in(partial(_raise, error))

    def promise(self) -> tuple[Event, Callable[[Any], None]]:
        """An event, and the function by which any thread may make it succeed with a value (once)."""
        event = self.event()
        return event, lambda value: self.hand_in(partial(event.succeed, value))

    # ---- the environment's thread

    def submit(self, work: Callable[[], T]) -> Event:
        """Run ``work`` on a worker thread; the event succeeds with what it returns.

        An exception in ``work`` is a bug: it is thrown into the workflow that waits, and crashes the run otherwise.
        """
        event = self.event()

        def run() -> None:
            try:
                value = work()
            except BaseException as error:  # noqa: BLE001 -- carried to the environment's thread, not swallowed
                self.hand_in(partial(event.fail, _throwable(error)))
            else:
                self.hand_in(partial(event.succeed, value))

        # A thread each, and a daemon: a pool would bound how much goes on at once, and be waited for at exit.
        threading.Thread(target=run, name="data-plane", daemon=True).start()
        return event

    def spawn(self, work: Callable[[], object]) -> None:
        """Run ``work`` on a worker thread; an exception in it crashes the run."""
        self.submit(work)

    def step(self) -> None:
        """Process the next event when its time has come, or wait for a completion from another thread."""
        while True:
            with self._arrival:
                self._take_in()
                delay = self.peek() - self.wall()
                if delay <= 0:
                    break
                self._arrival.wait(min(delay, LONGEST_WAIT))
        due = self.peek()
        super().step()
        self.lag.append(self.wall() - due)

    def _take_in(self) -> None:
        """Move completions from the inbox into the heap, each at the time at which it happened."""
        while self._inbox:
            happened, completion = self._inbox.popleft()
            gate = self.timeout(max(0.0, happened - self.now))
            gate.callbacks.append(partial(_run, completion))


def _throwable(error: BaseException) -> Any:
    """An exception that SimPy can throw: it makes a new one of the same type from ``args``, which not all allow."""
    try:
        type(error)(*error.args)
    except Exception:  # noqa: BLE001 -- whatever its constructor makes of them
        told = RuntimeError(f"{type(error).__name__}: {error}")
        told.__cause__ = error
        return told
    return error


def _raise(error: BaseException) -> None:
    raise error


def _run(completion: Callable[[], object], _: Event) -> None:
    completion()
