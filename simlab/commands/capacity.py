"""``simlab capacity`` in a terminal: progress, every growth that was tried, and the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from simlab.commands.terminal import INTERRUPTED, NOT_WELL, OK, interrupted_once, open_console, say
from simlab.errors import UserError
from simlab.lab.plan.capacity import Progress as Step
from simlab.lab.plan.capacity import capacity as run_capacity
from simlab.lab.plan.capacity_result import FIGURE_FILE
from simlab.report.capacity_console import capacity_tables, growth_word


def capacity(topology: Path, *, out: Path | None, **options: Any) -> int:
    """Search for the capacity; with a folder, go on where it was interrupted. Well if today's demand is met."""
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"cannot write to {out}: it is a file; expected a folder")
    console = open_console()
    progress = Progress(
        TextColumn("growth {task.fields[growth]}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[known]}"),
        console=open_console(stderr=True), refresh_per_second=2, disable=not console.is_terminal,
    )  # fmt: skip
    with interrupted_once(), progress:
        task = progress.add_task("", total=None, growth="", known="")

        def watch(step: Step) -> None:
            met, failed = step.bracket.meets, step.bracket.fails
            known = f"meets {growth_word(met)}" if met is not None else ""
            known += f", fails {growth_word(failed)}" if failed is not None else ""
            progress.update(
                task, completed=step.done, total=step.runs, growth=growth_word(step.growth), known=known.strip(", ")
            )

        result = run_capacity(topology, out=out, watch=watch, **options)
    about = result.setting.sentences()
    console.print(capacity_tables(result.sentences, about, result.notices, result.table, finished=result.finished))
    if out is not None and result.judged:
        say(f"figure: {out / FIGURE_FILE}")
    if not result.finished:
        return INTERRUPTED
    return OK if (result.bracket.meets or 0.0) >= 1.0 else NOT_WELL
