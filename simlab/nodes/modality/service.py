"""The scanner's live half: it makes real instances on its local disk, and hears of commitments."""

from __future__ import annotations

from simlab.network.live.server import KeptInstance, Offer
from simlab.network.seam import SUCCESS, CommitmentReport, Made, Status
from simlab.nodes.halves import LiveHalf
from simlab.nodes.local_disk import LocalDisk
from simlab.nodes.node import Node
from simlab.studies.instances import make_instance
from simlab.studies.study import InstanceReference, Study


class ModalityService(LiveHalf):
    """Acquisition, and commitment reports on associations that the archive opens."""

    offers = frozenset({Offer.COMMITMENT_REPORTS})

    def __init__(self, node: Node) -> None:
        self._node = node
        self._disk = LocalDisk(node.workspace)

    def make(self, study: Study) -> Made:
        """Make every selected instance, pixels and all."""
        size = 0
        for index in study.indices:
            kept = self._disk.write(make_instance(study, index, self._node.draws))
            size += kept.path.stat().st_size
        return Made(operation="make", study=study, instances=study.count, bytes=size)

    def fetch(self, reference: InstanceReference) -> KeptInstance | None:
        """The local copy of an instance."""
        return self._disk.fetch(reference)

    def discard(self, study_uid: str) -> int:
        """Delete the local copy of a study."""
        return self._disk.discard(study_uid)

    def commitment_reported(self, report: CommitmentReport) -> Status:
        """Take note; the workflow acts on it."""
        self._node.notify(report)
        return Status(SUCCESS)
