"""What came of a plan."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from simlab.analysis.frames import write_parquet
from simlab.analysis.replications import Replications, cautions, summarise
from simlab.errors import UserError
from simlab.lab.plan.design import Design
from simlab.report.plan_figures import draw_service_levels, draw_what_if, headline
from simlab.report.style import Drawing
from simlab.wording import advice, shown

CSV_FILE = "plan.csv"
PARQUET_FILE = "plan.parquet"
JSON_FILE = "plan.json"
SUMMARY_FILE = "summary.csv"
WHAT_IF_FILE = "what-if.png"
LEVELS_FILE = "service-levels.png"


@dataclass
class PlanResult:
    """The runs of a plan, what they say, and pictures of it. All numbers are seconds, bytes and parts of one."""

    design: Design
    table: pd.DataFrame
    """One row per run: ``cell`` (0 is the base case), ``replication``, ``seed``, a column of text for each factor, one
    for each measure, ``verdict``, ``complete`` and ``notices``."""
    wanted: tuple[str, ...] = ()
    """Names of the measures that were asked for."""
    finished: bool = True
    """False if it was interrupted."""

    def __repr__(self) -> str:
        state = "" if self.finished else ", interrupted"
        return f"<PlanResult: {len(self.table)} runs of {len(self.design.cells)} cells{state}>"

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per cell and measure: mean and interval, and the difference against the base case with its own."""
        return summarise(self.table, self.design.names, self.design.measures)

    @property
    def replications(self) -> Replications:
        """The same for reports."""
        return Replications(
            self.table, self.design.names, self.design.measures, self.design.sentences(), finished=self.finished
        )

    @property
    def cautions(self) -> list[str]:
        """Sentences that a reader must know to understand the numbers."""
        return cautions(self.replications)

    @property
    def ok(self) -> bool:
        """Every run was run, and met what the topology expects."""
        return self.finished and bool((self.table["verdict"] == "passed").all())

    # ---- pictures

    def what_if(self, measure: str | None = None) -> Drawing:
        """One measure of every cell with its interval, beside the difference against the base case with its own.

        Raises UserError for a measure that there is none of.
        """
        measured = [each.name for each in self.replications.measured()]
        if measure is None:
            measure = next((name for name in self.wanted if name in measured), headline(self.replications))
        if measure not in measured:
            raise UserError(f"nothing was measured as {shown(measure)}; {advice(measure, measured)}")
        return draw_what_if(self.replications, measure)

    def service_levels(self) -> Drawing:
        """The share of studies within each service level. Raises UserError if none was asked for."""
        if not self.design.service_levels:
            raise UserError('no service level was asked for; expected one, such as sla="read < 1 h"')
        return draw_service_levels(self.replications)

    # ---- files

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain values, ready for JSON; what was not measured is None."""
        return {
            **self.design.settings(),
            "replications": self.design.replications,
            "finished": self.finished,
            "cautions": self.cautions,
            "measures": [
                {"name": each.name, "about": each.about, "unit": each.unit.value} for each in self.design.measures
            ],
            "summary": _plain(self.summary),
            "runs": _plain(self.table),
        }

    def save(self, folder: Path) -> None:
        """Write the runs (CSV, Parquet), the summary (CSV), both (JSON), and pictures. Raises UserError."""
        try:
            self.table.to_csv(folder / CSV_FILE, index=False)
            self.summary.to_csv(folder / SUMMARY_FILE, index=False)
            write_parquet(self.table, folder / PARQUET_FILE)
            (folder / JSON_FILE).write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
            if len(self.table):
                self.what_if().save(folder / WHAT_IF_FILE)
                if self.design.service_levels:
                    self.service_levels().save(folder / LEVELS_FILE)
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as JSON objects: NaN and infinite bounds are null, and 15 digits keep every number apart."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    return rows
