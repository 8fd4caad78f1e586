"""What an archive does on its own account: it reports what it commits to, as truthfully as the fault plan lets it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, cast

from simpy import Event

from simlab.network.query import Level, Query
from simlab.network.seam import CommitmentReport, Outcome
from simlab.nodes.archive.decisions import Accepted, Holdings, HoldsInstances, truth
from simlab.nodes.archive.misreport import HONEST, Telling, misreport
from simlab.nodes.archive.spec import ArchiveSpec
from simlab.nodes.node import Node
from simlab.studies.study import References


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """How an archive reports."""

    same: bool = False
    """On the association of the request, if it is still open."""
    delay: float = 0.0
    """Seconds before the report."""
    attempts: int = 1
    back_off: float = 0.0
    """Seconds before the second attempt; they double with each further one."""


def run(node: Node, archive: HoldsInstances) -> Generator[Event, Any, None]:
    """Report on commitment requests as they come, side by side."""
    spec = cast("ArchiveSpec", node.spec)
    how = Reporting(
        same=spec.report == "same",
        delay=spec.report_delay,
        attempts=spec.report_attempts,
        back_off=spec.report_back_off,
    )
    while True:
        accepted: Accepted = yield node.notifications.get()
        node.env.process(report(node, archive.holdings, accepted, how))


def report(node: Node, holdings: Holdings, accepted: Accepted, how: Reporting) -> Generator[Event, Any, None]:
    """Report on one request. It is owed until the report has been delivered, or given up."""
    if how.delay:
        yield node.protocol(how.delay)
    request, fault = accepted.request, HONEST
    if node.faults.concern("commitment"):
        fault = node.faults.of_report(request.requester, holdings.describe(request.references))
        yield node.protocol(fault.delay)
    true = truth(holdings, accepted)
    told, study = misreport(true, fault), study_of(holdings, true)
    for copies in told.rounds:
        others = [node.env.process(deliver(node, accepted, told, how, study)) for _ in range(1, copies)]
        yield from deliver(node, accepted, told, how, study)
        yield from others
    holdings.forget(told.forgotten)
    holdings.requests.done(accepted)


def deliver(node: Node, accepted: Accepted, told: Telling, how: Reporting, study: str) -> Generator[Event, Any, None]:
    """Send a report until it is answered with success, or given up."""
    request = accepted.request
    requester = node.titled(request.requester) or ""
    on = request.association if how.same or told.same_association else None
    for attempt in range(how.attempts):
        if attempt:
            yield node.protocol(how.back_off * 2 ** (attempt - 1))
        outcome: Outcome = yield node.network.report_commitment(
            node.name, requester, told.report, on=on, astray=told.astray, study=study
        )
        if outcome.ok:
            return
        on = None  # what went wrong there is tried on a new association
    cause = outcome.trouble.value or f"status {outcome.status:04X}H"
    tried = "1 attempt" if how.attempts == 1 else f"{how.attempts} attempts"
    node.remark("report", requester or request.requester, f"not delivered after {tried}", cause, study=study)


def study_of(holdings: Holdings, report: CommitmentReport) -> str:
    """The study that a report is about, as far as the archive knows: that of the first instance it holds."""
    if isinstance(report.stored, References):
        return report.stored.study.uid
    for reference in report.stored[:1]:
        keys = {"SOPInstanceUID": reference.sop_instance, "StudyInstanceUID": ""}
        for match in holdings.search(Query(keys, level=Level.IMAGE)).matches:
            return str(match["StudyInstanceUID"])
    return ""
