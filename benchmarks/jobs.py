"""Whole jobs, and what simlab does before it sends."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.bench import Bench
from benchmarks.corpus import Kind, make_instances
from benchmarks.results import Figures, Key
from benchmarks.senders import Dcmtk, Load, Sender, Simlab
from benchmarks.servers import Sink, settle
from benchmarks.timing import time_side_by_side
from benchmarks.transfers import BOUND

JOB, TEMPLATES = "job", "templates"

INSTANCES, FEW = 10_000, 1_000
"""Of a whole job, and of a quick one."""


def job(bench: Bench) -> None:
    """Everything counts, from the start of the command: the others have their files already, simlab makes its own."""
    count = FEW if bench.quick else INSTANCES
    senders: list[Sender] = [Simlab(), Simlab(associations=4, processes=4), Dcmtk(), Dcmtk(processes=4)]
    bench.contest(
        {Key(JOB, job_label(bench), "discarding sink", one.name): partial(_do, bench, one, count) for one in senders}
    )


def job_label(bench: Bench) -> str:
    """What the job is."""
    return f"{FEW if bench.quick else INSTANCES:,} CT"


def _do(bench: Bench, sender: Sender, count: int) -> Figures:
    with Sink(bench.native).up() as at:
        commands = sender.commands(at, Load(bench.corpus, Kind.CT, 0, count), bench.folder / "report.json")
        took = time_side_by_side(commands, bench.folder, BOUND, partial(settle, at, count))
        return {"seconds": took.seconds, "cpu_seconds": took.cpu}


def templates(bench: Bench) -> None:
    """How fast instances are made out of templates, without sending them."""
    bench.contest({Key(TEMPLATES, kind.label, "", "simlab's templates"): partial(_make, bench, kind) for kind in Kind})


def _make(bench: Bench, kind: Kind) -> Figures:
    started = time.perf_counter()
    instances = make_instances(kind)
    next(instances)
    first = time.perf_counter()
    until = first + (0.3 if bench.quick else 1.0)
    made = 0
    while time.perf_counter() < until:
        next(instances)
        made += 1
    return {"rate": made / (time.perf_counter() - first), "compile_s": first - started}
