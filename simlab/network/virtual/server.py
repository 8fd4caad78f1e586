"""What the virtual data plane asks of a node beyond its decisions: studies instead of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from simlab.network.faults import NO_FAULTS, Faults
from simlab.network.seam import Server, Status
from simlab.studies.study import InstanceReference, Study


class VirtualServer(Server, Protocol):
    """A node's virtual half. All methods answer at once; the network adds the time that things take."""

    def take(self, study: Study) -> Status:
        """Hold the selected instances of a study that was stored here."""

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
