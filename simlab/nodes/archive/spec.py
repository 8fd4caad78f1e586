"""The archive's part of the topology file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from simlab.nodes.storing import ReceivingSpec
from simlab.topology.frozen import Frozen, Mistake
from simlab.topology.model import Topology
from simlab.units import Duration, Size


class TierSpec(Frozen):
    """A part of an archive's storage, from which what gets old moves on to the next one."""

    name: Annotated[str, Field(min_length=1)]
    capacity: Annotated[Size, Field(gt=0)] | None = None
    """Bytes; None: without limit."""
    after: Annotated[Duration, Field(gt=0)] | None = None
    """Clinical seconds after which what was stored moves on; None, in the last tier, for never."""


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
    """How many helper processes write what comes in, beside the archive's own process, and acknowledge what is new."""
    capacity: Annotated[Size, Field(gt=0)] | None = None
    """Bytes that there is room for. Told is only when that will be full; nothing is refused. None: without limit."""
    tiers: tuple[TierSpec, ...] = ()
    """Instead of a capacity: parts with one each, online first. Values only; what moves takes no time."""
    holds: Size = 0
    """Bytes that are there from the beginning, in the last tier."""

    def check(self, topology: Topology, name: str) -> Iterator[Mistake]:
        """Yield tiers that do not follow one another."""
        del topology, name
        if self.tiers and self.capacity is not None:
            yield Mistake(("capacity",), "tiers have capacities of their own; expected either these or this one")
        names = [tier.name for tier in self.tiers]
        for index, tier in enumerate(self.tiers):
            if tier.name in names[:index]:
                yield Mistake(("tiers", index, "name"), f"a second tier {tier.name}; expected another name")
            last = index == len(self.tiers) - 1
            if last is (tier.after is not None):
                wanted = "nothing, for that is the last tier" if last else 'a time, as in "90 d"'
                yield Mistake(("tiers", index, "after"), f"expected {wanted}")
        for index, (tier, later) in enumerate(pairwise(self.tiers), 1):
            if tier.after is not None and later.after is not None and later.after <= tier.after:
                yield Mistake(("tiers", index, "after"), "that is not after the tier before; expected a later time")
