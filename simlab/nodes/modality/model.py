"""The scanner's virtual half."""

from __future__ import annotations

from simlab.network.seam import SUCCESS, CommitmentReport, Status
from simlab.nodes.halves import VirtualHalf
from simlab.nodes.node import Node
from simlab.studies.study import Study


class ModalityModel(VirtualHalf):
    """Hears of commitments; of what it acquires it knows how large that is."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._kept: dict[str, int] = {}
        """Study Instance UID to bytes."""

    def keep(self, study: Study) -> None:
        """Have a study on the local disk."""
        self._kept[study.uid] = study.nominal_bytes

    def discard(self, study_uid: str) -> int:
        """Delete the local copy of a study."""
        return self._kept.pop(study_uid, 0)

    def commitment_reported(self, report: CommitmentReport) -> Status:
        """Take note; the workflow acts on it."""
        self._node.notify(report)
        return Status(SUCCESS)
