"""The page of a WAN experiment: one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import pandas as pd

from simlab.report.html import inline, open_templates
from simlab.report.wan_figures import draw_best, draw_crossovers, draw_parts, draw_speed_ups, format_rtt
from simlab.units import format_bandwidth, format_duration, format_size

NOT_MEASURED = "\N{EN DASH}"

MOST_ROWS = 200
"""Of the table of cells; ``wan.csv`` has them all."""


@dataclass(frozen=True)
class Experiment:
    """What a page tells of."""

    table: pd.DataFrame
    cells: pd.DataFrame
    best: pd.DataFrame
    speed_ups: pd.DataFrame
    crossovers: pd.DataFrame
    default: str
    settings: Mapping[str, Any]
    complete: bool


def render_wan(experiment: Experiment) -> str:
    """The whole page as one HTML document."""
    templates = open_templates(
        duration=lambda value: format_duration(value) if isfinite(value) else NOT_MEASURED,
        size=format_size,
        rtt=format_rtt,
        bandwidth=lambda value: format_bandwidth(value) if isfinite(value) else NOT_MEASURED,
    )
    table = experiment.table
    parts = [(name, inline(draw_parts(rows))) for name, rows in table.groupby("protocol", sort=False)]
    return templates.get_template("wan.html").render(
        experiment=experiment,
        verdicts=verdict_lines(experiment),
        best=inline(draw_best(experiment.best)),
        crossover_picture=inline(draw_crossovers(experiment.crossovers)) if len(experiment.crossovers) else "",
        speed_ups=inline(draw_speed_ups(experiment.speed_ups, experiment.default))
        if len(set(table["syntax"])) > 1
        else "",
        parts=parts,
        cells=experiment.cells.head(MOST_ROWS).to_dict("records"),
        cells_left_out=max(len(experiment.cells) - MOST_ROWS, 0),
        crossovers=experiment.crossovers.to_dict("records"),
        remarks=remark_counts(table),
    )


def verdict_lines(experiment: Experiment) -> list[str]:
    """The point, in a few sentences."""
    lines = []
    for row in experiment.best.sort_values("speed_up", ascending=False).head(1).to_dict("records"):
        if isfinite(row["speed_up"]) and row["best"] != experiment.default:
            link = f"{format_bandwidth(row['bandwidth'])} and {format_rtt(row['rtt'])}"
            lines.append(
                f"At most it gains a factor of {row['speed_up']:.2g}: {row['protocol']} in {row['best']} over {link}."
            )
    lost = experiment.best[experiment.best["best"] == experiment.default]
    if len(lost):
        links = ", ".join(
            f"{row['protocol']} over {format_bandwidth(row['bandwidth'])} and {format_rtt(row['rtt'])}"
            for row in lost.head(4).to_dict("records")
        )
        more = f" and {len(lost) - 4} more" if len(lost) > 4 else ""
        lines.append(f"Nothing beats {experiment.default} for {links}{more}.")
    return [*lines, *map(crossover_line, experiment.crossovers.to_dict("records"))]


def crossover_line(row: Mapping[Any, Any]) -> str:
    """One crossover in a sentence."""
    what = f"{row['syntax']} ({row['protocol']}, {row['encode']}, {format_rtt(row['rtt'])})"
    if row["bandwidth"] == 0:
        return f"{what} pays at no bandwidth that was tried."
    if not isfinite(row["bandwidth"]):
        return f"{what} pays at every bandwidth that was tried."
    told = f"{what} pays up to {format_bandwidth(row['bandwidth'])}"
    interval = f"{format_bandwidth(row['low'])} to {format_bandwidth(row['high'])}"
    finite = isfinite(row["predicted"])
    predicted = f"{format_bandwidth(row['predicted'])} predicted" if finite else "predicted at every bandwidth"
    return f"{told} (95 % interval {interval}; {predicted})."


def remark_counts(table: pd.DataFrame) -> list[str]:
    """What makes measurements doubtful, and how many of them."""
    doubtful = table[~table["valid"].astype(bool)]
    if not len(doubtful):
        return []
    kinds = {
        "relay": "in which the relay was late",
        "bridge": "in which the bridge of packets was late",
        "encoding": "in which encoding took longer than in calibration",
        "processor": "in which the sender's processor was the limit",
        "not stored": "in which instances were not stored",
    }
    told = [f"{len(doubtful)} of {len(table)} measurements tell of the lab as much as of the link."]
    for word, what in kinds.items():
        count = int(doubtful["remarks"].str.contains(word, regex=False).sum())
        if count:
            told.append(f"{count} {what}.")
    return told
