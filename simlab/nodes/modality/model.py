"""The scanner's virtual half."""

from __future__ import annotations

from simlab.network.seam import SUCCESS, CommitmentReport, Status
from simlab.nodes.halves import VirtualHalf
from simlab.nodes.node import Node


class ModalityModel(VirtualHalf):
    """Hears of commitments; what it acquires needs no bytes."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def commitment_reported(self, report: CommitmentReport) -> Status:
        """Take note; the workflow acts on it."""
        self._node.notify(report)
        return Status(SUCCESS)
