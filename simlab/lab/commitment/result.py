"""What came of a commitment matrix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from simlab.analysis.commitment import CellRow, matrix_frame, unexpected
from simlab.analysis.disk import occupancy
from simlab.analysis.frames import write_parquet
from simlab.errors import UserError
from simlab.lab.commitment.scenario import Scenario
from simlab.lab.result import Result
from simlab.report.commitment_figures import draw_disks, draw_times, draw_waste
from simlab.report.commitment_page import Matrix, render_commitment
from simlab.report.style import Drawing

PARQUET_FILE = "commitment.parquet"
CSV_FILE = "commitment.csv"
JSON_FILE = "commitment.json"
REPORT_FILE = "commitment.html"


class Tried(NamedTuple):
    """A cell that was tried."""

    row: CellRow
    result: Result


class CommitmentResult:
    """One row per cell, the run behind each, and pictures of them."""

    def __init__(self, scenario: Scenario, world: str, tried: list[Tried], *, complete: bool) -> None:
        self.scenario = scenario
        self.world = world
        self.tried = tried
        self.complete = complete
        """False if it was interrupted."""

    def __repr__(self) -> str:
        state = "" if self.complete else ", interrupted"
        return f"<CommitmentResult: {len(self.tried)} cells, {len(self.unexpected)} not as expected{state}>"

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per cell; the columns of :class:`simlab.analysis.commitment.CellRow`."""
        return matrix_frame([each.row for each in self.tried])

    @property
    def unexpected(self) -> pd.DataFrame:
        """The cells in which another number of instances was sent again than the policy says."""
        return unexpected(self.table)

    @property
    def ok(self) -> bool:
        """Everything was tried, and came to what was expected."""
        return self.complete and self.unexpected.empty

    @cached_property
    def disks(self) -> pd.DataFrame:
        """What was on the scanner's disk: fault, occurrence, policy, delete_local, time (s) and bytes."""
        parts = []
        for row, result in self.tried:
            disk = occupancy(result.records)
            disk = disk[disk["node"] == self.scenario.scanner].drop(columns="node")
            cell = {name: getattr(row, name) for name in ("fault", "occurrence", "policy", "delete_local")}
            parts.append(disk.assign(**cell))
        columns = ["fault", "occurrence", "policy", "delete_local", "time", "bytes"]
        return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)

    @cached_property
    def findings(self) -> pd.DataFrame:
        """Every instance that the oracle found fault with, and in which cell."""
        parts = [
            result.run.findings.assign(fault=row.fault, occurrence=row.occurrence, policy=row.policy)
            for row, result in self.tried
            if len(result.run.findings)
        ]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def run_of(self, fault: str, policy: str = "by-reason", occurrence: str = "once") -> Result:
        """The run of one cell. Raises KeyError if it was not tried."""
        for row, result in self.tried:
            if (row.fault, row.policy) == (fault, policy) and row.occurrence in (occurrence, "none"):
                return result
        raise KeyError(f"{fault} {occurrence} under {policy} was not tried")

    @property
    def matrix(self) -> Matrix:
        """The same for reports."""
        return Matrix(self.table, self.disks, str(self.scenario), self.world, complete=self.complete)

    # ---- pictures

    def waste(self) -> Drawing:
        """How much is sent again."""
        return draw_waste(self.table)

    def times(self) -> Drawing:
        """How long it takes until the study is safe."""
        return draw_times(self.table)

    def disk_usage(self, faults: list[str] | None = None) -> Drawing:
        """What is on the scanner's disk meanwhile."""
        return draw_disks(self.disks, faults)

    def ladder(self, fault: str, policy: str = "by-reason", occurrence: str = "once") -> Drawing:
        """What passes between the nodes in one cell."""
        return self.run_of(fault, policy, occurrence).ladder()

    def _ladders(self) -> Iterator[tuple[str, Drawing]]:
        seen = set()
        for row, result in sorted(self.tried, key=lambda each: each.row.policy != "by-reason"):
            if row.fault not in seen and row.occurrence in ("once", "none"):
                seen.add(row.fault)
                yield f"{row.fault}, {row.policy}", result.ladder()

    # ---- files

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain values, ready for JSON."""
        rows = json.loads(self.table.to_json(orient="records"))
        return {
            "world": self.world,
            "scenario": str(self.scenario),
            "seed": self.scenario.topology.seed,
            "complete": self.complete,
            "unexpected": len(self.unexpected),
            "cells": rows,
            "findings": json.loads(self.findings.to_json(orient="records")),
        }

    def report(self, path: str | Path) -> None:
        """Write all of it as one HTML page. Raises UserError if it cannot be written."""
        _write(Path(path), render_commitment(self.matrix, list(self._ladders())))

    def save(self, folder: Path) -> None:
        """Write the table (Parquet, CSV, JSON) and the page. Raises UserError if that cannot be."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_parquet(self.table, folder / PARQUET_FILE)
            self.table.to_csv(folder / CSV_FILE, index=False)
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
        _write(folder / JSON_FILE, json.dumps(self.to_dict(), indent=2) + "\n")
        self.report(folder / REPORT_FILE)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
