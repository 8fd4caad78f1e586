"""Instances that are entered in the archive's index together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete

from simlab.nodes.archive.driver import as_list, driver_of, finding, finding_listed, inserting_listed, is_listed
from simlab.nodes.archive.files import Entry
from simlab.nodes.archive.header import Header
from simlab.nodes.archive.placement import Place, place, remove_empty
from simlab.nodes.archive.tables import INSTANCES
from simlab.studies.study import InstanceReference


class Batch:
    """One transaction. An instance is entered in place of an earlier one with the same UID."""

    def __init__(self, connection: Connection, places: Mapping[tuple[str, str], Place]) -> None:
        """``places`` are known from earlier, by study and series UID."""
        self.new_places: dict[tuple[str, str], Place] = {}
        self._connection = connection
        self._places = places
        self._entered: dict[str, tuple[Entry, Place, Header]] = {}
        """By SOP Instance UID."""
        self._known: set[str] = set()
        """UIDs that have a row already."""

    def entries(self, sop_instances: Iterable[str]) -> list[Entry]:
        """The entries that these instances have already. To be asked of all that are to be entered, before they are."""
        entries = entries_of(self._connection, sop_instances)
        self._known.update(entry.reference.sop_instance for entry in entries)
        return entries

    def place(self, header: Header) -> Place:
        """The place of an instance."""
        uids = header.study, header.series
        # All but the first instance of a series find their place here, without a query.
        known = self._places.get(uids) or self.new_places.get(uids)
        if known is None:
            with driver_of(self._connection) as driver:
                known = self.new_places[uids] = place(driver, header)
        return known

    def enter(self, entry: Entry, at: Place, header: Header) -> None:
        """Enter an instance."""
        self._entered[entry.reference.sop_instance] = entry, at, header

    def write(self) -> None:
        """Write what was entered."""
        replaced = self._known & self._entered.keys()
        if replaced:
            self._connection.execute(delete(INSTANCES).where(is_listed(INSTANCES.c.uid)), {"listed": as_list(replaced)})
        if self._entered:
            with driver_of(self._connection) as driver:
                driver.execute(_INSERT, (as_list(_row(*entered) for entered in self._entered.values()),))
        used = {at for _, at, _ in self._entered.values()}
        needless = [uids for uids, place in self.new_places.items() if place not in used]
        if needless:
            remove_empty(self._connection)
        for uids in needless:
            del self.new_places[uids]


def entries_of(connection: Connection, sop_instances: Iterable[str]) -> list[Entry]:
    """The entries of these instances, as far as they are held."""
    with driver_of(connection) as driver:
        return [as_entry(row) for row in driver.execute(_ENTRIES_OF, (as_list(sop_instances),)).fetchall()]


def entry_of(connection: Connection, sop_instance: str) -> Entry | None:
    """The entry of this instance, if it is held."""
    with driver_of(connection) as driver:
        row = driver.execute(_ENTRY_OF, (sop_instance,)).fetchone()
    return None if row is None else as_entry(row)


def as_entry(row: Sequence[Any]) -> Entry:
    """An entry out of its columns."""
    sop_class, uid, *rest = row
    return Entry(InstanceReference(sop_class, uid), *rest)


def _row(entry: Entry, at: Place, header: Header) -> tuple[Any, ...]:
    return (
        at.series,
        entry.reference.sop_instance,
        entry.reference.sop_class,
        entry.transfer_syntax,
        entry.path,
        entry.size,
        entry.offset,
        header.image,
    )


ENTRY_COLUMNS = [INSTANCES.c[name] for name in ("sop_class", "uid", "transfer_syntax", "path", "size", "offset")]
_ENTRY_OF = finding(*ENTRY_COLUMNS, by=[INSTANCES.c.uid])
_ENTRIES_OF = finding_listed(*ENTRY_COLUMNS, by=INSTANCES.c.uid)
_INSERT = inserting_listed(INSTANCES)
