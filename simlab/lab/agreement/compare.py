"""Both worlds on the same arrivals: ``simlab.compare(...)`` and ``simlab compare``."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import NamedTuple, TypeAlias

from simlab.analysis.agreement import spoiled
from simlab.analysis.run import Run
from simlab.errors import UserError
from simlab.lab.agreement.result import AgreementResult
from simlab.lab.calibration.measurements import Measurements, measuring_time
from simlab.lab.happened import INTERRUPTED, Progress
from simlab.lab.lab import Lab
from simlab.topology.calibration import Calibration
from simlab.topology.model import Topology

REPETITIONS = 5
"""Live runs, unless others are asked for."""

SPARE = 2
"""Live runs that may be repeated because they were spoiled."""


class Step(NamedTuple):
    """How far a comparison is."""

    done: int
    """Live runs that count."""
    total: int
    what: str
    share: float = 0.0
    """Of the run that is under way."""


Watch: TypeAlias = Callable[[Step], object]


def compare(
    topology: Topology | Lab | str | Path,
    *,
    calibration: Calibration | str | Path | None = None,
    calibrate: str | float | None = None,
    calibrate_on: Topology | Lab | str | Path | None = None,
    repetitions: int = REPETITIONS,
    until: str | float | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    watch: Watch = lambda _: None,
) -> AgreementResult:
    """Run the same arrivals in both worlds, the live one several times, and say how far they agree.

    All runs have the ``seed``, so that the same patients come at the same times and the same faults strike. Live runs
    differ by what a computer does besides; that is what the virtual world is held to
    (:mod:`simlab.analysis.agreement`). ``calibration`` is what ``simlab.calibrate`` has measured, or the file that it
    is in; without it the virtual world only knows orders of magnitude, unless the lab is a calibrated one.

    With ``calibrate`` the servers are measured here, for so long (seconds, or "30 s") before each live run: a computer
    may be half as fast ten minutes later, and what is compared should be of the same minutes. They are those of the
    topology, or of ``calibrate_on``.

    A live run in which simlab itself was late is repeated, ``SPARE`` times in all, and told. Archives are not asked in
    the end what they hold. With ``out`` table, picture and calibration are written there. Ctrl-C ends it; the result
    holds what there is. Raises UserError for what cannot be, in one line, GroupError if a process fails.
    """
    if repetitions < 1:
        raise UserError(f"{repetitions} repetitions; expected at least one")
    if calibrate is not None and calibration is not None:
        raise UserError("a calibration, and time to calibrate; expected one of them")
    if calibrate is None and calibrate_on is not None:
        raise UserError("somebody to calibrate on, and no time for it; expected both, or neither")
    lab = Lab.of(topology, calibration).varied(seed=seed, until=until)
    measuring = None
    if calibrate is not None:
        on = lab if calibrate_on is None else Lab.of(calibrate_on)
        measuring = _Measuring(Measurements(on.topology), measuring_time(calibrate))
    runs = _Runs(lab, repetitions, watch, measuring)
    runs.run()
    result = AgreementResult(
        lab.topology,
        repetitions,
        runs.live,
        runs.virtual,
        runs.notes,
        cut_short=runs.cut_short,
        interrupted=runs.interrupted,
        calibration=runs.lab.calibration,
    )
    if out is not None:
        result.save(Path(out))
    return result


class _Measuring(NamedTuple):
    """What is measured before each live run, and for how many seconds."""

    measurements: Measurements
    seconds: float


class _Runs:
    """The runs of a comparison, one after the other: side by side, live ones would be in each other's way."""

    def __init__(self, lab: Lab, repetitions: int, watch: Watch, measuring: _Measuring | None = None) -> None:
        self.lab = lab
        self._repetitions = repetitions
        self._watch = watch
        self._measuring = measuring
        self.virtual: Run | None = None
        self.live: list[Run] = []
        self.notes: list[str] = []
        """What became of runs that do not count."""
        self.cut_short = False
        self.interrupted = False
        """It was cut short by a person."""

    def run(self) -> None:
        """All runs, until there are enough that count, or it is no use."""
        try:
            if self._measuring is None:
                self._simulate()
            if not self.cut_short:
                self._repeat()
        except KeyboardInterrupt:  # while something was being started; a run that is under way ends in good order
            self.notes.append("The comparison was interrupted.")
            self.cut_short = self.interrupted = True
        if self._measuring is not None and self.live:
            self.lab = self.lab.calibrated(self._measuring.measurements.calibration)
            self._simulate()

    def _simulate(self) -> None:
        self._watch(Step(len(self.live), self._repetitions, "simulating"))
        virtual = self.lab.run("virtual", placed=True).run
        if virtual.complete:
            self.virtual = virtual
        else:
            self._cut_short("The virtual run", virtual)

    def _repeat(self) -> None:
        tries = range(1, self._repetitions + SPARE + 1)
        for number in tries:
            if not self._measure():
                return
            run = self.lab.run("live", audit=False, watch=self._show(f"live, run {number}")).run
            if not run.complete:
                self._cut_short(f"Live run {number}", run)
                return
            if why := spoiled(run):
                self.notes.append(f"Live run {number} does not count: {why}.")
            else:
                self.live.append(run)
            if len(self.live) == self._repetitions:
                return
        self.notes.append(f"{len(self.live)} of {len(tries)} live runs count. Lower the load or use a faster machine.")

    def _cut_short(self, which: str, run: Run) -> None:
        """A run did not come to its end, and so does the comparison: say why."""
        self.cut_short, self.interrupted = True, run.ended == INTERRUPTED
        self.notes.append(f"{which} was cut short ({run.ended}), and so was the comparison.")

    def _measure(self) -> bool:
        """Measure, if that is asked for. Returns False if it was interrupted."""
        if self._measuring is None:
            return True

        def watch(what: str, _done: float, _total: float) -> None:
            self._watch(Step(len(self.live), self._repetitions, f"measuring {what}"))

        measurements, seconds = self._measuring
        if not measurements.go_on(seconds, watch, rounds=1):
            self.notes.append("The comparison was interrupted.")
            self.cut_short = self.interrupted = True
        return not self.cut_short

    def _show(self, what: str) -> Callable[[Progress], None]:
        ends = self.lab.topology.duration

        def show(progress: Progress) -> None:
            share = min(max(progress.now / ends, 0.0), 1.0) if ends < inf else 0.0
            self._watch(Step(len(self.live), self._repetitions, what, share))

        return show
