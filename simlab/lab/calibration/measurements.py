"""What is seen of a topology's servers, a while at a time, and the calibration that comes of it."""

from __future__ import annotations

import os
import platform
import time as clock
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from statistics import median
from typing import TypeAlias

from simlab.errors import GroupError, UserError
from simlab.lab.calibration.bench import PATIENCE, ROUNDS, Bench
from simlab.lab.calibration.codecs import acquired, images_of, measure_codec
from simlab.lab.calibration.estimates import Estimate, cut, estimate, points, residuals, told_of_reports
from simlab.lab.calibration.scenario import alike, bench_topology, compressed_syntaxes, kept_in, modalities, servers
from simlab.lab.calibration.trials import Seen
from simlab.lab.live_run import require_external
from simlab.network.virtual.times import UNCALIBRATED
from simlab.topology.calibration import (
    AskingTimes,
    Calibration,
    CodecTimes,
    Measured,
    NodeTimes,
    Point,
    Range,
    ServingTimes,
)
from simlab.topology.model import Topology
from simlab.units import format_size, parse_duration

Watch: TypeAlias = Callable[[str, float, float], None]
"""Told what is being done, how many seconds have been, and how many it will take in all."""


def unwatched(_what: str, _done: float, _total: float) -> None:
    """Nobody wants to know."""


LEAST_TIME = 5.0
"""Seconds in which anything can be measured at all."""

BUSY = 0.5
"""Processes that want to run, for each core, from which on the machine has other things to do."""

SHARES = {"worklist": 1.0, "workstation": 1.0}
"""Of the time, by kind; an archive has four."""


def measuring_time(time: str | float) -> float:
    """Seconds, as a number or as "30 s". Raises UserError unless something can be measured in them."""
    seconds = parse_duration(time) if isinstance(time, str) else float(time)
    if seconds < LEAST_TIME:
        raise UserError(f"{seconds:g} s are too short to measure anything; expected {LEAST_TIME:g} s at least")
    return seconds


class Measurements:
    """What was measured of a topology's servers, and what was found so far."""

    def __init__(self, topology: Topology, node: str | None = None) -> None:
        """``node`` is measured alone. Raises UserError if that cannot be, or there is nobody to measure."""
        self._topology = topology
        self._names = servers(topology, node)
        self._at = datetime.now()
        self._took = 0.0
        self._complete = True
        self._seen: dict[str, Seen] = {}
        self._codecs: list[CodecTimes] | None = None
        self._notes: list[str] = []
        self._watch: Watch = unwatched
        self._seconds = 0.0
        """For which it is measured this time, from when on, and how often everything."""
        self._began = 0.0
        self._rounds = ROUNDS

    def go_on(self, time: str | float, watch: Watch = unwatched, rounds: int = ROUNDS) -> bool:
        """Measure for about so long, everything ``rounds`` times if that can be. Returns False after Ctrl-C.

        Raises UserError for what cannot be measured, GroupError if a process fails.
        """
        seconds = measuring_time(time)
        for name in self._names:
            require_external(bench_topology(self._topology, name))
        self._seconds, self._began, self._rounds, self._watch = seconds, clock.monotonic(), rounds, watch
        if not self._took:  # later it may be us
            self._note(*_busy())
        try:
            if self._codecs is None:
                self._measure_codecs()
            left = list(self._names)
            while left:
                self._try(left[0], sum(map(self._share, left)))
                left.pop(0)
        except KeyboardInterrupt:
            self._complete = False
        self._took += clock.monotonic() - self._began
        return self._complete

    def _note(self, *sentences: str) -> None:
        self._notes += [each for each in sentences if each not in self._notes]

    @property
    def calibration(self) -> Calibration:
        """The times that explain best what was seen."""
        measured = Measured(
            at=self._at.isoformat(timespec="seconds"),
            host=platform.node() or "this machine",
            cores=os.cpu_count() or 1,
            python=platform.python_version(),
            seconds=round(self._took, 1),
            complete=self._complete,
        )
        notes = (*self._notes, *_of_others(self._topology, self._seen))
        told = _told(self._topology, measured, self._seen, self._codecs or ())
        return told.model_copy(update={"notes": notes})

    def _share(self, name: str) -> float:
        return SHARES.get(self._topology.nodes[name].kind, 4.0)

    def _try(self, name: str, shares: float) -> None:
        """Measure one server; what was measured of others is good even if this one fails."""
        try:
            self._measure(name, shares)
        except (UserError, GroupError) as error:
            if len(self._names) == 1:
                raise
            self._seen.pop(name, None)
            self._note(f"Nothing was measured of {name}: {error}.")

    def _measure(self, name: str, shares: float) -> None:
        """Measure one server in its share of the time that is left."""
        now = clock.monotonic()
        until = now + max(0.0, self._began + self._seconds - now) * self._share(name) / shares
        self._tell(f"starting {name}")
        with Bench(self._topology, name, self._seen.get(name), self._rounds) as bench:
            self._seen[name] = bench.seen
            bench.run(until, self._tell)

    def _measure_codecs(self) -> None:
        found, syntaxes = list[CodecTimes](), compressed_syntaxes(self._topology)
        self._codecs = found
        for modality in modalities(self._topology) if syntaxes else ():
            images = [image for protocol in acquired(self._topology, modality) for image in images_of(protocol)]
            for syntax in syntaxes:
                self._tell(f"{syntax} of {modality}")
                measured = measure_codec(modality, images, syntax)
                if measured is not None:
                    found.append(measured)

    def _tell(self, what: str) -> None:
        done = clock.monotonic() - self._began
        self._watch(what, done, max(self._seconds, done))


