"""What becomes of a truthful commitment report under the fault plan, as a pure function."""

from __future__ import annotations

from dataclasses import dataclass

from simlab.faults import ReportFault
from simlab.network.seam import CommitmentReport, FailedReference
from simlab.studies.study import InstanceReference
from simlab.studies.uids import derive_uid

HONEST = ReportFault()
"""Nothing is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """A report, and how it is sent."""

    report: CommitmentReport
    rounds: tuple[int, ...] = (1,)
    """How many copies are sent at once, one round after the other."""
    same_association: bool = False
    """On the association of the request, whatever the archive usually does."""
    astray: bool = False
    """To a port at which nobody listens."""
    forgotten: tuple[InstanceReference, ...] = ()
    """What was committed to, and is lost after that."""


def misreport(truth: CommitmentReport, fault: ReportFault) -> Telling:
    """What is told instead of the truth, and how.

    An instance that is missing is nowhere in the report. Of the others, what is held is reported with the reason that
    the fault gives, if any; what the fault lies about is committed to, held or not, unless it was given such a reason.
    """
    if fault == HONEST:
        return Telling(report=truth)
    stored: list[InstanceReference] = []
    failed: list[FailedReference] = []
    for reference, true_reason in _references(truth):
        if reference.sop_instance in fault.missing:
            continue
        reason = _reason(reference.sop_instance, true_reason, fault)
        if reason is None:
            stored.append(reference)
        else:
            failed.append(FailedReference(reference, reason))
    forgotten = () if fault.never else tuple(each for each in stored if each.sop_instance in fault.lies)
    stored += _unasked(truth, fault.extra)
    transaction = derive_uid(truth.transaction, "unknown") if fault.unknown_transaction else truth.transaction
    return Telling(
        report=CommitmentReport(transaction, tuple(stored), tuple(failed)),
        rounds=_rounds(fault),
        same_association=fault.same_association,
        astray=fault.closed_port,
        forgotten=forgotten,
    )


def _reason(sop_instance: str, true_reason: int | None, fault: ReportFault) -> int | None:
    """The failure reason that is told; None: committed to."""
    if true_reason is None:
        return fault.failed.get(sop_instance)
    return None if sop_instance in fault.lies else true_reason


def _references(truth: CommitmentReport) -> list[tuple[InstanceReference, int | None]]:
    """What a report is on, each with its failure reason, or None."""
    return [(each, None) for each in truth.stored] + [(each.reference, each.reason) for each in truth.failed]


def _unasked(truth: CommitmentReport, count: int) -> list[InstanceReference]:
    """Instances that nobody asked for, of a SOP class that somebody did."""
    classes = [reference.sop_class for reference, _ in _references(truth)[:1]]
    return [
        InstanceReference(sop_class, derive_uid(truth.transaction, "unasked", number))
        for sop_class in classes
        for number in range(count)
    ]


def _rounds(fault: ReportFault) -> tuple[int, ...]:
    if fault.never:
        return ()
    return (fault.copies,) if fault.at_once else (1,) * fault.copies
