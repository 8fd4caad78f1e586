"""What came of a plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from simlab.analysis.comparison import Interval
from simlab.analysis.frames import write_parquet
from simlab.analysis.planning import DAY
from simlab.analysis.profile import Profile
from simlab.analysis.replications import BASE, SCENARIO, Replications, cautions, summarise
from simlab.errors import UserError
from simlab.lab.plan.design import Design
from simlab.report.intervals import interval_in
from simlab.report.plan_figures import draw_service_levels, draw_what_if, headline
from simlab.report.plan_scenarios import draw_scenarios
from simlab.report.plan_storage import draw_storage, sentences
from simlab.report.plan_weeks import draw_rows, draw_week, rows_of
from simlab.report.style import Drawing
from simlab.wording import advice, shown

CSV_FILE = "plan.csv"
PARQUET_FILE = "plan.parquet"
JSON_FILE = "plan.json"
SUMMARY_FILE = "summary.csv"
WHAT_IF_FILE = "what-if.png"
LEVELS_FILE = "service-levels.png"
SCENARIOS_FILE = "scenarios.png"
WEEK_FILE = "week.png"
ROWS_FILE = "week-by-scanner.png"
STORAGE_FILE = "storage.png"
HOURS_FILE = "hours.csv"


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
    profiles: Mapping[int, Profile] = field(default_factory=dict)
    """The mean profile of each cell: its week by the hour, and what archives hold."""

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
        about = self.design.sentences()
        if BASE in self.profiles:
            stocks, runs = self.profiles[BASE].stocks, self.table[self.table["cell"] == BASE]
            fills = {stock.name: (int(runs[f"full {stock.name}"].notna().sum()), len(runs)) for stock in stocks}
            about += tuple(sentences(stocks, self.design.base.epoch, self._full(BASE), fills))
        return Replications(self.table, self.design.names, self.design.measures, about, finished=self.finished)

    @property
    def hours(self) -> pd.DataFrame:
        """The mean week of each cell: a row per ``cell``, ``series``, ``weekday`` and ``hour``, with its ``mean``.

        Series are as from :func:`simlab.analysis.hours.series`.
        """
        tables = [profile.table().assign(cell=cell) for cell, profile in self.profiles.items()]
        columns = ["cell", "series", "weekday", "hour", "mean"]
        return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)

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

    def scenarios(self) -> Drawing:
        """What each what-if changes, in words. Raises UserError if there was none."""
        if SCENARIO not in self.design.names:
            raise UserError('there were no what-ifs; expected one, such as what_if="two more CTs: ct1.count=3"')
        return draw_scenarios(self.replications, self.wanted)

    def week(self, cell: int = BASE, *, by_scanner: bool = False) -> Drawing:
        """The week of a cell by the hour, in sum or with a row for each scanner and each line. Raises UserError."""
        weeks = self._profile(cell).weeks
        return draw_rows(weeks) if by_scanner else draw_week(weeks)

    def storage(self, cell: int = BASE) -> Drawing:
        """What archives hold in the first run of a cell, and when they are full over all of them. Raises UserError."""
        stocks = self._profile(cell).stocks
        if not stocks:
            raise UserError("there is no archive; expected one whose storage could be drawn")
        full = self._full(cell)
        means = [replace(stock, full=full[stock.name].mean / DAY) for stock in stocks]
        limited = any(stock.capacity is not None for stock in stocks)
        about = "The curve is that of the first run" + (
            "; the day is the mean of all that fill it." if limited else "."
        )
        return draw_storage(means, self.design.base.epoch, full, about)

    def _full(self, cell: int) -> dict[str, Interval]:
        """When what archives hold is full, in seconds since the epoch, by the names of stocks."""
        rows = self.summary[self.summary["cell"] == cell].to_dict("records")
        intervals = {row["measure"]: interval_in(row) for row in rows}
        return {stock.name: intervals[f"full {stock.name}"] for stock in self.profiles[cell].stocks}

    def _profile(self, cell: int) -> Profile:
        if cell not in self.profiles:
            raise UserError(f"nothing was run of cell {cell}; {advice(str(cell), map(str, self.profiles))}")
        return self.profiles[cell]

    def service_levels(self) -> Drawing:
        """The share of studies within each service level. Raises UserError if none was asked for."""
        if not self.design.service_levels:
            raise UserError('no service level was asked for; expected one, such as sla="read < 1 h"')
        return draw_service_levels(self.replications)

    @property
    def picture(self) -> str:
        """The file of the picture to look at first."""
        return SCENARIOS_FILE if SCENARIO in self.design.names else WHAT_IF_FILE

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
                self.hours.to_csv(folder / HOURS_FILE, index=False)
                for name, drawing in self._drawings().items():
                    drawing.save(folder / name)
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error

    def _drawings(self) -> dict[str, Drawing]:
        """All pictures that there is something for, by the names of their files."""
        drawings = {WHAT_IF_FILE: self.what_if()}
        if self.design.service_levels:
            drawings[LEVELS_FILE] = self.service_levels()
        if SCENARIO in self.design.names:
            drawings[SCENARIOS_FILE] = self.scenarios()
        if BASE in self.profiles:
            drawings[WEEK_FILE] = self.week()
            if rows_of(self.profiles[BASE].weeks):
                drawings[ROWS_FILE] = self.week(by_scanner=True)
            if self.profiles[BASE].stocks:
                drawings[STORAGE_FILE] = self.storage()
        return drawings


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as JSON objects: NaN and infinite bounds are null, and 15 digits keep every number apart."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    return rows
