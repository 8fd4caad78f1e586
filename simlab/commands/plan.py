"""``simlab plan`` in a terminal: progress with an estimate of the time left, every cell, and what to know about it."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from simlab.commands.terminal import INTERRUPTED, NOT_WELL, OK, interrupted_once, open_console, say
from simlab.errors import UserError
from simlab.lab.plan.plan import plan as run_plan
from simlab.report.plan_console import plan_tables
from simlab.units import format_duration


def plan(topology: Path, *, out: Path | None, **options: Any) -> int:
    """Simulate every cell; with a folder, go on where it was interrupted."""
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"cannot write to {out}: it is a file; expected a folder")
    console = open_console()
    progress = Progress(
        TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=open_console(stderr=True), refresh_per_second=2, disable=not console.is_terminal,
    )  # fmt: skip
    with interrupted_once(), progress:
        task = progress.add_task("", total=None, left="")

        def watch(done: int, total: int, left: float) -> None:
            told = f"about {format_duration(max(round(left), 1))} left" if isfinite(left) and done < total else ""
            progress.update(task, completed=done, total=total, left=told)

        result = run_plan(topology, out=out, watch=watch, **options)
    console.print(plan_tables(result.replications, result.wanted))
    if out is not None and len(result.table):
        say(f"figure: {out / result.picture}")
    if not result.finished:
        return INTERRUPTED
    return OK if result.ok else NOT_WELL
