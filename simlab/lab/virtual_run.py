"""A run of the virtual world, from its beginning to its audit."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from time import perf_counter, process_time
from typing import Any

from simpy import Event

from simlab.analysis.running import Running
from simlab.lab.audit import Interview, proceed
from simlab.lab.happened import INTERRUPTED, MANY_EVENTS, Happened, Progress, Watch
from simlab.lab.virtual_world import VirtualWorld
from simlab.network.virtual.in_step import go_round
from simlab.network.virtual.times import Times
from simlab.topology.model import Topology

LOOK_INTERVAL = 0.2
"""Seconds of the wall clock between two looks at the records, about."""

ROUND = 1.0
"""A run ends at a multiple of so many run seconds, whenever anybody looks."""


def run_virtual(
    topology: Topology,
    run_id: str,
    watch: Watch,
    *,
    summary_only: bool = False,
    times: Mapping[str, Times] = {},
    groups: Iterable[Iterable[str]] = (),
) -> Happened:
    """Run a topology in virtual time. Ctrl-C cuts it short; what was simulated is returned all the same.

    ``times`` tells what the work of nodes takes, as far as that was measured, ``groups`` who share a computer. With
    ``summary_only`` records are folded into statistics as they come, and no study is kept that is over.
    """
    happened = Happened(topology, running=Running() if summary_only else None)
    with _seldom_collected():
        _run(VirtualWorld(topology, run_id, times=times, groups=groups), happened, watch)
    if happened.generator.get("events", 0.0) > MANY_EVENTS:
        go_round.cache_clear()  # what lies among all that is over keeps the memory around it from being given back
    return happened


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Next to nothing that a simulation lets go of is part of a cycle, and to look for it takes a tenth of the time."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _run(world: VirtualWorld, happened: Happened, watch: Watch) -> None:
    show = _Show(world, happened, watch)
    began = process_time()
    try:
        try:
            _work(world, happened, show)
        finally:
            show.take()
        happened.end()
        happened.generator = _speed(world, show.stretches, process_time() - began)
        # Before the audit, which is no part of the department's work.
        happened.links = list(world.link_rows(happened.elapsed))
        world.env.run(until=world.env.process(_audit(world, happened)))
    except KeyboardInterrupt:
        happened.ended = INTERRUPTED
        happened.end()
        happened.elapsed = world.env.now


class _Show:
    """Takes in what was recorded, and shows how far the run is."""

    def __init__(self, world: VirtualWorld, happened: Happened, watch: Watch) -> None:
        self._world = world
        self._happened = happened
        self._watch = watch
        self._shown = perf_counter()
        self.stretches = 0
        """Between two looks."""

    def take(self) -> None:
        """Take in what was recorded since the last time."""
        self._happened.take(*self._world.recorder.drain(afresh=self._happened.running is not None))

    def go(self, until: float) -> float:
        """Simulate up to a run second, and look. Returns what :meth:`look` does."""
        self._world.env.run(until=until)
        self.stretches += 1
        return self.look()

    def look(self, *, shown: bool = False) -> float:
        """One look; shown if the last one was some time ago. Returns the wall-clock seconds since that."""
        self.take()
        since = perf_counter() - self._shown
        if shown or since >= LOOK_INTERVAL:
            now, duration = self._world.env.now, self._happened.topology.duration
            phase = "working" if now < duration else "finishing"
            self._watch(Progress(now, duration, phase, self._happened.completion.counts(), {}, 0))
            self._shown = perf_counter()
        return since


def _work(world: VirtualWorld, happened: Happened, show: _Show) -> None:
    """Until everything ordered has come to its end, or the time for that is over."""
    topology, env = happened.topology, world.env
    step = ROUND
    show.look(shown=True)
    while env.now < topology.duration:
        waited = show.go(min(env.now + step, ceil(topology.duration / ROUND) * ROUND))
        step = max(ROUND, step * min(2.0, max(0.5, LOOK_INTERVAL / max(waited, 1e-3))))
    show.look(shown=True)
    if env.now == topology.duration:  # an order may come at this very moment
        show.go(env.now + ROUND)
    bound = _next_round(topology.duration + topology.finish_within)
    while (left := happened.completion.open) and env.now < bound:
        # Until the next event nothing changes, so that nobody need look.
        show.go(min(_next_round(min(env.peek(), bound)), bound))
    if not left and world.network.under_way:  # an association is released after the last thing that counted
        show.go(env.now + ROUND)
    if left:
        happened.ended = (
            f"{len(left)} studies had not come to their end {topology.finish_within:g} s after the last order"
        )
    show.look(shown=True)


def _next_round(second: float) -> float:
    """The first round run second after a run second."""
    return (second // ROUND + 1) * ROUND


def _speed(world: VirtualWorld, stretches: int, seconds: float) -> dict[str, float]:
    """How many events were simulated, and how many of them in a second of processor time."""
    # SimPy numbers events as they are scheduled. To count them ourselves would cost a tenth of the time that they take.
    # The end of a stretch is none of the department's: SimPy schedules it twice, and the last is still to come.
    events = next(world.env._eid) - len(world.env._queue) - max(2 * stretches - 1, 0)  # noqa: SLF001
    return {"events": float(events), "events_per_second": events / seconds if seconds else 0.0}


def _audit(world: VirtualWorld, happened: Happened) -> Generator[Event, Any, None]:
    """Ask everything back that was acknowledged or committed to: first about whole studies, then of what is left."""
    for node in world.nodes:
        node.faults.end()
    audit = happened.audit
    yield from _interview(world, audit.survey())
    for question in audit.questions():
        yield from _interview(world, audit.interview(question))
    happened.audited = True
    happened.notices += dict.fromkeys(audit.unanswered)


def _interview(world: VirtualWorld, interview: Interview) -> Generator[Event, Any, None]:
    answer = None
    while (request := proceed(interview, answer)) is not None:
        ask = getattr(world.network, request.operation)
        answer = yield ask(request.source, request.archive, request.query, **request.keywords)
