"""What came of a comparison of the two worlds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from simlab.analysis.agreement import AGREEMENT_COLUMNS, agreement_table
from simlab.analysis.run import Run
from simlab.errors import UserError
from simlab.report.agreement_figure import draw_agreement
from simlab.report.style import Drawing
from simlab.topology.calibration import Calibration
from simlab.topology.model import Topology

CSV_FILE = "agreement.csv"
JSON_FILE = "agreement.json"
PICTURE_FILE = "agreement.png"
CALIBRATION_FILE = "calibration.yaml"


class AgreementResult:
    """The live runs, the virtual one, and what differs. All numbers are seconds, and parts of one."""

    def __init__(
        self,
        topology: Topology,
        asked: int,
        live: Sequence[Run],
        virtual: Run | None,
        notes: Sequence[str] = (),
        *,
        cut_short: bool = False,
        interrupted: bool = False,
        calibration: Calibration | None = None,
    ) -> None:
        self.topology = topology
        self.asked = asked
        """Repetitions that were asked for."""
        self.live = tuple(live)
        """Live runs that count."""
        self.virtual = virtual
        """None if it was cut short."""
        self.cut_short = cut_short
        """A run did not come to its end, and no further ones were begun."""
        self.interrupted = interrupted
        """That was somebody's wish."""
        self.calibration = calibration
        """Of the virtual run; None: uncalibrated."""
        self._notes = tuple(notes)

    def __repr__(self) -> str:
        judged = self.judged
        return (
            f"<AgreementResult: {self.topology.name}, {len(self.live)} live runs, "
            f"{int(judged['agrees'].sum())} of {len(judged)} figures agree>"
        )

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per figure; columns as in :func:`simlab.analysis.agreement.agreement_table`."""
        if self.virtual is None or not self.live:
            return pd.DataFrame(columns=list(AGREEMENT_COLUMNS))
        return agreement_table(self.live, self.virtual)

    @property
    def judged(self) -> pd.DataFrame:
        """The rows of the table that have a verdict."""
        return self.table[self.table["judged"].astype(bool)]

    @property
    def finished(self) -> bool:
        """There are as many live runs as were asked for."""
        return self.virtual is not None and len(self.live) == self.asked

    @property
    def ok(self) -> bool:
        """Everything was run, something could be judged, and all of that agrees."""
        return self.finished and len(self.judged) > 0 and bool(self.judged["agrees"].all())

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences that a reader must know to understand the numbers."""
        told = self.virtual.notices if self.virtual is not None else ()
        return (*self._notes, *(line for line in told if line not in _of_live(self.live)))

    def picture(self) -> Drawing:
        """Distributions of what is judged in both worlds, and all ratios. Raises UserError if nothing was compared."""
        if self.virtual is None or not self.live:
            raise UserError("nothing was compared: expected a virtual run and at least one live run that counts")
        return draw_agreement(self.live, self.virtual)

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain values, ready for JSON; what was not measured is None."""
        return {
            "topology": self.topology.name,
            "seed": self.topology.seed,
            "repetitions": self.asked,
            "live": [dict(run.generator) | {"elapsed": run.elapsed, "studies": len(run.studies)} for run in self.live],
            "notices": list(self.notices),
            "finished": self.finished,
            "ok": self.ok,
            "figures": json.loads(self.table.to_json(orient="records", double_precision=15)),
        }

    def save(self, folder: Path) -> None:
        """Write the table (CSV, JSON), the picture, and the calibration if there is one. Raises UserError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.table.to_csv(folder / CSV_FILE, index=False)
            (folder / JSON_FILE).write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
            if self.calibration is not None:
                self.calibration.save(folder / CALIBRATION_FILE)
            if len(self.table):
                self.picture().save(folder / PICTURE_FILE)
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error


def _of_live(live: Sequence[Run]) -> set[str]:
    """What live runs say as well, and so is nothing that tells the worlds apart."""
    return {line for run in live for line in run.notices}
