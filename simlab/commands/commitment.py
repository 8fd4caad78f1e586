"""``simlab commitment`` in a terminal: progress, the matrix, and the verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from simlab.commands.terminal import (
    INTERRUPTED,
    NOT_WELL,
    OK,
    expect_to_write,
    interrupted_once,
    open_console,
    say,
    write_atomically,
)
from simlab.errors import UserError
from simlab.lab.commitment.matrix import commitment as run_matrix
from simlab.lab.commitment.result import REPORT_FILE
from simlab.lab.commitment.scenario import read_scenario
from simlab.report.commitment_console import commitment_tables


def commitment(
    topology: Path | None, *, scanner: str | None, protocol: str | None, rtt: float | None, bandwidth: float | None,
    profile: str | None, seed: int | None, json_file: Path | None, out: Path | None, **options: Any,
) -> int:  # fmt: skip
    """Try every fault under every policy; with a folder, keep table, page and pictures."""
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)  # afterwards would be too late
        except OSError as error:
            raise UserError(f"cannot write to {out}: {error.strerror or error}; expected a folder") from error
    if json_file is not None:
        expect_to_write(json_file)
    what: dict[str, Any] = {"scanner": scanner, "protocol": protocol, "seed": seed}
    what |= {"rtt": rtt, "bandwidth": bandwidth, "profile": profile}
    say(str(read_scenario(topology, **what)))
    console = open_console()
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=open_console(stderr=True), refresh_per_second=2, disable=not console.is_terminal,
    )  # fmt: skip
    with interrupted_once(), progress:
        task = progress.add_task("starting", total=None)

        def watch(done: int, total: int, what: str) -> None:
            progress.update(task, description=what or "trying", completed=done, total=total)

        result = run_matrix(topology, watch=watch, **what, **options)
    console.print(commitment_tables(result.matrix))
    if json_file is not None:
        write_atomically(json_file, json.dumps(result.to_dict(), indent=2) + "\n")
    if out is not None and len(result.table):
        result.save(out)
        say(f"report: {out / REPORT_FILE}")
    if not result.complete:
        return INTERRUPTED
    return OK if result.ok else NOT_WELL
