"""The part of the topology file of an AE that is not ours."""

from __future__ import annotations

from typing import Literal

from simlab.topology.model import NodeSpec, Port


class ExternalSpec(NodeSpec):
    """Somebody else's AE, which runs already: a PACS, a worklist server, or any other SCP."""

    kind: Literal["external"]
    host: str
    port: Port
