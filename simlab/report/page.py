"""The HTML report: one file that needs nothing else, to be read anywhere and long after."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import asdict
from math import isnan
from typing import Any

import pandas as pd

from simlab.analysis.disk import halts, occupancy
from simlab.analysis.measurements import OPERATION_ORDER, succeeded
from simlab.analysis.operations import throughput_series
from simlab.analysis.oracle import MEANINGS, PROGRESS, label
from simlab.analysis.remarks import remarks_table
from simlab.analysis.run import Run
from simlab.records import MILESTONES
from simlab.report.by_the_clock import clock_figures
from simlab.report.commitment_figures import draw_occupancy
from simlab.report.html import inline, open_templates
from simlab.report.journey import draw_journey
from simlab.report.network import draw_network
from simlab.report.plots import bin_seconds, draw_latencies, draw_throughput
from simlab.units import format_duration, format_size

MOST_ROWS = 60
"""Of a table: a day's run has thousands of studies, and ``summary.json`` has them all."""

NOT_MEASURED = "\N{EN DASH}"


def render(run: Run) -> str:
    """The whole report as one HTML document."""
    templates = open_templates(
        duration=_or_dash(format_duration), size=_or_dash(format_size), speed=_or_dash(_format_throughput)
    )
    failures = failed_operations(run)
    studies = _worst_first(run.studies)
    remarks = remarks_table(run.records)
    shown = example_study(run.studies)
    return templates.get_template("page.html").render(
        run=run,
        topology=run.topology,
        figures=_key_figures(run),
        network=inline(draw_network(run.topology)),
        throughput=inline(draw_throughput(run.stores, run.elapsed))
        if (run.stores["operation"] == "C-STORE").any()
        else "",
        latencies=inline(draw_latencies(run.records, run.instances, run.latencies))
        if len(run.operations) and run.running is None
        else "",
        journey=inline(draw_journey(run.records, run.instances, shown)) if shown else "",
        journey_study=run.studies.loc[shown] if shown else None,
        operations=_rows(run.operations),
        links=_rows(run.links),
        studies=_rows(studies.head(MOST_ROWS)),
        studies_left_out=max(len(studies) - MOST_ROWS, 0),
        study_times=_rows(run.study_times.rename_axis("time")),
        disks=_disks(run),
        clock=[(figure.heading, figure.about, inline(figure.drawing)) for figure in clock_figures(run)],
        remarks=_rows(remarks.head(MOST_ROWS)),
        remarks_left_out=max(len(remarks) - MOST_ROWS, 0),
        instances=_instances(run),
        findings=_rows(run.findings.head(MOST_ROWS).assign(finding=lambda rows: rows["finding"].map(label))),
        findings_left_out=max(len(run.findings) - MOST_ROWS, 0),
        failures=_rows(failures.head(MOST_ROWS)),
        failures_left_out=max(len(failures) - MOST_ROWS, 0),
        command=reproduce(run),
    )


def failed_operations(run: Run) -> pd.DataFrame:
    """Records of operations that failed in whole or in part, and of studies that did, with their accession number."""
    records = run.records
    failed = (records["failures"] > 0) | ~succeeded(records["status"]) | (records["operation"] == "failed")
    accessions = dict(run.studies["accession"])
    known = records["operation"].isin((*OPERATION_ORDER, *MILESTONES))
    return records[failed & known].assign(accession=lambda rows: [accessions.get(study, "") for study in rows["study"]])


def example_study(studies: pd.DataFrame) -> str:
    """The UID of the study to show: of those that came furthest, the one of median length; empty if there is none."""
    if not len(studies):
        return ""
    reached = studies[list(MILESTONES)].drop(columns="failed")
    furthest = reached[reached.count(axis=1) == reached.count(axis=1).max()]
    lengths = (furthest.max(axis=1) - furthest.min(axis=1)).sort_values(kind="stable")
    return str(lengths.index[len(lengths) // 2])


def reproduce(run: Run) -> str:
    """The command that makes this run again, from the files beside the report."""
    calibrated = ["--calibration", "calibration.yaml"] if run.calibration is not None else []
    return shlex.join(["simlab", "run", "topology.yaml", "--world", run.world, *calibrated, "--seed", str(run.seed)])


def peak_throughput(run: Run) -> float:
    """The highest throughput of all stores together, in bytes per second over one bin of the throughput plot."""
    series = throughput_series(run.stores, bin_seconds(run.elapsed))
    return float(series.sum(axis=1).max()) * 1e6 if len(series.columns) else 0.0


def _key_figures(run: Run) -> list[dict[str, Any]]:
    """What stands in large letters: label, value, and whether it is a reason to worry."""
    counts = run.counts
    stored = run.operations.query("operation == 'C-STORE'")["bytes"].sum()
    figures = [
        ("studies complete", f"{run.complete_studies} of {run.study_count}", run.complete_studies < run.study_count),
        ("instances generated", f"{counts.generated:,}", False),
        ("stored", f"{counts.stored:,}", counts.missing > 0),
        ("committed", f"{counts.committed:,}", counts.false_safe > 0),
        ("dropped", f"{counts.dropped:,}", counts.dropped > 0),
        ("lost", f"{counts.lost:,}", counts.lost > 0),
        ("bytes stored", format_size(float(stored)), False),
    ]
    if run.running is None:
        span = format_duration(bin_seconds(run.elapsed))
        figures.append((f"peak throughput, over {span}", _format_throughput(peak_throughput(run)), False))
    return [{"label": label, "value": value, "alarm": alarm} for label, value, alarm in figures]


def _disks(run: Run) -> str:
    """The local disks of scanners, where one can be full; empty where none can."""
    capacities = {name: getattr(spec, "local_disk", None) for name, spec in run.topology.nodes.items()}
    limited = {name: capacity for name, capacity in capacities.items() if capacity is not None}
    if not limited or run.running is not None:
        return ""
    usage, stops = occupancy(run.records), halts(run.records)
    return inline(draw_occupancy(usage[usage["node"].isin(limited)], stops, limited, run.elapsed))


def _instances(run: Run) -> list[dict[str, Any]]:
    """Each count of instances, what it means, and whether it is a reason to worry."""
    return [
        {"label": label(name), "number": number, "meaning": MEANINGS[name], "alarm": number and name not in PROGRESS}
        for name, number in asdict(run.counts).items()
    ]


def _worst_first(studies: pd.DataFrame) -> pd.DataFrame:
    """Failed and unfinished studies first where not all can be shown; else as they were ordered."""
    if len(studies) <= MOST_ROWS:
        return studies
    return studies.sort_values("outcome", key=lambda outcome: outcome == "complete", kind="stable")


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.reset_index().to_dict("records")]


def _format_throughput(bytes_per_second: float) -> str:
    return f"{format_size(bytes_per_second)}/s"


def _or_dash(formatter: Callable[[float], str]) -> Callable[[float], str]:
    """The formatter, with a dash for what was not measured."""
    return lambda value: NOT_MEASURED if isnan(value) else formatter(value)
