"""How true the relay is: the same transfers through it, over the kernel's TCP, and in theory.

``python -m benchmarks.fidelity [--quick] [--json FILE] [--only PART ...]``, or ``make fidelity``. Needs Linux and root,
for the bridge of packets that the kernel's TCP runs over (``simlab/network/live/relay/tun.py``). simlab's own sender
sends instances that are encoded already, to simlab's own receiver, which keeps nothing.

- Contestants take turns, or run at the same time where the line is so slow that they do not disturb each other.
- Ratios are those of one round, and their median over the rounds; with losses, of the means over the seeds.
- A cell that falls short is measured again, and the median is over all of its rounds. A round in which the bridge was
  late does not count, since then it is no truth.
- Both have the same queue and, as far as the kernel can be told, the same window. Where the queue overflows chance
  decides, and the cell is shown but not judged.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

from rich.console import Console

from benchmarks.corpus import IN_MEMORY, SEED, Kind
from benchmarks.fidelity_cells import IDEAL, RELAY, SEEDS, TUN, Baseline, Cell, Outcome, Part, cells
from benchmarks.fidelity_tables import cell_tables, summary
from benchmarks.link_cost import Costs, cost_goals, measure_costs
from benchmarks.link_routes import DirectRoute, RelayRoute, Route, Transfer, TunRoute
from benchmarks.machine import describe
from benchmarks.peers import FailedError, UnavailableError
from benchmarks.tables import goal_table
from simlab.draws import Draws
from simlab.studies.templates import StudyTemplate

ROUNDS = 2
"""Of cells whose contestants take turns; the others are side by side in time already, and have one."""
FOUR_ROUNDS = 3
"""Of cells in which chance decides which association loses most when the queue is full: the kernel has two minds."""
MOST_ROUNDS = 5
"""Of cells that fall short, or in which the bridge was late."""
REPEATING = 420.0
"""Seconds after which no cell is measured more often than it must, so that the whole ends."""
WARM_UP = 3
"""Instances that go over each way before anything is timed."""
RESTING = 0.02
"""Seconds between two instances when it is measured what the ends cost."""
WIDTH_OF_A_FILE = 200
COST = "cost"


@dataclass
class Bench:
    """What is up for as long as cells are measured."""

    routes: Mapping[str, Route]
    templates: Mapping[Kind, Path]
    sizes: Mapping[Kind, float]
    baselines: Mapping[Kind, Baseline]
    quick: bool
    say: Callable[[str], None]
    repeat_until: float
    """Time of the monotonic clock after which nothing is measured again."""

    def measure(self, cell: Cell) -> Outcome:
        """Measure a cell. Raises FailedError if a contestant does."""
        size = self.sizes[cell.kind]
        outcome = Outcome(cell, cell.count(size, quick=self.quick), size, self.baselines[cell.kind])
        seeds = cell.part is Part.LOSS
        usual = FOUR_ROUNDS if cell.associations > 1 and cell.mbit > 10 else 1 if cell.together else ROUNDS
        wanted = 1 if self.quick else SEEDS if seeds else usual
        tried = 0
        most = wanted if self.quick else max(wanted + 2, MOST_ROUNDS)
        while tried < (most if time.monotonic() < self.repeat_until else max(wanted, 1)) and (
            len(outcome.rounds) < wanted or not (seeds or outcome.met)
        ):
            tried += 1
            found = self._round(cell, outcome.count, seed=tried)
            told = ", ".join(f"{who} {one.p50 * 1e3:.2f} ms {one.study:.3f} s" for who, one in found.items())
            if found[TUN].notes["kept_up"] or (self.quick and tried == most):
                outcome.rounds.append(found)
            else:
                outcome.late += 1
                told += " (the bridge was late)"
            self.say(f"{cell.part.value}: {cell.name}, {outcome.count} instances, round {tried}: {told}")
        if not outcome.rounds:
            raise FailedError(f"{cell.name}: the bridge was late in each of {tried} rounds")
        return outcome

    def _round(self, cell: Cell, count: int, seed: int) -> dict[str, Transfer]:
        template = self.templates[cell.kind]
        for name in cell.contestants:
            self.routes[name].change(cell.settings(name, seed))

        def go(name: str) -> Transfer:
            return self.routes[name].transfer(template, count, cell.associations)

        if not cell.together:
            return {name: go(name) for name in cell.contestants}
        with ThreadPoolExecutor(len(cell.contestants)) as pool:
            return dict(zip(cell.contestants, pool.map(go, cell.contestants), strict=True))


@contextmanager
def bench(*, quick: bool, say: Callable[[str], None]) -> Iterator[Bench]:
    """Bring everything up. Raises UnavailableError where there is no bridge."""
    in_memory = IN_MEMORY if IN_MEMORY.is_dir() else None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="simlab-fidelity-", dir=in_memory)))
        templates = {kind: folder / kind.value for kind in Kind}
        for kind, path in templates.items():
            StudyTemplate.compile(kind.value, Draws(SEED)).save(path)
        routes: dict[str, Route] = {TUN: stack.enter_context(TunRoute.up(folder / "tun"))}
        for name in (RELAY, IDEAL):
            routes[name] = stack.enter_context(RelayRoute.up(folder / name.replace(" ", "-")))
        with DirectRoute.up(folder / "direct") as direct:
            sizes, baselines = _baselines(direct, templates)
        for route in routes.values():
            if isinstance(route, TunRoute):
                route.transfer(templates[Kind.CT], WARM_UP)
        say(", ".join(f"{kind.label} {size:.0f} bytes" for kind, size in sizes.items()))
        one = baselines[Kind.CT]
        say(f"without a link: {one.server * 1e3:.2f} ms an instance, {one.setup * 1e3:.1f} ms an association")
        yield Bench(routes, templates, sizes, baselines, quick, say, time.monotonic() + REPEATING)


def _baselines(direct: DirectRoute, templates: Mapping[Kind, Path]) -> tuple[dict[Kind, float], dict[Kind, Baseline]]:
    """Sizes, and what the ends cost: an instance of 1 kB costs both of them what any does, but for its bytes.

    The processors rest between two instances, as they do while a link carries one: waking up is part of what it costs.
    """
    for path in templates.values():
        direct.transfer(path, WARM_UP)
    runs = {kind: [direct.transfer(path, 100) for _ in range(3)] for kind, path in templates.items()}
    server = median(direct.transfer(templates[Kind.TINY], 50, interval=RESTING).p50 for _ in range(3))
    sizes = {kind: done[0].bytes / 100 for kind, done in runs.items()}
    return sizes, {kind: Baseline(server, sorted(run.outside for run in done)[1]) for kind, done in runs.items()}


def main() -> int:
    """Measure, tell, save. The exit code is 1 if there can be no bridge, or if something that is asked is not met."""
    options = parse_arguments()
    console = Console(
        width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE, markup=False, highlight=False, emoji=False
    )
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.monotonic()

    def say(what: str) -> None:
        console.print(f"[{time.monotonic() - started:4.0f} s] {what}", soft_wrap=True)

    machine = describe()
    outcomes: list[Outcome] = []
    failures: list[str] = []
    costs: Costs | None = None
    try:
        if COST in options.only:
            costs = measure_costs(quick=options.quick, say=say)
        wanted = [cell for cell in cells(quick=options.quick) if cell.part.name.lower() in options.only]
        if wanted:
            with bench(quick=options.quick, say=say) as at_work:
                for cell in wanted:
                    try:
                        outcomes.append(at_work.measure(cell))
                    except FailedError as error:
                        failures.append(f"{cell.part.value}: {cell.name}: {error}")
                        say(f"failed: {failures[-1]}")
    except UnavailableError as error:
        console.print(f"fidelity: {error}")
        return 1
    except KeyboardInterrupt:
        console.print("interrupted: what follows is incomplete")
    for table in cell_tables(outcomes):
        console.print(table)
    goals = list(cost_goals(costs)) if costs else []
    if goals:
        console.print(goal_table(goals, rough=options.quick))
    for line in (*failures, *summary(outcomes)):
        console.print(line, soft_wrap=True)
    took = time.monotonic() - started
    console.print(f"{took:.0f} s")
    if options.json:
        content: dict[str, Any] = {
            "machine": {key: value for key, value in machine.items() if key != "settings"},
            "quick": options.quick,
            "seconds": took,
            "cells": [outcome.as_json() for outcome in outcomes],
            "failures": failures,
            "cost": costs.as_json() if costs else None,
            "goals": [{**goal._asdict(), "met": goal.met} for goal in goals],
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        console.print(f"saved: {options.json}", soft_wrap=True)
    fine = not failures and all(outcome.met for outcome in outcomes) and all(goal.met for goal in goals)
    return 0 if fine or options.quick else 1


def parse_arguments() -> argparse.Namespace:
    """What was asked for."""
    parts = [*(part.name.lower() for part in Part), COST]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description="how true the relay is")
    parser.add_argument("--quick", action="store_true", help="a few cells: whether it works, with rough figures")
    parser.add_argument(
        "--only", nargs="+", choices=parts, default=parts, metavar="PART", help=f"some of {', '.join(parts)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="save all figures there")
    return parser.parse_args()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
