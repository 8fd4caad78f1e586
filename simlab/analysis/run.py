"""A finished run: what was asked for, what happened, and what was found out about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

import pandas as pd

from simlab.analysis.expectations import Verdict, judge
from simlab.analysis.frames import instances_frame, links_frame
from simlab.analysis.latencies import latencies_frame
from simlab.analysis.operations import operations_table, transfers
from simlab.analysis.oracle import InstanceCounts, findings_frame
from simlab.analysis.running import Running
from simlab.analysis.studies import studies_table, study_times
from simlab.topology.calibration import Calibration
from simlab.topology.model import Topology

CUT_SHORT = "The run was cut short: "
"""How the notice begins that says why."""


@dataclass(frozen=True)
class Run:
    """What a finished run knows. Tables and verdicts follow from it, and are made when first asked for."""

    topology: Topology
    world: str
    seed: int
    started_at: datetime
    """By the wall clock."""
    elapsed: float
    """Run seconds from the start to the end of the last operation."""
    records: pd.DataFrame
    """As from :func:`simlab.analysis.frames.records_frame`."""
    instances: pd.DataFrame
    """As from :func:`simlab.analysis.frames.instances_frame`."""
    counts: InstanceCounts
    latencies: pd.DataFrame = field(default_factory=latencies_frame)
    """Histograms of C-STORE latencies, where there are too many for ``instances``; as from
    :func:`simlab.analysis.latencies.latencies_frame`."""
    running: Running | None = None
    """Where only a summary was kept: all that is known. There are no records then, nor studies."""
    generator: Mapping[str, float] = field(default_factory=dict)
    """How the generator itself fared: ``lag_p99`` in seconds, ``cpu`` as the share of one core."""
    commitments: pd.DataFrame = field(default_factory=lambda: instances_frame(()))
    """What archives have said of commitment: one row per instance and report, as from ``instances_frame``; ``finished``
    is when the report came, ``status`` 0 or the failure reason."""
    findings: pd.DataFrame = field(default_factory=lambda: findings_frame(()))
    """The instances with which something is not as it should be, as from
    :func:`simlab.analysis.oracle.findings_frame`."""
    links: pd.DataFrame = field(default_factory=lambda: links_frame(()))
    """What passed the links, as from :func:`simlab.analysis.frames.links_frame`; empty where none were at work."""
    notices: tuple[str, ...] = ()
    """Sentences that a reader must know to understand the numbers."""
    audited: bool = True
    """The archives were asked at the end what they hold; without that nothing is known of losses."""
    complete: bool = True
    """Everything ordered came to its end; False if the run was cut short."""
    calibration: Calibration | None = None
    """What the times of AEs were taken from in the virtual world; None: uncalibrated, or live."""
    path: Path | None = None
    """The folder that it was saved to or loaded from."""

    @cached_property
    def operations(self) -> pd.DataFrame:
        """Statistics per (node, peer, operation); see :func:`operations_table`."""
        if self.running is not None:
            return self.running.operations(self.elapsed)
        return operations_table(self.records, self.instances, self.elapsed, self.latencies)

    @cached_property
    def studies(self) -> pd.DataFrame:
        """One row per study; see :func:`studies_table`."""
        return studies_table(self.records)

    @cached_property
    def study_times(self) -> pd.DataFrame:
        """How long studies took; see :func:`study_times`."""
        return study_times(self.studies) if self.running is None else self.running.study_times()

    @property
    def study_count(self) -> int:
        """How many studies there were."""
        return len(self.studies) if self.running is None else self.running.studies

    @property
    def complete_studies(self) -> int:
        """How many of them reached every goal that any study reached."""
        return int((self.studies["outcome"] == "complete").sum()) if self.running is None else self.running.complete

    @property
    def stores(self) -> pd.DataFrame:
        """What was sent and when: the instances, or, where there are no rows of those, the transfers."""
        return self.instances if self.latencies.empty else transfers(self.records)

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """One per threshold that the topology expects."""
        return judge(self.topology.expect, self.operations, self.counts if self.audited else None)

    @property
    def ended(self) -> str:
        """Why it was cut short; empty if it came to its end."""
        told = (notice.removeprefix(CUT_SHORT) for notice in self.notices if notice.startswith(CUT_SHORT))
        return next(told, "").removesuffix(".")

    @property
    def verdict(self) -> str:
        """``incomplete``, ``failed`` or ``passed``. Whatever was expected, a promise that was broken fails a run."""
        if not self.complete:
            return "incomplete"
        passed = not self.counts.promises_broken and all(verdict.passed for verdict in self.verdicts)
        return "passed" if passed else "failed"
