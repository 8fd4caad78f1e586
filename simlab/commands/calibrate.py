"""``simlab calibrate`` in a terminal: progress, then the times that were found, and how well they explain the rest."""

from __future__ import annotations

from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from simlab.commands.terminal import INTERRUPTED, NOT_WELL, OK, expect_to_write, interrupted_once, open_console, say
from simlab.lab.calibration.calibrate import calibrate as run_calibration
from simlab.report.calibration_console import calibration_tables


def calibrate(topology: Path, *, node: str | None, out: Path, time: float) -> int:
    """Measure, and write the calibration."""
    expect_to_write(out)
    console = open_console()
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
        console=open_console(stderr=True), refresh_per_second=2, disable=not console.is_terminal,
    )  # fmt: skip
    with interrupted_once(), progress:
        task = progress.add_task("starting", total=None)

        def watch(what: str, done: float, total: float) -> None:
            progress.update(task, description=what, completed=done, total=total)

        calibration = run_calibration(topology, node=node, time=time, watch=watch)
    console.print(calibration_tables(calibration))
    if not calibration.measured.complete:
        if calibration.nodes:  # it is better than nothing, but not than an earlier one that is complete
            out = out.with_name(f"{out.stem}.interrupted{out.suffix}")
            calibration.save(out)
            say(f"what there was time for: {out}")
        return INTERRUPTED
    if calibration.nodes:
        calibration.save(out)
        say(f"calibration: {out}")
    return OK if calibration.points else NOT_WELL
