"""A run of the virtual world, from its beginning to its audit."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from simpy import Event

from simlab.lab.audit import proceed
from simlab.lab.happened import Happened, Progress, Watch
from simlab.lab.virtual_world import VirtualWorld
from simlab.topology.model import Topology

LOOK_INTERVAL = 1.0
"""Run seconds between two looks at the records."""


def run_virtual(topology: Topology, run_id: str, watch: Watch) -> Happened:
    """Run a topology in virtual time. Ctrl-C cuts it short; what was simulated is returned all the same."""
    happened = Happened(topology)
    world = VirtualWorld(topology, run_id)
    try:
        while not happened.ended:
            world.env.run(until=world.env.now + LOOK_INTERVAL)
            happened.take(*world.recorder.drain())
            now, left = world.env.now, happened.completion.open
            phase = "working" if now < topology.duration else "finishing"
            watch(Progress(now, topology.duration, phase, happened.completion.counts(), {}, 0))
            if now > topology.duration and not left:
                break
            if now > topology.duration + topology.finish_within:
                happened.ended = (
                    f"{len(left)} studies had not come to their end {topology.finish_within:g} s after the last order"
                )
        happened.elapsed = max((record.finished for record in happened.records), default=0.0)
        # Before the audit, which is no part of the department's work.
        happened.links = list(world.link_rows(happened.elapsed))
        world.env.run(until=world.env.process(_audit(world, happened)))
    except KeyboardInterrupt:
        happened.ended = "interrupted"
        happened.elapsed = world.env.now
    return happened


def _audit(world: VirtualWorld, happened: Happened) -> Generator[Event, Any, None]:
    """Ask everything back that was acknowledged or committed to."""
    for node in world.nodes:
        node.faults.end()
    for question in happened.audit.questions():
        interview, answer = happened.audit.interview(question), None
        while (request := proceed(interview, answer)) is not None:
            ask = getattr(world.network, request.operation)
            answer = yield ask(request.source, request.archive, request.query, **request.keywords)
    happened.audited = True
    happened.notices += dict.fromkeys(happened.audit.unanswered)
