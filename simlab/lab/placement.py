"""Which nodes share a process."""

from __future__ import annotations

import os

from simlab.nodes.kinds import KINDS
from simlab.topology.model import Topology


def place(topology: Topology, *, cores: int | None = None) -> list[tuple[str, ...]]:
    """Deal nodes out to groups: every server node alone, modalities together, about one group a core.

    Python runs one thread at a time in a process, so a server that shared one with others would answer late because
    of them.
    """
    ours = [name for name, spec in topology.nodes.items() if KINDS[spec.kind].service is not None]
    scanners = [name for name in ours if topology.nodes[name].kind == "modality"]
    hands = max(1, min(len(scanners), (cores or os.cpu_count() or 1) // 2))
    shared = [tuple(scanners[k::hands]) for k in range(hands)] if scanners else []
    return [(name,) for name in ours if name not in scanners] + shared
