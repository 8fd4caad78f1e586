"""The table of runs: a row each, in a file as soon as it is there, so that a plan can go on where it stopped."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from simlab.analysis.planning import PROFILE
from simlab.analysis.profile import Profile, mean_profile
from simlab.analysis.replications import KEYS
from simlab.errors import UserError
from simlab.files import as_csv, write_whole
from simlab.lab.plan.design import Design, Trial

RUNS_FILE = "runs.csv"
DESIGN_FILE = "design.json"

LONGEST_FIELD = 2**31 - 1
"""Characters. The profile of a hospital with a hundred scanners is longer than csv takes by default."""

Row: TypeAlias = dict[str, Any]

_Key: TypeAlias = tuple[tuple[str, ...], int]
"""The levels of the factors, and the seed."""


class Table:
    """The runs of a design; without a folder in memory only.

    The file has a row per run, in the order in which they ended: ``seed``, the level of each factor, each measure of
    :func:`simlab.analysis.planning.measures`, ``verdict``, ``complete``, ``notices`` and ``profile``.
    """

    def __init__(self, design: Design, rows: dict[_Key, Row], path: Path | None) -> None:
        self._design = design
        self._rows = rows
        self._path = path

    @classmethod
    def open(cls, design: Design, folder: Path | None) -> Table:
        """A table for a design, with what a former run of it has left in the folder.

        Factors may have got other levels, and there may be more replications: what is missing is still to be run.
        Raises UserError if anything else has changed, or the folder cannot be written to.
        """
        if folder is None:
            return cls(design, {}, None)
        settings, path = design.settings(), folder / RUNS_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / DESIGN_FILE).exists():
                _compare(json.loads((folder / DESIGN_FILE).read_text(encoding="utf-8")), settings, folder)
            else:
                (folder / DESIGN_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
            rows = list(_read(path, design)) if path.exists() else []
            write_whole(path, as_csv(_columns(design), rows))
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{folder} holds no plan that can be gone on with: {error}") from error
        return cls(design, {_key(row, design): row for row in rows}, path)

    def has(self, trial: Trial) -> bool:
        """Whether a trial has been run."""
        return _of(trial) in self._rows

    def append(self, trial: Trial, measured: Row) -> None:
        """Add a row, and have it in the file. Raises UserError if that cannot be written."""
        levels = dict(zip(self._design.names, trial.cell.levels, strict=True))
        row = self._rows[_of(trial)] = {"seed": trial.seed, **levels, **measured}
        if self._path is not None:
            try:
                with self._path.open("a", newline="", encoding="utf-8") as file:
                    csv.DictWriter(file, _columns(self._design)).writerow(row)
            except OSError as error:
                raise UserError(f"cannot write {self._path}: {error.strerror or error}") from error

    def frame(self) -> pd.DataFrame:
        """The rows of this design's trials, by replication and cell, in whatever order they were run.

        It has two columns more than the file: ``cell`` (0 is the base case) and ``replication`` (from 1); and one less,
        the profiles.
        """
        return self._frame().drop(columns=PROFILE)

    def profiles(self) -> dict[int, Profile]:
        """The mean profile of the runs of each cell that there are any of."""
        frame = self._frame()
        return {
            int(str(cell)): mean_profile([Profile.read(text) for text in rows[PROFILE]])
            for cell, rows in frame.groupby("cell", sort=True)
        }

    def _frame(self) -> pd.DataFrame:
        rows = [
            {"cell": trial.cell.number, "replication": trial.replication, **self._rows[_of(trial)]}
            for trial in self._design.trials()
            if self.has(trial)
        ]
        return pd.DataFrame(rows, columns=list(dict.fromkeys([*KEYS, *_columns(self._design)])))


def _columns(design: Design) -> list[str]:
    measured = [measure.name for measure in design.measures]
    return ["seed", *design.names, *measured, "verdict", "complete", "notices", PROFILE]


def _of(trial: Trial) -> _Key:
    return trial.cell.levels, trial.seed


def _key(row: Row, design: Design) -> _Key:
    return tuple(row[name] for name in design.names), row["seed"]


def _compare(before: Row, now: Row, folder: Path) -> None:
    for name in now:
        if before.get(name) != now[name]:
            what = f"{name} {_told(before.get(name))}, not {_told(now[name])}"
            if name in ("topology", "calibration", "version"):
                what = f"another {name}"
            raise UserError(f"{folder} holds a plan with {what}; expected the same, or a new folder")


def _told(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


def _read(path: Path, design: Design) -> Iterator[Row]:
    """The rows of a file; a last line that was cut short is left out."""
    csv.field_size_limit(LONGEST_FIELD)
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    reader = csv.DictReader(whole.splitlines())
    if whole and list(reader.fieldnames or ()) != _columns(design):
        raise ValueError(f"{path.name} has other columns")
    numbers = {measure.name for measure in design.measures}
    for row in reader:
        told: Row = {name: float(value) if name in numbers else value for name, value in row.items()}
        yield {**told, "seed": int(row["seed"]), "complete": row["complete"] == "True"}
