"""Queries of the virtual world, once and again and again.

Where the model that is asked can tell what becomes of its answers, and does nothing wrong about them, polls that would
bring nothing are elided. Whoever polls is woken when there is something to learn, waits for the next tick of its own
clock, and asks about nothing but that. So everything is found when somebody who polls would find it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil, inf

import simpy
from simpy import Event

from simlab.draws import Draws
from simlab.network.faults import RequestFault
from simlab.network.operation import Operation
from simlab.network.polling import Watch, ask_on
from simlab.network.query import INSTANT, STUDY, Poll, Query
from simlab.network.seam import DEFAULT_TIMEOUT, Found
from simlab.network.sop_classes import FIND
from simlab.network.virtual.association import Steps
from simlab.network.virtual.plane import NO_SEED, Plane, Route
from simlab.records import Recorder

Ask = Callable[[Callable[[], Query]], Steps[Found]]


class Querying(Plane):
    """``find`` and ``poll`` of :class:`simlab.network.virtual.network.VirtualNetwork`."""

    def __init__(
        self, env: simpy.Environment, recorder: Recorder, route: Callable[[str, str], Route], draws: Draws = NO_SEED
    ) -> None:
        super().__init__(env, recorder, route, draws)
        self._watched: dict[Poll, WatchedPoll] = {}

    @property
    def elided(self) -> int:
        """Polls that were left out, as far as whoever polls has asked again after them."""
        return sum(watched.elided for watched in self._watched.values())

    def find(self, source: str, target: str, query: Query, *, timeout: float = DEFAULT_TIMEOUT) -> Event:
        """C-FIND."""
        return self.env.process(self._find(source, target, query, timeout, lambda: query))

    def poll(
        self, source: str, target: str, poll: Poll, *, deadline: float = inf, timeout: float = DEFAULT_TIMEOUT
    ) -> Event:
        """C-FIND until there are news. Polls that would bring none leave no records where they can be elided."""
        watched = self._watch(target, poll)
        if watched is None:
            return self.env.process(
                ask_on(self.env, poll, deadline, lambda: self.find(source, target, poll.query, timeout=timeout))
            )

        def ask(query: Callable[[], Query]) -> Steps[Found]:
            return self._find(source, target, poll.query, timeout, query)

        return self.env.process(watched.ask_on(deadline, ask))

    def _find(
        self, source: str, target: str, query: Query, timeout: float, arrived: Callable[[], Query]
    ) -> Steps[Found]:
        """C-FIND. ``arrived`` tells what it asks about, once the request is there."""
        call = Operation(Found, "C-FIND", source, target, timeout, FIND[query.model])

        def serve(fault: RequestFault) -> Found:
            answer = self._nodes[target].server.find(arrived())
            matches = tuple({**match, **fault.values} if fault.values else match for match in answer.matches)
            return call.outcome(answer.status, matches=matches)

        return self._operating(call, self._asking(call, self._asked(call), serve))

    def _watch(self, target: str, poll: Poll) -> WatchedPoll | None:
        """The poll with what tells whether asking is of any use; None where every query has to be asked."""
        if poll not in self._watched:
            peer = self._nodes.get(target)
            if peer is None or any(map(peer.faults.concern, ("C-FIND", "association"))) or poll.query.keys.get(STUDY):
                return None
            watch = peer.server.watch(poll.query)
            if watch is None:
                return None
            self._watched[poll] = WatchedPoll(self.env, poll, watch)
        return self._watched[poll]


class WatchedPoll:
    """A poll that is asked on only when there is something to learn."""

    def __init__(self, env: simpy.Environment, poll: Poll, watch: Watch) -> None:
        self.elided = 0
        self._env = env
        self._poll = poll
        self._watch = watch
        watch.heeds = poll.follows
        self._complete = False
        """Whether the peer has told everything once; from then on it is asked about what changes."""
        self._lead = 0.0
        """Seconds that the last query took to arrive."""
        self._about: list[str] | None = []
        """Studies that it asked about; None: all."""

    def ask_on(self, deadline: float, ask: Ask) -> Steps[Found]:
        """As :func:`simlab.network.polling.ask_on`. ``ask`` asks what it is told when the request has arrived."""
        poll = self._poll
        while True:
            if poll.asked == -inf:
                self._complete, poll.asked = False, self._env.now
            else:
                yield from self._until_of_use(deadline)
            began, self._about = self._env.now, []

            def arrived(began: float = began) -> Query:
                self._lead = self._env.now - began
                return self._narrowed()

            found = yield from ask(arrived)
            if not found.ok:
                for study in self._about or ():
                    self._watch.tell(study)
                return found
            self._complete = True
            news = poll.news(found.matches, self._about)
            if news or poll.reached(deadline):
                return found if news == found.matches else replace(found, matches=news)

    def _narrowed(self) -> Query:
        """The query about what has changed, or else about what was there before."""
        poll, changed = self._poll, self._watch.take()
        self._about = None
        if self._complete:
            self._about = list(filter(poll.follows, changed)) or list(poll.studies) or None
        return poll.query if self._about is None else poll.query.about(self._about)

    def _until_of_use(self, deadline: float) -> Steps[None]:
        """Wait for the first tick at which there is something to learn, or the deadline is reached."""
        env, poll, watch = self._env, self._poll, self._watch
        tick = self._tick(deadline) if self._complete else 1
        while tick > 1 and not any(map(poll.follows, watch.changed)):
            watch.take()
            last = poll.asked + tick * poll.every
            if env.now >= last - INSTANT:
                break
            told = watch.next_change(env)
            yield told if last == inf else told | env.timeout(last - env.now)
        else:
            # What comes while a query would be on its way is asked about at once: it would have found it.
            tick = min(tick, self._tick(env.now - self._lead))
        poll.asked += tick * poll.every
        self.elided += int(tick) - 1
        yield env.timeout(max(0.0, poll.asked - env.now))
        poll.asked = max(poll.asked, env.now - self._lead)

    def _tick(self, moment: float) -> float:
        """The number of the first tick at a run second or later, counted from the last query."""
        ticks = (moment - self._poll.asked - INSTANT) / self._poll.every
        return inf if ticks == inf else max(1, ceil(ticks))
