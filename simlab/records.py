"""What happened: one row per finished operation, and one row per instance that was stored.

The columns are the same in both worlds, and everything that simlab tells about a run (summary, report, verdicts) is
computed from these rows alone. Operations are spelt as in PS3.7; work that a node does for itself and milestones of
a study are spelt in small letters, so that the three can never be confused.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import accumulate, pairwise
from struct import Struct
from typing import Any, NamedTuple, Self, TypeAlias, overload

from simlab.studies.fingerprint import Fingerprint
from simlab.studies.study import InstanceReference, Study

DIMSE_OPERATIONS = (
    "C-ECHO",
    "C-FIND",
    "C-STORE",
    "C-MOVE",
    "C-GET",
    "N-CREATE",
    "N-SET",
    "N-ACTION",
    "N-EVENT-REPORT",
)
"""Operations on the wire, as their requester saw them."""

LOCAL_OPERATIONS = ("make", "derive", "discard", "transcode")
"""Work of a node on its own account: acquiring, reconstructing, deleting its local copy; and what it had to transcode
to answer a C-GET, which is the requestor's operation."""

MILESTONES = ("ordered", "started", "acquired", "stored", "completed", "safe", "reconstructed", "read", "failed")
"""What a study has reached. ``completed`` is the performed procedure step, ``safe`` a commitment of every instance,
``reconstructed`` the moment at which a reader has everything and begins to read,
``failed`` the end of a way that will not reach its goal."""

REMARKS = ("fault", "report", "alarm", "halt", "resume", "no-show")
"""What a node did wrong as its fault plan says (``fault``), or noticed: a commitment report that is not as it should
be (``report``), a failure that no further attempt will mend (``alarm``), a local disk that is full, so that a scanner
stops (``halt``), and has room again (``resume``), a patient who has not come (``no-show``). The comment says more;
``peer`` is the other node."""


@dataclass(frozen=True, slots=True)
class Record:
    """One finished operation, or one milestone of a study. Times are run seconds, sizes bytes."""

    world: str
    node: str
    """The node that asked (the SCU of a DIMSE operation)."""
    peer: str
    """The node that was asked; empty for local work and milestones."""
    operation: str
    started: float
    finished: float
    intended: float
    """When it should have started: latency is measured from here, so that a late start is not hidden."""
    sop_class: str = ""
    transfer_syntax: str = ""
    instances: int = 0
    bytes: int = 0
    wire_bytes: int = 0
    """Of C-STOREs: all that were sent; ``bytes`` are those of what the peer accepted."""
    failures: int = 0
    """How many of the instances failed; for an operation without instances, 1 if it failed itself."""
    status: int = 0
    """DIMSE status (PS3.7 annex C); -1 if none was received."""
    comment: str = ""
    study: str = ""
    """Study Instance UID where the operation is about one study."""
    transcoded: int = 0
    """How many instances were encoded in a transfer syntax other than that in which the node had them."""
    codec_seconds: float = 0.0
    """Processor time that decoding and encoding them took."""


ROW = Struct("=iiiiqdd")
"""A record as it is kept: ``ROW_FIELDS``, 40 bytes of them."""

ROW_FIELDS = ("kind", "comment", "study", "instances", "bytes", "started", "finished")
"""The first three are places in the lists of :class:`Records`."""

KIND_FIELDS = ("world", "node", "peer", "operation", "sop_class", "transfer_syntax", "failures", "status")
"""What many records have in common."""

Kind: TypeAlias = tuple[str, str, str, str, str, str, int, int]

SELDOM_FIELDS = ("intended", "wire_bytes", "transcoded", "codec_seconds")
"""Seldom other than ``started``, ``bytes``, 0 and 0.0."""

Seldom: TypeAlias = tuple[float, int, int, float]


class Tables:
    """What rows refer to: each value once, with its place in the order in which they came."""

    __slots__ = ("comments", "kinds", "studies", "study_uids")

    def __init__(self) -> None:
        self.kinds: dict[Kind, int] = {}
        self.comments: dict[str, int] = {}
        self.studies: dict[str, int] = {}
        self.study_uids: list[str] = []

    def study(self, uid: str) -> int:
        """The place of a study."""
        place = self.studies.setdefault(uid, len(self.study_uids))
        if place == len(self.study_uids):
            self.study_uids.append(uid)
        return place


