"""``simlab compare`` in a terminal: progress, every figure of both worlds side by side, and the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from simlab.commands.terminal import INTERRUPTED, NOT_WELL, OK, interrupted_once, open_console, say
from simlab.errors import UserError
from simlab.lab.agreement.compare import Step
from simlab.lab.agreement.compare import compare as run_both
from simlab.lab.agreement.result import PICTURE_FILE
from simlab.report.agreement_console import agreement_tables


def compare(topology: Path, *, out: Path | None, **options: Any) -> int:
    """Run the same arrivals in both worlds; with a folder, keep table and picture."""
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)  # afterwards would be too late
        except OSError as error:
            raise UserError(f"cannot write to {out}: {error.strerror or error}; expected a folder") from error
    console = open_console()
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[runs]}"), TimeElapsedColumn(),
        console=open_console(stderr=True), refresh_per_second=2, disable=not console.is_terminal,
    )  # fmt: skip
    with interrupted_once(), progress:
        task = progress.add_task("starting", total=1.0, runs="")

        def watch(step: Step) -> None:
            share = min((step.done + step.share) / step.total, 1.0)
            progress.update(task, description=step.what, completed=share, runs=f"{step.done} of {step.total} live runs")

        result = run_both(topology, out=out, watch=watch, **options)
    title = f"{result.topology.name}, seed {result.topology.seed}: {len(result.live)} live runs and a virtual one"
    console.print(agreement_tables(result.table, result.notices, title=title))
    if out is not None and len(result.table):
        say(f"figure: {out / PICTURE_FILE}")
    if result.interrupted:
        return INTERRUPTED
    return OK if result.ok and not result.cut_short else NOT_WELL
