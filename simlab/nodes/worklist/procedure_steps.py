"""Modality performed procedure steps (MPPS) as their SCP keeps them (PS3.4 annex F.7)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping

from simlab.network.query import Identifier, Value
from simlab.network.seam import SUCCESS, Status
from simlab.nodes.worklist.order_book import OrderBook, Step, StepStatus

INVALID_ATTRIBUTE_VALUE = 0x0106
PROCESSING_FAILURE = 0x0110
DUPLICATE_SOP_INSTANCE = 0x0111
NO_SUCH_SOP_INSTANCE = 0x0112
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
"""Statuses of N-CREATE and N-SET (PS3.7 annex C)."""

NO_LONGER_UPDATABLE = Status(
    PROCESSING_FAILURE, "Performed Procedure Step Object may no longer be updated", error_id=0xA710
)
"""The answer to an N-SET of a step that has come to its end, word for word (PS3.4 table F.7.2-2)."""

IN_PROGRESS = "IN PROGRESS"

_REQUIRED_TO_CREATE = (
    "PerformedProcedureStepStatus",
    "ScheduledStepAttributesSequence",
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "Modality",
)
"""Type 1 in N-CREATE (PS3.4 table F.7.2-1)."""

_NOT_TO_SET = frozenset(
    {
        "ScheduledStepAttributesSequence",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "PerformedProcedureStepID",
        "PerformedStationAETitle",
        "PerformedStationName",
        "PerformedLocation",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        "Modality",
        "StudyID",
    }
)
"""Not allowed in N-SET (PS3.4 table F.7.2-1)."""

_REQUIRED_AT_THE_END = ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime")
_FINAL = {status.value: status for status in StepStatus if status.final}
_ENDED: dict[str, dict[str, Value]] = {status: {"PerformedProcedureStepStatus": status} for status in _FINAL}
"""What is remembered of steps that have come to their end: nothing else is ever asked for, and they are many."""


class ProcedureSteps:
    """The SCP's state machine: created IN PROGRESS, set any number of times, then COMPLETED or DISCONTINUED for good.

    A performed step moves the orders that its Scheduled Step Attributes Sequence names. One that names none in the book
    is an unscheduled exam: accepted, unless ``accept_unscheduled`` is False. Safe to use from any thread.
    """

    def __init__(self, orders: OrderBook, *, accept_unscheduled: bool = True) -> None:
        self._orders = orders
        self._accept_unscheduled = accept_unscheduled
        self._lock = threading.Lock()
        self._steps: dict[str, dict[str, Value]] = {}

    def create(self, step: str, attributes: Identifier) -> Status:
        """Answer an N-CREATE of SOP instance ``step`` (PS3.4 F.7.2.1).

        0111: the instance exists. 0120, 0121: a type 1 attribute is absent, or empty. 0106: the status is not
        IN PROGRESS, or the step is unscheduled and must not be. Absent type 2 attributes are taken as empty.
        """
        with self._lock:
            if step in self._steps:
                return Status(DUPLICATE_SOP_INSTANCE, "procedure step exists")
            if refusal := _missing(_REQUIRED_TO_CREATE, attributes, absent=MISSING_ATTRIBUTE):
                return refusal
            for item in _items(attributes, "ScheduledStepAttributesSequence"):
                if refusal := _missing(("StudyInstanceUID",), item, absent=MISSING_ATTRIBUTE):
                    return refusal
            if attributes["PerformedProcedureStepStatus"] != IN_PROGRESS:
                return Status(INVALID_ATTRIBUTE_VALUE, f"a step is created {IN_PROGRESS}")
            scheduled = tuple(self._scheduled(attributes))
            if not scheduled and not self._accept_unscheduled:
                return Status(INVALID_ATTRIBUTE_VALUE, "no such scheduled procedure step")
            self._steps[step] = dict(attributes)
            for each in scheduled:
                self._orders.advance(each, StepStatus.STARTED)
        return Status(SUCCESS)

    def set(self, step: str, attributes: Identifier) -> Status:
        """Answer an N-SET of SOP instance ``step`` (PS3.4 F.7.2.2): its attributes replace those of the same name.

        0112: no such instance. 0110 with Error ID A710: the step has come to its end. 0106: the status is none of the
        three, or an attribute changes that must not. 0121: the step would end without its end date and time, or be
        COMPLETED without a performed series. The standard wants a series of a DISCONTINUED step too, but a scanner
        that stops before its first image has none to name, so that is not insisted on. A refused N-SET changes nothing.
        """
        with self._lock:
            existing = self._steps.get(step)
            if existing is None:
                return Status(NO_SUCH_SOP_INSTANCE, "no such procedure step")
            if existing["PerformedProcedureStepStatus"] != IN_PROGRESS:
                return NO_LONGER_UPDATABLE
            changed = sorted(
                keyword for keyword in _NOT_TO_SET & attributes.keys() if attributes[keyword] != existing.get(keyword)
            )
            if changed:
                return Status(INVALID_ATTRIBUTE_VALUE, f"{changed[0]} must not change"[:64])
            merged = existing | dict(attributes)
            status = merged["PerformedProcedureStepStatus"]
            if status != IN_PROGRESS and status not in _FINAL:
                return Status(INVALID_ATTRIBUTE_VALUE, f"unknown status {status}"[:64])
            if status in _FINAL:
                required: tuple[str, ...] = _REQUIRED_AT_THE_END
                if status == StepStatus.COMPLETED.value:
                    required += ("PerformedSeriesSequence",)
                if refusal := _missing(required, merged, absent=MISSING_ATTRIBUTE_VALUE):
                    return refusal
            if status in _FINAL:
                self._steps[step] = _ENDED[str(status)]
                for each in self._scheduled(merged):
                    self._orders.advance(each, _FINAL[str(status)])
            else:
                self._steps[step] = merged
        return Status(SUCCESS)

    def attributes(self, step: str) -> Identifier | None:
        """What is known of a performed step (its status, once it has come to its end); None if it was never created."""
        with self._lock:
            found = self._steps.get(step)
            return None if found is None else dict(found)

    def in_progress(self) -> frozenset[str]:
        """SOP Instance UIDs of the steps that have not come to their end."""
        with self._lock:
            return frozenset(
                uid for uid, step in self._steps.items() if step["PerformedProcedureStepStatus"] == IN_PROGRESS
            )

    def _scheduled(self, attributes: Identifier) -> Iterator[Step]:
        """The scheduled steps that a performed one is about, as far as they are in the book."""
        for item in _items(attributes, "ScheduledStepAttributesSequence"):
            step = str(item["StudyInstanceUID"]), str(item.get("ScheduledProcedureStepID", ""))
            if step in self._orders:
                yield step


def _missing(keywords: Iterable[str], attributes: Identifier, *, absent: int) -> Status | None:
    """The refusal for the first attribute that is absent (status ``absent``) or empty; None if all have values."""
    for keyword in keywords:
        if keyword not in attributes:
            return Status(absent, f"{keyword} is missing"[:64])
        if not attributes[keyword]:
            return Status(MISSING_ATTRIBUTE_VALUE, f"{keyword} is empty"[:64])
    return None


def _items(attributes: Identifier, keyword: str) -> Iterator[Identifier]:
    return (item for item in attributes.get(keyword, ()) if isinstance(item, Mapping))
