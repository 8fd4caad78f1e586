"""What a world hands back to the lab when a run is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from simlab.lab.audit import Audit
from simlab.lab.completion import Completion
from simlab.records import InstanceBatch, Record
from simlab.topology.model import Topology


@dataclass
class Happened:
    """Records and instance rows of a run, and how it ended."""

    topology: Topology
    records: list[Record] = field(default_factory=list)
    batches: list[InstanceBatch] = field(default_factory=list)
    elapsed: float = 0.0
    """Run seconds."""
    ended: str = ""
    """Why the run was cut short; empty if everything ordered came to its end."""
    audited: bool = False
    """The archives were asked for everything back. From then on the ledger is closed: what they acknowledge later, they
    were not asked for."""
    generator: dict[str, float] = field(default_factory=dict)
    links: list[dict[str, object]] = field(default_factory=list)
    """What passed each link in each direction, as :data:`simlab.analysis.frames.LINK_COLUMNS` names it."""
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.completion = Completion(self.topology)
        self.audit = Audit(self.topology)

    def take(self, records: list[Record], batches: list[InstanceBatch]) -> None:
        """Add what has happened since."""
        self.records += records
        self.batches += batches
        self.completion.take(records)
        # What is deleted while the archives are being asked is deleted all the same.
        self.audit.take(records, () if self.audited else batches)


@dataclass(frozen=True)
class Progress:
    """How far a run is, for whoever watches it."""

    now: float
    """Run seconds."""
    duration: float
    phase: str
    """``working``, ``finishing`` what was ordered, or ``auditing``."""
    milestones: Mapping[str, int]
    """How many studies have reached each."""
    latest: Mapping[str, Record]
    """Each node's last finished operation."""
    stored_bytes: int
    """Bytes of all C-STOREs so far."""


Watch = Callable[[Progress], None]
