"""A plan from its start to its end: ``simlab.plan(...)`` and ``simlab plan``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from math import nan
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias

from simlab.errors import UserError
from simlab.lab.lab import Lab
from simlab.lab.plan.design import Design, Trial, make_design
from simlab.lab.plan.factors import Vary, read_factors
from simlab.lab.plan.result import PlanResult
from simlab.lab.plan.service_levels import read_service_level
from simlab.lab.plan.simulate import Beside, Here, Simulator, Task
from simlab.lab.plan.table import Row, Table
from simlab.lab.variations import with_settings
from simlab.topology.model import Topology
from simlab.units import parse_duration
from simlab.wording import advice, shown

Watch: TypeAlias = Callable[[int, int, float], None]
"""Told how many runs are there, how many there will be, and the seconds that the rest will take (NaN: unknown)."""

REPLICATIONS = 20
"""Unless others are asked for: fewer make intervals wide, and twice as many only a third narrower."""

WARM_UP = 0.1
"""The share of a run that is deleted, unless something else is asked for."""


def plan(
    topology: Topology | Lab | str | Path,
    *,
    vary: Vary = (),
    until: str | float | None = None,
    replications: int | None = None,
    warm_up: str | float | None = None,
    sla: str | Sequence[str] = (),
    measure: str | Sequence[str] = (),
    seed: int | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    watch: Watch = lambda _done, _total, _left: None,
) -> PlanResult:
    """Simulate a topology, and what might be changed about it, many times over: means with error bars.

    ``vary`` names fields and their levels: ``["ct1.associations=1,2,4", "link.north-main.bandwidth=50,100 Mbit/s"]`` or
    ``{"ct1.associations": [1, 2, 4]}``. Every combination is a cell; the base case is the topology as it is. Each cell
    is run ``replications`` times (20) for ``until`` ("7 d", or run seconds; the topology's duration), under the seeds
    ``seed``, ``seed`` + 1 and so on, the same in every cell, so that differences against the base case are paired.

    Studies that are ordered in the ``warm_up`` ("1 d", or run seconds; a tenth of ``until``) do not count: a
    department never begins empty. ``sla`` are service levels: "read < 1 h" from the order, "acquired to stored < 9 s".
    ``measure`` names what tables and the picture show instead of what is usual; everything is measured.

    ``workers`` processes share the runs (one for each core; 1 runs them in this process), which changes nothing but how
    long it takes. With ``out`` everything is kept in that folder, and a plan that is called again goes on where it was
    interrupted. Ctrl-C ends it; the result holds what there is. Raises UserError for what cannot be, in one line,
    GroupError if a process fails.
    """
    lab = topology if isinstance(topology, Lab) else Lab(topology) if isinstance(topology, Topology) else None
    if lab is None:
        assert isinstance(topology, str | Path)
        lab = Lab.load(topology)
    if workers is not None and workers < 1:
        raise UserError(f"workers {workers}: expected 1 at least")
    base = lab.varied(seed=seed, until=until).topology
    design = make_design(
        base,
        read_factors(base, vary),
        replications=REPLICATIONS if replications is None else replications,
        warm_up=_seconds(warm_up, base.duration * WARM_UP),
        levels=tuple(map(read_service_level, _words(sla))),
    )
    wanted = tuple(_words(measure))
    known = [each.name for each in design.measures]
    for name in wanted:
        if name not in known:
            raise UserError(f"unknown measure {shown(name)}; {advice(name, known)}")
    folder = Path(out) if out is not None else None
    table = Table.open(design, folder)
    finished = _run(design, table, workers or os.cpu_count() or 1, watch)
    result = PlanResult(design, table.frame(), wanted, finished=finished)
    if folder is not None:
        result.save(folder)
    return result


def _words(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


def _seconds(given: str | float | None, usual: float) -> float:
    if given is None:
        return usual
    return parse_duration(given) if isinstance(given, str) else float(given)


def _run(design: Design, table: Table, workers: int, watch: Watch) -> bool:
    """Run what is missing. False if it was interrupted."""
    trials = [trial for trial in design.trials() if not table.has(trial)]
    total = design.replications * len(design.cells)
    watch(total - len(trials), total, nan)
    if not trials:
        return True
    began = time.perf_counter()
    with ExitStack() as stack:
        simulators = _simulators(min(workers, len(trials)), stack)
        idle: SimpleQueue[Simulator] = SimpleQueue()
        for simulator in simulators:
            idle.put(simulator)

        def run(trial: Trial) -> tuple[Trial, Row]:
            simulator = idle.get()
            try:
                seeded = with_settings(trial.cell.topology, seed=trial.seed)
                return trial, simulator.run(Task(seeded, design.warm_up, design.service_levels))
            finally:
                idle.put(simulator)

        pool = stack.enter_context(ThreadPoolExecutor(len(simulators), "plan"))
        try:
            futures = [pool.submit(run, trial) for trial in trials]
            for done, future in enumerate(as_completed(futures), 1):
                table.append(*future.result())
                left = (time.perf_counter() - began) / done * (len(trials) - done)
                watch(total - len(trials) + done, total, left)
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            for simulator in simulators:
                simulator.stop()
            if not isinstance(error, KeyboardInterrupt):
                raise
            return False
    return True


def _simulators(count: int, stack: ExitStack) -> list[Simulator]:
    if count == 1:
        return [Here()]
    made: list[Simulator] = []
    for _ in range(count):
        beside = Beside()
        stack.callback(beside.close)
        made.append(beside)
    return made
