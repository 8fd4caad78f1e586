"""Polling, query after query: nobody is told by DICOM's query services that something is new, so whoever waits asks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from typing import Any

import simpy
from simpy import Event

from simlab.network.query import Poll
from simlab.network.seam import Found


def ask_on(
    env: simpy.Environment, poll: Poll, deadline: float, find: Callable[[], Event]
) -> Generator[Event, Any, Found]:
    """Ask until there are news, a query fails, or one was asked at the deadline. ``find`` asks once."""
    while True:
        yield env.timeout(max(0.0, poll.asked + poll.every - env.now))
        poll.asked = env.now
        found: Found = yield find()
        if not found.ok:
            return found
        news = poll.news(found.matches)
        if news or poll.reached(deadline):
            return replace(found, matches=news)


class Watch:
    """What has become of the answer to a query since somebody looked: the studies about which it may be another."""

    def __init__(self) -> None:
        self.changed: dict[str, None] = {}
        """Study Instance UIDs, in the order of their first change."""
        self.heeds: Callable[[str], bool] = lambda _: True
        """Whether a study matters to whoever looks."""
        self._awaited: Event | None = None

    def tell(self, study: str) -> None:
        """Something has changed about a study."""
        if not self.heeds(study):
            return
        self.changed[study] = None
        if self._awaited is not None:
            awaited, self._awaited = self._awaited, None
            awaited.succeed()

    def take(self) -> Iterable[str]:
        """Look: the studies that have changed since the last time."""
        taken, self.changed = self.changed, {}
        return taken

    def next_change(self, env: simpy.Environment) -> Event:
        """Wait for the next change; one caller at a time."""
        self._awaited = env.event()
        return self._awaited
