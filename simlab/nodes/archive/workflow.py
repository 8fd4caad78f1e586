"""What an archive does on its own account: it reports what it commits to."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, cast

from simpy import Event

from simlab.network.query import Level, Query
from simlab.network.seam import CommitmentReport, CommitmentRequest
from simlab.nodes.archive.decisions import Holdings, HoldsInstances, decide_commitment
from simlab.nodes.archive.spec import ArchiveSpec
from simlab.nodes.node import Node


def run(node: Node, archive: HoldsInstances) -> Generator[Event, Any, None]:
    """Answer commitment requests as they come, side by side."""
    spec = cast("ArchiveSpec", node.spec)
    while True:
        request: CommitmentRequest = yield node.notifications.get()
        node.env.process(report(node, archive.holdings, request, delay=spec.report_delay, same=spec.report == "same"))


def report(
    node: Node, holdings: Holdings, request: CommitmentRequest, *, delay: float, same: bool
) -> Generator[Event, Any, None]:
    """Report on one request, truthfully, ``delay`` seconds later; on the same association if it is still open."""
    yield node.protocol(delay)
    requester = node.titled(request.requester)
    if requester is None and not same:
        return  # nobody knows where a stranger listens: the request was refused
    held, conflicting = holdings.holds(request.references), holdings.conflicts(request.references)
    answer = decide_commitment(request.transaction, request.references, held, conflicting)
    on = request.association if same else None
    study = study_of(holdings, answer)
    yield node.network.report_commitment(node.name, requester or "", answer, on=on, study=study)


def study_of(holdings: Holdings, report: CommitmentReport) -> str:
    """The study that a report is about, as far as the archive knows: that of the first instance it holds."""
    for reference in report.stored[:1]:
        keys = {"SOPInstanceUID": reference.sop_instance, "StudyInstanceUID": ""}
        for match in holdings.search(Query(keys, level=Level.IMAGE)).matches:
            return str(match["StudyInstanceUID"])
    return ""
