"""The archive's live half: files and an index behind its decisions."""

from __future__ import annotations

from simlab.network.live.server import KeptInstance, Offer, ReceivedInstance
from simlab.network.query import Query
from simlab.network.seam import SUCCESS, Answer, CommitmentRequest, Located, Status
from simlab.nodes.archive.state import ArchiveState
from simlab.nodes.halves import LiveHalf
from simlab.nodes.node import Node
from simlab.studies.study import InstanceReference


class ArchiveService(LiveHalf):
    """Storage, query/retrieve and storage commitment over an :class:`ArchiveState`."""

    offers = frozenset({Offer.STORAGE, Offer.QUERY_RETRIEVE, Offer.COMMITMENT})

    def __init__(self, node: Node) -> None:
        self._node = node
        self.holdings = ArchiveState(node.workspace)

    def take(self, instance: ReceivedInstance) -> Status:
        """Store an instance."""
        return self.holdings.store(instance)

    def fetch(self, reference: InstanceReference) -> KeptInstance | None:
        """A held instance's file."""
        return self.holdings.fetch(reference)

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

    def close(self) -> None:
        """Close the index."""
        self.holdings.close()
