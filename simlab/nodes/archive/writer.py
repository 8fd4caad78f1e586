"""The archive's writer: what has been answered for is entered a group at a time, on a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from sqlalchemy.exc import DBAPIError, OperationalError

from simlab.nodes.archive.keeper import Arrival

LARGEST_GROUP = 256
"""Instances that are entered in one transaction."""

GATHERING = 0.02
"""Seconds for which the writer gathers a group, unless somebody waits for it: nobody does while instances come in."""

RETRY = 1.0
"""Seconds after which the writer tries again what the disk or the index did not take."""

LONGEST_CLOSE = 30.0
"""Seconds that closing waits for what is still to be entered."""


class Writer:
    """Enters what has arrived, in that order. Safe to use from any thread."""

    def __init__(
        self,
        keep: Callable[[Sequence[Arrival]], None],
        unforeseen: Callable[[Exception], object],
        changed: Callable[[], object],
    ) -> None:
        """``keep`` raises OSError or OperationalError for what can be tried again later.

        Anything else is a bug and handed to ``unforeseen``; the others of the group are entered without the one that
        it befell. ``changed`` is called when fewer wait, and when there is trouble or no more.
        """
        self.trouble = ""
        """Why what has arrived cannot be entered for now; empty if it can."""
        self._keep = keep
        self._unforeseen = unforeseen
        self._on_change = changed
        self._changed = threading.Condition(threading.Lock())
        self._waiting: deque[Arrival] = deque()
        self._known: dict[str, Arrival] = {}
        """What waits, by SOP Instance UID."""
        self._put = 0
        self._done = 0
        """How many have arrived, and how many of them have been seen to."""
        self._awaited = 0
        """How many callers wait for what has arrived."""
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="archive-writer", daemon=True)
        self._thread.start()

    def put(self, arrivals: Sequence[Arrival]) -> None:
        """Have instances entered soon."""
        with self._changed:
            before = len(self._waiting)
            self._waiting.extend(arrivals)
            self._known.update((arrival.instance.reference.sop_instance, arrival) for arrival in arrivals)
            self._put += len(arrivals)
            if before == 0 or before < LARGEST_GROUP <= len(self._waiting):
                self._changed.notify_all()

    def __len__(self) -> int:
        """How many wait to be entered."""
        return len(self._waiting)

    def waiting(self, sop_instance: str) -> Arrival | None:
        """The instance with this UID, if it waits to be entered."""
        return self._known.get(sop_instance)

    def settle(self, timeout: float) -> bool:
        """Wait until all that has arrived so far has been entered; False if that takes too long or is in trouble."""
        if not self._known:  # the usual case, without a lock
            return True
        with self._changed:
            goal = self._put
            self._awaited += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._done >= goal or self.trouble, timeout)
            self._awaited -= 1
            return self._done >= goal

    def close(self) -> None:
        """Enter what has arrived, and end. What is in trouble is left for the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(LONGEST_CLOSE)

    def _run(self) -> None:
        while group := self._next_group():
            try:
                self._keep(group)
            except (OSError, OperationalError) as error:
                if not self._wait_after(error):
                    return
            except Exception as error:  # noqa: BLE001 -- a bug; which one of them it befell, each alone will tell
                if len(group) == 1:
                    self._unforeseen(error)
                    self._finish(group)
                else:
                    self._enter_singly(group)
            else:
                self._finish(group)

    def _enter_singly(self, group: Sequence[Arrival]) -> None:
        for arrival in group:
            try:
                self._keep([arrival])
            except (OSError, OperationalError):
                return  # tried again with what is left of the group
            except Exception as error:  # noqa: BLE001 -- a bug, told to the one who can end the run
                self._unforeseen(error)
            self._finish([arrival])

    def _next_group(self) -> list[Arrival]:
        """What waits, once there is something and a group has been gathered; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            self._changed.wait_for(
                lambda: self._awaited or self._closing or len(self._waiting) >= LARGEST_GROUP, GATHERING
            )
            return list(islice(self._waiting, LARGEST_GROUP))

    def _finish(self, group: Sequence[Arrival]) -> None:
        with self._changed:
            self.trouble = ""
            for arrival in group:
                self._waiting.popleft()
                self._known.pop(arrival.instance.reference.sop_instance, None)
            self._done += len(group)
            self._changed.notify_all()
        self._on_change()

    def _wait_after(self, error: OSError | DBAPIError) -> bool:
        """Say what the trouble is, and wait for a while. False if the archive closes."""
        with self._changed:
            self.trouble = (error.strerror or str(error)) if isinstance(error, OSError) else str(error.orig)
            self._changed.notify_all()
        self._on_change()
        with self._changed:
            return not self._changed.wait_for(lambda: self._closing, RETRY)
