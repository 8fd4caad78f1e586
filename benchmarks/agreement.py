"""How far the virtual world agrees with the live one: the same arrivals in both, over eight departments.

``python -m benchmarks.agreement [--quick] [--json FILE] [--only NAME ...] [--pictures DIR]``, or ``make agreement``.

- Half of the scenarios are calibrated on themselves; the others are predicted with the calibration of one of those.
- Every scenario runs live five times, always with the same arrivals, and once in virtual time. Live runs in which
  simlab itself was late are repeated.
- What is calibrated is measured before each live run, a while each time: a machine may be half as fast some minutes
  later.
- p50 has to be within 5 %, p95 within 10 %, or within what live runs differ from each other; counts of retries as live.
- What is stored lies in memory where there is a file system for that: what else a disk does, such as telling an SSD of
  files that were deleted some seconds ago, is in no model.
- A scenario that needs a program that is not there (Orthanc) is left out, and the table says why.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from benchmarks.agreement_scenarios import SCENARIOS, Scenario
from benchmarks.agreement_tables import overview
from benchmarks.corpus import IN_MEMORY
from benchmarks.machine import describe
from benchmarks.peers import FailedError, UnavailableError
from simlab.arguments import at_least
from simlab.errors import SimlabError
from simlab.lab.agreement.compare import Step, compare
from simlab.lab.agreement.result import AgreementResult
from simlab.report.agreement_console import agreement_tables

REPETITIONS, QUICK_REPETITIONS = 5, 2

CALIBRATING, QUICK_CALIBRATING = 30.0, 10.0
"""Seconds before each live run."""

QUICK = 12.0
"""Run seconds in which orders arrive, where it is to be quick."""

WIDTH_OF_A_FILE = 200


@dataclass
class Agreements:
    """What was found so far."""

    quick: bool
    repetitions: int
    say: Callable[[str], None]
    results: dict[str, AgreementResult] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Why scenarios were left out, or failed."""

    def try_out(self, scenario: Scenario) -> AgreementResult | None:
        """Calibrate and compare. None if it cannot be; ``missing`` says why."""
        try:
            source = next(each for each in SCENARIOS if each.name == scenario.calibrated_on)
            with scenario.lab() as lab, nullcontext(None) if scenario.calibrates else source.lab() as other:
                result = self.results[scenario.name] = compare(
                    lab,
                    calibrate=QUICK_CALIBRATING if self.quick else CALIBRATING,
                    calibrate_on=other,
                    repetitions=self.repetitions,
                    until=QUICK if self.quick else None,
                    watch=self._shown(scenario),
                )
        except (UnavailableError, FailedError, SimlabError) as error:
            self.missing[scenario.name] = str(error)
            self.say(f"{scenario.name}: left out: {error}")
            return None
        return result

    def _shown(self, scenario: Scenario) -> Callable[[Step], None]:
        """Say when a run begins, or measuring does."""
        last = ""

        def watch(step: Step) -> None:
            nonlocal last
            what = step.what if not step.what.startswith("measuring") else "measuring"
            if what and what != last:
                self.say(f"{scenario.name}: {what}")
                last = what

        return watch


def main() -> int:
    """Compare, tell, save. The exit code is 1 if something that is judged does not agree."""
    options = parse_arguments()
    console = Console(
        width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE, markup=False, highlight=False, emoji=False
    )
    interrupted = threading.Event()

    def interrupt(*_: object) -> NoReturn:
        interrupted.set()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    started = time.monotonic()

    def say(what: str) -> None:
        console.print(f"[{time.monotonic() - started:4.0f} s] {what}", soft_wrap=True)

    machine = describe()
    if IN_MEMORY.is_dir():
        tempfile.tempdir = os.environ["TMPDIR"] = str(IN_MEMORY)  # for us, and for all whom we start
    repetitions = options.repetitions or (QUICK_REPETITIONS if options.quick else REPETITIONS)
    found = Agreements(options.quick, repetitions, say)
    try:
        for scenario in SCENARIOS:
            if interrupted.is_set():  # a run that is cut short ends in good order, and says nothing
                break
            if scenario.name not in options.only or (result := found.try_out(scenario)) is None:
                continue
            title = f"{scenario.name}: {scenario.about}; calibrated on {scenario.calibrated_on}"
            console.print(agreement_tables(result.table, result.notices, title=title))
            if options.pictures and len(result.table):
                result.save(options.pictures / scenario.name)
    except KeyboardInterrupt:
        interrupted.set()
    if interrupted.is_set():
        console.print("interrupted: what follows is incomplete")
    console.print(overview(found.results, found.missing))
    took = time.monotonic() - started
    console.print(f"{took:.0f} s")
    if options.json:
        content: dict[str, Any] = {
            "machine": {key: value for key, value in machine.items() if key != "settings"},
            "quick": options.quick,
            "seconds": took,
            "interrupted": interrupted.is_set(),
            "scenarios": {name: result.to_dict() for name, result in found.results.items()},
            "missing": found.missing,
            "calibrations": {
                name: result.calibration.model_dump(mode="json")
                for name, result in found.results.items()
                if result.calibration is not None
            },
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        console.print(f"saved: {options.json}", soft_wrap=True)
    fine = options.quick or all(result.ok for result in found.results.values())
    return 0 if fine and not interrupted.is_set() else 1


def parse_arguments() -> argparse.Namespace:
    """What was asked for."""
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.agreement", description="how far the virtual world agrees with the live one"
    )
    parser.add_argument("--quick", action="store_true", help="short runs, two live ones each: whether it works")
    parser.add_argument(
        "--repetitions", type=at_least(1), metavar="N", help=f"live runs of each scenario [{REPETITIONS}]"
    )
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="SCENARIO", help=f"some of {', '.join(names)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="save all figures there")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="save a picture of each scenario there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
