"""Examination protocols: what a scanner acquires for an order, and how long that takes."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from pydicom.uid import CTImageStorage, MRImageStorage

from simlab.draws import Draws
from simlab.errors import UserError
from simlab.studies.planes import Orientation, Plane, Vector, stack_plane
from simlab.studies.study import Order, Series, Study
from simlab.studies.uids import derive_uid

CODING_SCHEME = "99SIMLAB"
"""Coding Scheme Designator of the procedure codes; 99 marks a private scheme (PS3.3 section 8.2)."""

HEADER_BYTES = 1700
"""About how many bytes an encoded image has besides its pixels."""

SOP_CLASSES = {"CT": str(CTImageStorage), "MR": str(MRImageStorage)}
"""UID of the storage SOP class of what a modality acquires."""


class Kernel(Enum):
    """Convolution Kernel (0018,1210) of a CT reconstruction."""

    SOFT = "SIM_SOFT"
    SHARP = "SIM_SHARP"


@dataclass(frozen=True, slots=True)
class CTAcquisition:
    """How a CT series is acquired and reconstructed (PS3.3 C.8.2.1)."""

    kernel: Kernel
    window: tuple[int, int]
    """Window Center and Width in HU."""
    tube_current: int = 200
    """X-Ray Tube Current in mA."""
    exposure_time: int = 500
    """Exposure Time in ms."""


@dataclass(frozen=True, slots=True)
class MRAcquisition:
    """How an MR series is acquired (PS3.3 C.8.3.1). Times in ms."""

    weighting: str
    sequence: str
    """Scanning Sequence (0018,0020): SE, or IR with an inversion."""
    repetition_time: float
    echo_time: float
    inversion_time: float = 0.0
    echo_train_length: int = 1


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """One series of a protocol."""

    number: int
    description: str
    orientation: Orientation
    instances: int
    rows: int
    columns: int
    pixel_spacing: float
    """Distance between pixels, the same both ways, in mm."""
    slice_thickness: float
    spacing_between_slices: float
    """From slice centre to slice centre, in mm."""
    acquisition: CTAcquisition | MRAcquisition
    centre: Vector = (0.0, 0.0, 0.0)
    """Centre of the stack in patient coordinates, in mm."""
    nominal_bytes: int = field(init=False, repr=False)
    """About how large one encoded instance is."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "nominal_bytes", 2 * self.rows * self.columns + HEADER_BYTES)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(instances, rows, columns)."""
        return self.instances, self.rows, self.columns

    @property
    def spacing(self) -> Vector:
        """Distances between neighbours along ``shape``, in mm."""
        return self.spacing_between_slices, self.pixel_spacing, self.pixel_spacing

    def plane(self, number: int) -> Plane:
        """Where instance ``number`` (from 1) lies in the patient."""
        return stack_plane(self.orientation, self.shape, self.spacing, number, self.centre)


@dataclass(frozen=True, slots=True)
class Protocol:
    """An examination protocol."""

    name: str
    modality: str
    description: str
    """Requested Procedure Description."""
    body_part: str
    """Body Part Examined (PS3.16 annex L)."""
    anatomy: str
    """Which phantom lies in the scanner: chest, head or knee."""
    code_value: str
    code_meaning: str
    mean_seconds: float
    """Mean duration of the examination in scenario seconds."""
    spread_seconds: float
    """Durations are uniform within this distance of the mean."""
    series: tuple[SeriesPlan, ...]
    laterality: str = ""
    """L or R for one of a paired body part, else empty."""

    def get_series(self, number: int) -> SeriesPlan:
        """The planned series with this Series Number. Raises KeyError for one that is not acquired, but derived."""
        for plan in self.series:
            if plan.number == number:
                return plan
        raise KeyError(f"{self.name} acquires no series {number}")


_T1 = MRAcquisition("T1", "SE", repetition_time=500, echo_time=10)
_T2 = MRAcquisition("T2", "SE", repetition_time=4500, echo_time=95, echo_train_length=12)
_FLAIR = MRAcquisition("FLAIR", "IR", repetition_time=9000, echo_time=95, inversion_time=2400, echo_train_length=16)
_PROTON_DENSITY = MRAcquisition("PD", "SE", repetition_time=2800, echo_time=22, echo_train_length=6)

