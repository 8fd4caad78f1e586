"""A study as a value: who, what and how many, but no pixels.

Workflows pass studies around in both worlds. Only the live data plane turns one into instances that have bytes.
All UIDs below the study follow from the Study Instance UID, so the same order gives the same instances anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, NamedTuple, TypeGuard, overload

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


@dataclass(frozen=True, slots=True)
class Study:
    """A study, or a selection of its instances.

    ``selected`` holds flat indices from 0, counted through the series in order; None means all of them.
    """

    order: Order
    series: tuple[Series, ...]
    started: datetime
    """Scenario time at which acquisition began; fills the DICOM dates and times."""
    selected: tuple[int, ...] | None = None
    total: int = field(init=False, repr=False, compare=False)
    """Number of instances in all series, selected or not."""
    _written_out: tuple[InstanceReference, ...] | None = field(default=None, init=False, repr=False, compare=False)
    _as_frozenset: frozenset[InstanceReference] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", sum([series.instances for series in self.series]))

    @property
    def uid(self) -> str:
        """Study Instance UID."""
        return self.order.study_uid

    @property
    def count(self) -> int:
        """Number of selected instances."""
        return self.total if self.selected is None else len(self.selected)

    @property
    def nominal_bytes(self) -> int:
        """About how many bytes the selected instances have when encoded without compression."""
        if self.selected is None:
            return sum([series.instances * series.nominal_bytes for series in self.series])
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

    @property
    def references(self) -> References:
        """References of the selected instances, in order."""
        return References(self)

    # Not cached_property: it needs a dict in every study, and a year has half a million of them.

    @property
    def written_out(self) -> tuple[InstanceReference, ...]:
        """The same, one by one: as many hashes as there are instances, the first time."""
        known = self._written_out
        if known is None:
            places = map(self.locate, self.indices)
            known = tuple(InstanceReference(series.sop_class, series.instance_uid(number)) for series, number in places)
            object.__setattr__(self, "_written_out", known)
        return known

    @property
    def as_frozenset(self) -> frozenset[InstanceReference]:
        """The same as a set of the usual kind."""
        known = self._as_frozenset
        if known is None:
            known = frozenset(self.written_out)
            object.__setattr__(self, "_as_frozenset", known)
        return known

    def select(self, indices: Iterable[int]) -> Study:
        """The same study with only these flat indices selected (a partial resend, say)."""
        return replace(self, selected=tuple(indices))

    def select_instances(self, sop_instances: Iterable[str]) -> Study:
        """The same study with only the selected instances whose SOP Instance UID is given."""
        wanted = set(sop_instances)
        return self.select(
            i for i, ref in zip(self.indices, self.written_out, strict=True) if ref.sop_instance in wanted
        )

    def select_references(self, references: AbstractSet[InstanceReference]) -> Study:
        """The same study with only the selected instances that are referred to."""
        chosen = self.references & references
        if isinstance(chosen, References):
            return chosen.study
        return self.select_instances(sop_instance for _, sop_instance in chosen)


NO_REFERENCES: frozenset[InstanceReference] = frozenset()
"""One for all: an empty set takes as much memory as a small one."""


class References(AbstractSet[InstanceReference], Sequence[InstanceReference]):
    """References of the selected instances of a study, in their order: a set and a sequence at once, and never changed.

    Each UID is a hash, and a study has hundreds of instances. So they are written out only where somebody looks at one.
    What belongs to one study is counted, compared, united and subtracted by its flat indices.
    """

    __slots__ = ("study",)

    def __init__(self, study: Study) -> None:
        self.study = study

    def __len__(self) -> int:
        return self.study.count

    def __iter__(self) -> Iterator[InstanceReference]:
        return iter(self.study.written_out)

    def __contains__(self, reference: object) -> bool:
        return reference in self.study.as_frozenset

    @overload
    def __getitem__(self, index: int) -> InstanceReference: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[InstanceReference, ...]: ...
    def __getitem__(self, index: int | slice) -> InstanceReference | tuple[InstanceReference, ...]:
        return self.study.written_out[index]

    def __repr__(self) -> str:
        return f"References({len(self)} of study {self.study.uid})"

    def __hash__(self) -> int:
        return hash(self.study.as_frozenset)

    def __eq__(self, other: object) -> bool:
        """As sets are equal, or, with a tuple, as tuples are."""
        if self._akin(other):
            mine, theirs = self.study, other.study
            return mine.selected == theirs.selected or (
                mine.count == theirs.count and set(mine.indices) == set(theirs.indices)
            )
        if isinstance(other, tuple):
            return self.study.written_out == other
        return self.study.as_frozenset == other if isinstance(other, AbstractSet) else NotImplemented

    def __and__(self, other: AbstractSet[Any]) -> AbstractSet[InstanceReference]:
        if self._akin(other):
            if other.study.selected is None:
                return self
            theirs = set(other.study.selected)
            return self._chosen(index for index in self.study.indices if index in theirs)
        return self.study.as_frozenset & _frozen(other) if other else NO_REFERENCES

    def __or__(self, other: AbstractSet[Any]) -> AbstractSet[Any]:
        if self._akin(other):
            if self.study.selected is None:
                return self
            return self._chosen(sorted({*self.study.selected, *other.study.indices}))
        return self.study.as_frozenset | _frozen(other) if other else self

    def __sub__(self, other: AbstractSet[Any]) -> AbstractSet[InstanceReference]:
        if self._akin(other):
            if other.study.selected is None:
                return NO_REFERENCES
            theirs = set(other.study.selected)
            return self._chosen(index for index in self.study.indices if index not in theirs)
        return self.study.as_frozenset - _frozen(other) if other else self

    def __rsub__(self, other: AbstractSet[Any]) -> AbstractSet[Any]:
        return _frozen(other) - self.study.as_frozenset if other else NO_REFERENCES

    __rand__ = __and__
    __ror__ = __or__

    def _akin(self, other: object) -> TypeGuard[References]:
        """Whether the other one refers to instances of the same study."""
        if not isinstance(other, References):
            return False
        mine, theirs = self.study.series, other.study.series
        return mine is theirs or mine == theirs

    def _chosen(self, indices: Iterable[int]) -> AbstractSet[InstanceReference]:
        chosen = tuple(indices)
        if len(chosen) == len(self):
            return self
        whole = len(chosen) == self.study.total
        return References(replace(self.study, selected=None if whole else chosen)) if chosen else NO_REFERENCES


def _frozen(references: AbstractSet[Any]) -> frozenset[Any]:
    return references.study.as_frozenset if isinstance(references, References) else frozenset(references)
