"""The archive's index: what is held, in SQLite, by patient, study, series and instance.

Each level keeps its unique key and what is searched most as columns, and all its other queryable attributes as JSON.
The index narrows, :mod:`simlab.network.matching` decides: a row that the index leaves out cannot match.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
)

from simlab.network.matching import date_bounds, has_wildcard, value_representation, values_of
from simlab.network.query import Identifier, Level, Value
from simlab.nodes.archive.files import patient_folder, series_folder, study_folder
from simlab.nodes.archive.header import Header
from simlab.nodes.archive.hierarchy import COMPUTED, UNIQUE_KEY, down_to
from simlab.studies.study import InstanceReference

LOCK_WAIT = 10.0
"""Seconds after which waiting for the database gives up with an OperationalError."""

_CHUNK = 500
"""UIDs per statement: SQLite bounds the number of parameters."""

_metadata = MetaData()
_patients = Table(
    "patients",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("patient_id", String, nullable=False, index=True),
    Column("folder", String(collation="NOCASE"), nullable=False, unique=True),
    Column("attributes", JSON, nullable=False),
)
_studies = Table(
    "studies",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("patient", ForeignKey("patients.id"), nullable=False, index=True),
    Column("uid", String, nullable=False, unique=True),
    Column("date", String, nullable=False, index=True),
    Column("accession", String, nullable=False, index=True),
    Column("folder", String(collation="NOCASE"), nullable=False, unique=True),
    Column("attributes", JSON, nullable=False),
)
_series = Table(
    "series",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("study", ForeignKey("studies.id"), nullable=False),
    Column("uid", String, nullable=False, index=True),
    Column("modality", String, nullable=False),
    Column("folder", String(collation="NOCASE"), nullable=False, unique=True),
    Column("attributes", JSON, nullable=False),
    UniqueConstraint("study", "uid"),
)
_instances = Table(
    "instances",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("series", ForeignKey("series.id"), nullable=False, index=True),
    Column("uid", String, nullable=False, unique=True),
    Column("sop_class", String, nullable=False),
    Column("transfer_syntax", String, nullable=False),
    Column("path", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("attributes", JSON, nullable=False),
)
_TABLE = {Level.PATIENT: _patients, Level.STUDY: _studies, Level.SERIES: _series, Level.IMAGE: _instances}
_UNIQUE_COLUMN = {
    Level.PATIENT: _patients.c.patient_id,
    Level.STUDY: _studies.c.uid,
    Level.SERIES: _series.c.uid,
    Level.IMAGE: _instances.c.uid,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an instance is kept, and how it is encoded."""

    reference: InstanceReference
    transfer_syntax: str
    path: str
    """Relative to the archive's root, with forward slashes."""
    size: int
    """Bytes of the whole file."""
    offset: int
    """Bytes in front of the data set."""