_AXIAL, _SAGITTAL, _CORONAL = Orientation.AXIAL, Orientation.SAGITTAL, Orientation.CORONAL

# Rows: number, description, orientation, instances, rows, columns, pixel spacing, thickness, spacing, acquisition.
_CHEST = (
    SeriesPlan(1, "Chest soft 5.0", _AXIAL, 60, 512, 512, 0.75, 5.0, 5.0, CTAcquisition(Kernel.SOFT, (40, 400))),
    SeriesPlan(2, "Chest lung 5.0", _AXIAL, 60, 512, 512, 0.75, 5.0, 5.0, CTAcquisition(Kernel.SHARP, (-600, 1500))),
)
_HEAD = (
    SeriesPlan(
        1, "Head 4.5", _AXIAL, 32, 512, 512, 0.45, 4.5, 4.5, CTAcquisition(Kernel.SOFT, (40, 90), 300, 1000), (0, 0, 20)
    ),
)
_BRAIN = (
    SeriesPlan(1, "T1 sag", _SAGITTAL, 24, 256, 256, 0.9375, 5.0, 6.0, _T1, (0, 0, -10)),
    SeriesPlan(2, "T2 ax", _AXIAL, 28, 256, 256, 0.8984375, 4.5, 5.0, _T2, (0, 0, 20)),
    SeriesPlan(3, "FLAIR ax", _AXIAL, 28, 256, 256, 0.8984375, 4.5, 5.0, _FLAIR, (0, 0, 20)),
)
_KNEE = (
    SeriesPlan(1, "PD sag", _SAGITTAL, 26, 320, 320, 0.5, 3.5, 4.0, _PROTON_DENSITY),
    SeriesPlan(2, "PD cor", _CORONAL, 24, 320, 320, 0.5, 3.5, 4.0, _PROTON_DENSITY),
    SeriesPlan(3, "T2 ax", _AXIAL, 24, 320, 320, 0.5, 3.5, 4.0, _T2, (0, 0, 8)),
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol("ct-chest", "CT", "CT Chest", "CHEST", "chest", "CTCHEST", "CT of chest", 600, 180, _CHEST),
        Protocol("ct-head", "CT", "CT Head", "HEAD", "head", "CTHEAD", "CT of head", 480, 120, _HEAD),
        Protocol("mr-brain", "MR", "MR Brain", "BRAIN", "head", "MRBRAIN", "MR of brain", 1500, 300, _BRAIN),
        Protocol("mr-knee", "MR", "MR Knee left", "KNEE", "knee", "MRKNEE", "MR of left knee", 1200, 240, _KNEE, "L"),
    )
}


def get_protocol(name: str) -> Protocol:
    """The protocol of this name. Raises UserError that suggests the nearest name."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    nearest = difflib.get_close_matches(name, PROTOCOLS, n=1)
    hint = f'did you mean "{nearest[0]}"?' if nearest else f"there are {', '.join(PROTOCOLS)}"
    raise UserError(f'unknown protocol "{name}": {hint}')


def exam_seconds(draws: Draws, order: Order, protocol: Protocol) -> float:
    """How long this examination takes, in scenario seconds."""
    shortest, longest = (protocol.mean_seconds + sign * protocol.spread_seconds for sign in (-1, 1))
    return draws.uniform("examination", order.study_uid, shortest, longest)


def plan_series(order: Order, protocol: Protocol) -> tuple[Series, ...]:
    """The series that the protocol acquires for the order."""
    return tuple(
        Series(
            number=plan.number,
            uid=derive_uid(order.study_uid, "series", plan.number),
            modality=protocol.modality,
            sop_class=SOP_CLASSES[protocol.modality],
            description=plan.description,
            instances=plan.instances,
            nominal_bytes=plan.nominal_bytes,
        )
        for plan in protocol.series
    )


def plan_study(order: Order, started: datetime) -> Study:
    """The study that answers the order, as acquired from ``started`` (scenario time)."""
    return Study(order, plan_series(order, get_protocol(order.protocol)), started)
