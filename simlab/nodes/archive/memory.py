"""What the archive of the virtual world holds: studies as values, without files, answering the same queries.

What is held whole, and asked for whole, is never written out instance by instance.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import NamedTuple, TypeAlias, overload

from simlab.faults import Known
from simlab.network.matching import has_wildcard, values_of
from simlab.network.query import STUDY, Identifier, Level, Query
from simlab.network.seam import Answer, Located
from simlab.nodes.archive.decisions import described
from simlab.nodes.archive.held import (
    HeldSeries,
    HeldStudy,
    all_numbers,
    image_attributes,
    patient_attributes,
    series_attributes,
)
from simlab.nodes.archive.hierarchy import answer, retrieve_keys
from simlab.nodes.archive.requests import MemoryRequests
from simlab.studies.study import InstanceReference, References, Study

Changed: TypeAlias = Callable[[str, frozenset[str]], object]
"""Told of a change: of which study, and of what modalities the study is or was."""


class _Place(NamedTuple):
    """Where an instance is."""

    held: HeldSeries
    number: int


class _Parts(Sequence[InstanceReference]):
    """The references of several study values, one after the other."""

    def __init__(self, parts: Sequence[References]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[InstanceReference]:
        return chain.from_iterable(self.parts)

    @overload
    def __getitem__(self, index: int) -> InstanceReference: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[InstanceReference, ...]: ...
    def __getitem__(self, index: int | slice) -> InstanceReference | tuple[InstanceReference, ...]:
        return tuple(self)[index]


class MemoryHoldings:
    """The virtual archive's holdings. One thread only, as the virtual world has one.

    Several study values may share a Study Instance UID, such as what was acquired and what was derived from it; the
    first one's patient and study attributes are those of the study.
    """

    def __init__(self, changed: Changed = lambda *_: None) -> None:
        self.requests = MemoryRequests()
        self._changed = changed
        self._studies: dict[str, HeldStudy] = {}
        """By UID, in order of arrival."""
        self._studies_of_patient: dict[str, tuple[str, ...]] = {}
        self._places: dict[str, _Place] = {}
        """By SOP Instance UID. Filled when one is first asked for without its study, since UIDs cost time."""
        self._placed: set[str] = set()
        """UIDs of the series whose instances are there."""
        self._unplaced: list[HeldSeries] = []
        """Those that were new since then."""

    def take(self, study: Study) -> None:
        """Hold the selected instances of a study too."""
        if study.count == 0:
            return
        if study.uid not in self._studies:
            self._studies[study.uid] = HeldStudy()
            patient = study.order.patient.id
            self._studies_of_patient[patient] = (*self._studies_of_patient.get(patient, ()), study.uid)
        holding = self._studies[study.uid]
        origin = holding.origin(study)
        first_index = 0
        chosen = None if study.selected is None else set(study.selected)
        for series in study.series:
            indices = range(first_index, first_index + series.instances)
            taken = indices if chosen is None else chosen.intersection(indices)
            if taken:
                held = holding.series.get(series.uid)
                if held is None:
                    held = holding.series[series.uid] = HeldSeries(origin, first_index, series)
                    self._unplaced.append(held)
                if len(taken) == series.instances:
                    held.numbers = all_numbers(series.instances)
                else:
                    held.add(taken)
            first_index += series.instances
        self._changed(study.uid, holding.modalities())

    def instances(self) -> int:
        """How many instances are held."""
        return sum(len(held.numbers) for holding in self._studies.values() for held in holding.series.values())

    def search(self, query: Query) -> Answer:
        """Answer a C-FIND (see :mod:`simlab.nodes.archive.hierarchy`)."""
        if query.among is None:
            return answer(query, self._candidates)
        among: Identifier = {STUDY: query.among}
        return answer(query, lambda level, keys: self._candidates(level, {**keys, **among}))

    def locate(self, query: Query) -> Located:
        """The instances that a C-MOVE or C-GET asks for; none if nothing is held under its unique keys."""
        keys, status = retrieve_keys(query)
        if not keys:
            return Located((), status)
        of_series = keys.get("SeriesInstanceUID")
        origins: dict[int, list[HeldSeries]] = {}
        for uid in self._narrowed(keys):
            for held in self._studies[uid].series.values():
                if of_series is None or held.series.uid in of_series:
                    origins.setdefault(id(held.origin), []).append(held)
        parts = [References(_selection(those)) for those in origins.values()]
        images = keys.get("SOPInstanceUID")
        if images is not None:
            return Located(tuple(each for each in _Parts(parts) if each.sop_instance in images), status)
        if len(parts) > 1:
            return Located(_Parts(parts), status)
        return Located(parts[0] if parts else (), status)

    def holds(self, references: Iterable[InstanceReference]) -> AbstractSet[InstanceReference]:
        """Which of these instances are held under this SOP class."""
        if isinstance(references, References) and self._has_all_of(references.study):
            return references
        return frozenset(
            reference
            for reference, place in self._places_of(references)
            if place is not None and place.held.series.sop_class == reference.sop_class
        )

    def conflicts(self, references: Iterable[InstanceReference]) -> AbstractSet[InstanceReference]:
        """Which of these are held, but under another SOP class."""
        return frozenset(
            reference
            for reference, place in self._places_of(references)
            if place is not None and place.held.series.sop_class != reference.sop_class
        )

    def waiting(self, references: Iterable[InstanceReference]) -> frozenset[InstanceReference]:
        """None: there is always room."""
        del references
        return frozenset()

    def describe(self, references: Collection[InstanceReference]) -> dict[str, Known]:
        """What the fault plan goes by, for each of these SOP Instance UIDs."""
        places = self._places_of(references)
        known = {
            uid: Known(place.held.origin.order.accession, place.number)
            for (_, uid), place in places
            if place is not None
        }
        return described(references, known)

    def forget(self, references: Iterable[InstanceReference]) -> None:
        """Lose instances, and the series, studies and patients that have none left."""
        lost: dict[str, frozenset[str]] = {}
        for _, place in list(self._places_of(references)):
            if place is None:
                continue
            held, number = place
            lost.setdefault(held.origin.uid, self._studies[held.origin.uid].modalities())
            held.numbers = {*held.numbers} - {number}
            if not held.numbers:
                self._forget_series(held)
        for study, modalities in lost.items():
            self._changed(study, modalities)

    def _forget_series(self, held: HeldSeries) -> None:
        study = held.origin.uid
        if held.series.uid in self._placed:
            self._placed.remove(held.series.uid)
            for number in all_numbers(held.series.instances):
                del self._places[held.series.instance_uid(number)]
        del self._studies[study].series[held.series.uid]
        if not self._studies[study].series:
            del self._studies[study]
            patient = held.origin.order.patient.id
            left = tuple(uid for uid in self._studies_of_patient[patient] if uid != study)
            if left:
                self._studies_of_patient[patient] = left
            else:
                del self._studies_of_patient[patient]

    def studies_of(self, references: Iterable[InstanceReference]) -> list[Study]:
        """These instances, as far as they are held, as selections of the studies that they came in."""
        parts = references.parts if isinstance(references, _Parts) else (references,)
        if all(isinstance(part, References) and self._has_all_of(part.study) for part in parts):
            return [part.study for part in parts if isinstance(part, References)]
        origins: dict[int, tuple[Study, set[int]]] = {}
        for reference, place in self._places_of(references):
            if place is not None and place.held.series.sop_class == reference.sop_class:
                held, number = place
                _, indices = origins.setdefault(id(held.origin), (held.origin, set()))
                indices.add(held.first_index + number - 1)
        return [
            study if len(indices) == study.total else study.select(sorted(indices))
            for study, indices in origins.values()
        ]

    def _has_all_of(self, study: Study) -> bool:
        """Whether every series of a study is held, whole and under its SOP class."""
        holding = self._studies.get(study.uid)
        return holding is not None and all(
            (held := holding.series.get(series.uid)) is not None
            and held.whole
            and held.series.sop_class == series.sop_class
            for series in study.series
        )

    def _places_of(self, references: Iterable[InstanceReference]) -> Iterator[tuple[InstanceReference, _Place | None]]:
        """Where each of these instances is; None for one that is not held."""
        if not isinstance(references, References):
            yield from ((reference, self._place(reference.sop_instance)) for reference in references)
            return
        study, holding = references.study, self._studies.get(references.study.uid, HeldStudy())
        for reference, index in zip(references, study.indices, strict=True):
            series, number = study.locate(index)
            held = holding.series.get(series.uid)
            yield reference, _Place(held, number) if held is not None and number in held.numbers else None

    def _place(self, sop_instance: str) -> _Place | None:
        if sop_instance not in self._places:
            for held in self._unplaced:
                if self._holds(held):
                    self._placed.add(held.series.uid)
                    for number in all_numbers(held.series.instances):
                        self._places[held.series.instance_uid(number)] = _Place(held, number)
            self._unplaced.clear()
        place = self._places.get(sop_instance)
        return place if place is not None and place.number in place.held.numbers else None

    def _holds(self, held: HeldSeries) -> bool:
        """Whether a series has not been forgotten."""
        study = self._studies.get(held.origin.uid)
        return study is not None and study.series.get(held.series.uid) is held

    def _narrowed(self, keys: Identifier) -> Iterable[str]:
        """UIDs of the studies that can match: those with one of the UIDs, patients or instances that are named."""
        uids = values_of("StudyInstanceUID", keys.get("StudyInstanceUID", ""))
        narrowed = [uid for uid in dict.fromkeys(uids) if uid in self._studies] if uids else list(self._studies)
        patients = values_of("PatientID", keys.get("PatientID", ""))
        if patients and not any(map(has_wildcard, patients)):
            theirs = dict.fromkeys(uid for patient in patients for uid in self._studies_of_patient.get(patient, ()))
            narrowed = [uid for uid in narrowed if uid in theirs] if uids else list(theirs)
        instances = values_of("SOPInstanceUID", keys.get("SOPInstanceUID", ""))
        if instances and not any(map(has_wildcard, instances)):
            places = map(self._place, instances)
            holders = {place.held.origin.uid for place in places if place is not None}
            narrowed = [uid for uid in narrowed if uid in holders]
        return narrowed

    def _candidates(self, level: Level, keys: Identifier) -> Iterator[Identifier]:
        if level is Level.PATIENT:
            yield from self._patients(keys)
            return
        for uid in self._narrowed(keys):
            study = self._studies[uid].attributes(keys)
            if level is Level.STUDY:
                yield study
                continue
            for held in self._studies[uid].series.values():
                series = study | series_attributes(held, keys)
                if level is Level.SERIES:
                    yield series
                    continue
                for number in sorted(held.numbers):
                    yield series | image_attributes(held, number)

    def _patients(self, keys: Identifier) -> Iterator[Identifier]:
        narrowed = set(self._narrowed({"PatientID": keys.get("PatientID", "")}))
        for studies in self._studies_of_patient.values():
            if narrowed.isdisjoint(studies):
                continue
            series = [held for uid in studies for held in self._studies[uid].series.values()]
            yield patient_attributes(series[0].origin.order.patient, keys) | {
                "NumberOfPatientRelatedStudies": str(len(studies)),
                "NumberOfPatientRelatedSeries": str(len(series)),
                "NumberOfPatientRelatedInstances": str(sum(len(held.numbers) for held in series)),
            }


def _selection(series: Sequence[HeldSeries]) -> Study:
    """What is held of some series that came in one study value."""
    origin = series[0].origin
    if sum(len(held.numbers) for held in series) == origin.total:
        return origin
    return origin.select(sorted(chain.from_iterable(held.indices() for held in series)))
