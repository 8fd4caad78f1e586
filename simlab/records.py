"""What happened: one row per finished operation, and one row per instance that was stored.

The columns are the same in both worlds, and everything that simlab tells about a run (summary, report, verdicts) is
computed from these rows alone. Operations are spelt as in PS3.7; work that a node does for itself and milestones of
a study are spelt in small letters, so that the three can never be confused.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Self

from simlab.studies.fingerprint import Fingerprint
from simlab.studies.study import InstanceReference

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
    rows: InstanceRows
    operation: str = "C-STORE"
    """C-STORE, ``make``, ``derive``, or N-EVENT-REPORT for what an archive has said of commitment."""
    fingerprints: Mapping[str, Fingerprint] = field(default_factory=dict)
    """Of what was made or derived, by SOP Instance UID; empty in the virtual world, which has no bytes."""


class Recorder:
    """Collects records. Thread-safe: transfers finish on threads of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[Record] = []
        self._batches: list[InstanceBatch] = []

    def add(self, record: Record) -> None:
        """Add one finished operation."""
        with self._lock:
            self._records.append(record)

    def add_instances(self, batch: InstanceBatch) -> None:
        """Add the instance rows of one C-STORE operation."""
        with self._lock:
            self._batches.append(batch)

    def drain(self) -> tuple[list[Record], list[InstanceBatch]]:
        """Take out all that was collected since the last call."""
        with self._lock:
            taken = self._records, self._batches
            self._records, self._batches = [], []
        return taken
