"""Orders as worklist items and back (PS3.4 table K.6-1): what a worklist answers, and what a scanner reads from it."""

from __future__ import annotations

import re
from datetime import date, datetime

from simlab.network.query import Identifier, Value
from simlab.studies.study import Order, Patient
from simlab.studies.uids import derive_uid

CODING_SCHEME = "99SIMLAB"
"""Coding Scheme Designator of simlab's protocols; "99" marks a private scheme (PS3.3 section 8.2)."""

ISSUER_OF_PATIENT_ID = "SIMLAB"
UNKNOWN_BIRTH_DATE = date(1900, 1, 1)
"""Stands in an order whose worklist item had no birth date."""

_LONGEST_CODE_VALUE = 16
_REQUESTED_PROCEDURE_ID = re.compile(r"RP(\d{1,12})")


def worklist_item(order: Order, status: str = "SCHEDULED") -> Identifier:
    """The worklist item of an order. ``status`` is the Scheduled Procedure Step Status (PS3.3 C.4.10).

    The attributes that simlab has nothing to say of are there without a value: they are supported, and known to be
    empty.
    """
    codes = (_protocol_code(order),) if order.protocol else ()
    step: dict[str, Value] = {
        "ScheduledStationAETitle": order.station,
        "ScheduledProcedureStepStartDate": f"{order.scheduled:%Y%m%d}",
        "ScheduledProcedureStepStartTime": f"{order.scheduled:%H%M%S}",
        "Modality": order.modality,
        "ScheduledPerformingPhysicianName": "",
        "ScheduledProcedureStepDescription": order.description,
        "ScheduledProtocolCodeSequence": codes,
        "ScheduledProcedureStepID": order.step_id,
        "ScheduledProcedureStepStatus": status,
        "ScheduledStationName": order.station,
        "ScheduledProcedureStepLocation": "",
        "PreMedication": "",
        "RequestedContrastAgent": "",
        "CommentsOnTheScheduledProcedureStep": "",
    }
    patient = order.patient
    return {
        **_KNOWN_EMPTY,
        "PatientName": patient.name,
        "PatientID": patient.id,
        "IssuerOfPatientID": ISSUER_OF_PATIENT_ID,
        "PatientBirthDate": patient.birth_date.isoformat().replace("-", ""),
        "PatientSex": patient.sex,
        "AccessionNumber": order.accession,
        "ReferringPhysicianName": order.referring_physician,
        "RequestingPhysician": order.referring_physician,
        "StudyInstanceUID": order.study_uid,
        "RequestedProcedureID": f"RP{order.number}",
        "RequestedProcedureDescription": order.description,
        "RequestedProcedurePriority": "ROUTINE",
        "RequestedProcedureCodeSequence": codes,
        "ScheduledProcedureStepSequence": (step,),
    }


_EMPTY_TEXTS = (
    "AdditionalPatientHistory",
    "AdmissionID",
    "Allergies",
    "ConfidentialityConstraintOnPatientDataDescription",
    "CurrentPatientLocation",
    "MedicalAlerts",
    "NamesOfIntendedRecipientsOfResults",
    "OtherPatientIDs",
    "PatientComments",
    "PatientSize",
    "PatientState",
    "PatientTransportArrangements",
    "PatientWeight",
    "PregnancyStatus",
    "ReasonForTheRequestedProcedure",
    "RequestedProcedureComments",
    "RequestingService",
    "SpecialNeeds",
)
_EMPTY_SEQUENCES = ("ReferencedPatientSequence", "ReferencedStudySequence")
_KNOWN_EMPTY: Identifier = {**dict.fromkeys(_EMPTY_TEXTS, ""), **dict.fromkeys(_EMPTY_SEQUENCES, ())}


def with_status(item: Identifier, status: str) -> Identifier:
    """The same worklist item with another Scheduled Procedure Step Status."""
    step = _first_item(item, "ScheduledProcedureStepSequence")
    return {**item, "ScheduledProcedureStepSequence": ({**step, "ScheduledProcedureStepStatus": status},)}


