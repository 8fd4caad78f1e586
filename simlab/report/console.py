"""The end of a run in a terminal: what was measured, what became of the instances, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import isnan

from rich.console import Group
from rich.table import Table
from rich.text import Text

from simlab.analysis.measurements import succeeded
from simlab.analysis.oracle import BROKEN_PROMISES, PROGRESS, label
from simlab.analysis.run import Run
from simlab.units import format_duration, format_size

NOT_MEASURED = "\N{EN DASH}"

MOST_REASONS = 3
"""For which operations failed, or studies, that are told."""

_SELDOM = (
    "unverified",
    "corrupt",
    "altered",
    "unexpected",
    "unlisted",
    "listed_twice",
    "stored_twice",
    "needlessly_resent",
)

_VERDICT_STYLES = {"passed": "bold green", "failed": "bold red", "incomplete": "bold yellow"}


def summary_tables(run: Run) -> Group:
    """Everything that a command prints when a run is over, the verdict last, where the eye is."""
    heading = Text.assemble((run.topology.name, "bold"), f" · {run.world} world · seed {run.seed} · ")
    heading.append(f"done after {format_duration(run.elapsed)}")
    if "events" in run.generator:
        heading.append(
            f" · {run.generator['events']:,.0f} events, {run.generator['events_per_second']:,.0f} a CPU second"
        )
    parts: list[Text | Table] = [heading, *(Text(f"! {notice}", style="yellow") for notice in run.notices), Text()]
    if len(run.operations):
        parts += [_operations(run), *_reasons(run), Text()]
    if run.study_count:
        parts += [_study_times(run), *_studies(run), Text()]
    if len(run.links):
        parts += [_links(run), Text()]
    parts.append(_instances(run))
    if run.verdicts:
        parts += [Text(), _verdicts(run)]
    parts += [Text(), Text(run.verdict, style=_VERDICT_STYLES[run.verdict])]
    return Group(*parts)


def _table(words: Sequence[str], numbers: Sequence[str]) -> Table:
    """A table without frames: columns of words at the left, of numbers at the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim")
    for name in words:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _operations(run: Run) -> Table:
    table = _table(("node", "peer", "operation"), ("count", "failures", "rate", "throughput", "p50", "p95", "p99"))
    for row in run.operations.reset_index().to_dict("records"):
        failures = Text(f"{row['failures']:,}", style="bold red" if row["failures"] else "")
        throughput = NOT_MEASURED if isnan(row["throughput"]) else f"{format_size(row['throughput'])}/s"
        table.add_row(
            Text(row["node"]),
            Text(row["peer"]),
            Text(row["operation"]),
            f"{row['count']:,}",
            failures,
            f"{row['rate']:.3g} /s",
            throughput,
            *(_duration(row[percentile]) for percentile in ("p50", "p95", "p99")),
            style="" if row["peer"] else "dim",
        )
    return table


def _reasons(run: Run) -> Iterator[Text]:
    """Why operations failed, most frequent first."""
    records = run.records
    failed = records[((records["failures"] > 0) | ~succeeded(records["status"])) & (records["peer"] != "")]
    found = failed.groupby(["node", "peer", "operation", "comment"], observed=True, sort=False).size()
    for row in found.rename("times").reset_index().nlargest(MOST_REASONS, "times").to_dict("records"):
        times = f" ({row['times']:,} times)" if row["times"] > 1 else ""
        told = row["comment"] or "failed without a comment"
        yield Text(f"! {row['node']} > {row['peer']}, {row['operation']}: {told}{times}", style="yellow")
    if len(found) > MOST_REASONS:
        yield Text(f"! and {len(found) - MOST_REASONS:,} other kinds of failure: see the report", style="yellow")


def _links(run: Run) -> Table:
    """What passed each link in each direction."""
    table = _table(
        ("link", "from", "to"), ("connections", "payload", "utilisation", "dropped segments", "outages", "resets")
    )
    for row in run.links.to_dict("records"):
        resets = Text(f"{row['resets']:,}", style="bold red" if row["resets"] else "")
        table.add_row(
            *(Text(row[name]) for name in ("link", "source", "target")),
            f"{row['connections']:,}",
            format_size(row["payload"]),
            f"{row['utilisation']:.1%}",
            f"{row['dropped']:,}",
            f"{row['outages']:,}",
            resets,
        )
    return table


def _study_times(run: Run) -> Table:
    """The times to each goal. Where clinical waits are compressed, also their two parts."""
    times = run.study_times
    if run.topology.compress == 1:
        times = times[~times.index.str.endswith(("_clinical", "_network"))]
    table = _table(("studies",), ("count", "p50", "p95"))
    for row in times[times["count"] > 0].rename_axis("time").reset_index().to_dict("records"):
        label = row["time"].replace("_clinical", f", clinical part (÷ {run.topology.compress:g})")
        label = label.replace("_network", ", rest (network, polling, queues)").replace("_", " ")
        table.add_row(label, f"{row['count']:,}", _duration(row["p50"]), _duration(row["p95"]))
    return table


def _studies(run: Run) -> Iterator[Text]:
    """How many studies came to their goal, and why the others did not."""
    alarm = "yellow" if run.complete_studies < run.study_count else ""
    yield Text(f"{run.complete_studies:,} of {run.study_count:,} studies complete", style=alarm)
    failed = run.records[run.records["operation"] == "failed"]
    reasons = failed.groupby(["node", "comment"], observed=True, sort=False)["study"].nunique()
    for row in reasons.nlargest(MOST_REASONS).reset_index().to_dict("records"):
        yield Text(f"! {row['study']:,} failed at {row['node']}: {row['comment']}", style=alarm)
    if len(reasons) > MOST_REASONS:
        yield Text(f"! {len(reasons) - MOST_REASONS:,} other reasons are in the report", style=alarm)


def _instances(run: Run) -> Table:
    """How many instances came how far. What is seldom other than 0 is shown only then."""
    figures = {name: number for name, number in asdict(run.counts).items() if number or name not in _SELDOM}
    table = _table((), [label(name) for name in figures])
    table.add_row(*(Text(f"{number:,}", style=_style(name, number)) for name, number in figures.items()))
    return table


def _style(name: str, number: int) -> str:
    if not number or name in PROGRESS:
        return ""
    return "bold red" if name in (*BROKEN_PROMISES, "missing") else "yellow"


def _verdicts(run: Run) -> Table:
    table = _table(("expected",), ("measured", ""))
    for verdict in run.verdicts:
        word = "passed" if verdict.passed else "failed"
        table.add_row(Text(verdict.expectation), verdict.measured, Text(word, style=_VERDICT_STYLES[word]))
    return table


def _duration(seconds: float) -> str:
    return NOT_MEASURED if isnan(seconds) else format_duration(seconds)
