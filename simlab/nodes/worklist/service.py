"""The worklist manager's live half."""

from __future__ import annotations

from simlab.network.live.server import Offer
from simlab.nodes.halves import LiveHalf
from simlab.nodes.node import Node
from simlab.nodes.worklist.state import WorklistState


class WorklistService(WorklistState, LiveHalf):
    """Modality Worklist and MPPS as SCP: the decisions are the state's."""

    offers = frozenset({Offer.WORKLIST, Offer.PROCEDURE_STEP})

    def __init__(self, _: Node) -> None:
        super().__init__()
