"""The attribute lists of a Modality Performed Procedure Step (PS3.4 table F.7.2-1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from simlab.network.query import Identifier, Value
from simlab.studies.study import Series, Study


def created_step(study: Study, station: str) -> Identifier:
    """N-CREATE: IN PROGRESS."""
    order, patient = study.order, study.order.patient
    scheduled: Identifier = {
        "StudyInstanceUID": study.uid,
        "ReferencedStudySequence": (),
        "AccessionNumber": order.accession,
        "RequestedProcedureID": f"RP{order.number}",
        "RequestedProcedureDescription": order.description,
        "ScheduledProcedureStepID": order.step_id,
        "ScheduledProcedureStepDescription": order.description,
        "ScheduledProtocolCodeSequence": (),
    }
    return {
        **_EMPTY_AT_FIRST,
        "ScheduledStepAttributesSequence": (scheduled,),
        "PatientName": patient.name,
        "PatientID": patient.id,
        "PatientBirthDate": f"{patient.birth_date:%Y%m%d}",
        "PatientSex": patient.sex,
        "PerformedProcedureStepID": order.performed_step_id,
        "PerformedStationAETitle": station,
        "PerformedStationName": station,
        "PerformedProcedureStepStartDate": f"{study.started:%Y%m%d}",
        "PerformedProcedureStepStartTime": f"{study.started:%H%M%S}",
        "PerformedProcedureStepStatus": "IN PROGRESS",
        "PerformedProcedureStepDescription": order.description,
        "Modality": order.modality,
    }


_EMPTY_AT_FIRST: Identifier = {
    "ReferencedPatientSequence": (),
    "PerformedLocation": "",
    "PerformedProcedureStepEndDate": "",
    "PerformedProcedureStepEndTime": "",
    "PerformedProcedureTypeDescription": "",
    "ProcedureCodeSequence": (),
    "StudyID": "",
    "PerformedProtocolCodeSequence": (),
    "PerformedSeriesSequence": (),
}
"""Type 2 in N-CREATE: known to be empty."""


def completed_step(study: Study, ended: datetime) -> Identifier:
    """N-SET: COMPLETED, with every series that was acquired."""
    return {
        "PerformedProcedureStepStatus": "COMPLETED",
        "PerformedProcedureStepEndDate": f"{ended:%Y%m%d}",
        "PerformedProcedureStepEndTime": f"{ended:%H%M%S}",
        "PerformedSeriesSequence": tuple(PerformedSeries(series, study.order.protocol) for series in study.series),
    }


def discontinued_step(ended: datetime) -> Identifier:
    """N-SET: DISCONTINUED."""
    return {
        "PerformedProcedureStepStatus": "DISCONTINUED",
        "PerformedProcedureStepEndDate": f"{ended:%Y%m%d}",
        "PerformedProcedureStepEndTime": f"{ended:%H%M%S}",
    }


class PerformedSeries(Mapping[str, Value]):
    """An item of the Performed Series Sequence. It is made up when somebody reads it: every image has a UID."""

    __slots__ = ("_protocol", "_series")

    def __init__(self, series: Series, protocol: str) -> None:
        self._series = series
        self._protocol = protocol

    def __getitem__(self, keyword: str) -> Value:
        series = self._series
        match keyword:
            case "ProtocolName":
                return self._protocol
            case "SeriesInstanceUID":
                return series.uid
            case "SeriesDescription":
                return series.description
            case "ReferencedImageSequence":
                return tuple(
                    {"ReferencedSOPClassUID": series.sop_class, "ReferencedSOPInstanceUID": series.instance_uid(number)}
                    for number in range(1, series.instances + 1)
                )
            case "ReferencedNonImageCompositeSOPInstanceSequence":
                return ()
            case "PerformingPhysicianName" | "OperatorsName" | "RetrieveAETitle":
                return ""
        raise KeyError(keyword)

    def __iter__(self) -> Iterator[str]:
        return iter(_OF_SERIES)

    def __len__(self) -> int:
        return len(_OF_SERIES)


_OF_SERIES = (
    "PerformingPhysicianName",
    "OperatorsName",
    "ProtocolName",
    "SeriesInstanceUID",
    "SeriesDescription",
    "RetrieveAETitle",
    "ReferencedImageSequence",
    "ReferencedNonImageCompositeSOPInstanceSequence",
)
