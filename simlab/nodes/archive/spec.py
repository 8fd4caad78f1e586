"""The archive's part of the topology file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simlab.nodes.storing import ReceivingSpec
from simlab.units import Duration


class ArchiveSpec(ReceivingSpec):
    """An archive: stores, answers queries, sends on request, commits."""

    kind: Literal["archive"]
    report: Literal["new", "same"] = "new"
    """Whether a commitment report comes on a new association or on that of its request (PS3.4 annex J)."""
    report_delay: Duration = 0.0
    """Seconds between a commitment request and its report."""
    report_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """How often a report is sent that could not be delivered, or was refused, before it is given up."""
    report_back_off: Duration = 1.0
    """Seconds before the second attempt; they double with each further one."""
    durability: Literal["none", "write", "fsync"] = "write"
    """What a C-STORE's success promises. none: the instance was received; it is answered before it is entered. write:
    the operating system has it, so that it survives if every process of the archive is killed. fsync: the disk has it,
    file, name and index entry, so that it survives a power failure. A commitment request that was accepted is kept
    until it is reported on, by the disk with fsync, else by the operating system."""
    receivers: Annotated[int, Field(ge=0, le=64)] = 0
    """How many helper processes write what comes in, beside the archive's own process."""
