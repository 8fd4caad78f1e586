"""The picture of a comparison: how long things take in both worlds, and how far that agrees."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from simlab.analysis.agreement import TOLERANCES, Sample, Subject, agreement_table, samples
from simlab.analysis.run import Run
from simlab.report.style import ALARM, INK, MUTED, PANEL, RULE, SERIES_COLOURS, Drawing, styled
from simlab.units import format_duration

LIVE, VIRTUAL = MUTED, SERIES_COLOURS[0]

AGREES = SERIES_COLOURS[2]

ACROSS = {1: 2, 2: 2, 3: 3, 4: 4}
"""How many distributions have room beside each other, by how many there are; otherwise it is three."""

MOST = 6
"""Distributions that are drawn."""

SHARES = np.linspace(0.0, 1.0, 201)

WIDTH = 10.5
HEIGHT, ROW = 2.3, 0.27
"""Inches of a distribution, and of a ratio."""
HEAD, FOOT = 0.95, 0.7

FARTHEST = 0.5
"""How far from 1 a ratio is drawn where it is; what is farther is drawn at the edge."""


def draw_agreement(live: Sequence[Run], virtual: Run) -> Drawing:
    """Distributions of what is judged, live as a band over its runs; below, virtual/live of every figure judged.

    The band is from the least to the largest quantile among the live runs. A bar beside a ratio is the range of
    live/live, the shading the tolerance.
    """
    table = agreement_table(live, virtual)
    judged = table[table["judged"].astype(bool) & table["statistic"].isin(["p50", "p95"])].to_dict("records")
    subjects = list(dict.fromkeys(Subject(row["what"], row["between"]) for row in judged))[:MOST]
    across = ACROSS.get(len(subjects), 3)
    lines = -(-len(subjects) // across)
    height = HEAD + FOOT + lines * HEIGHT + max(len(judged), 1) * ROW
    with styled():
        drawing = Drawing(figsize=(WIDTH, height))
        _draw_title(drawing, height, live, virtual)
        of_live, of_virtual = [samples(run) for run in live], samples(virtual)
        for number, subject in enumerate(subjects):
            line, column = divmod(number, across)
            width = (WIDTH - 1.0) / across
            bottom = height - HEAD - (line + 1) * HEIGHT + 0.62
            axes = drawing.add_axes(
                ((0.6 + column * width) / WIDTH, bottom / height, (width - 0.55) / WIDTH, (HEIGHT - 0.95) / height)
            )
            _draw_distribution(axes, subject, [each.get(subject) for each in of_live], of_virtual.get(subject))
        left = 3.9
        axes = drawing.add_axes(
            (left / WIDTH, (FOOT - 0.1) / height, (WIDTH - left - 1.2) / WIDTH, max(len(judged), 1) * ROW / height)
        )
        _draw_ratios(axes, judged)
    return drawing


def _draw_title(drawing: Drawing, height: float, live: Sequence[Run], virtual: Run) -> None:
    title = f"{virtual.topology.name}: the same {len(virtual.studies)} studies in both worlds"
    drawing.text(0.6 / WIDTH, 1 - 0.3 / height, title, fontsize=12, color=INK, weight="bold")
    several = len(live) > 1
    handles = [
        Patch(color=LIVE, alpha=0.35, label=f"live, {len(live)} runs") if several
        else Line2D([], [], color=LIVE, label="live"),
        Line2D([], [], color=VIRTUAL, label="virtual"),
    ]  # fmt: skip
    drawing.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.5 / WIDTH, 1 - 0.36 / height), ncols=2)


def _draw_distribution(axes: Axes, subject: Subject, live: Sequence[Sample | None], virtual: Sample | None) -> None:
    """Share of those that took at most so long."""
    quantiles = np.array([np.quantile(each, SHARES) for each in live if each is not None and len(each)])
    if len(quantiles) > 1:
        axes.fill_betweenx(SHARES, quantiles.min(axis=0), quantiles.max(axis=0), color=LIVE, alpha=0.35, linewidth=0)
    if len(quantiles):
        axes.plot(quantiles.mean(axis=0), SHARES, color=LIVE, linewidth=0.9)
    if virtual is not None and len(virtual):
        axes.plot(np.quantile(virtual, SHARES), SHARES, color=VIRTUAL, linewidth=1.5)
    axes.set_xlim(left=0.0)
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks([0, 0.5, 0.95], ["0", "50 %", "95 %"])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: format_duration(seconds)))
    axes.locator_params(axis="x", nbins=3)
    axes.set_title(f"{subject.what}\n{subject.between}".strip(), fontsize=9, color=INK, loc="left")


def _draw_ratios(axes: Axes, rows: Sequence[Mapping[Hashable, Any]]) -> None:
    """Virtual/live of every figure that is judged, a row each."""
    axes.axvline(1.0, color=INK, linewidth=0.8)
    for place, row in enumerate(rows):
        tolerance = TOLERANCES[row["statistic"]]
        axes.barh(place, 2 * tolerance, left=1 - tolerance, height=0.8, color=PANEL, edgecolor=RULE, linewidth=0.5)
        if isfinite(row["live_low"]):
            ends = (max(row["live_low"], 1 - FARTHEST), min(row["live_high"], 1 + FARTHEST))
            axes.plot(ends, (place, place), color=LIVE, linewidth=3.5, alpha=0.45, solid_capstyle="butt")
        colour = AGREES if row["agrees"] else ALARM
        told = "one world only"
        if isfinite(row["ratio"]):
            told = f"{row['ratio']:.3f}"
            axes.plot(min(max(row["ratio"], 1 - FARTHEST), 1 + FARTHEST), place, "o", color=colour, markersize=5)
        axes.annotate(
            told, (1.0, place), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
            fontsize=8, color=colour,
        )  # fmt: skip
    names = [", ".join(filter(None, (row["what"], row["between"], row["statistic"]))) for row in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    axes.set_xlim(1 - FARTHEST * 1.1, 1 + FARTHEST * 1.1)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("virtual/live (shaded: the tolerance; bar: live/live)")
