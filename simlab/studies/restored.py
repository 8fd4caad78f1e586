"""What a received instance tells of the order that it answers, for whoever makes more of it."""

from __future__ import annotations

from datetime import date, datetime

from pydicom.dataset import Dataset

from simlab.studies.study import Order, Patient

UNKNOWN_BIRTH_DATE = date(1900, 1, 1)


def order_of(instance: Dataset) -> Order:
    """The order as far as an instance tells it; what it leaves out stays empty."""
    patient = Patient(
        id=str(instance.get("PatientID", "")),
        name=str(instance.get("PatientName", "")),
        birth_date=_date(str(instance.get("PatientBirthDate", "")), UNKNOWN_BIRTH_DATE),
        sex=str(instance.get("PatientSex", "") or "O"),
    )
    return Order(
        number=0,
        accession=str(instance.get("AccessionNumber", "")),
        study_uid=str(instance.StudyInstanceUID),
        step_id=str(instance.get("StudyID", "")),
        patient=patient,
        protocol=str(instance.get("ProtocolName", "")),
        description=str(instance.get("StudyDescription", "")),
        modality=str(instance.get("Modality", "")),
        station=str(instance.get("StationName", "")),
        scheduled=started_of(instance),
    )


def started_of(instance: Dataset) -> datetime:
    """Study Date and Time; midnight of 1900-01-01 if the instance has none that can be read."""
    day = _date(str(instance.get("StudyDate", "")), UNKNOWN_BIRTH_DATE)
    try:
        time = datetime.strptime(str(instance.get("StudyTime", ""))[:6], "%H%M%S").time()
    except ValueError:
        time = datetime.min.time()
    return datetime.combine(day, time)


def _date(text: str, otherwise: date) -> date:
    try:
        return datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return otherwise
