"""The archive's virtual half: the same decisions over studies as values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from simlab.network.query import Query
from simlab.network.seam import SUCCESS, Answer, CommitmentRequest, Located, Status
from simlab.nodes.archive.decisions import judge_request
from simlab.nodes.archive.memory import MemoryHoldings
from simlab.nodes.halves import VirtualHalf
from simlab.nodes.node import Node
from simlab.studies.study import InstanceReference, Study


class ArchiveModel(VirtualHalf):
    """Storage, query/retrieve and storage commitment over :class:`MemoryHoldings`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._report = getattr(node.spec, "report", "new")  # an external node is taken for an archive, and does not say
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
        """Accept, unless nobody could be told; the workflow reports."""
        known = self._node.titled(request.requester) is not None
        status = judge_request(request, new_association=self._report == "new", known=known)
        if status.code == SUCCESS:
            self._node.notify(self.holdings.requests.accept(request))
        return status
