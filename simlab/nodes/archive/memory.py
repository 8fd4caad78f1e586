"""What the archive of the virtual world holds: studies as values, without files, answering the same queries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from simlab.faults import Known
from simlab.network.matching import has_wildcard, values_of
from simlab.network.query import Identifier, Level, Query, Value
from simlab.network.seam import Answer, Located
from simlab.nodes.archive.decisions import described
from simlab.nodes.archive.hierarchy import answer, retrieve_keys
from simlab.nodes.archive.requests import MemoryRequests
from simlab.studies.study import InstanceReference, Series, Study


@dataclass(slots=True)
class _HeldSeries:
    """One series as far as it is held."""

    origin: Study
    """The study value that it first came with, nothing selected."""
    first_index: int
    """Flat index of its first instance in ``origin``."""
    series: Series
    numbers: set[int] = field(default_factory=set)
    """Instance numbers held, from 1."""

    def references(self) -> Iterator[InstanceReference]:
        for number in sorted(self.numbers):
            yield InstanceReference(self.series.sop_class, self.series.instance_uid(number))


class MemoryHoldings:
    """The virtual archive's holdings. One thread only, as the virtual world has one.

    Several study values may share a Study Instance UID, such as what was acquired and what was derived from it; the
    first one's patient and study attributes are those of the study.
    """

    def __init__(self) -> None:
        self.requests = MemoryRequests()
        self._studies: dict[str, dict[str, _HeldSeries]] = {}
        """By study and series UID, in order of arrival."""
        self._origins: dict[tuple[str, tuple[str, ...]], Study] = {}
        self._studies_of_patient: dict[str, dict[str, None]] = {}
        self._places: dict[str, tuple[_HeldSeries, int]] = {}
        """By SOP Instance UID: series and instance number. Filled when first asked for, since UIDs cost time."""
        self._unplaced: list[_HeldSeries] = []

    def take(self, study: Study) -> None:
        """Hold the selected instances of a study too."""
        if study.count == 0:
            return
        # One value for all parts of the same study, so that they can be put together again.
        identity = study.uid, tuple(series.uid for series in study.series)
        origin = self._origins.setdefault(identity, replace(study, selected=None))
        held = self._studies.setdefault(study.uid, {})
        self._studies_of_patient.setdefault(study.order.patient.id, {})[study.uid] = None
        first_index = 0
        chosen = None if study.selected is None else set(study.selected)
        for series in study.series:
            indices = range(first_index, first_index + series.instances)
            taken = indices if chosen is None else chosen.intersection(indices)
            if taken:
                if series.uid not in held:
                    held[series.uid] = _HeldSeries(origin, first_index, series)
                    self._unplaced.append(held[series.uid])
                held[series.uid].numbers.update(index - first_index + 1 for index in taken)
            first_index += series.instances

    def instances(self) -> int:
        """How many instances are held."""
        return sum(len(held.numbers) for series in self._studies.values() for held in series.values())

    def search(self, query: Query) -> Answer:
        """Answer a C-FIND (see :mod:`simlab.nodes.archive.hierarchy`)."""
        return answer(query, self._candidates)

    def locate(self, query: Query) -> Located:
        """The instances that a C-MOVE or C-GET asks for; none if nothing is held under its unique keys."""
        keys, status = retrieve_keys(query)
        if not keys:
            return Located((), status)
        wanted = {keyword: frozenset(values) for keyword, values in keys.items()}
        references = (
            reference
            for uid in self._narrowed(keys)
            for held in self._studies[uid].values()
            if held.series.uid in wanted.get("SeriesInstanceUID", {held.series.uid})
            for reference in held.references()
        )
        images = wanted.get("SOPInstanceUID")
        return Located(tuple(each for each in references if images is None or each.sop_instance in images), status)

    def holds(self, references: Iterable[InstanceReference]) -> frozenset[InstanceReference]:
        """Which of these instances are held under this SOP class."""
        return frozenset(reference for reference in references if self._class_of(reference) == reference.sop_class)

    def conflicts(self, references: Iterable[InstanceReference]) -> frozenset[InstanceReference]:
        """Which of these are held, but under another SOP class."""
        return frozenset(
            reference for reference in references if self._class_of(reference) not in {None, reference.sop_class}
        )

    def waiting(self, references: Iterable[InstanceReference]) -> frozenset[InstanceReference]:
        """None: there is always room."""
        del references
        return frozenset()

    def describe(self, references: Collection[InstanceReference]) -> dict[str, Known]:
        """What the fault plan goes by, for each of these SOP Instance UIDs."""
        places = {uid: self._place(uid) for _, uid in references}
        known = {uid: Known(place[0].origin.order.accession, place[1]) for uid, place in places.items() if place}
        return described(references, known)

    def forget(self, references: Iterable[InstanceReference]) -> None:
        """Lose instances, and the series, studies and patients that have none left."""
        for reference in references:
            place = self._place(reference.sop_instance)
            if place is None:
                continue
            held, number = place
            held.numbers.remove(number)
            if not held.numbers:
                self._forget_series(held)

    def _forget_series(self, held: _HeldSeries) -> None:
        for number in range(1, held.series.instances + 1):
            del self._places[held.series.instance_uid(number)]
        study = held.origin.uid
        del self._studies[study][held.series.uid]
        if not self._studies[study]:
            del self._studies[study]
            del self._studies_of_patient[held.origin.order.patient.id][study]

    def studies_of(self, references: Iterable[InstanceReference]) -> list[Study]:
        """These instances, as far as they are held, as selections of the studies that they came in."""
        origins: dict[int, tuple[Study, set[int]]] = {}
        for reference in references:
            place = self._place(reference.sop_instance)
            if place is not None and place[0].series.sop_class == reference.sop_class:
                held, number = place
                _, indices = origins.setdefault(id(held.origin), (held.origin, set()))
                indices.add(held.first_index + number - 1)
        return [
            study if len(indices) == study.total else study.select(sorted(indices))
            for study, indices in origins.values()
        ]

    def _class_of(self, reference: InstanceReference) -> str | None:
        place = self._place(reference.sop_instance)
        return None if place is None else place[0].series.sop_class

    def _place(self, sop_instance: str) -> tuple[_HeldSeries, int] | None:
        if sop_instance not in self._places:
            for held in self._unplaced:
                for number in range(1, held.series.instances + 1):
                    self._places[held.series.instance_uid(number)] = (held, number)
            self._unplaced.clear()
        place = self._places.get(sop_instance)
        return place if place is not None and place[1] in place[0].numbers else None

    def _narrowed(self, keys: Identifier) -> list[str]:
        """UIDs of the studies that can match: those with one of the UIDs, patients or instances that are named."""
        patients = values_of("PatientID", keys.get("PatientID", ""))
        if not patients or any(map(has_wildcard, patients)):
            narrowed = list(self._studies)
        else:
            narrowed = [uid for patient in patients for uid in self._studies_of_patient.get(patient, ())]
        instances = values_of("SOPInstanceUID", keys.get("SOPInstanceUID", ""))
        if instances and not any(map(has_wildcard, instances)):
            theirs = {place[0].origin.uid for uid in instances if (place := self._place(uid)) is not None}
            narrowed = [uid for uid in narrowed if uid in theirs]
        uids = values_of("StudyInstanceUID", keys.get("StudyInstanceUID", ""))
        return [uid for uid in narrowed if uid in uids] if uids else narrowed

    def _candidates(self, level: Level, keys: Identifier) -> Iterator[Identifier]:
        if level is Level.PATIENT:
            yield from self._patients(keys)
            return
        for uid in self._narrowed(keys):
            study = self._study_attributes(uid)
            if level is Level.STUDY:
                yield study
                continue
            for held in self._studies[uid].values():
                series = study | _series_attributes(held)
                if level is Level.SERIES:
                    yield series
                    continue
                for number in sorted(held.numbers):
                    yield series | _image_attributes(held, number)

    def _patients(self, keys: Identifier) -> Iterator[Identifier]:
        narrowed = set(self._narrowed({"PatientID": keys.get("PatientID", "")}))
        for studies in self._studies_of_patient.values():
            if narrowed.isdisjoint(studies):
                continue
            series = [held for uid in studies for held in self._studies[uid].values()]
            yield _patient_attributes(series[0].origin) | {
                "NumberOfPatientRelatedStudies": str(len(studies)),
                "NumberOfPatientRelatedSeries": str(len(series)),
                "NumberOfPatientRelatedInstances": str(sum(len(held.numbers) for held in series)),
            }

    def _study_attributes(self, uid: str) -> dict[str, Value]:
        series = self._studies[uid].values()
        origin = next(iter(series)).origin
        order = origin.order
        return _patient_attributes(origin) | {
            "StudyInstanceUID": uid,
            "StudyDate": _date(origin.started),
            "StudyTime": _time(origin.started),
            "AccessionNumber": order.accession,
            "StudyDescription": order.description,
            "ReferringPhysicianName": order.referring_physician,
            "ModalitiesInStudy": tuple(sorted({held.series.modality for held in series})),
            "SOPClassesInStudy": tuple(sorted({held.series.sop_class for held in series})),
            "NumberOfStudyRelatedSeries": str(len(series)),
            "NumberOfStudyRelatedInstances": str(sum(len(held.numbers) for held in series)),
        }


def _patient_attributes(study: Study) -> dict[str, Value]:
    patient = study.order.patient
    return {
        "PatientName": patient.name,
        "PatientID": patient.id,
        "PatientBirthDate": patient.birth_date.isoformat().replace("-", ""),
        "PatientSex": patient.sex,
    }


def _series_attributes(held: _HeldSeries) -> dict[str, Value]:
    return {
        "SeriesInstanceUID": held.series.uid,
        "SeriesNumber": str(held.series.number),
        "Modality": held.series.modality,
        "SeriesDescription": held.series.description,
        "SeriesDate": _date(held.origin.started),
        "SeriesTime": _time(held.origin.started),
        "NumberOfSeriesRelatedInstances": str(len(held.numbers)),
    }


def _image_attributes(held: _HeldSeries, number: int) -> dict[str, Value]:
    return {
        "SOPClassUID": held.series.sop_class,
        "SOPInstanceUID": held.series.instance_uid(number),
        "InstanceNumber": str(number),
    }


def _date(moment: datetime) -> str:
    return f"{moment:%Y%m%d}"


def _time(moment: datetime) -> str:
    return f"{moment:%H%M%S}"
