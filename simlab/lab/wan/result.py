"""What came of a WAN experiment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from simlab.analysis.comparison import best_syntaxes, cell_table, speed_ups
from simlab.analysis.experiment import Design
from simlab.analysis.frames import write_parquet
from simlab.errors import UserError
from simlab.lab.wan.bench import Settings
from simlab.report.style import Drawing
from simlab.report.wan_figures import draw_best, draw_crossovers, draw_parts, draw_speed_ups
from simlab.report.wan_page import Experiment, render_wan

PARQUET_FILE = "wan.parquet"
REPORT_FILE = "wan.html"
CROSSOVERS_FILE = "crossovers.csv"


@dataclass
class WanResult:
    """The measurements, what they say, and pictures of it."""

    design: Design
    settings: Settings
    table: pd.DataFrame
    """One row per cell and repetition; the columns of :class:`simlab.analysis.experiment.Measurement`."""
    crossovers: pd.DataFrame
    """One row per crossover; the columns of :class:`simlab.lab.wan.crossovers.Crossover`."""
    complete: bool
    """False if it was interrupted."""
    path: Path | None = None
    """Where it is kept."""

    def __repr__(self) -> str:
        state = "" if self.complete else ", interrupted"
        counts = f"{len(self.table)} studies in {len(self.cells)} cells, {len(self.crossovers)} crossovers"
        return f"<WanResult: {counts}{state}>"

    @property
    def default(self) -> str:
        """The transfer syntax that the others are compared with."""
        return self.design.syntax[0]

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per cell, with 95 % t-intervals of the study time."""
        return cell_table(self.table)

    @cached_property
    def best(self) -> pd.DataFrame:
        """The best transfer syntax for each link and condition."""
        return best_syntaxes(self.table, self.default)

    @cached_property
    def speed_ups(self) -> pd.DataFrame:
        """How many times as fast as the default each transfer syntax is, with 95 % t-intervals."""
        return speed_ups(self.table, self.default)

    @property
    def experiment(self) -> Experiment:
        """The same for reports."""
        names = ("instances", "congestion", "window", "to", "seed", "backend")
        told = {name: getattr(self.settings, name) for name in names}
        return Experiment(
            self.table, self.cells, self.best, self.speed_ups, self.crossovers, self.default, told,
            complete=self.complete,
        )  # fmt: skip

    # ---- pictures

    def heat_map(self) -> Drawing:
        """The best transfer syntax for each link."""
        return draw_best(self.best)

    def crossover_lines(self) -> Drawing:
        """Up to which bandwidth each transfer syntax pays, measured and predicted."""
        return draw_crossovers(self.crossovers)

    def speed_up_lines(self) -> Drawing:
        """How many times as fast as the default."""
        return draw_speed_ups(self.speed_ups, self.default)

    def parts(self) -> Drawing:
        """What the time of a study is spent on."""
        return draw_parts(self.table)

    # ---- files

    def report(self, path: str | Path) -> None:
        """Write all of it as one HTML page. Raises UserError if it cannot be written."""
        try:
            Path(path).write_text(render_wan(self.experiment), encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from error

    def save(self, folder: Path) -> None:
        """Write the table as Parquet, the crossovers as CSV, and the page; the table as CSV is there already."""
        try:
            write_parquet(self.table, folder / PARQUET_FILE)
            self.crossovers.to_csv(folder / CROSSOVERS_FILE, index=False)
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
        if len(self.table):
            self.report(folder / REPORT_FILE)