def order_from_item(item: Identifier, *, scheduled: datetime, station: str = "", number: int = 0) -> Order:
    """The order behind a worklist item, be it one of simlab's or another system's, with whatever that leaves out.

    ``scheduled``, ``station`` and ``number`` stand for what the item does not say: the step's start, its station, and
    the order's number (only simlab's own items tell it, in the Requested Procedure ID). A protocol code of another
    coding scheme names none of simlab's protocols, so ``protocol`` is then "". A missing Study Instance UID is derived
    from the other identifiers, a missing sex is O, a missing birth date ``UNKNOWN_BIRTH_DATE``.
    """
    step = _first_item(item, "ScheduledProcedureStepSequence")
    accession, patient_id = _text(item, "AccessionNumber"), _text(item, "PatientID")
    step_id = _text(step, "ScheduledProcedureStepID")
    description = _text(step, "ScheduledProcedureStepDescription") or _text(item, "RequestedProcedureDescription")
    own_number = _REQUESTED_PROCEDURE_ID.fullmatch(_text(item, "RequestedProcedureID"))
    sex = _text(item, "PatientSex")
    return Order(
        number=int(own_number[1]) if own_number else number,
        accession=accession,
        study_uid=_text(item, "StudyInstanceUID") or derive_uid("worklist item", patient_id, accession, step_id),
        step_id=step_id,
        patient=Patient(
            id=patient_id,
            name=_text(item, "PatientName"),
            birth_date=_birth_date(_text(item, "PatientBirthDate")),
            sex=sex if sex in {"M", "F", "O"} else "O",
        ),
        protocol=_protocol(step) or _protocol(item, "RequestedProcedureCodeSequence"),
        description=description,
        modality=_text(step, "Modality"),
        station=_text(step, "ScheduledStationAETitle") or station,
        scheduled=_start(step, scheduled),
        referring_physician=_text(item, "ReferringPhysicianName"),
    )


def _protocol_code(order: Order) -> Identifier:
    # Code Value holds 16 characters; what is longer goes into Long Code Value (PS3.3 section 8.1).
    keyword = "CodeValue" if len(order.protocol) <= _LONGEST_CODE_VALUE else "LongCodeValue"
    return {
        keyword: order.protocol,
        "CodingSchemeDesignator": CODING_SCHEME,
        "CodeMeaning": order.description or order.protocol,
    }


def _protocol(holder: Identifier, keyword: str = "ScheduledProtocolCodeSequence") -> str:
    code = _first_item(holder, keyword)
    if _text(code, "CodingSchemeDesignator") != CODING_SCHEME:
        return ""
    return _text(code, "CodeValue") or _text(code, "LongCodeValue")


def _first_item(holder: Identifier, keyword: str) -> Identifier:
    value = holder.get(keyword, ())
    return next((item for item in value if not isinstance(item, str)), {})


def _text(holder: Identifier, keyword: str) -> str:
    value = holder.get(keyword, "")
    if isinstance(value, str):
        return value.strip()
    return next((text.strip() for text in value if isinstance(text, str)), "")


def _birth_date(text: str) -> date:
    moment = _moment(text, "000000")
    return UNKNOWN_BIRTH_DATE if moment is None else moment.date()


def _start(step: Identifier, otherwise: datetime) -> datetime:
    day = _text(step, "ScheduledProcedureStepStartDate")
    time = _text(step, "ScheduledProcedureStepStartTime").replace(":", "").partition(".")[0]
    return _moment(day, time.ljust(6, "0")) or otherwise


def _moment(day: str, time: str) -> datetime | None:
    """A date and time as YYYYMMDD and HHMMSS; None if they are no such thing."""
    text = day + time
    if len(day) != 8 or len(text) != 14 or not (text.isascii() and text.isdigit()):
        return None
    try:
        # Many times as fast as strptime.
        return datetime(int(day[:4]), int(day[4:6]), int(day[6:]), int(time[:2]), int(time[2:4]), int(time[4:]))
    except ValueError:
        return None
