"""The commitment matrix from its start to its end: ``simlab.commitment(...)`` and ``simlab commitment``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TypeAlias

from simlab.analysis.commitment import DELETIONS, OCCURRENCES, POLICIES, CellRow, Patience, expected_resent, measure
from simlab.errors import UserError
from simlab.lab.commitment.modes import HEALTHY, Mode, chosen
from simlab.lab.commitment.result import CommitmentResult, Tried
from simlab.lab.commitment.scenario import Scenario, read_scenario
from simlab.lab.happened import Progress
from simlab.lab.lab import WORLDS, Lab, World
from simlab.lab.variations import with_faults
from simlab.topology.model import Topology
from simlab.wording import advice, shown

Watch: TypeAlias = Callable[[int, int, str], None]
"""Told how many cells are done, how many there are, and which one has just been."""

Names: TypeAlias = "str | Sequence[str]"
"""Words separated by commas, or a sequence of them."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is tried: a fault, how often it happens, and what the scanner does about it."""

    mode: Mode | None
    """None: nothing goes wrong."""
    occurrence: str
    policy: str
    deletion: str

    @property
    def fault(self) -> str:
        """Its name."""
        return HEALTHY if self.mode is None else self.mode.name

    def __str__(self) -> str:
        """Say what is tried."""
        fault = "no fault" if self.mode is None else f"{self.fault} {self.occurrence}"
        return f"{fault}, {self.policy}, {self.deletion}"


def commitment(
    topology: Topology | Lab | str | Path | None = None,
    *,
    scanner: str | None = None,
    faults: Names | None = None,
    occurrences: Names | None = None,
    policies: Names | None = None,
    delete_local: Names = "after-safe",
    protocol: str | None = None,
    rtt: float | None = None,
    bandwidth: float | None = None,
    profile: str | None = None,
    seed: int | None = None,
    world: World = "live",
    at_once: int | None = None,
    watch: Watch = lambda _done, _total, _what: None,
) -> CommitmentResult:
    """Try faults of storage commitment under policies of a scanner, one study each, and tell what each costs.

    Every combination is a run of its own: one study of ``scanner`` (the topology's first that asks for commitment)
    stored at its archive, with the fault; at the end the archive is asked for everything back. ``faults`` are names
    from :mod:`simlab.lab.commitment.modes` (all of them; ``none`` is always there to compare with), ``occurrences``
    ``once`` or ``always``, ``policies`` what the scanner sends again: ``study``, ``failed``, ``by-reason``.
    ``delete_local`` is when it deletes its copy: ``after-safe`` or ``after-store``. ``rtt`` (seconds), ``bandwidth``
    (bytes per second) or a ``profile`` change the link between the two. ``at_once`` cells run side by side; one
    after the other where an archive that is not ours knows our scanner's port.

    Raises UserError for what cannot be tried. Ctrl-C ends it early; the result holds what was tried by then.
    """
    if world not in WORLDS:
        raise UserError(f"unknown world {shown(world)}; {advice(world, WORLDS)}")
    scenario = read_scenario(
        topology, scanner=scanner, protocol=protocol, seed=seed, rtt=rtt, bandwidth=bandwidth, profile=profile
    )
    design = list(_design(scenario, faults, occurrences, policies, delete_local))
    most = at_once or 2 * (os.cpu_count() or 1)
    tried, complete = _run(scenario, design, world, most if scenario.side_by_side else 1, watch)
    return CommitmentResult(scenario, world, [tried[cell] for cell in design if cell in tried], complete=complete)


def _design(
    scenario: Scenario, faults: Names | None, occurrences: Names | None, policies: Names | None, deletions: Names
) -> Iterator[Cell]:
    often = _levels(occurrences, OCCURRENCES, "occurrence")
    policy_names = _levels(policies, POLICIES, "policy")
    modes = list(chosen(None if faults is None else _words(faults), external=scenario.external))
    for deletion in _levels(deletions, DELETIONS, "deletion"):
        for policy in policy_names:
            yield Cell(None, "none", policy, deletion)
        for mode in modes:
            for occurrence in often:
                for policy in policy_names:
                    yield Cell(mode, occurrence, policy, deletion)


def _words(names: Names) -> list[str]:
    return [word.strip() for word in names.split(",")] if isinstance(names, str) else list(names)


def _levels(names: Names | None, options: tuple[str, ...], what: str) -> list[str]:
    words = list(options) if names is None else _words(names)
    for word in words:
        if word not in options:
            raise UserError(f"unknown {what} {shown(word)}; {advice(word, options)}")
    return words


def _run(
    scenario: Scenario, design: Sequence[Cell], world: World, at_once: int, watch: Watch
) -> tuple[dict[Cell, Tried], bool]:
    """Try every cell. False with the result if Ctrl-C came first."""
    interrupted = Event()
    tried: dict[Cell, Tried] = {}
    with ThreadPoolExecutor(1 if world == "virtual" else at_once, "cell") as pool:
        running: dict[Future[Tried], Cell] = {
            pool.submit(_try, scenario, cell, world, interrupted): cell for cell in design
        }
        try:
            watch(0, len(design), "")
            for finished in as_completed(running):
                cell = running[finished]
                tried[cell] = finished.result()
                watch(len(tried), len(design), str(cell))
        except BaseException as error:
            interrupted.set()  # ends the runs that are under way, each within its bounds
            pool.shutdown(cancel_futures=True)
            if not isinstance(error, KeyboardInterrupt):
                raise
    return tried, len(tried) == len(design)


def _try(scenario: Scenario, cell: Cell, world: World, interrupted: Event) -> Tried:
    """One cell: a run of its own."""

    def heed(_: Progress) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt

    settings = {"resend": cell.policy, "delete_local": cell.deletion}
    if cell.mode is not None:
        settings |= cell.mode.scanner
    topology = scenario.with_scanner(**settings)
    expected = 0
    if cell.mode is not None:
        timeout = scenario.scanner_setting("commit_timeout")
        specs = cell.mode.faults(scenario.archive, scenario.scanner, cell.occurrence, timeout)
        topology = with_faults(topology, specs)
        expected = _expected(scenario, cell.mode, cell)
    result = Lab(topology).run(world, watch=heed, in_process=True)
    row: CellRow = measure(
        result.run, scenario.scanner, fault=cell.fault, occurrence=cell.occurrence, expected=expected
    )
    return Tried(row, result)


def _expected(scenario: Scenario, mode: Mode, cell: Cell) -> int:
    patience = Patience(scenario.scanner_setting("attempts"), scenario.scanner_setting("escalate"))
    struck = mode.struck(scenario.protocol, cell.occurrence)
    return expected_resent(
        struck, cell.occurrence, cell.policy, cell.deletion, instances=scenario.instances, patience=patience
    )
