"""What came of a capacity search."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from simlab.analysis.capacity import Bracket, Judgement, Required, capacity_table, first_to_give, mean_of
from simlab.analysis.replications import BETWEEN_NOTICES, MOST_TOLD
from simlab.errors import UserError
from simlab.lab.plan.simulate import Measured
from simlab.report.capacity_console import growth_word, verdict_sentences
from simlab.report.capacity_figure import draw_capacity
from simlab.report.style import Drawing
from simlab.topology.calibration import Calibration
from simlab.topology.model import Topology
from simlab.units import format_duration

CSV_FILE = "capacity.csv"
LOADS_FILE = "loads.csv"
JSON_FILE = "capacity.json"
FIGURE_FILE = "capacity.png"


@dataclass(frozen=True)
class Setting:
    """What is searched for, and how."""

    base: Topology
    sources: tuple[str, ...]
    """That grow."""
    required: tuple[Required, ...]
    runs: int
    """Of each growth, at most."""
    warm_up: float
    """Run seconds."""
    precision: float
    most: float
    limited_by: str
    """The appointment grid that has no slots for more than ``most``; empty if that is merely where the search ends."""
    calibration: Calibration | None = None

    def told(self) -> dict[str, Any]:
        """What has to stay the same if runs are to be put together, as plain values.

        A search that is to be more precise, surer or wider goes on from what there is.
        """
        told: dict[str, Any] = {
            "grow": self.sources,
            "sla": [str(one) for one in self.required],
            "warm_up": self.warm_up,
            "calibration": None if self.calibration is None else self.calibration.model_dump(mode="json"),
            "topology": self.base.model_dump(mode="json", exclude_none=True, by_alias=True),
            "version": version("simlab"),
        }
        plain: dict[str, Any] = json.loads(json.dumps(told))
        return plain

    def sentences(self) -> tuple[str, ...]:
        """How it was done, for people."""
        base, last = self.base, self.base.seed + self.runs - 1
        runs = f"{base.name}, {format_duration(base.duration)} of orders, up to {self.runs} runs of each growth"
        told = [
            f"{runs} (seeds {base.seed} to {last}, the same for every growth).",
            f"What grows: {', '.join(self.sources)}.",
            f"Studies ordered in the first {format_duration(self.warm_up)} are warm-up and do not count.",
        ]
        if self.limited_by:
            told.append(f"Beyond {self.most:.3g} times today's demand a day has no more slots for {self.limited_by}.")
        return tuple(told)


@dataclass(frozen=True)
class CapacityResult:
    """How far the demand may grow, how sure that is, and what gives first."""

    setting: Setting
    bracket: Bracket
    judged: Mapping[float, list[Judgement]]
    """By growth, in the order in which they were tried."""
    rows: Mapping[tuple[float, int], Measured]
    """What each run told, by growth and seed, as from :func:`simlab.analysis.capacity.gauge`."""
    finished: bool = True
    """False if it was interrupted."""

    def __repr__(self) -> str:
        state = "" if self.finished else ", interrupted"
        return f"<CapacityResult: meets {self.bracket.meets}, fails {self.bracket.fails}{state}>"

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per growth and requirement, as from :func:`simlab.analysis.capacity.capacity_table`."""
        return capacity_table(self.judged)

    @cached_property
    def loads(self) -> pd.DataFrame:
        """One row per growth, a column for each scanner, line and group of readers: its busiest hour, on average."""
        return mean_of(self.rows, "loads")

    @cached_property
    def stages(self) -> pd.DataFrame:
        """One row per growth, a column for each stage of a study's way: mean seconds."""
        return mean_of(self.rows, "stages")

    @property
    def gives_first(self) -> list[str]:
        """The requirements that the smallest growth which does not do misses; empty if every growth does."""
        return first_to_give(self.judged, self.bracket)

    @property
    def notices(self) -> list[str]:
        """What the runs themselves say must be known to understand their numbers, each sentence once.

        Runs that were cut short say so, each in its own words; that is a requirement here, and they are left out.
        """
        rows = [row for row in self.rows.values() if row["complete"]] or self.rows.values()
        sentences = (text for row in rows for text in row["notices"].split(BETWEEN_NOTICES))
        return [*dict.fromkeys(filter(None, sentences)), *self._failed()]

    def _failed(self) -> Iterator[str]:
        """What is said of studies that failed: they came to their end, and no promise was broken."""
        shares: dict[float, list[float]] = {}
        for (growth, _), row in self.rows.items():
            shares.setdefault(growth, []).append(row["failed"] / max(row["counted"], 1))
        means = {growth: fmean(each) for growth, each in sorted(shares.items()) if any(each)}
        if means:
            worst = sorted(means, key=means.__getitem__)[-MOST_TOLD:]
            told = ", ".join(f"{100 * means[growth]:.2g} % at {growth_word(growth)}" for growth in sorted(worst))
            yield f"Studies failed ({told}); ask for a service level, and they count as late."

    @property
    def sentences(self) -> list[str]:
        """The answer in words."""
        return verdict_sentences(self.bracket, self.judged, self.loads, self.stages)

    def figure(self) -> Drawing:
        """Every requirement against the growth, with intervals."""
        return draw_capacity(self.table, self.bracket, (*self.setting.sentences(), *self.notices))

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain values, ready for JSON."""
        return {
            **self.setting.told(),
            "replications": self.setting.runs,
            "precision": self.setting.precision,
            "most": self.setting.most,
            "finished": self.finished,
            "meets": self.bracket.meets,
            "fails": self.bracket.fails,
            "gives_first": self.gives_first,
            "sentences": self.sentences,
            "notices": self.notices,
            "table": json.loads(self.table.to_json(orient="records", double_precision=15)),
            "loads": json.loads(self.loads.to_json(orient="records", double_precision=15)),
            "stages": json.loads(self.stages.to_json(orient="records", double_precision=15)),
        }

    def save(self, folder: Path) -> None:
        """Write the tables (CSV), all of it (JSON) and the figure. Raises UserError."""
        try:
            self.table.to_csv(folder / CSV_FILE, index=False)
            self.loads.to_csv(folder / LOADS_FILE, index=False)
            (folder / JSON_FILE).write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
            if self.judged:
                self.figure().save(folder / FIGURE_FILE)
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
