"""A study as a value: who, what and how many, but no pixels.

Workflows pass studies around in both worlds. Only the live data plane turns one into instances that have bytes.
All UIDs below the study follow from the Study Instance UID, so the same order gives the same instances anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from typing import NamedTuple

from simlab.studies.uids import derive_uid


class InstanceReference(NamedTuple):
    """What DICOM calls a referenced SOP: class and instance UID (PS3.3 section 10.8)."""

    sop_class: str
    sop_instance: str


@dataclass(frozen=True, slots=True)
class Patient:
    """A synthetic patient. ``id`` starts with ``SIM-`` so that nobody takes one for real."""

    id: str
    name: str
    """Person name in DICOM's form, ``Family^Given^Middle^Prefix^Suffix`` (PS3.5 section 6.2.1)."""
    birth_date: date
    sex: str
    """M, F or O."""


@dataclass(frozen=True, slots=True)
class Order:
    """A requested procedure with its one scheduled step: what the worklist hands to a scanner."""

    number: int
    """Counts the orders of one order book from 1; faults and schedules count by it, never by arrival."""
    accession: str
    study_uid: str
    step_id: str
    patient: Patient
    protocol: str
    description: str
    modality: str
    station: str
    """AE title of the one station that is to do the step."""
    scheduled: datetime
    """Scenario time at which the step is scheduled to start."""
    referring_physician: str = ""

    @property
    def performed_step_id(self) -> str:
        """Performed Procedure Step ID (0040,0253), at most 16 characters: P in place of the S of "scheduled"."""
        return f"P{self.step_id.removeprefix('S')}"[:16]


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a study. Its instances are numbered from 1."""

    number: int
    uid: str
    modality: str
    sop_class: str
    description: str
    instances: int
    nominal_bytes: int
    """About how large one encoded instance is, in bytes: what the virtual world moves."""

    def instance_uid(self, number: int) -> str:
        """SOP Instance UID of instance ``number`` (from 1)."""
        return derive_uid(self.uid, "instance", number)


@dataclass(frozen=True)
class Study:
    """A study, or a selection of its instances.

    ``selected`` holds flat indices from 0, counted through the series in order; None means all of them.
    """

    order: Order
    series: tuple[Series, ...]
    started: datetime
    """Scenario time at which acquisition began; fills the DICOM dates and times."""
    selected: tuple[int, ...] | None = None

    @property
    def uid(self) -> str:
        """Study Instance UID."""
        return self.order.study_uid

    @property
    def total(self) -> int:
        """Number of instances in all series, selected or not."""
        return sum(series.instances for series in self.series)

    @property
    def count(self) -> int:
        """Number of selected instances."""
        return self.total if self.selected is None else len(self.selected)

    @property
    def nominal_bytes(self) -> int:
        """About how many bytes the selected instances have when encoded without compression."""
        if self.selected is None:
            return sum(series.instances * series.nominal_bytes for series in self.series)
        return sum(self.locate(index)[0].nominal_bytes for index in self.selected)

    @property
    def indices(self) -> Iterable[int]:
        """Flat indices of the selected instances."""
        return range(self.total) if self.selected is None else self.selected

    def locate(self, index: int) -> tuple[Series, int]:
        """The series of flat index ``index``, and the instance number in it (from 1). Raises IndexError."""
        rest = index
        for series in self.series:
            if 0 <= rest < series.instances:
                return series, rest + 1
            rest -= series.instances
        raise IndexError(f"study has {self.total} instances, no index {index}")

    def reference(self, index: int) -> InstanceReference:
        """SOP Class and Instance UID of flat index ``index``."""
        series, number = self.locate(index)
        return InstanceReference(series.sop_class, series.instance_uid(number))

    def __iter__(self) -> Iterator[InstanceReference]:
        """References of the selected instances, in order."""
        return iter(self.references)

    @cached_property
    def references(self) -> tuple[InstanceReference, ...]:
        """References of the selected instances, in order."""
        return tuple(self.reference(index) for index in self.indices)

    def select(self, indices: Iterable[int]) -> Study:
        """The same study with only these flat indices selected (a partial resend, say)."""
        return replace(self, selected=tuple(indices))

    def select_instances(self, sop_instances: Iterable[str]) -> Study:
        """The same study with only the selected instances whose SOP Instance UID is given."""
        wanted = set(sop_instances)
        return self.select(
            i for i, ref in zip(self.indices, self.references, strict=True) if ref.sop_instance in wanted
        )
