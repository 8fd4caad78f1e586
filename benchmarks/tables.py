"""Results for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from rich.table import Table

from benchmarks.goals import Goal
from benchmarks.results import Key, Results

HEADINGS = {
    "rate": "per second",
    "mb_per_s": "MB/s",
    "cpu": "sender CPU s/GB",
    "server_cpu": "server CPU s/GB",
    "own_rate": "by its own report",
    "outstanding": "outstanding",
    "server_cpu_ms": "server CPU ms each",
    "open_s": "opened in s",
    "core_percent": "% of a core",
    "rss_mb": "RSS MB",
    "pss_mb": "PSS MB",
    "seconds": "seconds",
    "cpu_seconds": "sender CPU s",
    "compile_s": "compiled in s",
}
"""Figures, in the order of their columns."""

YARDSTICKS = ("dcmsend", "storescp --fork")
"""The contestant that others are compared with: whichever of them there is."""


def result_tables(results: Results) -> Iterator[Table]:
    """A table for each part and subject."""
    for (part, subject), keys in groupby(sorted(results.keys(), key=_place(results)), lambda key: key[:2]):
        yield _table(results, f"{part}: {subject}", list(keys))


def _place(results: Results) -> Any:
    """Rows stay in the order of their contests; tables in the order of their first row."""
    tables: dict[tuple[str, ...], int] = {}
    for key in results.keys():  # noqa: SIM118  not a mapping
        for depth in (2, 3):
            tables.setdefault(key[:depth], len(tables))
    return lambda key: (tables[key[:2]], tables[key[:3]])


def _table(results: Results, title: str, keys: list[Key]) -> Table:
    figures = [figure for figure in HEADINGS if any(results.values(key, figure) for key in keys)]
    main = next((figure for figure in ("rate", "seconds") if figure in figures), None)
    table = Table(title=title, title_justify="left")
    table.add_column("with", no_wrap=True)
    table.add_column("contestant", no_wrap=True)
    for figure in figures:
        table.add_column(HEADINGS[figure], justify="right")
        if figure == main:
            table.add_column("range", justify="right")
            table.add_column("ratio", justify="right")
    table.add_column("note")
    for against, rows in groupby(keys, lambda key: key.against):
        group = list(rows)
        yardstick = next((key for name in YARDSTICKS for key in group if key.name == name), None)
        for number, key in enumerate(group):
            cells = ["" if number else against, key.name]
            for figure in figures:
                cells.append(_number(results.median(key, figure)))
                if figure == main:
                    values = results.values(key, figure).values()
                    cells.append(f"{_number(min(values))} - {_number(max(values))}" if values else "")
                    cells.append(_number(results.ratio(key, yardstick, figure) if yardstick else None))
            table.add_row(*cells, results.notes.get(key, ""), end_section=number == len(group) - 1)
    return table


def goal_table(goals: Iterable[Goal], *, rough: bool) -> Table:
    """What was to be reached, and was."""
    table = Table(title="goals (a quick run is too rough to judge them)" if rough else "goals", title_justify="left")
    for heading in ("goal", "measured", "bound", "met"):
        table.add_column(heading, justify="left" if heading in ("goal", "met") else "right")
    for goal in goals:
        bound = f"{'>=' if goal.at_least else '<='} {goal.bound:g}"
        table.add_row(goal.name, _number(goal.value), bound, {None: "not measured", True: "yes", False: "NO"}[goal.met])
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
