"""Pictures of a plan: what becomes of one measure if something is changed, and how many studies are in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from math import isfinite
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from simlab.analysis.comparison import Interval
from simlab.analysis.planning import Measure, Unit
from simlab.analysis.replications import BASE, Replications
from simlab.report.intervals import MINUS, Scale, heading, interval_in, judged
from simlab.report.style import ALARM, INK, MUTED, PANEL, SERIES_COLOURS, Drawing, styled

HEADLINES = ("to_read_p95", "time_to_safe_p95", "transfer_p95")
"""What a plan is about unless somebody says otherwise: the first that was measured."""

BETTER, WORSE, OTHER = SERIES_COLOURS[2], ALARM, SERIES_COLOURS[0]
COLOURS = {"better": BETTER, "worse": WORSE, "more": OTHER, "less": OTHER, "": MUTED}

ROW = 0.3
"""Inches for a cell."""
NUMBER = 0.5
"""Inches for a cell's number, and for a character of what stands beside it."""
CHARACTER = 0.085
PANEL_WIDTH = 4.2
CHARACTERS = 15
"""Of small print in an inch."""
MOST_LINES = 6
MOST_LEVELS = 4
"""Service levels side by side."""


def headline(replications: Replications) -> str:
    """The name of the measure that matters most among those that there are values of."""
    measured = [measure.name for measure in replications.measured()]
    return next((name for name in HEADLINES if name in measured), measured[0] if measured else HEADLINES[0])


def draw_what_if(replications: Replications, name: str) -> Drawing:
    """One measure of every cell: its mean with its interval, and beside it what changes against the base case."""
    measure = replications.measure(name)
    rows = _rows(replications, name)
    with styled():
        drawing, (means, changes) = _panels(replications.labels, rows, 2)
        _draw_title(drawing, measure.about)
        _draw_means(means, measure, rows)
        means.set_title("mean of the runs", fontsize=9.5, color=MUTED, loc="left")
        _draw_changes(changes, measure, rows)
        changes.set_title("change against today", fontsize=9.5, color=MUTED, loc="left")
        _draw_legend(drawing, rows, replications)
    return drawing


def draw_service_levels(replications: Replications) -> Drawing:
    """The share of studies within each service level, for every cell: means with their intervals."""
    levels = [measure for measure in replications.measures if measure.name.startswith("sla ")][:MOST_LEVELS]
    found = [(measure, _rows(replications, measure.name)) for measure in levels]
    with styled():
        drawing, panels = _panels(replications.labels, found[0][1], len(levels))
        _draw_title(drawing, "studies in time")
        for axes, (measure, rows) in zip(panels, found, strict=True):
            _draw_means(axes, measure, rows)
            axes.set_title(measure.name.removeprefix("sla "), fontsize=9.5, color=INK, loc="left")
        _draw_legend(drawing, [row for _, rows in found for row in rows], replications)
    return drawing


def _rows(replications: Replications, name: str) -> list[dict[str, Any]]:
    """A row of the summary for each cell, with the intervals and the word for its difference."""
    summary = replications.summary
    rows: list[dict[str, Any]] = []
    found = summary[summary["measure"] == name].to_dict("records")
    for row in found:
        change = interval_in(row, "difference")
        word = judged(replications, replications.measure(name), row, interval_in(found[0]))
        more = {"interval": interval_in(row), "change": change, "word": word}
        rows.append({str(column): value for column, value in row.items()} | more)
    return rows


def _panels(factors: Sequence[str], rows: Sequence[Mapping[str, Any]], count: int) -> tuple[Drawing, list[Axes]]:
    """A drawing with a line for each cell: the levels of its factors, and then some panels."""
    ends = list(accumulate((_width(factor, rows) for factor in factors), initial=NUMBER))
    widths = [ends[-1] + 0.1, *[PANEL_WIDTH] * count]
    drawing = Drawing(figsize=(sum(widths), 1.9 + ROW * len(rows)), layout="constrained")
    # Panels give some of their width to the numbers beside them; the levels need all of theirs.
    ratios = [1.15 * widths[0], *widths[1:]]
    grid: list[Axes] = drawing.subplots(1, count + 1, width_ratios=ratios, squeeze=False)[0].tolist()
    for axes in grid:
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks([])
        axes.grid(visible=False, axis="y")
        for y in range(0, len(rows), 2):
            axes.axhspan(y - 0.5, y + 0.5, color=PANEL, linewidth=0, zorder=0)
    grid[0].set_xlim(0, widths[0])
    _draw_levels(grid[0], dict(zip(factors, ends[1:], strict=True)), rows)
    return drawing, grid[1:]


def _width(factor: str, rows: Sequence[Mapping[str, Any]]) -> float:
    """Inches for a factor's levels and its heading."""
    return CHARACTER * (2 + max(map(len, [*heading(factor).splitlines(), *(row[factor] for row in rows)])))


