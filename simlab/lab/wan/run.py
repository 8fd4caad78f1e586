"""The WAN experiment from its start to its end: ``simlab.wan(...)`` and ``simlab wan``."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any, TypeAlias

from simlab.analysis.closed_form import EncodeMode
from simlab.analysis.experiment import Cell, Design, Table, Trial
from simlab.errors import CodecError, UserError
from simlab.lab.lab import Lab
from simlab.lab.wan.bench import Bench, Settings
from simlab.lab.wan.crossovers import PROBE_TIME, Found, find, questions
from simlab.lab.wan.options import SETTINGS, Levels, make_design
from simlab.lab.wan.result import WanResult
from simlab.lab.wan.scenario import read_scenario
from simlab.network.live.receiving.descriptors import raise_descriptor_limit
from simlab.topology.model import Topology
from simlab.units import DURATION

Watch: TypeAlias = Callable[[str, float, float], None]
"""Told what is being done, how many seconds have been, and how many it will take in all, as far as one can tell."""

BESIDES = 0.25
"""Seconds that a trial takes besides its study: calibration, mostly."""

PROBES = 7
"""Of a crossover, about."""

_GUESS = 0.02
"""Seconds to encode an instance, before one has been."""


def wan(
    topology: Topology | Lab | str | Path | None = None,
    *,
    sender: str | None = None,
    protocol: Levels | None = None,
    noise: Levels | None = None,
    rtt: Levels | None = None,
    bandwidth: Levels | None = None,
    syntax: Levels | None = None,
    associations: Levels | None = None,
    outstanding: Levels | None = None,
    encode: Levels | None = None,
    instances: int | None = None,
    repetitions: int | None = None,
    seed: int | None = None,
    backend: str | None = None,
    congestion: str | None = None,
    window: int | None = None,
    queue: int | None = None,
    to: str | None = None,
    calling: str | None = None,
    crossover_rtt: Levels | None = None,
    crossovers: bool | None = None,
    out: str | Path | None = None,
    watch: Watch = lambda _what, _done, _total: None,
) -> WanResult:
    """Send studies over links, live, in one transfer syntax and another, and tell what that took.

    Factors take one level or several: ``rtt="0,10,50 ms"``, ``rtt=[0.01, "50 ms"]``, ``associations=[1, 4]``; without
    any, the topology's, or ``simlab.lab.wan.options.DEFAULTS``. The first ``syntax`` is the default one that the others
    are compared with.
    ``encode`` is ``stored``, ``per-instance`` or ``pipelined``, ``noise`` a multiple of the protocol's own. Each of
    ``repetitions`` measures every combination once, in an order drawn by the ``seed``. ``congestion`` (``ideal``,
    ``reno``, ``cubic``), ``window`` and ``queue`` (bytes) are the link's. So is the ``backend``: ``relay``, which
    models TCP, or ``tun``, the kernel's over a bridge of packets (Linux, root), which has ``cubic`` where the relay has
    ``ideal`` unless told otherwise. Unless ``crossovers`` is false, the bandwidth up to which each transfer syntax pays
    is searched for, at the smallest round trip or at ``crossover_rtt``.

    ``to`` is who receives: ``discard``, a receiver that counts and lets go; ``archive``, one of simlab's; or an AE that
    is there, as AET@HOST:PORT, whose own time for an instance then counts as the server's. ``calling`` is
    the sender's AE title.

    With a ``topology`` (a file, or what one was loaded into) everything that is not given is as it says: in its
    ``experiment``; else as the link has it, and the node that sends over it: ``sender``, or the first one.

    With ``out`` everything is kept in that folder, and a run that is called again goes on where it was interrupted.
    Ctrl-C ends it; the result holds what there is. Raises UserError for what cannot be, in one line, GroupError if a
    process of the lab fails.
    """
    given: dict[str, Any] = {
        "protocol": protocol, "noise": noise, "rtt": rtt, "bandwidth": bandwidth, "syntax": syntax,
        "associations": associations, "outstanding": outstanding, "encode": encode,
        "instances": instances, "repetitions": repetitions, "seed": seed, "backend": backend, "congestion": congestion,
        "window": window, "queue": queue, "to": to, "calling": calling,
        "crossover_rtt": crossover_rtt, "crossovers": crossovers,
    }  # fmt: skip
    if sender is not None and topology is None:
        raise UserError(f"sender {sender}: expected a topology that has it")
    asked = read_scenario(topology, sender).options if topology is not None else {}
    asked |= {name: value for name, value in given.items() if value is not None}
    searches = asked.pop("crossovers", True)
    at = asked.pop("crossover_rtt", None)
    others = {name: asked.pop(name, usual) for name, usual in SETTINGS.items()}
    design, settings = make_design(asked, **others)
    rtts: tuple[float, ...] = (min(design.rtt),)
    if at is not None:
        rtts = make_design({**asked, "rtt": at}, **others)[0].rtt
    folder = Path(out) if out is not None else None
    table, found = Table.open(design, folder), Found(folder)
    run = _Run(design, settings, table, found, watch)
    with _without_collections():
        complete = run.everything(list(questions(design, rtts)) if searches else [])
    result = WanResult(design, settings, table.frame(design), found.frame(), complete=complete, path=folder)
    if folder is not None:
        result.save(folder)
    return result


class _Run:
    """What is still to be done, and how long that will take."""

    def __init__(self, design: Design, settings: Settings, table: Table, found: Found, watch: Watch) -> None:
        self._design = design
        self._settings = settings
        self._table = table
        self._found = found
        self._watch = watch
        self._encode: dict[tuple[str, str], float] = {}

    def everything(self, asked: list[Cell]) -> bool:
        """Measure what is missing; False if it was interrupted."""
        design = self._design
        trials = [trial for trial in design.trials() if not self._table.has(trial)]
        wanted = [cell for cell in asked if not self._found.has(cell, design.syntax[0])]
        if not trials and not wanted:
            return True
        raise_descriptor_limit()
        try:
            with Bench(self._settings, self._watch) as bench:
                self._prepare(bench)
                self._measure(bench, trials, wanted)
        except KeyboardInterrupt:
            return False
        return True

    def _prepare(self, bench: Bench) -> None:
        """Make and encode everything that is sent, and see whether it comes out as it went in."""
        for protocol in self._design.protocol:
            for noise in self._design.noise:
                for syntax in self._design.syntax:
                    try:
                        bench.decode_cpu(protocol, noise, syntax)
                    except CodecError as error:
                        raise UserError(f"{protocol} in {syntax}: {error}") from error

    def _measure(self, bench: Bench, trials: list[Trial], wanted: list[Cell]) -> None:
        began, spent = time.perf_counter(), 0.0
        searches = [self._search_time(cell) for cell in wanted]

        def tell(what: str) -> None:
            left = sum(self._trial_time(bench, trial) for trial in trials[done:]) + sum(searches[answered:])
            so_far = time.perf_counter() - began
            # What took longer than expected until now will go on to.
            pace = max(1.0, so_far / spent) if spent > 1.0 else 1.0
            self._watch(what, so_far, so_far + left * pace)

        done = answered = 0
        for done, trial in enumerate(trials):  # noqa: B007 -- told of by tell()
            tell(f"measuring {_name(trial.cell)}")
            spent += self._trial_time(bench, trial)
            measurement = bench.measure(trial)
            self._encode[trial.cell.protocol, trial.cell.syntax] = measurement.calibrated_encode_s
            self._table.append(measurement)
        done = len(trials)
        for answered, (cell, seconds) in enumerate(zip(wanted, searches, strict=True)):  # noqa: B007
            tell(f"searching where {cell.syntax} pays, {cell.protocol}")
            default, repetitions = self._design.syntax[0], self._design.repetitions
            self._found.append(find(bench, cell, default, repetitions, self._design.seed))
            spent += seconds
        answered = len(wanted)
        tell("done")

    def _trial_time(self, bench: Bench, trial: Trial) -> float:
        cell = trial.cell
        known = self._encode.get((cell.protocol, cell.syntax), _GUESS)
        encode = 0.0 if cell.encode == EncodeMode.STORED.value or cell.syntax == "explicit" else known
        return bench.expected(cell, encode) + BESIDES + 8 * encode

    def _search_time(self, cell: Cell) -> float:
        repetitions = max(self._design.repetitions, ceil(PROBE_TIME))
        return PROBES * 2 * max(PROBE_TIME, repetitions * self._settings.instances * (cell.rtt + _GUESS))


def _name(cell: Cell) -> str:
    link = f"{cell.bandwidth * 8 / 1e6:g} Mbit/s, {DURATION.format(cell.rtt)}"
    return f"{cell.protocol} in {cell.syntax} over {link}"


@contextmanager
def _without_collections() -> Iterator[None]:
    """What is there already is not looked at by the collections of garbage that come between studies."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
