"""The archive's writer: what many threads bring is kept a batch at a time (group commit)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simlab.network.live.server import ReceivedInstance, Respond
from simlab.network.seam import Status
from simlab.nodes.archive.header import Header

LARGEST_BATCH = 256
"""Bounds how long the first of a batch waits for the last."""

LONGEST_CLOSE = 30.0
"""Seconds that closing waits for what is still to be kept."""

OUT_OF_RESOURCES = 0xA700
"""A storage status (PS3.4 table B.2-1)."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """An instance that waits to be kept."""

    instance: ReceivedInstance
    header: Header
    respond: Respond


class Writer:
    """Keeps what has arrived, and responds; one batch at a time.

    A batch is what came while the one before it was being kept: nobody waits for a batch to fill, and the more comes
    at once, the less each instance costs.
    """

    def __init__(
        self,
        keep: Callable[[Sequence[Arrival]], Sequence[Status]],
        unforeseen: Callable[[Exception], object],
        *,
        apart: bool,
    ) -> None:
        """``keep`` returns a status for each; what it raises all the same is a bug, and handed to ``unforeseen``.

        ``apart``: on a thread of its own, because keeping waits for the disk. Otherwise whoever flushes, and finds
        nobody at work, does the work: passing it to another thread would take longer than the work itself.
        """
        self._keep = keep
        self._unforeseen = unforeseen
        self._changed = threading.Condition(threading.Lock())
        self._waiting: deque[Arrival] = deque()
        self._closing = False
        self._busy = False
        self._thread = threading.Thread(target=self._run, name="archive-writer", daemon=True) if apart else None
        if self._thread is not None:
            self._thread.start()

    def put(self, arrival: Arrival) -> bool:
        """Have an instance kept, after a flush at the latest. False, and it is left alone, once the writer closes."""
        with self._changed:
            if not self._closing:
                self._waiting.append(arrival)
                if self._thread is not None:
                    self._changed.notify()
            return not self._closing

    def flush(self) -> None:
        """Keep what was put, unless somebody is at work, and sees to it."""
        with self._changed:
            if self._thread is not None or self._busy or not self._waiting:
                return
            self._busy = True
        self._work_off()

    def close(self) -> None:
        """Keep what has been put, respond to it, and end."""
        self.flush()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not (self._busy or self._waiting), LONGEST_CLOSE)
        if self._thread is not None:
            self._thread.join(LONGEST_CLOSE)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                self._busy = True
            self._work_off()

    def _work_off(self) -> None:
        """Keep batches until nothing waits."""
        while batch := self._next_batch():
            try:
                statuses = self._keep(batch)
            except Exception as error:  # noqa: BLE001 -- a bug, told to the one who can end the run
                self._unforeseen(error)
                statuses = [Status(OUT_OF_RESOURCES, "not stored: an error of the archive's own")] * len(batch)
            for arrival, status in zip(batch, statuses, strict=True):
                self._respond(arrival, status)

    def _respond(self, arrival: Arrival, status: Status) -> None:
        try:
            arrival.respond(status)
        except Exception as error:  # noqa: BLE001 -- the others wait for their responses
            self._unforeseen(error)

    def _next_batch(self) -> list[Arrival]:
        """What waits; nothing, and whoever comes next does the work, once nothing does."""
        with self._changed:
            if not self._waiting:
                self._busy = False
                self._changed.notify_all()
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_BATCH))]
