"""Storage commitment messages as data sets (PS3.4 tables J.3-1 and J.3-2)."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom import Dataset

from simlab.network.seam import CommitmentReport, FailedReference
from simlab.studies.study import InstanceReference

SOP_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Storage Commitment Push Model SOP Instance: well known, one for all (PS3.4 section J.3.5)."""

REQUEST_ACTION = 1
ALL_STORED_EVENT = 1
FAILURES_EXIST_EVENT = 2


def _items(references: Iterable[InstanceReference]) -> list[Dataset]:
    items = []
    for reference in references:
        item = Dataset()
        item.ReferencedSOPClassUID = reference.sop_class
        item.ReferencedSOPInstanceUID = reference.sop_instance
        items.append(item)
    return items


def _references(items: Iterable[Dataset] | None) -> tuple[InstanceReference, ...]:
    return tuple(_reference(item) for item in items or ())


def _reference(item: Dataset) -> InstanceReference:
    return InstanceReference(
        str(item.get("ReferencedSOPClassUID") or ""), str(item.get("ReferencedSOPInstanceUID") or "")
    )


def request_to_data_set(transaction: str, references: Iterable[InstanceReference]) -> Dataset:
    """Action information of the N-ACTION."""
    data_set = Dataset()
    data_set.TransactionUID = transaction
    data_set.ReferencedSOPSequence = _items(references)
    return data_set


def request_from_data_set(data_set: Dataset) -> tuple[str, tuple[InstanceReference, ...]]:
    """Transaction UID and references; empty where the request lacks them."""
    return str(data_set.get("TransactionUID") or ""), _references(data_set.get("ReferencedSOPSequence", ()))


def report_to_data_set(report: CommitmentReport) -> Dataset:
    """Event information of the N-EVENT-REPORT. A sequence that would be empty is left out."""
    data_set = Dataset()
    data_set.TransactionUID = report.transaction
    if report.stored:
        data_set.ReferencedSOPSequence = _items(report.stored)
    if report.failed:
        failed = _items(failure.reference for failure in report.failed)
        for item, failure in zip(failed, report.failed, strict=True):
            item.FailureReason = failure.reason
        data_set.FailedSOPSequence = failed
    return data_set


def report_from_data_set(data_set: Dataset) -> CommitmentReport:
    """The report in an N-EVENT-REPORT's event information."""
    return CommitmentReport(
        str(data_set.get("TransactionUID", "")),
        _references(data_set.get("ReferencedSOPSequence", ())),
        tuple(
            FailedReference(_reference(item), int(item.get("FailureReason") or 0x0110))
            for item in data_set.get("FailedSOPSequence") or ()
        ),
    )


def event_type(report: CommitmentReport) -> int:
    """Event Type ID of a report: 1 if every instance is committed, else 2."""
    return FAILURES_EXIST_EVENT if report.failed else ALL_STORED_EVENT
