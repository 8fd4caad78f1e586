"""The worklist manager's virtual half."""

from __future__ import annotations

from simlab.nodes.halves import VirtualHalf
from simlab.nodes.node import Node
from simlab.nodes.worklist.state import WorklistState


class WorklistModel(WorklistState, VirtualHalf):
    """The same decisions, without a wire."""

    def __init__(self, _: Node) -> None:
        super().__init__()
