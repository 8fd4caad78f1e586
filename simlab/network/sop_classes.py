"""The SOP classes of services (PS3.6 table A-1), the same in both worlds; those of stored objects are with studies."""

from __future__ import annotations

from pydicom.uid import UID

from simlab.network.query import Model

VERIFICATION = UID("1.2.840.10008.1.1")
STORAGE_COMMITMENT = UID("1.2.840.10008.1.20.1")
"""Storage Commitment Push Model."""
PERFORMED_PROCEDURE_STEP = UID("1.2.840.10008.3.1.2.3.3")
"""Modality Performed Procedure Step."""

FIND = {
    Model.PATIENT_ROOT: UID("1.2.840.10008.5.1.4.1.2.1.1"),
    Model.STUDY_ROOT: UID("1.2.840.10008.5.1.4.1.2.2.1"),
    Model.WORKLIST: UID("1.2.840.10008.5.1.4.31"),
}
MOVE = {
    Model.PATIENT_ROOT: UID("1.2.840.10008.5.1.4.1.2.1.2"),
    Model.STUDY_ROOT: UID("1.2.840.10008.5.1.4.1.2.2.2"),
}
GET = {
    Model.PATIENT_ROOT: UID("1.2.840.10008.5.1.4.1.2.1.3"),
    Model.STUDY_ROOT: UID("1.2.840.10008.5.1.4.1.2.2.3"),
}
"""Which SOP class asks what of which information model (PS3.4 C.6 and K.5)."""

MODELS: dict[str, Model] = {sop_class: model for by_model in (FIND, MOVE, GET) for model, sop_class in by_model.items()}
"""The information model of every such SOP class."""
