"""The query/retrieve hierarchy: patient, study, series, image (PS3.4 C.6), as both worlds' archives answer it.

The identifier of a query may leave out the unique keys of higher levels: every query is answered as a relational one
(PS3.4 C.4.1.2.2 and C.4.1.3.2), negotiated or not, as archives in the field do. Keys of a higher level match and return
at the lower ones (PatientName in a STUDY query); keys of a lower level neither match nor narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeAlias

from simlab.network.matching import matches, narrowing_keys, return_keys, supported_keys, values_of
from simlab.network.query import Identifier, Level, Model, Query
from simlab.network.seam import Answer, Status

LEVELS = tuple(Level)

UNIQUE_KEY = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}

_STORED_TEXT = {
    Level.PATIENT: """
        PatientName PatientID IssuerOfPatientID PatientBirthDate PatientBirthTime PatientSex OtherPatientIDs
        OtherPatientNames EthnicGroup PatientComments PatientSpeciesDescription ReferencedPatientSequence
    """,
    Level.STUDY: """
        StudyInstanceUID StudyDate StudyTime AccessionNumber StudyID StudyDescription ReferringPhysicianName
        NameOfPhysiciansReadingStudy PhysiciansOfRecord AdmittingDiagnosesDescription PatientAge PatientSize
        PatientWeight Occupation AdditionalPatientHistory ProcedureCodeSequence IssuerOfAccessionNumberSequence
        ReferencedStudySequence AdmissionID
    """,
    Level.SERIES: """
        SeriesInstanceUID Modality SeriesNumber SeriesDescription SeriesDate SeriesTime BodyPartExamined Laterality
        ProtocolName PatientPosition PerformingPhysicianName OperatorsName Manufacturer ManufacturerModelName
        StationName InstitutionName InstitutionalDepartmentName FrameOfReferenceUID PerformedProcedureStepID
        PerformedProcedureStepStartDate PerformedProcedureStepStartTime PerformedProcedureStepDescription
        RequestAttributesSequence
    """,
    Level.IMAGE: """
        SOPInstanceUID SOPClassUID InstanceNumber ImageType ContentDate ContentTime AcquisitionDate AcquisitionTime
        AcquisitionDateTime AcquisitionNumber InstanceCreationDate InstanceCreationTime NumberOfFrames Rows Columns
        BitsAllocated BitsStored SamplesPerPixel PhotometricInterpretation SliceLocation ImageComments ContentLabel
        ContentDescription ConceptNameCodeSequence CompletionFlag VerificationFlag DerivationDescription
    """,
}
STORED = {level: frozenset(text.split()) for level, text in _STORED_TEXT.items()}
"""Keywords that are read from instances, by the level to which they belong."""

COMPUTED = {
    Level.PATIENT: frozenset(
        {"NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances"}
    ),
    Level.STUDY: frozenset(
        {"NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "ModalitiesInStudy", "SOPClassesInStudy"}
    ),
    Level.SERIES: frozenset({"NumberOfSeriesRelatedInstances"}),
    Level.IMAGE: frozenset({"AvailableTransferSyntaxUID"}),
}
"""Keywords whose values follow from what is held (PS3.4 C.3.4)."""

WRONG_IDENTIFIER = 0xA900
"""Identifier (or data set) does not match SOP class (PS3.4 tables B.2-1, C.4-1, C.4-2, C.4-3)."""

Candidates: TypeAlias = Callable[[Level, Identifier], Iterable[Identifier]]
"""Everything held at a level that could match the keys: at least what matches, with what the keys ask of all levels."""


def down_to(level: Level) -> tuple[Level, ...]:
    """The levels from the patient down to and including ``level``."""
    return LEVELS[: LEVELS.index(level) + 1]


_SUPPORTED: Mapping[Level, Identifier] = {
    level: {keyword: "" for above in down_to(level) for keyword in STORED[above] | COMPUTED[above]} for level in LEVELS
}
_ASKED: Mapping[Level, Callable[[Identifier], Identifier]] = {
    level: partial(supported_keys, supported=supported) for level, supported in _SUPPORTED.items()
}
_NARROWING: Mapping[Level, Callable[[Identifier], Identifier]] = {
    level: partial(narrowing_keys, supported=supported) for level, supported in _SUPPORTED.items()
}
"""What a query of a level asks of the attributes: all of it, and what narrows."""


def answer(query: Query, candidates: Candidates) -> Answer:
    """Answer a C-FIND. The source narrows, the matcher decides."""
    level, refusal = judge_level(query)
    if level is None:
        return Answer((), refusal)
    asked, narrowing = query.read(_ASKED[level]), query.read(_NARROWING[level])
    return Answer(tuple(return_keys(query.keys, each) for each in candidates(level, asked) if matches(narrowing, each)))


def retrieve_keys(query: Query) -> tuple[dict[str, tuple[str, ...]], Status]:
    """The unique keys with which a C-MOVE or C-GET names what it wants (PS3.4 C.4.2.1.4.1), or why it names nothing.

    Only unique keys count, from the query's level upwards: matching on others is not offered in a retrieve request.
    """
    level, refusal = judge_level(query)
    if level is None:
        return {}, refusal
    named = {
        keyword: values
        for keyword in (UNIQUE_KEY[above] for above in down_to(level))
        if (values := values_of(keyword, query.keys.get(keyword, "")))
    }
    if UNIQUE_KEY[level] not in named:
        return {}, Status(WRONG_IDENTIFIER, f"{UNIQUE_KEY[level]} is missing")
    return named, Status(0x0000)


def judge_level(query: Query) -> tuple[Level | None, Status]:
    """The level of a query if its information model has it, else None and the status that says why."""
    if query.model not in {Model.PATIENT_ROOT, Model.STUDY_ROOT}:
        return None, Status(WRONG_IDENTIFIER, "not a query/retrieve information model")
    if query.level is None:
        return None, Status(WRONG_IDENTIFIER, "Query/Retrieve Level is missing or unknown")
    if query.model is Model.STUDY_ROOT and query.level is Level.PATIENT:
        return None, Status(WRONG_IDENTIFIER, "study root has no PATIENT level")
    return query.level, Status(0x0000)
