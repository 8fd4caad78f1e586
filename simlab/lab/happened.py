"""What a world hands back to the lab when a run is over."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from simlab.analysis.frames import end_of
from simlab.analysis.latencies import TransferHistograms
from simlab.analysis.oracle import Fates
from simlab.analysis.running import Running
from simlab.lab.audit import Audit
from simlab.lab.completion import Completion
from simlab.records import InstanceBatch, Record, Records, Tables
from simlab.topology.model import Topology

MOST_ROWS = 500_000
"""C-STOREs of which a row is kept. If there are more, there is a histogram of latencies for each transfer instead."""

INTERRUPTED = "interrupted"
"""Why a run was cut short that a person has ended."""

MANY_EVENTS = 1e6
"""In a run of the virtual world after which it pays to give back the memory of all that is over."""


@dataclass
class Happened:
    """Records and instance rows of a run, and how it ended."""

    topology: Topology
    records: Records = field(default_factory=Records)
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
    running: Running | None = None
    """Where only a summary is kept."""
    histograms: TransferHistograms | None = None
    """In place of ``batches``, once there were too many instances."""
    stores: int = 0
    """C-STOREs so far."""

    def __post_init__(self) -> None:
        self.completion = Completion(self.topology)
        self.audit = Audit(self.topology)

    def take(self, records: Sequence[Record], batches: Sequence[InstanceBatch]) -> None:
        """Add what has happened since."""
        self.completion.take(records)
        # What is deleted while the archives are being asked is deleted all the same.
        self.audit.take(records, () if self.audited else batches)
        if self.running is not None:
            self.running.take(Records.of(records), batches, self.completion.open)
            return
        self.records.extend(records)
        self.batches += batches
        self.stores += sum(len(batch.told) for batch in batches if batch.operation == "C-STORE")
        if self.stores > MOST_ROWS:
            self.histograms = self.histograms or TransferHistograms()
            for batch in self.batches:
                self.histograms.take(batch)
            self.batches.clear()

    def settle(self) -> Fates:
        """What became of every instance. Nothing can be taken in any more, and what only served that is let go."""
        fates = self.audit.fates(asked=self.audited)
        self.audit = Audit(self.topology)
        if self.generator.get("events", 0.0) > MANY_EVENTS:
            self._write_anew()
        return fates

    def _write_anew(self) -> None:
        """Give back the memory of a world that is over, whose nodes and processes know each other.

        The words that are left lie scattered over all of it, and Python gives back nothing around them: they are moved.
        """
        histograms = self.histograms or TransferHistograms()
        left = pickle.dumps((self.records.tables, histograms.studies), pickle.HIGHEST_PROTOCOL)
        self.records.tables, histograms.studies, self.completion = Tables(), {}, Completion(self.topology)
        gc.collect()
        self.records.tables, histograms.studies = pickle.loads(left)  # noqa: S301 -- packed by us

    def let_go(self) -> None:
        """Forget what the result has been made from: a year's records take hundreds of megabytes."""
        self.records, self.histograms = Records(), None
        self.batches.clear()

    def end(self) -> None:
        """Nothing more happens, but for the audit."""
        if self.running is None:
            self.elapsed = end_of(self.records)
        else:
            self.running.end()
            self.elapsed = self.running.elapsed


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
