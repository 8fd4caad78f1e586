"""What the live data plane asks of a node beyond its decisions: bytes to send, and a place for bytes received."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

from simlab.network.seam import Made, Server, Status
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


@dataclass(frozen=True, slots=True)
class ReceivedInstance:
    """One C-STORE as it came in."""

    reference: InstanceReference
    transfer_syntax: str
    data_set: bytes
    """The data set exactly as received, without file meta information."""
    calling: str
    """AE title of the sender."""


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

    def take(self, instance: ReceivedInstance) -> Status:
        """Keep a received instance; the returned status is the answer to the C-STORE."""

    def fetch(self, reference: InstanceReference) -> KeptInstance | None:
        """The local copy of an instance, or None if the node does not hold it."""

    def make(self, study: Study) -> Made:
        """Acquire a study: make its instances and keep them. Long; runs on a worker thread."""

    def derive(self, study_uid: str, recipe: str) -> Made:
        """Reconstruct from the received instances of a study. Long; runs on a worker thread."""

    def discard(self, study_uid: str) -> int:
        """Delete the local copy of a study. Returns the number of bytes freed."""
