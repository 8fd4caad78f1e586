"""The design of a plan: the base case, what-ifs, and a full factorial; every cell is run under the same seeds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from typing import Any

from simlab.analysis.planning import Measure, measures
from simlab.analysis.replications import CHANGES, SCENARIO
from simlab.analysis.service_level import ServiceLevel
from simlab.errors import UserError
from simlab.lab.plan.factors import Factor
from simlab.lab.plan.what_if import TODAY, WhatIf, together
from simlab.topology.calibration import Calibration
from simlab.topology.model import Topology
from simlab.units import format_duration


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of levels."""

    number: int
    """0 is the base case."""
    levels: tuple[str, ...]
    """What it is: with what-ifs, its scenario and what that changes; then the level of each factor, as a file would
    have it."""
    topology: Topology


@dataclass(frozen=True, slots=True)
class Trial:
    """A cell under a seed: one run."""

    cell: Cell
    replication: int
    """From 1."""
    seed: int


@dataclass(frozen=True)
class Design:
    """What is run, and what is measured."""

    base: Topology
    names: tuple[str, ...]
    """Of the levels."""
    cells: tuple[Cell, ...]
    replications: int
    warm_up: float
    """Run seconds."""
    service_levels: tuple[ServiceLevel, ...]
    calibration: Calibration | None = None

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What is measured."""
        return measures(self.base, self.service_levels)

    def trials(self) -> Iterator[Trial]:
        """All runs, replication by replication, so that what is interrupted has compared all cells alike."""
        for number in range(self.replications):
            for cell in self.cells:
                yield Trial(cell, number + 1, self.base.seed + number)

    def settings(self) -> dict[str, Any]:
        """What has to stay the same if runs are to be put together, as plain values."""
        told: dict[str, Any] = {
            "factors": self.names,
            "warm_up": self.warm_up,
            "sla": [str(level) for level in self.service_levels],
            "seed": self.base.seed,
            "until": self.base.duration,
            "calibration": None if self.calibration is None else self.calibration.model_dump(mode="json"),
            "topology": self.base.model_dump(mode="json", exclude_none=True, by_alias=True, exclude={"experiment"}),
            "version": version("simlab"),
        }
        plain: dict[str, Any] = json.loads(json.dumps(told))
        return plain

    def sentences(self) -> tuple[str, ...]:
        """How it was done, for people."""
        base, last = self.base, self.base.seed + self.replications - 1
        of = "replication" if self.replications == 1 else "replications"
        runs = f"{base.name}, {format_duration(base.duration)} of orders, {self.replications} {of} of each cell"
        seeds = f"seeds {base.seed} to {last}, the same in every cell" if last > base.seed else f"seed {last}"
        scenarios = dict.fromkeys(cell.levels[:2] for cell in self.cells[1:]) if SCENARIO in self.names else {}
        return (
            f"{runs} ({seeds}).",
            *(f"{scenario}: {changes}." for scenario, changes in scenarios if changes),
            f"Studies ordered in the first {format_duration(self.warm_up)} are warm-up and do not count.",
            "Intervals are 95 % t-intervals over the replications; differences are paired with the base case.",
        )


def make_design(
    base: Topology,
    factors: tuple[Factor, ...],
    *,
    replications: int,
    warm_up: float,
    levels: tuple[ServiceLevel, ...],
    what_ifs: tuple[WhatIf, ...] = (),
    all_at_once: bool = True,
    calibration: Calibration | None = None,
) -> Design:
    """The base case, each what-if, all of them at once, and every combination of the factors' levels.

    Raises UserError for combinations that cannot be, and for a warm-up that leaves nothing.
    """
    if replications < 1:
        raise UserError(f"replications {replications}: expected 1 at least")
    if not 0 <= warm_up < base.duration:
        whole = format_duration(base.duration)
        raise UserError(f"warm-up {format_duration(warm_up)}: expected less than the whole run of {whole}")
    if len(set(levels)) < len(levels):
        raise UserError("a service level is asked for twice; expected each once")
    scenarios = [*what_ifs, together(what_ifs)] if all_at_once and len(what_ifs) > 1 else what_ifs
    found = {_levels(base, factors, what_ifs): base}
    for what_if in scenarios:
        changed = what_if.applied(base)
        found[_levels(changed, factors, what_ifs, what_if)] = changed
    for combination in product(*(factor.levels for factor in factors)):
        topology = base
        for factor, level in zip(factors, combination, strict=True):
            topology = factor.applied(topology, level)
        found.setdefault(_levels(topology, factors, what_ifs), topology)
    cells = tuple(Cell(number, told, topology) for number, (told, topology) in enumerate(found.items()))
    measured = {each.name for each in measures(base, levels)}
    for cell in cells:
        if other := measured ^ {each.name for each in measures(cell.topology, levels)}:
            where = cell.levels[0] if what_ifs else f"cell {cell.number}"
            raise UserError(
                f"{where}: here other things are measured than in the base case ({min(other)}), so that they cannot be "
                "compared; expected the same tiers, links and scanners"
            )
    names = (*((SCENARIO, CHANGES) if what_ifs else ()), *(factor.name for factor in factors))
    return Design(base, names, cells, replications, warm_up, levels, calibration)


def _levels(
    topology: Topology, factors: tuple[Factor, ...], what_ifs: tuple[WhatIf, ...], made: WhatIf | None = None
) -> tuple[str, ...]:
    """What tells a cell from the others. A what-if that is made otherwise than before is another one."""
    scenario = (made.name, made.told(topology)) if made else (TODAY, "")
    return (*(scenario if what_ifs else ()), *(factor.told(topology) for factor in factors))