class Index:
    """The archive's index. Reads run side by side with each other and with the one write that goes on at a time."""

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": LOCK_WAIT})
        self._writing = threading.RLock()
        self._placed: dict[tuple[str, str], tuple[int, str]] = {}
        """Id and folder of a series, by study and series UID."""
        synchronous = "FULL" if durable else "NORMAL"

        @event.listens_for(self._engine, "connect")
        def _configure(connection: Any, _record: object) -> None:
            for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")

        _metadata.create_all(self._engine)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @property
    def writing(self) -> threading.RLock:
        """Held by the one thread that may write; take it around look-ups that a write depends on."""
        return self._writing

    def enter(self, header: Header, publish: Callable[[str], Entry]) -> None:
        """Enter an instance, in place of an earlier one with the same UID, all or nothing.

        ``publish`` gets the folder of its series, relative to the root; it puts the file there and returns the entry.
        What the first instance says of its patient, study and series stays; later ones, such as those of a derived
        series, join them by UID. A patient without an ID is one patient per study.
        """
        uids = header.unique(Level.STUDY), header.unique(Level.SERIES)
        with self._writing:
            with self._engine.begin() as connection:
                # All but the first instance of a series find their place here, without a query.
                placed = self._placed.get(uids) or _place(connection, header)
                series, folder = placed
                entry = publish(folder)
                connection.execute(delete(_instances).where(_instances.c.uid == entry.reference.sop_instance))
                connection.execute(
                    insert(_instances).values(
                        series=series,
                        uid=entry.reference.sop_instance,
                        sop_class=entry.reference.sop_class,
                        transfer_syntax=entry.transfer_syntax,
                        path=entry.path,
                        size=entry.size,
                        offset=entry.offset,
                        attributes=header.levels[Level.IMAGE],
                    )
                )
            self._placed[uids] = placed

    def remove(self, sop_instances: Iterable[str]) -> None:
        """Forget instances, and the series, studies and patients that have none left."""
        with self._writing, self._engine.begin() as connection:
            self._placed.clear()
            for chunk in _chunks(sop_instances):
                connection.execute(delete(_instances).where(_instances.c.uid.in_(chunk)))
            connection.execute(delete(_series).where(_series.c.id.not_in(select(_instances.c.series))))
            connection.execute(delete(_studies).where(_studies.c.id.not_in(select(_series.c.study))))
            connection.execute(delete(_patients).where(_patients.c.id.not_in(select(_studies.c.patient))))

    def count(self, level: Level = Level.IMAGE) -> int:
        """How many patients, studies, series or instances are held."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(_TABLE[level])).scalar_one()

    def entries(self, sop_instances: Iterable[str] | None = None) -> Iterator[Entry]:
        """The entries of these instances as far as they are held, or of all."""
        statement = select(_instances)
        conditions: Iterable[ColumnElement[bool] | None] = (
            [None] if sop_instances is None else (_instances.c.uid.in_(chunk) for chunk in _chunks(sop_instances))
        )
        for condition in conditions:
            with self._engine.connect() as connection:
                rows = connection.execute(statement if condition is None else statement.where(condition)).all()
            for row in rows:
                reference = InstanceReference(row.sop_class, row.uid)
                yield Entry(reference, row.transfer_syntax, row.path, row.size, row.offset)

    def locate(self, unique_keys: Mapping[str, Collection[str]]) -> tuple[InstanceReference, ...]:
        """References of the instances below these unique keys, in the order in which they came."""
        statement = (
            select(_instances.c.sop_class, _instances.c.uid)
            .join(_series, _series.c.id == _instances.c.series)
            .join(_studies, _studies.c.id == _series.c.study)
            .join(_patients, _patients.c.id == _studies.c.patient)
            .order_by(_instances.c.id)
        )
        for level, column in _UNIQUE_COLUMN.items():
            if UNIQUE_KEY[level] in unique_keys:
                statement = statement.where(column.in_(unique_keys[UNIQUE_KEY[level]]))
        with self._engine.connect() as connection:
            return tuple(InstanceReference(*row) for row in connection.execute(statement))

    def candidates(self, level: Level, keys: Identifier) -> Iterator[Identifier]:
        """What is held at a level and could match, with the attributes of all levels down to it."""
        levels = down_to(level)
        computed = [keyword for above in levels for keyword in COMPUTED[above] if keyword in keys]
        columns = [_TABLE[above].c.attributes.label(above.name) for above in levels]
        statement = select(*columns, *(_COMPUTATIONS[keyword].label(keyword) for keyword in computed))
        statement = statement.select_from(_patients)
        if Level.STUDY in levels:
            statement = statement.join(_studies, _studies.c.patient == _patients.c.id)
        if Level.SERIES in levels:
            statement = statement.join(_series, _series.c.study == _studies.c.id)
        if Level.IMAGE in levels:
            statement = statement.join(_instances, _instances.c.series == _series.c.id)
        statement = statement.where(*_narrowing(levels, keys)).order_by(_TABLE[level].c.id)
        with self._engine.connect() as connection:
            rows = connection.execute(statement).mappings().all()
        for row in rows:
            attributes: dict[str, Value] = {}
            for above in levels:
                attributes |= {keyword: _thawed(value) for keyword, value in row[above.name].items()}
            attributes |= {keyword: _computed(keyword, row[keyword]) for keyword in computed}
            yield attributes


def _narrowing(levels: Collection[Level], keys: Identifier) -> Iterator[ColumnElement[bool]]:
    """Conditions that every match fulfils: indexed keys with single values, lists of them, or a range of dates."""
    exact = {UNIQUE_KEY[level]: _UNIQUE_COLUMN[level] for level in levels}
    if Level.STUDY in levels:
        exact["AccessionNumber"] = _studies.c.accession
        if dates := values_of("StudyDate", keys.get("StudyDate", "")):
            bounds = [date_bounds(each) for each in dates]
            yield _studies.c.date.between(min(low for low, _ in bounds), max(high for _, high in bounds))
    for keyword, column in exact.items():
        values = values_of(keyword, keys.get(keyword, ""))
        wild = value_representation(keyword) != "UI" and any(map(has_wildcard, values))
        if values and not wild:
            yield column.in_(values)


def _place(connection: Connection, header: Header) -> tuple[int, str]:
    study_uid, series_uid = header.unique(Level.STUDY), header.unique(Level.SERIES)
    study = connection.execute(select(_studies.c.id, _studies.c.folder).where(_studies.c.uid == study_uid)).first()
    owner, folder = _enter_study(connection, header) if study is None else (study.id, study.folder)
    series = connection.execute(
        select(_series.c.id, _series.c.folder).where(_series.c.study == owner, _series.c.uid == series_uid)
    ).first()
    if series is not None:
        return series.id, series.folder
    values = {"study": owner, "uid": series_uid, "modality": header.text(Level.SERIES, "Modality")}
    return _enter(connection, Level.SERIES, header, values, folder, series_folder(header))


def _enter_study(connection: Connection, header: Header) -> tuple[int, str]:
    patient_id = header.unique(Level.PATIENT)
    issuer = header.text(Level.PATIENT, "IssuerOfPatientID")
    # No patient ID or UID holds a backslash, so keys of both kinds differ.
    key = f"{patient_id}\\{issuer}" if patient_id else f"\\\\{header.unique(Level.STUDY)}"
    patient = connection.execute(select(_patients.c.id, _patients.c.folder).where(_patients.c.key == key)).first()
    if patient is None:
        values: dict[str, object] = {"key": key, "patient_id": patient_id}
        owner, folder = _enter(connection, Level.PATIENT, header, values, "", patient_folder(header))
    else:
        owner, folder = patient.id, patient.folder
    values = {
        "patient": owner,
        "uid": header.unique(Level.STUDY),
        "date": header.text(Level.STUDY, "StudyDate").replace(".", ""),
        "accession": header.text(Level.STUDY, "AccessionNumber"),
    }
    return _enter(connection, Level.STUDY, header, values, folder, study_folder(header))


def _enter(
    connection: Connection, level: Level, header: Header, values: Mapping[str, object], parent: str, name: str
) -> tuple[int, str]:
    """Enter a row under a folder name that no other row has; what looks alike once made safe is numbered."""
    table = _TABLE[level]
    wanted = f"{parent}/{name}" if parent else name
    folder, copy = wanted, 1
    while connection.execute(select(table.c.id).where(table.c.folder == folder)).first() is not None:
        copy += 1
        folder = f"{wanted} ({copy})"
    row = connection.execute(insert(table).values(**values, folder=folder, attributes=header.levels[level]))
    assert row.inserted_primary_key is not None
    return int(row.inserted_primary_key[0]), folder


def _thawed(value: Any) -> Value:
    """A value as it was before JSON made lists of its tuples."""
    if isinstance(value, list):
        items = (
            {keyword: _thawed(part) for keyword, part in item.items()} if isinstance(item, dict) else item
            for item in value
        )
        return tuple(items)
    return str(value)


def _chunks(uids: Iterable[str]) -> Iterator[list[str]]:
    listed = list(uids)
    for start in range(0, len(listed), _CHUNK):
        yield listed[start : start + _CHUNK]


# Subqueries have tables of their own, apart from those of the query around them.
_inner_studies, _inner_series, _inner_instances = _studies.alias(), _series.alias(), _instances.alias()


def _below(aggregate: ColumnElement[Any], condition: ColumnElement[bool]) -> ColumnElement[Any]:
    """A subquery over the studies, series and instances that fulfil a condition on their owner."""
    joined = _inner_studies.join(_inner_series, _inner_series.c.study == _inner_studies.c.id).join(
        _inner_instances, _inner_instances.c.series == _inner_series.c.id
    )
    statement = select(aggregate).select_from(joined).where(condition)
    return statement.correlate(_patients, _studies, _series).scalar_subquery()


def _distinct(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.count(column.distinct())


_OF_PATIENT = _inner_studies.c.patient == _patients.c.id
_OF_STUDY = _inner_studies.c.id == _studies.c.id
_OF_SERIES = _inner_series.c.id == _series.c.id
_COMPUTATIONS: dict[str, ColumnElement[Any]] = {
    "NumberOfPatientRelatedStudies": _below(_distinct(_inner_studies.c.id), _OF_PATIENT),
    "NumberOfPatientRelatedSeries": _below(_distinct(_inner_series.c.id), _OF_PATIENT),
    "NumberOfPatientRelatedInstances": _below(func.count(), _OF_PATIENT),
    "NumberOfStudyRelatedSeries": _below(_distinct(_inner_series.c.id), _OF_STUDY),
    "NumberOfStudyRelatedInstances": _below(func.count(), _OF_STUDY),
    "ModalitiesInStudy": _below(func.group_concat(_inner_series.c.modality.distinct()), _OF_STUDY),
    "SOPClassesInStudy": _below(func.group_concat(_inner_instances.c.sop_class.distinct()), _OF_STUDY),
    "NumberOfSeriesRelatedInstances": _below(func.count(), _OF_SERIES),
    "AvailableTransferSyntaxUID": _instances.c.transfer_syntax,
}


def _computed(keyword: str, value: Any) -> Value:
    if keyword in {"ModalitiesInStudy", "SOPClassesInStudy"}:
        return tuple(sorted(part for part in str(value or "").split(",") if part))
    return str(value)
