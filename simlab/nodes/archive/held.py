"""A study in the memory of the virtual world's archive, and its attributes as queries see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache

from simlab.network.query import Identifier, Value
from simlab.studies.study import Patient, Series, Study


@cache
def all_numbers(instances: int) -> range:
    """The numbers of a series of so many instances: one value for all that are alike, since a year has many."""
    return range(1, instances + 1)


@dataclass(slots=True)
class HeldSeries:
    """One series as far as it is held."""

    origin: Study
    """The study value that it first came with, nothing selected."""
    first_index: int
    """Flat index of its first instance in ``origin``."""
    series: Series
    numbers: range | set[int] = range(0)
    """Instance numbers held, from 1."""

    @property
    def whole(self) -> bool:
        """Whether it is held in full."""
        return len(self.numbers) == self.series.instances

    def add(self, indices: Iterable[int]) -> None:
        """Hold the instances with these flat indices too."""
        if not self.whole:
            numbers = {*self.numbers, *(index - self.first_index + 1 for index in indices)}
            self.numbers = numbers if len(numbers) < self.series.instances else all_numbers(self.series.instances)

    def indices(self) -> Iterator[int]:
        """Flat indices of what is held, in order."""
        return (self.first_index + number - 1 for number in sorted(self.numbers))


@dataclass(slots=True)
class HeldStudy:
    """One study as far as it is held."""

    series: dict[str, HeldSeries] = field(default_factory=dict)
    """By UID, in order of arrival."""

    def origin(self, study: Study) -> Study:
        """One value for all parts of the same study, so that they can be put together again."""
        for held in self.series.values():
            if held.origin.series == study.series:
                return held.origin
        return study if study.selected is None else replace(study, selected=None)

    def modalities(self) -> frozenset[str]:
        """Of its series."""
        return frozenset(held.series.modality for held in self.series.values())

    def attributes(self, keys: Identifier) -> dict[str, Value]:
        """What the keys ask of the patient and the study: those that it first came with."""
        origin = next(iter(self.series.values())).origin
        found = patient_attributes(origin.order.patient, keys)
        found |= {keyword: _OF_ORIGIN[keyword](origin) for keyword in keys if keyword in _OF_ORIGIN}
        return found | {keyword: _OF_STUDY[keyword](self) for keyword in keys if keyword in _OF_STUDY}


def patient_attributes(patient: Patient, keys: Identifier) -> dict[str, Value]:
    """What the keys ask of a patient."""
    return {keyword: _OF_PATIENT[keyword](patient) for keyword in keys if keyword in _OF_PATIENT}


def series_attributes(held: HeldSeries, keys: Identifier) -> dict[str, Value]:
    """What the keys ask of a series."""
    return {keyword: _OF_SERIES[keyword](held) for keyword in keys if keyword in _OF_SERIES}


def image_attributes(held: HeldSeries, number: int) -> dict[str, Value]:
    """Of one instance."""
    return {
        "SOPClassUID": held.series.sop_class,
        "SOPInstanceUID": held.series.instance_uid(number),
        "InstanceNumber": str(number),
    }


def _date(moment: datetime) -> str:
    return f"{moment:%Y%m%d}"


def _time(moment: datetime) -> str:
    return f"{moment:%H%M%S}"


_OF_PATIENT: Mapping[str, Callable[[Patient], Value]] = {
    "PatientName": lambda patient: patient.name,
    "PatientID": lambda patient: patient.id,
    "PatientBirthDate": lambda patient: patient.birth_date.isoformat().replace("-", ""),
    "PatientSex": lambda patient: patient.sex,
}

_OF_ORIGIN: Mapping[str, Callable[[Study], Value]] = {
    "StudyInstanceUID": lambda study: study.uid,
    "StudyDate": lambda study: _date(study.started),
    "StudyTime": lambda study: _time(study.started),
    "AccessionNumber": lambda study: study.order.accession,
    "StudyDescription": lambda study: study.order.description,
    "ReferringPhysicianName": lambda study: study.order.referring_physician,
}

_OF_STUDY: Mapping[str, Callable[[HeldStudy], Value]] = {
    "ModalitiesInStudy": lambda held: tuple(sorted(held.modalities())),
    "SOPClassesInStudy": lambda held: tuple(sorted({each.series.sop_class for each in held.series.values()})),
    "NumberOfStudyRelatedSeries": lambda held: str(len(held.series)),
    "NumberOfStudyRelatedInstances": lambda held: str(sum(len(each.numbers) for each in held.series.values())),
}

_OF_SERIES: Mapping[str, Callable[[HeldSeries], Value]] = {
    "SeriesInstanceUID": lambda held: held.series.uid,
    "SeriesNumber": lambda held: str(held.series.number),
    "Modality": lambda held: held.series.modality,
    "SeriesDescription": lambda held: held.series.description,
    "SeriesDate": lambda held: _date(held.origin.started),
    "SeriesTime": lambda held: _time(held.origin.started),
    "NumberOfSeriesRelatedInstances": lambda held: str(len(held.numbers)),
}
