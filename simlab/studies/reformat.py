"""Multi-planar reformat: coronal slices out of an axial stack, with the geometry to prove it.

The stack is resampled along its normal, from slice distance to pixel distance, so that the coronal pixels are square;
across it, slabs of about ``SLAB`` millimetres are averaged, as a workstation does to keep noise down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from simlab.studies.instances import add_equipment, add_file_meta, add_pixels, add_plane
from simlab.studies.planes import Orientation, Plane
from simlab.studies.protocols import HEADER_BYTES, SeriesPlan, get_protocol
from simlab.studies.study import Series, Study
from simlab.studies.uids import derive_uid

SLAB = 5.0
"""Thickness of a coronal slice in mm, about: a whole number of source pixels."""

SERIES_OFFSET = 500
"""Added to the source's Series Number: derived series stand behind all acquired ones."""

REFERENCE_BYTES = 90
"""About how many bytes the reference to one source image takes."""

EVEN = 0.01
"""How far slice distances may differ, as a share of the mean, before a stack counts as uneven."""


@dataclass(frozen=True, slots=True)
class CoronalGrid:
    """The grid of a coronal reformat of an axial stack of ``shape`` (slices, rows, columns)."""

    shape: tuple[int, int, int]
    slice_distance: float
    """Of the source, in mm."""
    row_spacing: float
    column_spacing: float
    """Of the source's pixels, in mm."""

    @property
    def pixels_per_slab(self) -> int:
        """Source rows that one coronal slice averages."""
        return max(1, round(SLAB / self.row_spacing))

    @property
    def slices(self) -> int:
        """Number of coronal slices; rows that do not fill a slab are left out."""
        return self.shape[1] // self.pixels_per_slab

    @property
    def rows(self) -> int:
        """Rows of a coronal slice: the height of the stack in pixels as wide as they are high."""
        return 1 + int((self.shape[0] - 1) * self.slice_distance / self.column_spacing + 1e-9)

    @property
    def columns(self) -> int:
        """Columns of a coronal slice: those of the source."""
        return self.shape[2]


# ---- without pixels


def source_plan(study: Study) -> SeriesPlan | None:
    """The plan of the series that is reformatted: the first axial one that was acquired; None if there is none."""
    if not study.order.protocol:
        return None
    return _source_plan(study.order.protocol, tuple(series.number for series in study.series))


@lru_cache
def _source_plan(protocol: str, acquired: tuple[int, ...]) -> SeriesPlan | None:
    plans = get_protocol(protocol).series
    return next((p for p in plans if p.orientation is Orientation.AXIAL and p.number in acquired), None)


def plan_reformat(study: Study) -> Series | None:
    """The series that :func:`reformat_coronal` would make of a study; None if it has no axial series."""
    plan = source_plan(study)
    if plan is None:
        return None
    source = next(series for series in study.series if series.number == plan.number)
    grid = CoronalGrid(plan.shape, plan.spacing_between_slices, plan.pixel_spacing, plan.pixel_spacing)
    return _derived_series(
        study.uid, source.uid, source.number, source.modality, source.sop_class, source.description, grid
    )


def _derived_series(
    study_uid: str, source_uid: str, number: int, modality: str, sop_class: str, description: str, grid: CoronalGrid
) -> Series:
    derived, nominal_bytes = _described(description, grid)
    return Series(
        number=SERIES_OFFSET + number,
        uid=derive_uid(study_uid, "coronal reformat", source_uid),
        modality=modality,
        sop_class=sop_class,
        description=derived,
        instances=grid.slices,
        nominal_bytes=nominal_bytes,
    )


@lru_cache(maxsize=64)
def _described(description: str, grid: CoronalGrid) -> tuple[str, int]:
    """Series Description and nominal size of a reformat: one value for all that are alike, since a year has many."""
    return f"{description} coronal", 2 * grid.rows * grid.columns + HEADER_BYTES + REFERENCE_BYTES * grid.shape[0]


# ---- with pixels


def source_series(instances: Sequence[Dataset]) -> list[Dataset]:
    """The instances of the axial series with the lowest Series Number, in order of position; [] if there is none.

    Only what comes from the examination itself (PS3.3 section C.7.6.1.1.2), be it after lossy compression.
    """
    axial = list(Orientation.AXIAL.cosines)
    stacks: dict[tuple[int, str], list[Dataset]] = {}
    for instance in instances:
        orientation = instance.get("ImageOrientationPatient")
        if orientation is None or [*instance.get("ImageType", ())][1:2] != ["PRIMARY"]:
            continue
        if np.allclose([float(value) for value in orientation], axial, atol=1e-4):
            key = int(instance.get("SeriesNumber") or 0), str(instance.SeriesInstanceUID)
            stacks.setdefault(key, []).append(instance)
    if not stacks:
        return []
    return sorted(stacks[min(stacks)], key=lambda instance: float(instance.ImagePositionPatient[2]))


