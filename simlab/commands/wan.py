"""``simlab wan`` in a terminal: progress with an estimate of the time left, and the verdict for each link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from simlab.commands.terminal import INTERRUPTED, NOT_WELL, OK, interrupted_once, open_console, say
from simlab.errors import UserError
from simlab.lab.lab import Lab
from simlab.lab.wan.result import REPORT_FILE
from simlab.lab.wan.run import wan as run_experiment
from simlab.lab.wan.scenario import read_scenario
from simlab.report.wan_console import wan_tables
from simlab.units import format_duration


def wan(topology: Path | None, *, sender: str | None, out: Path | None, no_crossover: bool, **options: Any) -> int:
    """Run the experiment; with a folder, go on where it was interrupted."""
    if sender is not None and topology is None:
        raise UserError("--from names a node; expected a TOPOLOGY as well")
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"cannot write to {out}: it is a file; expected a folder")
    lab = None
    if topology is not None:
        lab = Lab.load(topology)
        say(str(read_scenario(lab, sender)))
    console = open_console()
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[left]}"),
        console=open_console(stderr=True), refresh_per_second=2, disable=not console.is_terminal,
    )  # fmt: skip
    with interrupted_once(), progress:
        task = progress.add_task("starting", total=None, left="")

        def watch(what: str, done: float, total: float) -> None:
            counts_seconds = what.startswith(("measuring", "searching"))
            left = f"about {format_duration(max(round(total - done), 1))} left" if counts_seconds else ""
            progress.update(task, description=what, completed=done, total=total or None, left=left)

        result = run_experiment(
            lab, sender=sender, out=out, crossovers=False if no_crossover else None, watch=watch, **options
        )
    console.print(wan_tables(result.experiment))
    if out is not None and len(result.table):
        say(f"report: {out / REPORT_FILE}")
    if not result.complete:
        return INTERRUPTED
    return OK if len(result.table) else NOT_WELL
