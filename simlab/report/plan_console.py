"""The end of a plan in a terminal: for each measure every cell, with its difference against the base case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from simlab.analysis.planning import Measure
from simlab.analysis.replications import BASE, FEWER, Replications, cautions
from simlab.report.intervals import Scale, heading, interval_in, judged

USUAL = ("waiting_p95", "time_to_safe_p95", "to_read_p95", "utilisation")
"""Measures that are shown unless others are asked for; service levels come first."""

STYLES = {"better": "bold green", "worse": "bold red", "more": "bold", "less": "bold", "": "dim"}


def plan_tables(replications: Replications, names: Sequence[str] = ()) -> Group:
    """Everything that the command prints when it is over; ``names`` are the measures to show."""
    parts: list[Text | Table] = [Text(sentence) for sentence in replications.about]
    parts += [Text(f"! {line}", style="yellow") for line in cautions(replications)]
    if len(replications.runs):
        summary = replications.summary
        for measure in _chosen(replications, names):
            rows = summary[summary["measure"] == measure.name].to_dict("records")
            parts += [Text(), Text(measure.about, style="bold"), _told(replications, measure, rows)]
        known = {measure.name for measure in replications.measured()}
        parts += [Text(f"! {name} was measured in no run", style="yellow") for name in names if name not in known]
        if (replications.runs["cell"] != BASE).any():
            told = (
                "better, worse, more, less: the interval of the difference excludes 0; "
                "dim: it may be chance, or is less than 1 %"
            )
            parts += [Text(), Text(told, style="dim")]
        failed = replications.runs[replications.runs["verdict"] != "passed"]
        if len(failed):
            line = f"{len(failed)} of {len(replications.runs)} runs did not pass: {_by_cell(failed['cell'].tolist())}"
            parts.append(Text(line, style="bold red"))
    if not replications.finished:
        goes_on = "interrupted; with --out, the same command goes on where it stopped"
        parts.append(Text(goes_on, style="bold yellow"))
    return Group(*parts)


def _chosen(replications: Replications, names: Sequence[str]) -> list[Measure]:
    measured = replications.measured()
    if names:
        return [measure for measure in measured if measure.name in names]

    def is_usual(name: str) -> bool:
        return name.startswith("sla ") or name in USUAL or (name in FEWER and bool(replications.runs[name].any()))

    return [measure for measure in measured if is_usual(measure.name)]


def _told(replications: Replications, measure: Measure, rows: Sequence[Mapping[Any, Any]]) -> Table | Text:
    """A table of all cells, or one line where there is nothing to choose between them."""
    others = [row for row in rows if row["cell"] != BASE]
    if others and not all(row["difference"] == row["difference_low"] == row["difference_high"] == 0 for row in others):
        return _table(replications, measure, rows)
    mean = interval_in(rows[0])
    same = "the same in every cell: " if others else ""
    return Text(f"{same}{Scale.of(measure.unit, [mean]).told(mean)}")


def _table(replications: Replications, measure: Measure, rows: Sequence[Mapping[Any, Any]]) -> Table:
    """A row per cell; the base case first."""
    factors = replications.labels
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim")
    table.add_column("cell", justify="right", no_wrap=True, vertical="bottom")
    for factor in factors:
        table.add_column(heading(factor), justify="right", no_wrap=True)
    table.add_column("mean [95 % interval]", justify="right", no_wrap=True)
    table.add_column("against the base case", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    means, differences = [interval_in(row) for row in rows], [interval_in(row, "difference") for row in rows]
    scale, smaller = Scale.of(measure.unit, means), Scale.of(measure.unit, differences)
    for row, mean, difference in zip(rows, means, differences, strict=True):
        base = row["cell"] == BASE
        word = judged(replications, measure, row, means[0])
        table.add_row(
            "base" if base else str(row["cell"]),
            *(Text(str(row[factor])) for factor in factors),
            scale.told(mean),
            Text("" if base else smaller.told(difference, signed=True), style=STYLES[word]),
            Text(word, style=STYLES[word]),
        )
    return table


def _by_cell(cells: Sequence[int]) -> str:
    counts = sorted(Counter(cells).items())
    return ", ".join(f"{count} of {'the base case' if cell == BASE else f'cell {cell}'}" for cell, count in counts)
