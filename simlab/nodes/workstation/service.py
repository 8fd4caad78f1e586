"""The workstation's live half: it keeps what it retrieves, and reconstructs from the pixels."""

from __future__ import annotations

from typing import cast

from simlab.network.live.server import KeptInstance, Offer, ReceivedInstance
from simlab.network.seam import Status
from simlab.nodes.halves import LiveHalf
from simlab.nodes.local_disk import LocalDisk
from simlab.nodes.node import Node
from simlab.nodes.workstation.spec import WorkstationSpec
from simlab.studies.study import InstanceReference


class WorkstationService(LiveHalf):
    """A move destination with a local disk and two recipes."""

    offers = frozenset({Offer.STORAGE})

    def __init__(self, node: Node) -> None:
        self._disk = LocalDisk(node.workspace)
        self._key_images = cast("WorkstationSpec", node.spec).key_images

    def take(self, instance: ReceivedInstance) -> Status:
        """Keep a retrieved instance."""
        return self._disk.receive(instance)

    def fetch(self, reference: InstanceReference) -> KeptInstance | None:
        """The local copy of an instance."""
        return self._disk.fetch(reference)

    def discard(self, study_uid: str) -> int:
        """Delete the local copy of a study."""
        return self._disk.discard(study_uid)
