"""What a run gives back: frames, tables, pictures, verdicts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from simlab.analysis import summary
from simlab.analysis.run import Run
from simlab.errors import UserError
from simlab.report.journey import draw_journey
from simlab.report.ladder import draw_ladder
from simlab.report.page import failed_operations, render
from simlab.report.style import Drawing
from simlab.topology.loader import resolve_yaml

TOPOLOGY_FILE = "topology.yaml"
CALIBRATION_FILE = "calibration.yaml"
REPORT_FILE = "report.html"


class Result:
    """A finished run, for people and notebooks. All numbers are seconds and bytes."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __repr__(self) -> str:
        run = self.run
        return (
            f"<{run.topology.name}, {run.world} world, seed {run.seed}: "
            f"{run.study_count} studies, {run.counts.stored} instances stored, {run.verdict}>"
        )

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>".replace("<p><", "<p>&lt;").replace("></p>", "&gt;</p>") + str(
            self.summary().to_html(float_format=lambda value: f"{value:.3g}")
        )

    @property
    def records(self) -> pd.DataFrame:
        """One row per finished operation or milestone; columns as in :class:`simlab.records.Record`."""
        return self.run.records

    @property
    def instances(self) -> pd.DataFrame:
        """One row per C-STORE."""
        return self.run.instances

    @property
    def findings(self) -> pd.DataFrame:
        """One row per instance and finding: finding (dropped, lost, ...), sop_instance, study, archive, times."""
        return self.run.findings

    @property
    def studies(self) -> list[str]:
        """Study Instance UIDs in the order of ordering."""
        return list(self.run.studies.index)

    @property
    def ok(self) -> bool:
        """Everything ordered came to its end, and every expectation was met."""
        return self.run.verdict == "passed"

    def summary(self) -> pd.DataFrame:
        """One row per (node, peer, operation): count, failures, rate, bytes, throughput, p50, p95, p99."""
        return self.run.operations

    def study_table(self) -> pd.DataFrame:
        """One row per study: its milestones in run seconds, and the times between them."""
        return self.run.studies

    @property
    def links(self) -> pd.DataFrame:
        """One row for each direction of each link: what passed it; columns as in ``LINK_COLUMNS``."""
        return self.run.links

    def p95(self, operation: str, node: str | None = None) -> float:
        """The largest 95th percentile, in seconds, among the nodes that asked for an operation (or of one node).

        Raises KeyError if there was none.
        """
        table = self.summary().reset_index()
        chosen = table[(table["operation"] == operation) & ((node is None) | (table["node"] == node))]
        if chosen.empty:
            raise KeyError(f"no {operation}{f' by {node}' if node else ''} in this run")
        return float(chosen["p95"].max())

    def journey(self, study: str) -> Drawing:
        """One study's way through the department, as a timeline."""
        return draw_journey(self.records, self.instances, study)

    def ladder(self, study: str | None = None) -> Drawing:
        """One study's operations as a ladder diagram; None: the first in which something failed, else the first.

        Raises UserError if there was no study.
        """
        if study is None:
            failed = [uid for uid in failed_operations(self.run)["study"] if uid]
            study = next(iter([*failed, *self.studies]), None)
        if study is None:
            raise UserError("no study was ordered in this run")
        return draw_ladder(self.records, self.instances, study, commitments=self.run.commitments)

    def report(self, path: str | Path) -> Path:
        """Write the report as one self-contained HTML page."""
        target = Path(path)
        target.write_text(render(self.run), encoding="utf-8")
        return target

    def save(self, folder: str | Path) -> Path:
        """Write the run folder: summary.json, topology.yaml, report.html; records, instances, findings as Parquet.

        If the run was calibrated there is a calibration.yaml. For what is there besides, or not at all, see
        :func:`simlab.analysis.summary.save`.
        """
        target = Path(folder)
        summary.save(self.run, target)
        (target / TOPOLOGY_FILE).write_text(resolve_yaml(self.run.topology), encoding="utf-8")
        (target / CALIBRATION_FILE).unlink(missing_ok=True)  # of an earlier run
        if self.run.calibration is not None:
            self.run.calibration.save(target / CALIBRATION_FILE)
        self.report(target / REPORT_FILE)
        return target
