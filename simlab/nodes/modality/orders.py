"""What a scanner asks a worklist for, and what it makes of the answer (PS3.4 annex K)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from simlab.network.query import Identifier, Model, Query
from simlab.network.worklist_items import order_from_item
from simlab.studies.study import Order

WANTED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyInstanceUID"),
    *("ReferringPhysicianName", "RequestedProcedureID", "RequestedProcedureDescription"),
)
"""What a study must carry on from its worklist item."""

CAN_BEGIN = ("", "SCHEDULED", "ARRIVED", "READY")
"""Scheduled Procedure Step Status (0040,0020) of a step that nobody has begun."""


def worklist_query(station: str, modality: str) -> Query:
    """Steps scheduled to a station and not begun; all that a study needs is asked back (PS3.4 table K.6-1)."""
    step: Identifier = {
        "ScheduledStationAETitle": station,
        "Modality": modality,
        "ScheduledProcedureStepStartDate": "",
        "ScheduledProcedureStepStartTime": "",
        "ScheduledProcedureStepDescription": "",
        "ScheduledProcedureStepID": "",
        "ScheduledProcedureStepStatus": "",
        "ScheduledProtocolCodeSequence": (),
    }
    keys: Identifier = {**dict.fromkeys(WANTED, ""), "ScheduledProcedureStepSequence": (step,)}
    return Query(keys, Model.WORKLIST, None)


def order_from(item: Identifier, now: datetime, station: str, modality: str, protocol: str) -> Order | None:
    """The order in a worklist item, if it can be begun; ``protocol`` stands in for none of ours."""
    steps = item.get("ScheduledProcedureStepSequence", ())
    status = next((step.get("ScheduledProcedureStepStatus", "") for step in steps if not isinstance(step, str)), "")
    if status not in CAN_BEGIN:
        return None
    order = order_from_item(item, scheduled=now, station=station)
    if not order.protocol or order.modality != modality:
        order = replace(order, protocol=order.protocol or protocol, modality=modality)
    return order if order.protocol else None
