"""What the live data plane asks of a node beyond its decisions: bytes to send, and a place for bytes received."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from simlab.network.seam import Made, Server, Status, StoreOptions
from simlab.studies.study import InstanceReference, Study


class Offer(Enum):
    """A service that a node offers as SCP. Verification is offered by every node (PS3.4 annex A)."""

    STORAGE = auto()
    QUERY_RETRIEVE = auto()
    WORKLIST = auto()
    PROCEDURE_STEP = auto()
    COMMITMENT = auto()
    COMMITMENT_REPORTS = auto()
    """Receives N-EVENT-REPORTs: the SCU role of storage commitment, on an association that the archive opened."""


class Durability(Enum):
    """What a C-STORE's success says of the instance."""

    NONE = "none"
    """It was received: answered before the node has seen it."""
    WRITE = "write"
    """The system's kernel has it: it survives the end of all our processes, but not a power failure."""
    FSYNC = "fsync"
    """The disk has it: it survives a power failure."""


class ReceivedInstance(NamedTuple):
    """One C-STORE as it came in: a complete file in DICOM file format (PS3.10), data set exactly as received."""

    reference: InstanceReference
    """As the command names it; the data set may say otherwise."""
    transfer_syntax: str
    calling: str
    """AE title of the sender."""
    file: str
    """Below the folder of the node's ``storage``; whoever takes the instance moves or deletes it.

    A name: a Path takes longer to be made, and to cross to another process, than all the rest of this.
    """
    data_set_offset: int
    """Where the data set begins, after the file meta information."""
    size: int
    """Bytes of the whole file."""

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.file)

    def delete(self) -> None:
        """Delete the file, if that can be done."""
        with suppress(OSError):
            self.path.unlink()


Respond = Callable[[Status], None]
"""Responds to a C-STORE, once, from any thread."""

Examine = Callable[[ReceivedInstance, bytes], Any]
"""Reads what a node needs to know of an instance before it takes it: from the file, and the first bytes of its data set
(``HEAD_BYTES``, or all of it if it is smaller). A function of a module, and its result a value: both may have to cross
to another process. What cannot be read is a result too; it never raises."""

HEAD_BYTES = 65536

MustAsk = Callable[[ReceivedInstance, Any], bool]
"""Whether only the node can say what becomes of an instance, given what ``examine`` made of it. It never raises."""


def examine_nothing(_instance: ReceivedInstance, _head: bytes) -> None:
    """For a node that needs to know nothing."""


@dataclass(frozen=True, slots=True)
class Storage:
    """How the instances that a node receives are written, before it takes them."""

    folder: Path
    """Where; on the same file system as where they are kept, so that they can be moved there."""
    durability: Durability = Durability.WRITE
    """With ``FSYNC`` the file and its name are on the disk when the node gets it."""
    examine: Examine = examine_nothing
    receivers: int = 0
    """Processes that receive beside the node's own, where the system can pass them open sockets (not on Windows)."""
    must_ask: Callable[[], MustAsk] | None = None
    """What receivers go by, to acknowledge instances without asking the node: called once, in the receiver's process.

    It may cross to another process. None: receivers always ask. With it, of all complete files below ``folder`` no two
    have the same SOP Instance UID: what comes again waits until the node has moved or deleted the first one.
    """


@dataclass(frozen=True, slots=True)
class KeptInstance:
    """An instance in a file of the node's, in DICOM file format (PS3.10)."""

    reference: InstanceReference
    transfer_syntax: str
    path: Path
    data_set_offset: int
    """Where the data set begins, after the file meta information."""


class LiveServer(Server, Protocol):
    """A node's live half. Methods are called from threads of the data plane, several at a time."""

    offers: frozenset[Offer]

    storage: Storage | None
    """How received instances are written; None for a node that does not offer ``STORAGE``."""

    storing: StoreOptions
    """How it stores what is retrieved from it (C-MOVE, and C-GET as far as that leaves it a choice)."""

    def take(self, instance: ReceivedInstance, examined: Any, respond: Respond) -> None:
        """Keep a received instance, or refuse it: ``respond`` is called once, now or later.

        The file is complete, and as durable as the storage asks. ``examined`` is what the storage's ``examine`` made of
        it. Must not wait for long: other instances come in on the same thread.
        """

    def keep(self, acknowledged: Sequence[tuple[ReceivedInstance, Any]]) -> None:
        """Keep instances that a receiver has acknowledged, as ``must_ask`` has let it; else as for ``take``."""

    def fetch(self, reference: InstanceReference) -> KeptInstance | None:
        """The local copy of an instance, or None if the node does not hold it."""

    def make(self, study: Study) -> Made:
        """Acquire a study: make its instances and keep them. Long; runs on a worker thread."""

    def derive(self, study_uid: str, recipe: str) -> Made:
        """Reconstruct from the received instances of a study. Long; runs on a worker thread."""

    def discard(self, study_uid: str) -> int:
        """Delete the local copy of a study. Returns the number of bytes freed."""
