"""A plan from its start to its end: ``simlab.plan(...)`` and ``simlab plan``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from math import nan
from pathlib import Path
from typing import TypeAlias

from simlab.errors import GroupError, UserError
from simlab.lab.lab import Lab
from simlab.lab.plan.asked import read_asked, words
from simlab.lab.plan.design import Design, make_design
from simlab.lab.plan.factors import Vary
from simlab.lab.plan.result import PlanResult
from simlab.lab.plan.simulate import Pool, SideBySide, Task
from simlab.lab.plan.table import Table
from simlab.lab.plan.what_if import WhatIfs
from simlab.topology.calibration import Calibration
from simlab.topology.model import Topology
from simlab.wording import advice, shown

Watch: TypeAlias = Callable[[int, int, float], None]
"""Told how many runs are there, how many there will be, and the seconds that the rest will take (NaN: unknown)."""


def plan(
    topology: Topology | Lab | str | Path,
    *,
    vary: Vary | None = None,
    what_if: WhatIfs | None = None,
    together: bool = True,
    until: str | float | None = None,
    replications: int | None = None,
    warm_up: str | float | None = None,
    sla: str | Sequence[str] = (),
    measure: str | Sequence[str] = (),
    seed: int | None = None,
    calibration: Calibration | str | Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    out: str | Path | None = None,
    watch: Watch = lambda _done, _total, _left: None,
) -> PlanResult:
    """Simulate a topology, and what might be changed about it, many times over: means with error bars.

    ``vary`` names fields and their levels: ``["ct1.associations=1,2,4", "link.north-main.bandwidth=50,100 Mbit/s"]`` or
    ``{"ct1.associations": [1, 2, 4]}``. Every combination is a cell; the base case is the topology as it is.
    ``what_if`` names changes: ``"two more CTs: ct1.count=3"`` or ``{"JPEG-LS": {"*.propose": "jpegls"}}``; each is a
    cell, and, with ``together``, so are all of them at once. What is not given is as in the topology's ``experiment``;
    ``what_if=()`` compares nothing.
    Each cell is run ``replications`` times (20) for ``until`` ("7 d", or run seconds; the topology's duration), under
    the seeds ``seed``, ``seed`` + 1 and so on, the same in every cell, so that differences against the base case are
    paired.

    Studies that are ordered in the ``warm_up`` ("1 d", or run seconds; a tenth of ``until``) do not count: a
    department never begins empty. ``sla`` are service levels: "read < 1 h" from the order, "acquired to stored < 9 s".
    ``measure`` names what tables and the picture show instead of what is usual; everything is measured.

    The virtual world computes with what :func:`simlab.calibrate` has measured, or a file of that (``calibration``).

    ``workers`` processes share the runs (one for each core; 1 runs them in this process), which changes nothing but how
    long it takes. With a ``scheduler`` (``"tcp://10.0.0.5:8786"``) the workers of that Dask cluster do, and with
    ``"local"`` those of one that is started here; a script that asks for that must be importable without running. Who
    reaches a scheduler can run any code there, so use your own.

    With ``out`` everything is kept in that folder, and a plan that is called again goes on where it was interrupted.
    Ctrl-C ends it; the result holds what there is. Raises UserError for what cannot be, in one line, GroupError if a
    process fails.
    """
    lab = Lab.of(topology, calibration)
    base = lab.varied(seed=seed, until=until).topology
    asked = read_asked(base, vary=vary, what_if=what_if, replications=replications, warm_up=warm_up, sla=sla)
    design = make_design(
        base,
        asked.factors,
        replications=asked.replications,
        warm_up=asked.warm_up,
        levels=asked.levels,
        what_ifs=asked.what_ifs,
        all_at_once=together,
        calibration=lab.calibration,
    )
    wanted = tuple(words(measure))
    known = [each.name for each in design.measures]
    for name in wanted:
        if name not in known:
            raise UserError(f"unknown measure {shown(name)}; {advice(name, known)}")
    folder = Path(out) if out is not None else None
    table = Table.open(design, folder)

    def save(*, finished: bool) -> PlanResult:
        result = PlanResult(design, table.frame(), wanted, finished=finished, profiles=table.profiles())
        if folder is not None:
            result.save(folder)
        return result

    try:
        finished = _run(design, table, scheduler, workers, watch)
    except GroupError:
        save(finished=False)  # of the runs that there are
        raise
    return save(finished=finished)


def _run(design: Design, table: Table, scheduler: str | None, workers: int | None, watch: Watch) -> bool:
    """Run what is missing. False if it was interrupted."""
    trials = [trial for trial in design.trials() if not table.has(trial)]
    total = design.replications * len(design.cells)
    watch(total - len(trials), total, nan)
    if not trials:
        return True
    settings = design.warm_up, design.service_levels
    tasks = [Task(trial.cell.topology, trial.seed, *settings, calibration=design.calibration) for trial in trials]
    try:
        with closing(open_pool(scheduler, workers, len(tasks))) as pool, closing(pool.run(tasks)) as measured:
            began = time.perf_counter()
            for done, (place, row) in enumerate(measured, 1):
                table.append(trials[place], row)
                left = (time.perf_counter() - began) / done * (len(trials) - done)
                watch(total - len(trials) + done, total, left)
    except KeyboardInterrupt:
        return False
    return True


def open_pool(scheduler: str | None, workers: int | None, tasks: int) -> Pool:
    """Somebody to run so many tasks: processes of this machine, or a Dask cluster if a scheduler is named.

    Raises UserError if that cannot be.
    """
    if workers is not None and workers < 1:
        raise UserError(f"workers {workers}: expected 1 at least")
    count = min(workers or os.cpu_count() or 1, tasks)
    if scheduler is None:
        return SideBySide(count)
    try:
        from simlab.lab.plan.cluster import LOCAL, Cluster  # noqa: PLC0415 -- an extra, and slow to import
    except ImportError:
        raise UserError('a scheduler needs Dask; expected it installed: pip install "simlab[distributed]"') from None
    if workers is not None and scheduler != LOCAL:
        raise UserError(f"workers {workers}: the cluster has its own; expected none with a scheduler's address")
    return Cluster(scheduler, count)
