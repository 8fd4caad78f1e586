"""The archive's virtual half: the same decisions over studies as values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from simlab.network.query import Query
from simlab.network.seam import SUCCESS, Answer, CommitmentRequest, Located, Status
from simlab.nodes.archive.memory import MemoryHoldings
from simlab.nodes.halves import VirtualHalf
from simlab.nodes.node import Node
from simlab.studies.study import InstanceReference, Study


class ArchiveModel(VirtualHalf):
    """Storage, query/retrieve and storage commitment over :class:`MemoryHoldings`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.holdings = MemoryHoldings()

    def take(self, study: Study) -> Status:
        """Hold the selected instances."""
        self.holdings.take(study)
        return Status(SUCCESS)

    def recall(self, references: Iterable[InstanceReference]) -> Sequence[Study]:
        """Held instances as selections of their studies."""
        return self.holdings.studies_of(references)

    def find(self, query: Query) -> Answer:
        """Answer a C-FIND."""
        return self.holdings.search(query)

    def locate(self, query: Query) -> Located:
        """Find what a C-MOVE or C-GET asks for."""
        return self.holdings.locate(query)

    def commitment_requested(self, request: CommitmentRequest) -> Status:
        """Accept; the workflow reports."""
        self._node.notify(request)
        return Status(SUCCESS)
