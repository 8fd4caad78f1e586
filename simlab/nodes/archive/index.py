"""The archive's index: what is held, in SQLite, by patient, study, series and instance.

The index narrows, :mod:`simlab.network.matching` decides: a row that the index leaves out cannot match.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, create_engine, delete, event, func, select

from simlab.faults import Known
from simlab.network.matching import date_bounds, has_wildcard, value_representation, values_of
from simlab.network.query import Identifier, Level, Value
from simlab.nodes.archive.batch import ENTRY_COLUMNS, Batch, as_entry, entries_of, entry_of
from simlab.nodes.archive.driver import as_list, finding, is_among, is_listed
from simlab.nodes.archive.files import Entry
from simlab.nodes.archive.header import image_attributes, text, thawed
from simlab.nodes.archive.hierarchy import COMPUTED, UNIQUE_KEY, down_to
from simlab.nodes.archive.placement import Place, remove_empty
from simlab.nodes.archive.requests import KeptRequests
from simlab.nodes.archive.tables import INSTANCES, METADATA, PATIENTS, SERIES, STUDIES, TABLE, UNIQUE_COLUMN
from simlab.studies.study import InstanceReference

FINDING_INSTANCE = finding(INSTANCES.c.id, by=[INSTANCES.c.uid])
"""The statement that finds the row of a SOP Instance UID."""

_IS_LISTED = is_listed(INSTANCES.c.uid)

LOCK_WAIT = 10.0
"""Seconds after which waiting for the database gives up with an OperationalError."""


class Index:
    """The archive's index. Reads run side by side with each other and with the one write that goes on at a time."""

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        self.path = path
        # As many connections as there are callers at a time: one that waits for another's would wait without a bound.
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": LOCK_WAIT}, max_overflow=-1)
        self.requests = KeptRequests(self._engine)
        """Commitment requests that were accepted."""
        self._places: dict[tuple[str, str], Place] = {}
        """By study and series UID."""
        synchronous = "FULL" if durable else "NORMAL"

        @event.listens_for(self._engine, "connect")
        def _configure(connection: Any, _record: object) -> None:
            # The last two matter on macOS alone, where a drive keeps what was synced in its own memory otherwise.
            full = ("fullfsync=ON", "checkpoint_fullfsync=ON") if durable else ()
            for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON", *full):
                connection.execute(f"PRAGMA {pragma}")

        METADATA.create_all(self._engine)
        self._writing = self._engine.connect()
        self._looking_up = self._engine.connect()

    def close(self) -> None:
        """Close all connections."""
        self.requests.close()
        self._looking_up.close()
        self._writing.close()
        self._engine.dispose()

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Instances to enter in one transaction: all of them, or none if an exception leaves the block.

        One at a time: whoever writes is alone.
        """
        with self._writing.begin():
            batch = Batch(self._writing, self._places)
            yield batch
            batch.write()
        self._places.update(batch.new_places)

    def remove(self, sop_instances: Iterable[str]) -> None:
        """Forget instances, and the series, studies and patients that have none left. Not beside a batch."""
        with self._engine.begin() as connection:
            self._places.clear()
            connection.execute(delete(INSTANCES).where(_IS_LISTED), {"listed": as_list(sop_instances)})
            remove_empty(connection)

    def count(self, level: Level = Level.IMAGE) -> int:
        """How many patients, studies, series or instances are held."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(TABLE[level])).scalar_one()

    def entry(self, sop_instance: str) -> Entry | None:
        """The entry of an instance, if it has one. The quick way, for one caller at a time."""
        return entry_of(self._looking_up, sop_instance)

    def entries(self, sop_instances: Iterable[str] | None = None) -> list[Entry]:
        """The entries of these instances as far as they are held, or of all."""
        with self._engine.connect() as connection:
            if sop_instances is not None:
                return entries_of(connection, sop_instances)
            return [as_entry(row) for row in connection.execute(select(*ENTRY_COLUMNS))]

    def describe(self, sop_instances: Iterable[str]) -> dict[str, Known]:
        """What the fault plan goes by, of those of these instances that have an entry."""
        statement = (
            select(INSTANCES.c.uid, STUDIES.c.accession, INSTANCES.c.attributes, INSTANCES.c.transfer_syntax)
            .join(SERIES, SERIES.c.id == INSTANCES.c.series)
            .join(STUDIES, STUDIES.c.id == SERIES.c.study)
            .where(_IS_LISTED)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(statement, {"listed": as_list(sop_instances)}).all()
        return {uid: Known(accession, _number(image_attributes(*kept))) for uid, accession, *kept in rows}

    def locate(self, unique_keys: Mapping[str, Collection[str]]) -> tuple[InstanceReference, ...]:
        """References of the instances below these unique keys, in the order in which they came."""
        statement = (
            select(INSTANCES.c.sop_class, INSTANCES.c.uid)
            .join(SERIES, SERIES.c.id == INSTANCES.c.series)
            .join(STUDIES, STUDIES.c.id == SERIES.c.study)
            .join(PATIENTS, PATIENTS.c.id == STUDIES.c.patient)
            .order_by(INSTANCES.c.id)
        )
        for level, column in UNIQUE_COLUMN.items():
            if UNIQUE_KEY[level] in unique_keys:
                statement = statement.where(is_among(column, unique_keys[UNIQUE_KEY[level]]))
        with self._engine.connect() as connection:
            return tuple(InstanceReference(*row) for row in connection.execute(statement))

    def candidates(self, level: Level, keys: Identifier) -> Iterator[Identifier]:
        """What is held at a level and could match, with the attributes of all levels down to it."""
        levels = down_to(level)
        computed = [keyword for above in levels for keyword in COMPUTED[above] if keyword in keys]
        columns: list[ColumnElement[Any]] = [TABLE[above].c.attributes.label(above.name) for above in levels]
        columns += [INSTANCES.c.transfer_syntax] if level is Level.IMAGE else []
        statement = select(*columns, *(_COMPUTATIONS[keyword].label(keyword) for keyword in computed))
        statement = statement.select_from(PATIENTS)
        if Level.STUDY in levels:
            statement = statement.join(STUDIES, STUDIES.c.patient == PATIENTS.c.id)
        if Level.SERIES in levels:
            statement = statement.join(SERIES, SERIES.c.study == STUDIES.c.id)
        if Level.IMAGE in levels:
            statement = statement.join(INSTANCES, INSTANCES.c.series == SERIES.c.id)
        statement = statement.where(*_narrowing(levels, keys)).order_by(TABLE[level].c.id)
        with self._engine.connect() as connection:
            rows = connection.execute(statement).mappings().all()
        for row in rows:
            attributes: dict[str, Value] = {}
            for above in levels:
                kept = row[above.name]
                if above is Level.IMAGE:
                    attributes |= image_attributes(kept, row["transfer_syntax"])
                else:
                    attributes |= {keyword: thawed(value) for keyword, value in kept.items()}
            attributes |= {keyword: _computed(keyword, row[keyword]) for keyword in computed}
            yield attributes


def _narrowing(levels: Collection[Level], keys: Identifier) -> Iterator[ColumnElement[bool]]:
    """Conditions that every match fulfils: indexed keys with single values, lists of them, or a range of dates."""
    exact = {UNIQUE_KEY[level]: UNIQUE_COLUMN[level] for level in levels}
    if Level.STUDY in levels:
        exact["AccessionNumber"] = STUDIES.c.accession
        if dates := values_of("StudyDate", keys.get("StudyDate", "")):
            bounds = [date_bounds(each) for each in dates]
            yield STUDIES.c.date.between(min(low for low, _ in bounds), max(high for _, high in bounds))
    for keyword, column in exact.items():
        values = values_of(keyword, keys.get(keyword, ""))
        wild = value_representation(keyword) != "UI" and any(map(has_wildcard, values))
        if values and not wild:
            yield is_among(column, values)


def _number(attributes: Identifier) -> int | None:
    """The Instance Number of an instance, if it is one."""
    number = text(attributes, "InstanceNumber")
    return int(number) if number.isdecimal() else None


# Subqueries have tables of their own, apart from those of the query around them.
_inner_studies, _inner_series, _inner_instances = STUDIES.alias(), SERIES.alias(), INSTANCES.alias()


def _below(aggregate: ColumnElement[Any], condition: ColumnElement[bool]) -> ColumnElement[Any]:
    """A subquery over the studies, series and instances that fulfil a condition on their owner."""
    joined = _inner_studies.join(_inner_series, _inner_series.c.study == _inner_studies.c.id).join(
        _inner_instances, _inner_instances.c.series == _inner_series.c.id
    )
    statement = select(aggregate).select_from(joined).where(condition)
    return statement.correlate(PATIENTS, STUDIES, SERIES).scalar_subquery()


def _distinct(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.count(column.distinct())


_OF_PATIENT = _inner_studies.c.patient == PATIENTS.c.id
_OF_STUDY = _inner_studies.c.id == STUDIES.c.id
_OF_SERIES = _inner_series.c.id == SERIES.c.id
_COMPUTATIONS: dict[str, ColumnElement[Any]] = {
    "NumberOfPatientRelatedStudies": _below(_distinct(_inner_studies.c.id), _OF_PATIENT),
    "NumberOfPatientRelatedSeries": _below(_distinct(_inner_series.c.id), _OF_PATIENT),
    "NumberOfPatientRelatedInstances": _below(func.count(), _OF_PATIENT),
    "NumberOfStudyRelatedSeries": _below(_distinct(_inner_series.c.id), _OF_STUDY),
    "NumberOfStudyRelatedInstances": _below(func.count(), _OF_STUDY),
    "ModalitiesInStudy": _below(func.group_concat(_inner_series.c.modality.distinct()), _OF_STUDY),
    "SOPClassesInStudy": _below(func.group_concat(_inner_instances.c.sop_class.distinct()), _OF_STUDY),
    "NumberOfSeriesRelatedInstances": _below(func.count(), _OF_SERIES),
    "AvailableTransferSyntaxUID": INSTANCES.c.transfer_syntax,
}


def _computed(keyword: str, value: Any) -> Value:
    if keyword in {"ModalitiesInStudy", "SOPClassesInStudy"}:
        return tuple(sorted(part for part in str(value or "").split(",") if part))
    return str(value)
