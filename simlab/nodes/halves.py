"""What a node's live or virtual half does unless its kind says otherwise: it offers nothing and holds nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from simlab.network.live.server import KeptInstance, Offer, ReceivedInstance, Respond, Storage
from simlab.network.polling import Watch
from simlab.network.query import Query
from simlab.network.seam import NO_STATUS, Made, Status, StoreOptions
from simlab.nodes.node import NOT_OFFERED, Refusing
from simlab.studies.study import InstanceReference, Study


class LiveHalf(Refusing):
    """Base of services: a :class:`simlab.network.live.server.LiveServer` that offers Verification only."""

    offers: frozenset[Offer] = frozenset()
    storage: Storage | None = None
    storing = StoreOptions()

    def take(self, instance: ReceivedInstance, examined: Any, respond: Respond) -> None:
        """Refuse a C-STORE."""
        del examined
        instance.delete()
        respond(NOT_OFFERED)

    def keep(self, acknowledged: Sequence[tuple[ReceivedInstance, Any]]) -> None:
        """Let receivers acknowledge nothing."""

    def fetch(self, reference: InstanceReference) -> KeptInstance | None:
        """Hold nothing."""
        return None

    def make(self, study: Study) -> Made:
        """Acquire nothing."""
        return Made(operation="make", status=NO_STATUS, comment="not a scanner")

    def derive(self, study_uid: str, recipe: str) -> Made:
        """Reconstruct nothing."""
        return Made(operation="derive", status=NO_STATUS, comment="not a workstation")

    def discard(self, study_uid: str) -> int:
        """Have nothing to delete."""
        return 0

    def close(self) -> None:
        """Have nothing to close."""


class VirtualHalf(Refusing):
    """Base of models: a :class:`simlab.network.virtual.server.VirtualServer` that holds nothing."""

    report_delay = 0.0
    """Seconds for which it lets commitment requests lie, as far as a calibration has seen that of an AE not ours."""

    def take(self, study: Study) -> Status:
        """Refuse a C-STORE."""
        return NOT_OFFERED

    def watch(self, query: Query) -> Watch | None:
        """Answer everybody who asks, and tell nobody anything else."""
        return None

    def recall(self, references: Iterable[InstanceReference]) -> Sequence[Study]:
        """Hold nothing."""
        return ()

    def keep(self, study: Study) -> None:
        """Forget what was acquired: nobody will ask for its bytes."""

    def derive(self, study_uid: str, recipe: str) -> Study | None:
        """Reconstruct nothing."""
        return None

    def discard(self, study_uid: str) -> int:
        """Have nothing to delete."""
        return 0
