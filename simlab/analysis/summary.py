"""What is kept of a run: ``summary.json`` (seconds and bytes throughout), and the frames it was made from."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from simlab.analysis.frames import links_frame, write_parquet
from simlab.analysis.latencies import latencies_frame
from simlab.analysis.oracle import InstanceCounts
from simlab.analysis.run import Run
from simlab.analysis.studies import split_clinical
from simlab.errors import UserError
from simlab.topology.model import Topology

SUMMARY_FILE = "summary.json"
RECORDS_FILE = "records.parquet"
INSTANCES_FILE = "instances.parquet"
FINDINGS_FILE = "findings.parquet"
LATENCIES_FILE = "latencies.parquet"
STUDIES_FILE = "studies.parquet"

MOST_FINDINGS = 1000
"""That are told in the summary; the file beside it has them all."""

MOST_STUDIES = 10_000
"""That are told in the summary; if there are more, a file beside it has them all."""


def summary(run: Run) -> dict[str, Any]:
    """All numbers of a run, ready for JSON: seconds, bytes, bytes per second; what was not measured is None."""
    studies = run.studies.join(split_clinical(run.studies))
    return {
        "name": run.topology.name,
        "world": run.world,
        "seed": run.seed,
        "duration": run.topology.duration,
        "compress": run.topology.compress,
        "started_at": run.started_at.isoformat(),
        "elapsed": run.elapsed,
        "complete": run.complete,
        "audited": run.audited,
        "verdict": run.verdict,
        "operations": _rows(run.operations),
        "studies": _rows(studies.head(MOST_STUDIES)),
        "studies_left_out": run.study_count - len(studies.head(MOST_STUDIES)),
        "study_times": _rows(run.study_times.rename_axis("time")),
        "instances": asdict(run.counts),
        "findings": _rows(run.findings.head(MOST_FINDINGS).set_index("finding")),
        "findings_left_out": max(len(run.findings) - MOST_FINDINGS, 0),
        "expect": [asdict(verdict) for verdict in run.verdicts],
        "generator": dict(run.generator),
        "links": _rows(run.links.set_index("link")),
        "notices": list(run.notices),
    }


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as a list of JSON objects, its index included."""
    # pandas' own writer turns NaN into null and numpy's numbers into JSON's; 15 digits keep every float64 apart.
    rows: list[dict[str, Any]] = json.loads(table.reset_index().to_json(orient="records", double_precision=15))
    return rows


def save(run: Run, folder: Path) -> None:
    """Write the run's numbers into a folder: ``summary.json``, and records, instances and findings as Parquet.

    Latencies and studies have files of their own where there are many. Of what was not kept there is no file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (RECORDS_FILE, INSTANCES_FILE, LATENCIES_FILE, STUDIES_FILE, FINDINGS_FILE):
        (folder / name).unlink(missing_ok=True)  # of an earlier run, which may have had what this one has not
    if run.running is None:
        write_parquet(run.records, folder / RECORDS_FILE)
        write_parquet(run.instances, folder / INSTANCES_FILE)
    if len(run.latencies):
        write_parquet(run.latencies, folder / LATENCIES_FILE)
    if len(run.studies) > MOST_STUDIES:
        write_parquet(run.studies.reset_index(), folder / STUDIES_FILE)
    write_parquet(run.findings, folder / FINDINGS_FILE)
    text = json.dumps(summary(run), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / SUMMARY_FILE).write_text(text + "\n", encoding="utf-8")


def load(folder: Path, topology: Topology) -> Run:
    """Read a run back. The topology comes from the lab, which alone knows every kind of node.

    Raises UserError for a run of which only a summary was kept.
    """
    if not (folder / RECORDS_FILE).exists():
        raise UserError(f"{folder} has no {RECORDS_FILE}: only a summary was kept of that run")
    told = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    latencies = folder / LATENCIES_FILE
    return Run(
        topology=topology,
        world=told["world"],
        seed=told["seed"],
        started_at=datetime.fromisoformat(told["started_at"]),
        elapsed=told["elapsed"],
        records=pd.read_parquet(folder / RECORDS_FILE),
        instances=pd.read_parquet(folder / INSTANCES_FILE),
        counts=InstanceCounts(**told["instances"]),
        findings=pd.read_parquet(folder / FINDINGS_FILE),
        generator=told["generator"],
        links=links_frame(told["links"]),
        latencies=pd.read_parquet(latencies) if latencies.exists() else latencies_frame(),
        notices=tuple(told["notices"]),
        complete=told["complete"],
        audited=told["audited"],
        path=folder,
    )
