"""Crossovers, measured: the bandwidth up to which a transfer syntax beats the default one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from math import ceil, inf, log, sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from simlab.analysis.closed_form import EncodeMode, Encoding, crossover_bandwidth, find_crossover
from simlab.analysis.crossover import Crossing, Probe, bisect
from simlab.analysis.experiment import Cell, Design
from simlab.errors import UserError
from simlab.lab.wan.bench import Bench
from simlab.studies.transfer_syntaxes import named

FILE = "crossovers.jsonl"

LEAST, MOST = 1e6 / 8, 4e9 / 8
"""Bytes per second: beyond these nothing is searched. The relay itself carries little more."""

MOST_OF_A_BRIDGE = 1e9 / 8
"""Bytes per second: the same for a bridge of packets (backend: tun)."""

GUESS = 200e6 / 8
"""Bytes per second: where a crossover may be, before anything is known of it."""

PROBE_TIME = 1.0
"""Seconds for which one transfer syntax is measured at a probe, at least; short studies are repeated."""

MOST_REPETITIONS = 12

DOUBT = 2.0
"""Standard errors from zero within which a probe does not yet tell which one is faster, and goes on."""


@dataclass(frozen=True, slots=True)
class Crossover:
    """One crossover. Bandwidths in bytes per second."""

    protocol: str
    noise: float
    rtt: float
    encode: str
    default: str
    syntax: str
    """The faster one below the crossover."""
    bandwidth: float
    """As measured; ``inf`` if it was faster at every bandwidth tried, 0 at none."""
    low: float
    """95 % interval."""
    high: float
    predicted: float
    """By the closed form of the study, slow start included."""
    predicted_long: float
    """By the closed form of an instance: for studies so long that slow start does not matter."""
    measured_over_predicted: float
    encode_s: float
    """Mean seconds to encode an instance, by calibration beside each probe."""
    saved_bytes: float
    """Of an instance, on average."""
    probes: int

    @property
    def question(self) -> tuple[Any, ...]:
        """What was asked."""
        return self.protocol, self.noise, self.rtt, self.encode, self.default, self.syntax


def questions(design: Design, rtts: tuple[float, ...]) -> Iterator[Cell]:
    """Which crossovers there are to be found, each as a cell of the syntax that is compared with the default.

    Stored instances have none, for the smaller ones always win; neither have those that are not compressed.
    """
    for protocol in design.protocol:
        for noise in design.noise:
            for rtt in rtts:
                for mode in design.encode:
                    for syntax in design.syntax[1:]:
                        if mode != EncodeMode.STORED.value and named(syntax).encapsulated:
                            yield Cell(protocol, noise, rtt, 0.0, syntax, 1, 1, mode)


def find(bench: Bench, cell: Cell, default: str, repetitions: int, seed: int) -> Crossover:
    """Find one crossover, by bisection; both transfer syntaxes are measured side by side at each probe."""
    cells = replace(cell, syntax=default), cell
    most = MOST if bench.settings.backend == "relay" else MOST_OF_A_BRIDGE
    seen: list[list[Encoding]] = [[], []]

    def calibrate(bandwidth: float) -> list[Encoding]:
        for known, one in zip(seen, cells, strict=True):
            known.append(bench.encoding(replace(one, bandwidth=bandwidth), 0))
        return [Encoding(known[0].size, *_mean(known)) for known in seen]

    def predict(near: float) -> tuple[float, float]:
        one, other = calibrate(min(max(near, LEAST), most))
        mode, encoders = EncodeMode(cell.encode), bench.settings.encoders
        long = crossover_bandwidth(one, other, mode, rtt=cell.rtt, encoders=encoders)

        def gained(bandwidth: float) -> float:
            plain, compressed = (replace(each, bandwidth=bandwidth) for each in cells)
            return bench.predict(plain, one, 0).total - bench.predict(compressed, other, 0).total

        crossing = find_crossover(gained, LEAST, most)
        return crossing or (inf if gained(most) > 0 else 0.0), long

    def measure(bandwidth: float) -> Probe:
        calibrate(bandwidth)
        here = [replace(one, bandwidth=bandwidth) for one in cells]
        expected = min(bench.predict(one, known[-1], 0).total for one, known in zip(here, seen, strict=True))
        wanted = min(max(repetitions, 2, ceil(PROBE_TIME / expected)), MOST_REPETITIONS)
        ratios: list[float] = []
        for number in range(MOST_REPETITIONS):
            if number >= wanted and abs(fmean(ratios)) > DOUBT * stdev(ratios) / sqrt(number):
                break
            # Whichever goes first may find the machine in another state: they take turns.
            times = {one.syntax: bench.send(one).study for one in (here if number % 2 else here[::-1])}
            ratios.append(log(times[default] / times[cell.syntax]))
        return Probe(bandwidth, tuple(ratios))

    first, _ = predict(GUESS)
    for known in seen:
        known.clear()  # it was measured with pauses as at another bandwidth
    crossing = bisect(measure, first if 0 < first < inf else most, least=LEAST, most=most, seed=seed)
    return _told(cell, default, crossing, predict(crossing.bandwidth), seen)


def _mean(known: list[Encoding]) -> tuple[float, float]:
    return fmean(one.encode for one in known), fmean(one.beside for one in known)


def _told(
    cell: Cell, default: str, crossing: Crossing, expected: tuple[float, float], seen: list[list[Encoding]]
) -> Crossover:
    predicted, long = expected
    found = 0 < crossing.bandwidth < inf and 0 < predicted < inf
    return Crossover(
        protocol=cell.protocol,
        noise=cell.noise,
        rtt=cell.rtt,
        encode=cell.encode,
        default=default,
        syntax=cell.syntax,
        bandwidth=crossing.bandwidth,
        low=crossing.low,
        high=crossing.high,
        predicted=predicted,
        predicted_long=long,
        measured_over_predicted=crossing.bandwidth / predicted if found else float("nan"),
        encode_s=fmean(one.encode for one in seen[1]),
        saved_bytes=seen[0][0].size - seen[1][0].size,
        probes=len(crossing.probes),
    )


class Found:
    """Crossovers, a line each in a file, so that what was found need not be looked for again."""

    def __init__(self, folder: Path | None) -> None:
        """Raises UserError for a file that holds something else."""
        self._path = folder / FILE if folder is not None else None
        self._found: list[Crossover] = []
        if self._path is not None and self._path.exists():
            text = self._path.read_text(encoding="utf-8")
            whole = text[: text.rfind("\n") + 1]
            try:
                self._found = [Crossover(**json.loads(line)) for line in whole.splitlines()]
            except (ValueError, TypeError) as error:
                raise UserError(f"{self._path} holds no crossovers: {error}") from error
            if whole != text:  # a line that was cut short; the next one would be added to it
                self._path.write_text(whole, encoding="utf-8")

    def has(self, cell: Cell, default: str) -> bool:
        """Whether one has been found."""
        asked = cell.protocol, cell.noise, cell.rtt, cell.encode, default, cell.syntax
        return any(one.question == asked for one in self._found)

    def append(self, crossover: Crossover) -> None:
        """Add one, and have it in the file. Raises UserError if that cannot be written."""
        self._found.append(crossover)
        if self._path is not None:
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(crossover)) + "\n")
            except OSError as error:
                raise UserError(f"cannot write {self._path}: {error.strerror or error}") from error

    def frame(self) -> pd.DataFrame:
        """All of them, a row each."""
        columns = [field.name for field in fields(Crossover)]
        return pd.DataFrame([asdict(one) for one in self._found], columns=columns)
