"""A run of the live world, from the start of its processes to the audit."""

from __future__ import annotations

import math
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from simlab.errors import UserError
from simlab.lab.audit import Interview, Request, proceed
from simlab.lab.department import Department, Staging
from simlab.lab.happened import INTERRUPTED, Happened, Progress, Watch
from simlab.network.seam import NO_STATUS, Outcome, Trouble
from simlab.records import MILESTONES, Record
from simlab.topology.model import Topology
from simlab.topology.references import talks

LOOK_INTERVAL = 0.25
"""Seconds between two looks at the groups' records."""

AUDIT_TIMEOUT = 60.0
"""Seconds without a response after which an archive is no longer asked for a study."""

AUDIT_BOUND = 300.0
"""Seconds that one operation of the audit may take in all."""

AUDIT_AT_ONCE = 4
"""Studies that are asked back at a time."""

LATE = 0.050
"""Seconds of environment lag (99th percentile) beyond which the generator, not the network, made things late."""


def run_live(topology: Topology, staging: Staging, watch: Watch, *, audit: bool = True) -> Happened:
    """Run a topology on real TCP. Ctrl-C cuts it short; what was measured is returned all the same.

    Raises UserError if a port is taken or an AE that is not ours does not listen, GroupError if a process dies.
    """
    require_external(topology)
    happened = Happened(topology)
    links: dict[str, Any] = {}
    audited_from = math.inf
    with Department(topology, staging) as department:
        show = _Show(department, happened, watch)
        try:
            department.run()
            _work(department, happened, show)
            department.end_faults()
            if audit:
                show.look("auditing")
            links = department.links.counters()  # before the audit, which is no part of the department's work
            audited_from = department.now()
            if audit:
                _audit(department, happened)
        except KeyboardInterrupt:
            happened.ended = INTERRUPTED
            links = links or department.links.counters()
        records, batches = department.stop()
        happened.take([each for each in records if not _is_of_audit(each, audited_from)], batches)
        happened.end()
        happened.links = list(_link_rows(topology, links, happened.elapsed))
        _judge_generator(department, happened, links)
    return happened


def _is_of_audit(record: Record, audited_from: float) -> bool:
    """Whether an operation is the audit's, or a node's poll meanwhile: neither is the department's work."""
    return record.operation in ("C-FIND", "C-GET") and record.started >= audited_from


def require_external(topology: Topology) -> None:
    """Raise UserError if an AE that our nodes are going to call does not listen."""
    called = {node for pair in talks(topology) for node in pair}
    for name, spec in topology.nodes.items():
        if spec.kind != "external" or name not in called or spec.port is None:
            continue
        try:
            socket.create_connection((spec.host, spec.port), timeout=5.0).close()
        except (OSError, UnicodeError):  # the latter for a host that can be no name
            where = f"{spec.ae_title}@{spec.host}:{spec.port}"
            raise UserError(
                f"node {name}: nothing listens at {where}; start it first, or correct host and port"
            ) from None


class _Show:
    """Takes in the groups' records, and shows how far the run is."""

    def __init__(self, department: Department, happened: Happened, watch: Watch) -> None:
        self._department = department
        self._happened = happened
        self._watch = watch
        self._latest: dict[str, Record] = {}
        self._stored = 0

    def look(self, phase: str) -> None:
        """One look."""
        records, batches = self._department.drain()
        self._happened.take(records, batches)
        self._latest.update({record.node: record for record in records if record.operation not in MILESTONES})
        self._stored += sum(record.bytes for record in records if record.operation == "C-STORE")
        self._watch(
            Progress(
                now=self._department.now(),
                duration=self._department.topology.duration,
                phase=phase,
                milestones=self._happened.completion.counts(),
                latest=dict(self._latest),
                stored_bytes=self._stored,
            )
        )


def _work(department: Department, happened: Happened, show: _Show) -> None:
    """Until everything ordered has come to its end, or the time for that is over."""
    topology = department.topology
    while True:
        now = department.now()
        show.look("working" if now < topology.duration else "finishing")
        left = happened.completion.open
        if now > topology.duration and not left:
            return
        if now > topology.duration + topology.finish_within:
            happened.ended = (
                f"{len(left)} studies had not come to their end {topology.finish_within:g} s after the last order"
            )
            return
        time.sleep(LOOK_INTERVAL)


def _audit(department: Department, happened: Happened) -> None:
    """Ask everything back that was acknowledged or committed to, a few studies at a time."""
    audit = happened.audit
    waiting = deque(audit.questions())
    asked: dict[Future[Outcome], tuple[Interview, Request, float]] = {}

    def go_on(interview: Interview, answer: Outcome | None) -> None:
        if (request := proceed(interview, answer)) is not None:
            operation, source, archive, query, keywords = request
            future = department.call(source, operation, archive, query, timeout=AUDIT_TIMEOUT, **keywords)
            asked[future] = interview, request, time.monotonic() + AUDIT_BOUND

    while waiting or asked:
        while waiting and len(asked) < AUDIT_AT_ONCE:
            go_on(audit.interview(waiting.popleft()), None)
        wait(asked, LOOK_INTERVAL, FIRST_COMPLETED)
        for future, (interview, request, bound) in list(asked.items()):
            if future.done() or time.monotonic() > bound:
                del asked[future]
                go_on(interview, future.result() if future.done() else _no_answer(request))
    happened.audited = True
    happened.notices += dict.fromkeys(audit.unanswered)


def _no_answer(request: Request) -> Outcome:
    return Outcome(operation=request.operation, status=NO_STATUS, trouble=Trouble.TIMEOUT)


def _link_rows(topology: Topology, counters: Mapping[str, Any], elapsed: float) -> Iterator[dict[str, object]]:
    """What passed each link, in each direction."""
    for link in topology.links:
        told = counters["links"][link.name] if counters else {}
        for side, (source, target) in (("forth", link.between), ("back", link.between[::-1])):
            if told:
                lane = told[side]
                row = {"link": link.name, "source": source, "target": target, **lane}
                row["utilisation"] = lane["busy"] / elapsed if elapsed else 0.0
                yield {**row, "outages": told["outages"], "resets": told["resets"]}


def _judge_generator(department: Department, happened: Happened, links: Mapping[str, Any]) -> None:
    """Say how the generator itself fared, and say *invalid* where it was too late to blame anybody else."""
    usage = department.usage
    lag = max((group.lag_p99 for group in usage), default=0.0)
    cpu = sum(group.cpu for group in usage)
    happened.generator = {"lag_p99": lag, "cpu": cpu / happened.elapsed if happened.elapsed else 0.0}
    relay_late = links["lateness"]["p99"] if links else 0.0
    if links:
        happened.generator["relay_late_p99"] = relay_late
    if relay_late > LATE:
        happened.notices.append(
            f"Invalid as a measurement: the links' relay was {relay_late * 1000:.0f} ms late (99th percentile). "
            "Lower the load or use a faster machine."
        )
    for name, told in links.get("links", {}).items():
        if not told.get("kept_up", True):
            happened.notices.append(
                f"Invalid as a measurement: the bridge of packets of link {name} did not keep up "
                f"({told['late']['p99'] * 1000:.1f} ms late, 99th percentile). Lower the load or use a faster machine."
            )
    if lag > LATE:
        happened.notices.append(
            f"Invalid as a measurement: simlab itself ran {lag * 1000:.0f} ms late (99th percentile), "
            "so waiting times here are not the network's. Lower the load or use a faster machine."
        )
