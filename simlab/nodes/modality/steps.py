"""The attribute lists of a Modality Performed Procedure Step (PS3.4 table F.7.2-1)."""

from __future__ import annotations

from datetime import datetime

from simlab.network.query import Identifier
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
        "ScheduledStepAttributesSequence": (scheduled,),
        "PatientName": patient.name,
        "PatientID": patient.id,
        "PatientBirthDate": f"{patient.birth_date:%Y%m%d}",
        "PatientSex": patient.sex,
        "ReferencedPatientSequence": (),
        "PerformedProcedureStepID": order.performed_step_id,
        "PerformedStationAETitle": station,
        "PerformedStationName": station,
        "PerformedLocation": "",
        "PerformedProcedureStepStartDate": f"{study.started:%Y%m%d}",
        "PerformedProcedureStepStartTime": f"{study.started:%H%M%S}",
        "PerformedProcedureStepEndDate": "",
        "PerformedProcedureStepEndTime": "",
        "PerformedProcedureStepStatus": "IN PROGRESS",
        "PerformedProcedureStepDescription": order.description,
        "PerformedProcedureTypeDescription": "",
        "ProcedureCodeSequence": (),
        "Modality": order.modality,
        "StudyID": "",
        "PerformedProtocolCodeSequence": (),
        "PerformedSeriesSequence": (),
    }


def completed_step(study: Study, ended: datetime) -> Identifier:
    """N-SET: COMPLETED, with every series that was acquired."""
    return {
        "PerformedProcedureStepStatus": "COMPLETED",
        "PerformedProcedureStepEndDate": f"{ended:%Y%m%d}",
        "PerformedProcedureStepEndTime": f"{ended:%H%M%S}",
        "PerformedSeriesSequence": tuple(_performed_series(series, study) for series in study.series),
    }


def discontinued_step(ended: datetime) -> Identifier:
    """N-SET: DISCONTINUED."""
    return {
        "PerformedProcedureStepStatus": "DISCONTINUED",
        "PerformedProcedureStepEndDate": f"{ended:%Y%m%d}",
        "PerformedProcedureStepEndTime": f"{ended:%H%M%S}",
    }


def _performed_series(series: Series, study: Study) -> Identifier:
    images = tuple(
        {"ReferencedSOPClassUID": series.sop_class, "ReferencedSOPInstanceUID": series.instance_uid(number)}
        for number in range(1, series.instances + 1)
    )
    return {
        "PerformingPhysicianName": "",
        "OperatorsName": "",
        "ProtocolName": study.order.protocol,
        "SeriesInstanceUID": series.uid,
        "SeriesDescription": series.description,
        "RetrieveAETitle": "",
        "ReferencedImageSequence": images,
        "ReferencedNonImageCompositeSOPInstanceSequence": (),
    }
