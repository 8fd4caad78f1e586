"""A factorial experiment over links: its cells, the order in which they are run, and the table that grows on disk.

Each repetition is a block: every cell once, in an order drawn anew, so that whatever drifts on the machine meanwhile
falls on all of them alike. What has been measured is a row in a file at once, and a run that goes on later leaves out
what is there.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import pandas as pd

from simlab.draws import Draws
from simlab.errors import UserError
from simlab.files import as_csv, write_whole

TABLE_FILE = "wan.csv"
DESIGN_FILE = "wan.json"


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of the factors' levels."""

    protocol: str
    noise: float
    """Of the images, as a multiple of the protocol's own."""
    rtt: float
    """Round trip in seconds."""
    bandwidth: float
    """Bytes per second on the wire, each way."""
    syntax: str
    """Transfer syntax, by its short name."""
    associations: int
    outstanding: int
    """Requests under way on each association; 0 for any number."""
    encode: str
    """``stored``, ``per-instance`` or ``pipelined``."""

    @property
    def key(self) -> str:
        """Names it, in files and for draws."""
        return "|".join(str(value) for value in asdict(self).values())


FACTORS = tuple(field.name for field in fields(Cell))
"""Columns of the table that name the cell."""


class Trial(NamedTuple):
    """A cell that is to be measured once."""

    cell: Cell
    repetition: int
    """From 1."""


@dataclass(frozen=True, slots=True)
class Design:
    """A full factorial: every combination of the levels, several times."""

    protocol: tuple[str, ...]
    noise: tuple[float, ...]
    rtt: tuple[float, ...]
    bandwidth: tuple[float, ...]
    syntax: tuple[str, ...]
    """The first is the default, with which the others are compared."""
    associations: tuple[int, ...]
    outstanding: tuple[int, ...]
    encode: tuple[str, ...]
    repetitions: int
    seed: int
    settings: tuple[tuple[str, Any], ...] = ()
    """What is the same in every cell: instances, congestion and the like, as plain values."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells."""
        return tuple(Cell(*levels) for levels in product(*(getattr(self, name) for name in FACTORS)))

    def trials(self) -> Iterator[Trial]:
        """What is to be measured, in order: repetition by repetition, each shuffled by the seed."""
        draws = Draws(self.seed)
        for repetition in range(1, self.repetitions + 1):
            places = {cell: draws.uniform("order of cells", f"{repetition} {cell.key}") for cell in self.cells}
            yield from (Trial(cell, repetition) for cell in sorted(places, key=places.__getitem__))


@dataclass(frozen=True, slots=True)
class Measurement:
    """One row of the table: a study sent once. Seconds, bytes, bytes per second."""

    protocol: str
    noise: float
    rtt: float
    bandwidth: float
    syntax: str
    associations: int
    outstanding: int
    encode: str
    backend: str
    """``relay``, or ``tun``: what the link was made of."""
    repetition: int
    instances: int
    study_s: float
    """From the first association request to the last release."""
    p50_s: float
    """Of the time from an instance's request to its response."""
    p95_s: float
    payload_bytes: int
    """Data sets as they were made, in Explicit VR Little Endian."""
    sent_bytes: int
    """Data sets as they were sent."""
    wire_bytes: float
    """What passed the link in both directions, IP and TCP headers included."""
    ratio: float
    """Payload bytes to sent bytes."""
    encode_s: float
    """Mean seconds to encode an instance, as it went here."""
    encode_cpu_s: float
    """Processor seconds to encode the study."""
    decode_cpu_s: float
    """Processor seconds to decode it, by calibration; NaN where nothing here decodes the transfer syntax."""
    throughput: float
    """Payload bytes per second of study."""
    share: float
    """Of the link's capacity from sender to receiver, over the whole study."""
    predicted_s: float
    """The study by the closed form, with the costs as calibrated."""
    measured_over_predicted: float
    setup_part_s: float
    """Parts of the prediction: association, release, and slow start."""
    round_trips_part_s: float
    wire_part_s: float
    codec_part_s: float
    server_part_s: float
    calibrated_encode_s: float
    calibrated_server_s: float
    relay_late_s: float
    """p99 of how late the relay was, or its bridge of packets."""
    sender_cpu: float
    """Share of a processor that the sender needed, encoding included."""
    valid: bool
    remarks: str
    """Why not, or what else to know."""
    started_at: str


COLUMNS = tuple(field.name for field in fields(Measurement))


class Table:
    """Measurements in a file, a row each, written as soon as they are there; without a folder in memory only."""

    def __init__(self, rows: list[dict[str, Any]], path: Path | None) -> None:
        self._rows = rows
        self._path = path

    @classmethod
    def open(cls, design: Design, folder: Path | None) -> Table:
        """A table for a design; with what a former run of it has left in the folder.

        Factors may have got other levels, and there may be more repetitions: what is missing is still to be measured.
        Raises UserError if anything else of the design has changed, or the folder cannot be written to.
        """
        if folder is None:
            return cls([], None)
        path, same = folder / TABLE_FILE, _comparable(design)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / DESIGN_FILE).exists():
                _check(json.loads((folder / DESIGN_FILE).read_text(encoding="utf-8")), same, folder)
            else:
                (folder / DESIGN_FILE).write_text(json.dumps(same, indent=2) + "\n", encoding="utf-8")
            rows = list(_read(path)) if path.exists() else []
            write_whole(path, as_csv(COLUMNS, rows))
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{folder} holds no experiment that can be gone on with: {error}") from error
        return cls(rows, path)

    def append(self, measurement: Measurement) -> None:
        """Add a row, and have it in the file. Raises UserError if that cannot be written."""
        row = asdict(measurement)
        self._rows.append(row)
        if self._path is not None:
            try:
                with self._path.open("a", newline="", encoding="utf-8") as file:
                    csv.DictWriter(file, COLUMNS).writerow(row)
            except OSError as error:
                raise UserError(f"cannot write {self._path}: {error.strerror or error}") from error

    def has(self, trial: Trial) -> bool:
        """Whether a trial has been measured."""
        wanted = {**asdict(trial.cell), "repetition": trial.repetition}
        return any(all(row[name] == value for name, value in wanted.items()) for row in self._rows)

    def frame(self, design: Design) -> pd.DataFrame:
        """The rows of this design's trials, in the order in which they were measured."""
        wanted = {cell.key for cell in design.cells}
        rows = [
            row
            for row in self._rows
            if Cell(*(row[name] for name in FACTORS)).key in wanted and row["repetition"] <= design.repetitions
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS))


def _comparable(design: Design) -> dict[str, Any]:
    """What has to stay the same if measurements are to be put together."""
    same: dict[str, Any] = json.loads(json.dumps({"seed": design.seed, **dict(design.settings)}))
    return same


def _check(before: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            raise UserError(
                f"{folder} holds an experiment with {name} {before.get(name)}, not {now.get(name)}; "
                "expected the same, or a new folder"
            )


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a table; a last line that was cut short is left out."""
    kinds = get_type_hints(Measurement)
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    reader = csv.DictReader(whole.splitlines())
    if whole and tuple(reader.fieldnames or ()) != COLUMNS:
        raise ValueError(f"{path.name} has other columns")
    for row in reader:
        yield {
            name: row[name] == "True" if kind is bool else int(row[name]) if kind is int else kind(row[name])
            for name, kind in kinds.items()
        }
