"""Which SOP class asks what of which information model (PS3.4 tables C.6.1.3-1, C.6.2.3-1 and K.5-1)."""

from __future__ import annotations

from pynetdicom.sop_class import (
    ModalityWorklistInformationFind,
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from simlab.network.query import Model

FIND = {
    Model.PATIENT_ROOT: PatientRootQueryRetrieveInformationModelFind,
    Model.STUDY_ROOT: StudyRootQueryRetrieveInformationModelFind,
    Model.WORKLIST: ModalityWorklistInformationFind,
}
MOVE = {
    Model.PATIENT_ROOT: PatientRootQueryRetrieveInformationModelMove,
    Model.STUDY_ROOT: StudyRootQueryRetrieveInformationModelMove,
}
GET = {
    Model.PATIENT_ROOT: PatientRootQueryRetrieveInformationModelGet,
    Model.STUDY_ROOT: StudyRootQueryRetrieveInformationModelGet,
}

MODELS: dict[str, Model] = {sop_class: model for by_model in (FIND, MOVE, GET) for model, sop_class in by_model.items()}
"""The information model of every such SOP class."""
