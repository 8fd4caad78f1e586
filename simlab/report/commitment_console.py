"""The end of a commitment matrix in a terminal: every cell, and the verdict."""

from __future__ import annotations

from math import isfinite

from rich.console import Group
from rich.table import Table
from rich.text import Text

from simlab.report.commitment_page import NOT_MEASURED, Matrix, findings
from simlab.units import format_duration


def commitment_tables(matrix: Matrix) -> Group:
    """Everything that the command prints when it is over, the verdict last, where the eye is."""
    parts: list[Text | Table] = []
    if len(matrix.cells):
        parts += [_cells(matrix), Text()]
    parts += [Text(told.text, style="bold red" if told.bad else "") for told in findings(matrix)]
    if not matrix.complete:
        parts.append(Text("interrupted", style="bold yellow"))
    return Group(*parts)


def _cells(matrix: Matrix) -> Table:
    """A row per cell; what does not vary has no column."""
    cells = matrix.cells
    keys = ("fault", "occurrence", "policy", "delete_local")
    varied = [name for name in keys if name == "fault" or len(set(cells[name])) > 1]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim")
    for name in varied:
        table.add_column(name.replace("_", " "), no_wrap=True)
    for name in ("waste", "resent", "N-ACTIONs", "safe p50", "p95", "lost", "false-safe", "alarms"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    for row in cells.to_dict("records"):
        expected = row["resent"] == row["expected_resent"]
        resent = f"{row['resent']}" if expected else f"{row['resent']}, expected {row['expected_resent']}"
        table.add_row(
            *(Text(str(row[name])) for name in varied),
            f"{row['waste']:.2f}",
            Text(resent, style="" if expected else "bold red"),
            f"{row['requests']}",
            *(_duration(row[f"time_to_safe_{percentile}"]) for percentile in ("p50", "p95")),
            *(Text(f"{row[name]}", style="bold red" if row[name] else "") for name in ("lost", "false_safe")),
            Text(f"{row['alarms']}", style="yellow" if row["alarms"] else ""),
            Text(row["outcome"], style={"safe": "", "failed": "yellow"}.get(row["outcome"], "bold red")),
        )
    return table


def _duration(seconds: float) -> str:
    return format_duration(seconds) if isfinite(seconds) else NOT_MEASURED
