"""The archive's live half: files and an index behind its decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from simlab.network.live.server import Durability, KeptInstance, Offer, ReceivedInstance, Respond, Storage
from simlab.network.query import Query
from simlab.network.seam import SUCCESS, Answer, CommitmentRequest, Located, Status
from simlab.nodes.archive.decisions import judge_request
from simlab.nodes.archive.header import Header, examine
from simlab.nodes.archive.spec import ArchiveSpec
from simlab.nodes.archive.state import ArchiveState
from simlab.nodes.halves import LiveHalf
from simlab.nodes.node import Node
from simlab.nodes.options import store_options
from simlab.studies.study import InstanceReference


class ArchiveService(LiveHalf):
    """Storage, query/retrieve and storage commitment over an :class:`ArchiveState`."""

    offers = frozenset({Offer.STORAGE, Offer.QUERY_RETRIEVE, Offer.COMMITMENT})

    def __init__(self, node: Node) -> None:
        self._node = node
        self._spec = cast("ArchiveSpec", node.spec)
        self.storing = store_options(self._spec)
        durability = Durability(self._spec.durability)
        self.holdings = ArchiveState(
            node.workspace, durable=durability is Durability.FSYNC, unforeseen=self._end_the_run
        )
        self.storage = Storage(self.holdings.incoming, durability, examine, self._spec.receivers)
        if self._spec.receivers and durability is not Durability.NONE:
            self.storage = replace(self.storage, must_ask=self.holdings.let_receivers_acknowledge())
        for accepted in self.holdings.requests.owed():  # from before a restart
            node.notify(accepted)

    def take(self, instance: ReceivedInstance, examined: Header | Status, respond: Respond) -> None:
        """Store an instance."""
        respond(self.holdings.take(instance, examined))

    def keep(self, acknowledged: Sequence[tuple[ReceivedInstance, Header]]) -> None:
        """Keep what receivers have acknowledged."""
        self.holdings.keep(acknowledged)

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
        """Accept, unless nobody could be told, or it cannot be kept until it is reported; the workflow reports."""
        known = self._node.titled(request.requester) is not None
        status = judge_request(request, new_association=self._spec.report == "new", known=known)
        if status.code != SUCCESS:
            return status
        accepted = self.holdings.requests.accept(request)
        if isinstance(accepted, Status):
            return accepted
        self._node.notify(accepted)
        return status

    def close(self) -> None:
        """Close the index."""
        self.holdings.close()

    def _end_the_run(self, bug: Exception) -> None:
        self._node.hand_in(partial(_raise, bug))


def _raise(error: Exception) -> None:
    raise error