def _draw_levels(axes: Axes, ends: Mapping[str, float], rows: Sequence[Mapping[str, Any]]) -> None:
    """What each cell is: bold where a level is not that of the base case. ``ends`` are where columns end, in inches."""
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    base = next((row for row in rows if row["cell"] == BASE), None)
    for factor, end in ends.items():
        axes.text(end, -0.62, heading(factor), ha="right", va="bottom", color=MUTED, fontsize=8.5)
    for y, row in enumerate(rows):
        today = row["cell"] == BASE
        axes.text(
            0.05, y, "today" if today else str(row["cell"]), va="center_baseline",
            color=INK if today else MUTED, fontweight="bold" if today else "normal",
        )  # fmt: skip
        for factor, end in ends.items():
            changed = base is not None and row[factor] != base[factor]
            axes.text(
                end, y, row[factor], ha="right", va="center_baseline",
                color=INK if changed else MUTED, fontweight="bold" if changed else "normal",
            )  # fmt: skip


def _draw_means(axes: Axes, measure: Measure, rows: Sequence[Mapping[str, Any]]) -> None:
    """A bar for each cell with its interval; a line where the base case ends."""
    scale = Scale.of(measure.unit, [row["interval"] for row in rows])
    beside = axes.get_yaxis_transform()
    for y, row in enumerate(rows):
        mean: Interval = row["interval"]
        colour = INK if row["cell"] == BASE else COLOURS[row["word"]]
        if isfinite(mean.mean):
            axes.barh(y, mean.mean / scale.size, height=0.56, color=colour, alpha=0.75)
            _draw_whisker(axes, y, mean, scale, INK)
        axes.text(1.02, y, scale.told(mean, alone=True), color=colour,
                  va="center_baseline", transform=beside, fontweight="bold" if row["word"] else "normal")  # fmt: skip
        if row["cell"] == BASE and isfinite(mean.mean):
            axes.axvline(mean.mean / scale.size, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_xlim(left=0)
    if measure.unit is Unit.SHARE:
        axes.set_xlim(0, 100)
    _label(axes, scale)


def _draw_changes(axes: Axes, measure: Measure, rows: Sequence[Mapping[str, Any]]) -> None:
    """A point for each cell with the interval of its difference; a line where nothing changes."""
    scale = Scale.of(measure.unit, [row["change"] for row in rows])
    beside = axes.get_yaxis_transform()
    axes.axvline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
    for y, row in enumerate(rows):
        change: Interval = row["change"]
        if row["cell"] == BASE or not isfinite(change.mean):
            continue
        colour = COLOURS[row["word"]]
        axes.plot([change.mean / scale.size], [y], "o", color=colour, markersize=5.5)
        _draw_whisker(axes, y, change, scale, colour)
        told = f"{scale.told(change, signed=True)}  {row['word']}"
        axes.text(1.02, y, told, color=colour, va="center_baseline", transform=beside,
                  fontweight="bold" if row["word"] else "normal")  # fmt: skip
    axes.margins(x=0.08)
    _label(axes, scale)


def _draw_whisker(axes: Axes, y: float, interval: Interval, scale: Scale, colour: str) -> None:
    if isfinite(interval.low):
        ends = [interval.low / scale.size, interval.high / scale.size]
        axes.plot(ends, [y, y], color=colour, linewidth=1.6, marker="|", markersize=6, markeredgewidth=1.6)


def _label(axes: Axes, scale: Scale) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", MINUS)))
    axes.set_xlabel(scale.unit)


def _draw_title(drawing: Drawing, title: str) -> None:
    drawing.suptitle(title[:1].upper() + title[1:], x=0.008, ha="left", fontsize=12.5, fontweight="bold", color=INK)


def _draw_legend(drawing: Drawing, rows: Sequence[Mapping[str, Any]], replications: Replications) -> None:
    """What colours mean, below what to know about all of it in small print."""
    known = " ".join([*replications.about[:1], *reversed(replications.notices)])
    lines = wrap(known, int(drawing.get_figwidth() * CHARACTERS), max_lines=MOST_LINES, placeholder=" ...")
    handles = list(_handles({row["word"] for row in rows if row["cell"] != BASE}))
    handles.append(Line2D([], [], color=INK, linewidth=1.6, marker="|", markersize=6, label="95 % interval"))
    legend = drawing.legend(
        handles=handles, loc="outside lower left", ncols=len(handles), handletextpad=0.5,
        title="\n".join(lines), title_fontsize=8, alignment="left",
    )  # fmt: skip
    legend.get_title().set_color(MUTED)


def _handles(words: set[str]) -> Iterator[Line2D]:
    labels = {"better": "better than today", "worse": "worse than today", "more": "more than today"}
    labels |= {"less": "less than today", "": "may be chance"}
    for word, label in labels.items():
        if word in words:
            yield Line2D([], [], color=COLOURS[word], marker="o", linestyle="", markersize=6, label=label)
