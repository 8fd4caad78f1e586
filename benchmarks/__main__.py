"""The command line: ``python -m benchmarks [--quick] [--only PART ...] [--rounds N] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from benchmarks.associations import associations, idle
from benchmarks.bench import Bench
from benchmarks.corpus import corpus
from benchmarks.goals import goals
from benchmarks.jobs import job, templates
from benchmarks.machine import describe
from benchmarks.native import built
from benchmarks.peers import UnavailableError
from benchmarks.tables import goal_table, result_tables
from benchmarks.transfers import receivers, senders
from benchmarks.windows import window

PARTS: dict[str, Callable[[Bench], None]] = {
    part.__name__: part for part in (senders, receivers, associations, idle, window, templates, job)
}

ROUNDS = 3

ROOM = 8 * 10**9
"""Bytes that the files take: whole jobs have 10,000 CT, and runs from disk are long."""

WIDTH_OF_A_FILE = 200
"""Columns of what is written into a file or a pipe."""


def main() -> int:
    """Run the benchmarks, and say and save what came out. The exit code does not tell whether goals are met."""
    options = parse_arguments()
    console = Console(
        width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE, markup=False, highlight=False, emoji=False
    )
    signal.signal(signal.SIGTERM, _interrupt)  # so that whatever was started is stopped
    machine = describe()
    console.print_json(data=machine)
    started = time.monotonic()
    try:
        with built() as native, corpus(ROOM) as files, tempfile.TemporaryDirectory(prefix="simlab-bench-") as folder:
            console.print(f"files in {files.place}")
            bench = Bench(native, files, Path(folder), options.rounds, options.quick, console)
            try:
                for name in options.only or PARTS:
                    PARTS[name](bench)
            except KeyboardInterrupt:
                console.print("interrupted: what follows is incomplete")
            machine["files"] = files.place
    except UnavailableError as error:
        console.print(f"benchmarks: {error}")
        return 1
    reached = list(goals(bench))
    for table in (*result_tables(bench.results), goal_table(reached, rough=bench.quick)):
        console.print(table)
    console.print("per second and other figures: medians over rounds; ratio: median of the rounds' ratios")
    console.print(f"{bench.rounds} rounds{', quick' if bench.quick else ''}, {time.monotonic() - started:.0f} s")
    if options.json:
        save(options.json, machine, bench, reached)
    return 0


def save(path: Path, machine: dict[str, Any], bench: Bench, reached: list[Any]) -> None:
    """Write everything as JSON."""
    content = {
        "machine": machine,
        "rounds": bench.rounds,
        "quick": bench.quick,
        "results": bench.results.as_json(),
        "goals": [{**goal._asdict(), "met": goal.met} for goal in reached],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    bench.console.print(f"saved: {path}", soft_wrap=True)


def parse_arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="simlab and its peers side by side")
    parser.add_argument("--quick", action="store_true", help="small runs: whether it works, with rough figures")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=_positive, default=ROUNDS, metavar="N", help=f"[{ROUNDS}]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save all figures there")
    return parser.parse_args()


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return number


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
