"""The archive's part of the topology file."""

from __future__ import annotations

from typing import Literal

from simlab.topology.model import NodeSpec
from simlab.units import Duration


class ArchiveSpec(NodeSpec):
    """An archive: stores, answers queries, sends on request, commits."""

    kind: Literal["archive"]
    report: Literal["new", "same"] = "new"
    """Whether a commitment report comes on a new association or on that of its request (PS3.4 annex J)."""
    report_delay: Duration = 0.0
    """Seconds between a commitment request and its report."""
