"""Key images: a Key Object Selection Document (PS3.3 A.35.4, PS3.16 TID 2010) that marks a few of a study's images."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from simlab.studies.instances import add_equipment, add_file_meta
from simlab.studies.reformat import STUDY_LEVEL
from simlab.studies.sop_classes import KEY_OBJECT_SELECTION
from simlab.studies.study import Series, Study
from simlab.studies.uids import derive_uid

SERIES_NUMBER = 900
NOMINAL_BYTES = 1900
"""About how large a selection of a few images is when encoded."""


def plan_key_objects(study: Study) -> Series:
    """The series that :func:`select_key_objects` would make for a study."""
    return _planned(study.uid)


def _planned(study_uid: str) -> Series:
    uid = derive_uid(study_uid, "key objects")
    return Series(SERIES_NUMBER, uid, "KO", KEY_OBJECT_SELECTION, "Key images", 1, NOMINAL_BYTES)


def select_key_objects(instances: Sequence[Dataset], count: int = 3) -> tuple[Series, Dataset]:
    """Mark ``count`` images, evenly spread over the study, as being of interest. Raises ValueError without images."""
    images = sorted(
        (instance for instance in instances if "PixelData" in instance),
        key=lambda instance: (int(instance.get("SeriesNumber") or 0), int(instance.get("InstanceNumber") or 0)),
    )
    if not images:
        raise ValueError("no images to mark")
    count = min(count, len(images))
    chosen = [images[(2 * k + 1) * len(images) // (2 * count)] for k in range(count)]
    first = images[0]
    series = _planned(str(first.StudyInstanceUID))
    document = Dataset()
    for keyword in STUDY_LEVEL:
        if keyword in first:
            document[keyword] = first[keyword]
    document.SOPClassUID = series.sop_class
    document.SOPInstanceUID = series.instance_uid(1)
    document.Modality = series.modality
    document.SeriesInstanceUID = series.uid
    document.SeriesNumber = series.number
    document.SeriesDescription = series.description
    document.ReferencedPerformedProcedureStepSequence = []
    add_equipment(document, "")
    document.InstanceNumber = 1
    document.ContentDate, document.ContentTime = first.ContentDate, first.ContentTime
    document.CurrentRequestedProcedureEvidenceSequence = [_evidence(chosen)]
    _add_content(document, chosen)
    add_file_meta(document)
    return series, document


def _evidence(images: Sequence[Dataset]) -> Dataset:
    """Hierarchical SOP instance reference of everything that the document refers to (PS3.3 C.17.2.1)."""
    study = Dataset()
    study.StudyInstanceUID = images[0].StudyInstanceUID
    by_series: dict[str, list[Dataset]] = {}
    for image in images:
        by_series.setdefault(str(image.SeriesInstanceUID), []).append(_reference(image))
    study.ReferencedSeriesSequence = []
    for uid, references in by_series.items():
        item = Dataset()
        item.SeriesInstanceUID = uid
        item.ReferencedSOPSequence = references
        study.ReferencedSeriesSequence.append(item)
    return study


def _add_content(document: Dataset, images: Sequence[Dataset]) -> None:
    """The content tree of TID 2010: a container titled "Of Interest" that holds the images."""
    document.ValueType = "CONTAINER"
    document.ConceptNameCodeSequence = [_code("113000", "DCM", "Of Interest")]
    document.ContinuityOfContent = "SEPARATE"
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
    document.ContentTemplateSequence = [template]
    document.ContentSequence = []
    for image in images:
        item = Dataset()
        item.RelationshipType = "CONTAINS"
        item.ValueType = "IMAGE"
        item.ReferencedSOPSequence = [_reference(image)]
        document.ContentSequence.append(item)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _reference(image: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = image.SOPClassUID
    reference.ReferencedSOPInstanceUID = image.SOPInstanceUID
    return reference