class Records(Sequence[Record]):
    """Records as a sequence, kept in a tenth of the room: a year has millions of them."""

    def __init__(self, tables: Tables | None = None) -> None:
        self.tables = tables or Tables()
        self.rows = bytearray()
        """One :data:`ROW` after the other."""
        self.seldom: dict[int, Seldom] = {}
        """``SELDOM_FIELDS`` of those rows in which they are something else, by place."""

    @classmethod
    def of(cls, records: Iterable[Record]) -> Records:
        """The same records, kept like this."""
        if isinstance(records, Records):
            return records
        kept = cls()
        kept.extend(records)
        return kept

    def enter(
        self,
        kind: Kind,
        study: str,
        started: float,
        finished: float,
        instances: int = 0,
        size: int = 0,
        comment: str = "",
        seldom: Seldom | None = None,
    ) -> None:
        """Add a record by what it consists of: far cheaper than by way of a :class:`Record`."""
        kinds, comments = self.tables.kinds, self.tables.comments
        if seldom is not None and seldom != (started, size, 0, 0.0):
            self.seldom[len(self)] = seldom
        self.rows += ROW.pack(
            kinds.setdefault(kind, len(kinds)),
            comments.setdefault(comment, len(comments)),
            self.tables.study(study),
            instances,
            size,
            started,
            finished,
        )

    def add(self, record: Record) -> None:
        """Add a record."""
        kind: Any = tuple(getattr(record, name) for name in KIND_FIELDS)
        seldom = record.intended, record.wire_bytes, record.transcoded, record.codec_seconds
        more = record.instances, record.bytes, record.comment, seldom
        self.enter(kind, record.study, record.started, record.finished, *more)

    def extend(self, more: Iterable[Record]) -> None:
        """Add other records; those of the same recorder as they are kept."""
        if isinstance(more, Records) and (not self.rows or more.tables is self.tables):
            self.tables = more.tables
            here = len(self)
            self.seldom.update((here + place, values) for place, values in more.seldom.items())
            self.rows += more.rows
            return
        for record in more:
            self.add(record)

    def __len__(self) -> int:
        return len(self.rows) // ROW.size

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | list[Record]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        return next(self._made(place, ROW.iter_unpack(self.rows[place * ROW.size : (place + 1) * ROW.size])))

    def __iter__(self) -> Iterator[Record]:
        return self._made(0, ROW.iter_unpack(bytes(self.rows)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Records.of, (list(self),)  # the tables are the recorder's, and may hold more than is sent

    def _made(self, first: int, rows: Iterable[tuple[Any, ...]]) -> Iterator[Record]:
        kinds, comments, studies = list(self.tables.kinds), list(self.tables.comments), self.tables.study_uids
        for place, (kind, comment, study, instances, size, started, finished) in enumerate(rows, first):
            world, node, peer, operation, sop_class, syntax, failures, status = kinds[kind]
            intended, wire, transcoded, codec = self.seldom.get(place, (started, size, 0, 0.0))
            yield Record(
                world, node, peer, operation, started, finished, intended, sop_class, syntax, instances, size, wire,
                failures, status, comments[comment], studies[study], transcoded, codec,
            )  # fmt: skip


@dataclass(slots=True)
class InstanceRows:
    """C-STOREs as columns of equal length: one entry per instance, in the order in which they ended."""

    sop_instance: list[str] = field(default_factory=list)
    sop_class: list[str] = field(default_factory=list)
    transfer_syntax: list[str] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    """When it was due, or else when its first byte was sent."""
    sent: list[float] = field(default_factory=list)
    """When its last byte was handed to the system."""
    finished: list[float] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    """DIMSE status, or -1 where no response came (in doubt) or nothing was sent."""

    def __len__(self) -> int:
        return len(self.sop_instance)

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(self.bytes)

    def expanded(self) -> InstanceRows:
        """These, as there may be others that have to be made first (:class:`StudyRows`)."""
        return self

    @classmethod
    def of(cls, references: Iterable[InstanceReference]) -> Self:
        """Rows that say no more than which instances they are."""
        rows = cls()
        for reference in references:
            rows.append(reference.sop_instance, reference.sop_class, "", 0, 0.0, 0.0, 0)
        return rows

    def append(
        self,
        sop_instance: str,
        sop_class: str,
        transfer_syntax: str,
        size: int,
        started: float,
        finished: float,
        status: int,
        sent: float | None = None,
    ) -> None:
        """Add one C-STORE; ``sent`` is as ``started`` where nobody can tell."""
        self.sop_instance.append(sop_instance)
        self.sop_class.append(sop_class)
        self.transfer_syntax.append(transfer_syntax)
        self.bytes.append(size)
        self.started.append(started)
        self.sent.append(started if sent is None else sent)
        self.finished.append(finished)
        self.status.append(status)

    def extend(self, other: InstanceRows) -> None:
        """Add all rows of another batch."""
        for column in fields(self):
            getattr(self, column.name).extend(getattr(other, column.name))


class Train(NamedTuple):
    """How the C-STOREs of one association went, one after the other."""

    began: float
    """Run second at which the first was begun."""
    moments: tuple[tuple[float, float], ...]
    """Run seconds, and how many instances had ended by then (with the part of the one under way). Between two moments
    they end at equal distances."""

    def ends(self) -> list[float]:
        """Run seconds at which each instance ends."""
        found: list[float] = []
        for (since, done), (until, then) in pairwise(self.moments):
            while len(found) + 1 <= then:
                found.append(since + (until - since) * (len(found) + 1 - done) / (then - done))
        return found


@dataclass(frozen=True, slots=True)
class StudyRows:
    """C-STOREs of a study that went as one, each with the same status: its columns are made when they are asked for."""

    study: Study
    """What was sent: its selection counts."""
    transfer_syntax: str = ""
    sizes: tuple[int, ...] = ()
    """Bytes of an instance, by series, as they were sent; empty where nothing was."""
    trains: tuple[Train, ...] = ()
    """The instances were dealt out to them in turn."""
    status: int = 0
    at: float = 0.0
    """Where there was no train: when all of it happened."""

    def __len__(self) -> int:
        return self.study.count

    @property
    def size(self) -> int:
        """Bytes in all."""
        if not self.sizes:
            return 0
        if self.study.selected is None:
            return sum(series.instances * size for series, size in zip(self.study.series, self.sizes, strict=True))
        return sum(self._by_instance(self.sizes))

    def expanded(self) -> InstanceRows:
        """One entry per instance, train by train."""
        rows, references = InstanceRows(), [self.study.reference(index) for index in self.study.indices]
        sizes = self._by_instance(self.sizes) if self.sizes else [0] * len(references)
        for sent, began, ended in self._times():
            sop_class, sop_instance = references[sent]
            rows.append(sop_instance, sop_class, self.transfer_syntax, sizes[sent], began, ended, self.status)
        return rows

    def _by_instance(self, by_series: Sequence[int]) -> list[int]:
        """What is told by series, for each selected instance."""
        ends = list(accumulate(series.instances for series in self.study.series))
        return [by_series[bisect_right(ends, index)] for index in self.study.indices]

    def _times(self) -> Iterator[tuple[int, float, float]]:
        """Which of the selected instances, when it began and when it ended."""
        if not self.trains:
            yield from ((place, self.at, self.at) for place in range(self.study.count))
        for first, train in enumerate(self.trains):
            began = train.began
            for place, ended in zip(range(first, self.study.count, len(self.trains)), train.ends(), strict=True):
                yield place, began, ended
                began = ended


Rows: TypeAlias = InstanceRows | StudyRows
"""What is known of each of several instances."""


@dataclass(frozen=True, slots=True)
class InstanceBatch:
    """The instance rows of one operation, with what they have in common.

    Besides C-STORE, the ledger of what was made, derived and committed is kept in this form. There only a commitment's
    times say anything (when the report came), and its status: 0, or the failure reason (PS3.3 section C.14).
    """

    world: str
    node: str
    peer: str
    study: str
    told: Rows
    operation: str = "C-STORE"
    """C-STORE, ``make``, ``derive``, or N-EVENT-REPORT for what an archive has said of commitment."""
    fingerprints: Mapping[str, Fingerprint] = field(default_factory=dict)
    """Of what was made or derived, by SOP Instance UID; empty in the virtual world, which has no bytes."""

    @property
    def rows(self) -> InstanceRows:
        """Its rows; those of a :class:`StudyRows` are made anew each time."""
        return self.told.expanded()


class Recorder:
    """Collects records. Thread-safe: transfers finish on threads of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records = Records()
        self._batches: list[InstanceBatch] = []

    def add(self, record: Record) -> None:
        """Add one finished operation."""
        with self._lock:
            self._records.add(record)

    def enter(self, kind: Kind, study: str, started: float, finished: float, *more: Any) -> None:
        """Add one finished operation as :meth:`Records.enter` does."""
        with self._lock:
            self._records.enter(kind, study, started, finished, *more)

    def add_instances(self, batch: InstanceBatch) -> None:
        """Add the instance rows of one C-STORE operation."""
        with self._lock:
            self._batches.append(batch)

    def drain(self, *, afresh: bool = False) -> tuple[Records, list[InstanceBatch]]:
        """Take out all that was collected since the last call; ``afresh``: and begin with empty tables."""
        with self._lock:
            taken = self._records, self._batches
            self._records, self._batches = Records(None if afresh else self._records.tables), []
        return taken