def _told(topology: Topology, measured: Measured, found: dict[str, Seen], codecs: Sequence[CodecTimes]) -> Calibration:
    """Put everything together that was found."""
    estimates: dict[str, Estimate] = {}
    asking: AskingTimes | None = None
    for name, seen in found.items():
        estimates[name] = estimate(seen, asking)
        asking = estimates[name].asking  # the callers' code is the same, whomever they call
    nodes = {name: NodeTimes() for name in topology.nodes} if asking is not None else {}
    told = _told_scanners(topology, found, asking)
    for name, each in estimates.items():
        derived = found[name].derived
        update: dict[str, object] = {
            "serving": each.serving,
            "derive_instance": cut(median(derived)) if derived else None,
        }
        report = found[name].report()
        if topology.nodes[name].kind == "external" and report is not None:
            always, named = report
            ours = UNCALIBRATED.serving.reference if told.reference is None else told.reference
            update["asking"] = AskingTimes(reference=cut(max(0.0, named - ours)))
            update["report"] = cut(always)
        for other in alike(topology, name):
            nodes[other] = nodes[other].model_copy(update=update)
    made = [(modality, each) for seen in found.values() for modality, times in seen.made.items() for each in times]
    for name, spec in topology.nodes.items():
        if name in nodes and spec.kind != "external":
            times = [seconds for modality, seconds in made if modality == getattr(spec, "modality", None)]
            scanner: dict[str, object] = {"asking": asking, "make_instance": cut(median(times)) if times else None}
            if spec.kind == "modality":
                scanner["serving"] = told
            known = {"kind": spec.kind, "modality": getattr(spec, "modality", None)}
            nodes[name] = nodes[name].model_copy(update={**known, **scanner})
    syntaxes = {name: kept_in(topology.nodes[name]).keyword for name in found}
    table = tuple(
        point for name, seen in found.items() for point in points(name, seen, estimates[name], syntaxes[name])
    )
    return Calibration(
        measured=measured,
        nodes={name: times for name, times in nodes.items() if times != NodeTimes()},
        codecs=tuple(codecs),
        residual=residuals(table),
        range=_range([point for point in table if point.operation == "C-STORE"]),
        points=table,
    )


def _told_scanners(topology: Topology, found: dict[str, Seen], asking: AskingTimes | None) -> ServingTimes:
    """What scanners take for what they are told: the first archive of ours that reported to them shows it."""
    if asking is None:
        return ServingTimes()
    told = (told_of_reports(seen, asking) for name, seen in found.items() if topology.nodes[name].kind == "archive")
    return next((times for times in told if times != ServingTimes()), ServingTimes())


def _range(stored: Sequence[Point]) -> Range | None:
    if not stored:
        return None
    associations, sizes = [point.associations for point in stored], [point.bytes for point in stored]
    return Range(
        associations=(min(associations), max(associations)),
        bytes=(min(sizes), max(sizes)),
        modalities=tuple(dict.fromkeys(point.modality for point in stored if point.modality)),
        transfer_syntaxes=tuple(dict.fromkeys(point.transfer_syntax for point in stored if point.transfer_syntax)),
    )


def _busy() -> Iterator[str]:
    """Say so if the machine does other things as well; Windows does not tell."""
    load, cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, os.cpu_count() or 1
    if load > BUSY * cores:
        yield f"This machine was busy already (load {load:.1f} on {cores} cores): measure again when it is idle."


def _of_others(topology: Topology, found: dict[str, Seen]) -> Iterator[str]:
    for name, seen in found.items():
        if topology.nodes[name].kind == "external" and seen.studies:
            if seen.requested and not seen.reported:
                yield f"{name} sent no commitment report within {PATIENCE:g} s: predictions take it to report at once."
            what = f"{seen.studies} studies of patients who do not exist ({format_size(seen.bytes)})"
            yield f'{what} were left at {name}; their Patient IDs start with "SIM-".'
