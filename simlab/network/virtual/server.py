"""What the virtual data plane asks of a node beyond its decisions: studies instead of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from simlab.network.faults import NO_FAULTS, Faults
from simlab.network.negotiation import EXPLICIT
from simlab.network.polling import Watch
from simlab.network.query import Query
from simlab.network.seam import Server, Status
from simlab.network.virtual.times import UNCALIBRATED, Times
from simlab.studies.study import InstanceReference, Study


class VirtualServer(Server, Protocol):
    """A node's virtual half. All methods answer at once; the network adds the time that things take."""

    def take(self, study: Study) -> Status:
        """Hold the selected instances of a study that was stored here."""

    def watch(self, query: Query) -> Watch | None:
        """Tell from now on what becomes of the answer to a query; None if the model cannot."""

    def recall(self, references: Iterable[InstanceReference]) -> Sequence[Study]:
        """Held instances as selections of their studies, for a retrieve."""

    def keep(self, study: Study) -> None:
        """Hold a study that was acquired here."""

    def derive(self, study_uid: str, recipe: str) -> Study | None:
        """What a recipe makes of the received instances of a study; None if there are none."""

    def discard(self, study_uid: str) -> int:
        """Drop the local copy of a study. Returns the number of bytes freed."""


@dataclass(frozen=True, slots=True)
class VirtualNode:
    """A node as the virtual network knows it."""

    name: str
    ae_title: str
    server: VirtualServer
    faults: Faults = NO_FAULTS
    outstanding: int = 1
    """Operations that a peer may have outstanding if it asks for more than one (PS3.7 D.3.3.3); 0 for any number."""
    maximum_associations: int = 100
    """Above this, association requests are rejected for now."""
    accepted: frozenset[str] | None = None
    """UIDs of the transfer syntaxes in which instances may be stored here; None: in any."""
    keeps: str = EXPLICIT
    """UID of the transfer syntax in which it makes instances."""
    times: Times = UNCALIBRATED
    """What its work takes."""

    def takes(self, transfer_syntax: str) -> bool:
        """Whether instances may be stored here in a transfer syntax."""
        return self.accepted is None or transfer_syntax in self.accepted
