"""The archive's virtual half: the same decisions, without files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from simlab.network.matching import has_wildcard, values_of
from simlab.network.polling import Watch
from simlab.network.query import Query
from simlab.network.seam import SUCCESS, Answer, CommitmentRequest, Located, Status
from simlab.nodes.archive.decisions import judge_request
from simlab.nodes.archive.memory import MemoryHoldings
from simlab.nodes.halves import VirtualHalf
from simlab.nodes.node import Node
from simlab.studies.study import InstanceReference, Study

MODALITIES = "ModalitiesInStudy"


class ArchiveModel(VirtualHalf):
    """Storage, query/retrieve and storage commitment over :class:`MemoryHoldings`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._report = getattr(node.spec, "report", "new")  # an external node is taken for an archive, and does not say
        self.holdings = MemoryHoldings(self._tell)
        self._watches: list[tuple[frozenset[str], Watch]] = []
        """With the modalities that are asked for; none: any."""

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

    def watch(self, query: Query) -> Watch:
        """Tell of studies of the modalities that are asked for, whatever else is asked."""
        modalities, watch = values_of(MODALITIES, query.keys.get(MODALITIES, "")), Watch()
        any_at_all = any(map(has_wildcard, modalities))
        self._watches.append((frozenset() if any_at_all else frozenset(modalities), watch))
        return watch

    def _tell(self, study: str, modalities: frozenset[str]) -> None:
        for asked, watch in self._watches:
            if not asked or not asked.isdisjoint(modalities):
                watch.tell(study)

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