def reformat_coronal(instances: Sequence[Dataset]) -> tuple[Series, list[Dataset]]:
    """Coronal slices out of the first axial series among ``instances``, from the patient's front to the back.

    Same study and frame of reference, new series, new instances. Raises ValueError if there is no axial stack of at
    least two evenly spaced slices.
    """
    stack = source_series(instances)
    if len(stack) < 2:
        raise ValueError("no axial series of at least two slices")
    heights = np.array([float(instance.ImagePositionPatient[2]) for instance in stack])
    distances = np.diff(heights)
    if distances.min() <= 0 or np.ptp(distances) > EVEN * distances.mean():
        raise ValueError("the slices of the axial series are not evenly spaced")
    first = stack[0]
    row_spacing, column_spacing = (float(value) for value in first.PixelSpacing)
    shape = len(stack), int(first.Rows), int(first.Columns)
    grid = CoronalGrid(shape, round(float(distances.mean()), 6), row_spacing, column_spacing)
    volume = np.stack([np.frombuffer(instance.PixelData, "<u2").reshape(shape[1:]) for instance in stack])
    slices = _resample(volume, grid)
    series = _derived_series(
        str(first.StudyInstanceUID),
        str(first.SeriesInstanceUID),
        int(first.SeriesNumber),
        str(first.Modality),
        str(first.SOPClassUID),
        str(first.get("SeriesDescription", "")),
        grid,
    )
    planes = [_plane(first, grid, float(heights[-1]), number) for number in range(1, grid.slices + 1)]
    derived = [
        _derive(stack, series, number, plane, slices[number - 1], grid) for number, plane in enumerate(planes, start=1)
    ]
    return series, derived


def _resample(volume: NDArray[np.uint16], grid: CoronalGrid) -> NDArray[np.uint16]:
    """Slab averages, then linear interpolation along the stack; shape (slices, rows, columns), head up."""
    per_slab = grid.pixels_per_slab
    slabs = volume[:, : grid.slices * per_slab].reshape(len(volume), grid.slices, per_slab, grid.columns)
    coronal = slabs.mean(axis=2, dtype=np.float32).transpose(1, 0, 2)
    # Rows run from the top of the stack downwards.
    position = (len(volume) - 1) - np.arange(grid.rows) * grid.column_spacing / grid.slice_distance
    below = np.clip(np.floor(position).astype(int), 0, len(volume) - 2)
    share = (position - below).astype(np.float32)[np.newaxis, :, np.newaxis]
    values = coronal[:, below] * (1 - share) + coronal[:, below + 1] * share
    stored: NDArray[np.uint16] = np.rint(values).astype(np.uint16)
    return stored


def _plane(first: Dataset, grid: CoronalGrid, top: float, number: int) -> Plane:
    """Where coronal slice ``number`` (from 1) lies: in the middle of its slab."""
    left, front, _ = (float(value) for value in first.ImagePositionPatient)
    middle = ((number - 1) + 0.5) * grid.pixels_per_slab - 0.5
    origin = (left, round(front + middle * grid.row_spacing, 6) + 0.0, top)
    return Plane(origin, Orientation.CORONAL, grid.rows, grid.columns, grid.column_spacing, grid.column_spacing)


STUDY_LEVEL = (
    *("SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("PatientAge", "PatientComments", "StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
    *("StudyID", "AccessionNumber", "StudyDescription", "ProcedureCodeSequence"),
)
"""What all instances of a study have in common: the patient and the study."""

COPIED = (
    *STUDY_LEVEL,
    *("Modality", "BodyPartExamined", "Laterality", "PatientPosition", "FrameOfReferenceUID", "SeriesDate"),
    *("PositionReferenceIndicator", "ProtocolName", "SeriesTime", "AcquisitionNumber", "AcquisitionDate"),
    *("AcquisitionTime", "RescaleIntercept", "RescaleSlope"),
    *("RescaleType", "KVP", "ConvolutionKernel", "ScanningSequence", "SequenceVariant", "ScanOptions"),
    *("MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength", "InversionTime", "ImagedNucleus"),
    *("MagneticFieldStrength", "WindowCenter", "WindowWidth", "ContentDate", "ContentTime"),
    *("LossyImageCompressionRatio", "LossyImageCompressionMethod"),
)
"""What a reformat has in common with its source: also the frame of reference, and how it was acquired."""


def _derive(
    stack: Sequence[Dataset], series: Series, number: int, plane: Plane, pixels: NDArray[np.uint16], grid: CoronalGrid
) -> Dataset:
    """One coronal instance."""
    first = stack[0]
    derived = Dataset()
    for keyword in COPIED:
        if keyword in first:
            derived[keyword] = first[keyword]
    derived.SOPClassUID = series.sop_class
    derived.SOPInstanceUID = series.instance_uid(number)
    derived.SeriesInstanceUID = series.uid
    derived.SeriesNumber = series.number
    derived.SeriesDescription = series.description
    derived.ImageType = ["DERIVED", "SECONDARY", "REFORMATTED"]
    derived.InstanceNumber = number
    derived.InstanceCreationDate, derived.InstanceCreationTime = first.ContentDate, first.ContentTime
    derived.PatientOrientation = ""
    derived.BurnedInAnnotation = "NO"
    derived.LossyImageCompression = first.get("LossyImageCompression", "00")
    derived.DerivationDescription = "Coronal multi-planar reformat"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "113072", "DCM", "Multiplanar reformatting"
    derived.DerivationCodeSequence = [code]
    derived.SourceImageSequence = [_reference(instance) for instance in stack]
    add_equipment(derived, "")
    add_plane(derived, plane)
    derived.SliceThickness = round(grid.pixels_per_slab * grid.row_spacing, 6)
    derived.SpacingBetweenSlices = derived.SliceThickness
    add_pixels(derived, pixels.astype("<u2").tobytes())
    add_file_meta(derived)
    return derived


def _reference(instance: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = instance.SOPClassUID
    reference.ReferencedSOPInstanceUID = instance.SOPInstanceUID
    return reference
