"""A link at work: its two lanes, and whether it is there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from simlab.network.link.congestion import Window
from simlab.network.link.flow import Flow, Sink, Source
from simlab.network.link.lane import Clock, Lane
from simlab.network.link.losses import Losses
from simlab.network.link.settings import LinkSettings, Outage

CONNECT_TIMEOUT = 1.0
"""Seconds after which TCP asks for a connection again, doubled each time (RFC 6298 section 2.1)."""


class Connection(Protocol):
    """A connection that an outage may end."""

    def reset(self) -> None:
        """End at once, with a reset at both ends."""


class Link:
    """A link at work, on a clock. Outages of its settings count from :meth:`begin`."""

    def __init__(self, clock: Clock, name: str, settings: LinkSettings) -> None:
        self._clock = clock
        self.name = name
        self.settings = settings
        self.forth = Lane(clock, settings.forth, settings.queue(settings.forth))
        self.back = Lane(clock, settings.back, settings.queue(settings.back))
        self.connections: set[Connection] = set()
        self.resets = 0
        """Connections that an outage has ended."""
        self.outages = 0
        self._number = 0
        self._down_until = 0.0
        self._refusing_until = 0.0
        self._clear = False
        self._begun = 0
        self._judge()

    def begin(self, when: float) -> None:
        """Count outages from a time. A second call takes the place of the first."""
        self._begun += 1
        for outage in self.settings.outages:
            self._clock.at(when + outage.start, self._scheduled, self._begun, outage)

    def _scheduled(self, begun: int, outage: Outage) -> None:
        if begun == self._begun:
            self.interrupt(outage.how, outage.duration)

    def interrupt(self, how: str, duration: float) -> None:
        """Begin an outage now, for some seconds. Raises ValueError for one of an unknown kind."""
        now = self._clock.now()
        if how not in ("stall", "reset", "refuse"):
            raise ValueError(f"unknown outage {how}")
        self.outages += 1
        if how == "stall":
            self._down_until = max(self._down_until, now + duration)
            return
        self._refusing_until = max(self._refusing_until, now + duration)
        if how == "reset":
            for connection in list(self.connections):
                self.resets += 1
                connection.reset()

    def up(self) -> None:
        """End any outage."""
        self._down_until = self._refusing_until = 0.0

    def change(self, changes: Mapping[str, Any]) -> None:
        """Change settings; see :meth:`LinkSettings.changed`. Connections keep their congestion control and window."""
        self.settings = self.settings.changed(changes)
        self.forth.change(self.settings.forth, self.settings.queue(self.settings.forth))
        self.back.change(self.settings.back, self.settings.queue(self.settings.back))
        self._judge()

    def _judge(self) -> None:
        sides = (self.settings.forth, self.settings.back)
        self._clear = not any(
            side.latency or side.jitter or side.loss or not math.isinf(side.bandwidth) for side in sides
        )

    @property
    def down(self) -> bool:
        """Everything is lost now."""
        return self._down_until > 0.0 and self._down_until > self._clock.now()

    @property
    def refusing(self) -> bool:
        """New connections are refused now."""
        return self._refusing_until > 0.0 and self._refusing_until > self._clock.now()

    @property
    def clear(self) -> bool:
        """The link costs nothing now."""
        return self._clear and not self.down

    def lanes(self, *, reverse: bool) -> tuple[Lane, Lane]:
        """The lane from a caller to whom it calls, and the one back; ``reverse``: the caller is at the second site."""
        return (self.back, self.forth) if reverse else (self.forth, self.back)

    def set_up(self, then: Callable[[], object], step: float = CONNECT_TIMEOUT) -> None:
        """Call a function once a request for a connection gets through: in an outage, after 1, 3, 7 ... seconds."""
        if self.down:
            self._clock.at(self._clock.now() + step, self.set_up, then, 2 * step)
        else:
            then()

    def one_way(self, *, reverse: bool) -> float:
        """Seconds that something small takes from the caller to whom it calls, were it sent now."""
        lane, _ = self.lanes(reverse=reverse)
        return lane.delay(self._clock.now()) + lane.latency

    def flows(self, caller: tuple[Source, Sink], called: tuple[Source, Sink], *, reverse: bool) -> tuple[Flow, Flow]:
        """Return the two flows of a new connection: from the caller, and to it."""
        self._number += 1
        there, back = self.lanes(reverse=reverse)
        there.connections += 1
        settings = self.settings

        def flow(lane: Lane, other: Lane, source: Source, sink: Sink, way: str) -> Flow:
            losses = Losses(settings.seed, f"{self.name}/{self._number}/{way}")
            return Flow(
                self._clock, self, lane, other, source, sink, Window(settings.congestion), settings.window, losses
            )

        return flow(there, back, caller[0], called[1], "out"), flow(back, there, called[0], caller[1], "in")
