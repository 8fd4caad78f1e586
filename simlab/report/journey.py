"""One study's way through the network, as a timeline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from simlab.analysis.measurements import OPERATION_ORDER
from simlab.records import MILESTONES, Record
from simlab.report.glyphs import rounded
from simlab.report.style import ALARM, INK, MUTED, OPERATION_COLOURS, PANEL, PAPER, RULE, Drawing, blank, styled
from simlab.units import format_duration, format_size

WIDTH = 10.0
LEFT, RIGHT = 1.05, 0.3
"""Inches beside the time axis: the lanes' names, and air."""
ROW, BAR = 0.3, 0.11
"""Height of a row within a lane, and of a bar, in inches."""
LANE_PADDING = 0.09
LEAST_BAR = 0.045
"""Inches: an operation of a millisecond must remain visible beside an hour."""
LETTER = 0.068
"""About the width of a letter of a label, in inches."""
MILESTONE_ROW = 0.2
LONGEST_WAIT = 0.25
"""As a share of the whole: a longer wait between the order and the first operation is not drawn."""
FOOT = 0.45


@dataclass(frozen=True, slots=True)
class _Bar:
    """An operation as drawn: where it begins, how long it is (inches), and what stands above it."""

    left: float
    width: float
    label: str
    operation: str
    peer: str
    failed: bool
    ticks: tuple[float, ...]
    """Where each instance had arrived."""

    @property
    def label_left(self) -> float:
        """Where the label begins: above the bar, but not beyond the edge of the drawing."""
        return min(self.left + 0.04, WIDTH - 0.06 - LETTER * len(self.label))

    @property
    def right(self) -> float:
        """Where the next one may begin in the same row."""
        return max(self.left + self.width, self.label_left + LETTER * len(self.label)) + 0.08


def draw_journey(records: pd.DataFrame, instances: pd.DataFrame, study_uid: str) -> Drawing:
    """Draw what happened to one study: a lane per node, a bar per operation, a line per milestone.

    A bar stands in the lane of the node that asked, and a thin line leads to the node that was asked.
    """
    ours = records[records["study"] == study_uid].sort_values("started", kind="stable")
    operations = ours[ours["operation"].isin(OPERATION_ORDER)]
    milestones = _as_records(ours[ours["operation"].isin(MILESTONES)].drop_duplicates("operation"))
    begin, end = _span(ours, operations)
    scale = (WIDTH - LEFT - RIGHT - 0.6) / max(end - begin, 1e-6)

    def place(second: float) -> float:
        return LEFT + (second - begin) * scale

    lanes: dict[str, list[list[_Bar]]] = {name: [] for name in _lanes(ours)}
    for row in _as_records(operations):
        arrivals = _arrivals(instances, row) if row.operation == "C-STORE" else []
        bar = _Bar(
            left=place(row.started),
            width=max((row.finished - row.started) * scale, LEAST_BAR),
            label=_label(row),
            operation=row.operation,
            peer=row.peer,
            failed=row.failures > 0,
            ticks=tuple(place(second) for second in arrivals),
        )
        _pack(lanes[row.node], bar)
    flags = _milestone_rows(
        (place(max(row.finished, begin)), _milestone_label(row.operation, begin - row.finished)) for row in milestones
    )
    head = MILESTONE_ROW * (len(flags) + 0.6)
    heights = {name: ROW * max(len(rows), 1) + 2 * LANE_PADDING for name, rows in lanes.items()}
    with styled():
        drawing, axes = blank(WIDTH, head + sum(heights.values()) + FOOT)
        bottoms: dict[str, float] = {}
        top = FOOT + sum(heights.values())
        for position, (name, height) in enumerate(heights.items()):
            top -= height
            bottoms[name] = top
            shade = PANEL if position % 2 == 0 else PAPER
            axes.add_patch(rounded(0, top, WIDTH, height, 0.04, facecolor=shade, edgecolor="none", zorder=0))
            axes.text(0.12, top + height / 2, name, fontsize=9.5, fontweight="bold", va="center")
        middles = {name: bottoms[name] + heights[name] / 2 for name in heights}
        _draw_flags(axes, flags, FOOT, FOOT + sum(heights.values()))
        for name, rows in lanes.items():
            for depth, bars in enumerate(rows):
                middle = bottoms[name] + heights[name] - LANE_PADDING - ROW * depth - ROW * 0.72
                for bar in bars:
                    _draw_bar(axes, bar, middle, middles.get(bar.peer))
        _draw_seconds(axes, begin, end, scale)
    return drawing


def _span(ours: pd.DataFrame, operations: pd.DataFrame) -> tuple[float, float]:
    """First and last run second to draw. A long wait before the first operation is left out."""
    if not len(ours):
        return 0.0, 1.0
    begin, end = float(ours["started"].min()), float(ours["finished"].max())
    first = float(operations["started"].min()) if len(operations) else begin
    return (begin, end) if first - begin <= LONGEST_WAIT * (end - begin) else (first - 0.1 * (end - first), end)


def _milestone_label(name: str, seconds_before: float) -> str:
    return f"{name} {format_duration(seconds_before)} earlier" if seconds_before > 0 else name


def _lanes(ours: pd.DataFrame) -> list[str]:
    """Nodes in the order in which the study met them."""
    names: dict[str, None] = {}
    for row in _as_records(ours):
        names.update(dict.fromkeys(name for name in (row.node, row.peer) if name))
    return list(names)


def _as_records(rows: pd.DataFrame) -> list[Record]:
    return [Record(**{str(name): value for name, value in row.items()}) for row in rows.to_dict("records")]


def _arrivals(instances: pd.DataFrame, store: Record) -> list[float]:
    """Run seconds at which the instances of one C-STORE record were answered."""
    same = instances["operation"] == "C-STORE"
    for column in ("study", "node", "peer"):
        same &= instances[column] == getattr(store, column)
    return [float(second) for second in instances.loc[same, "finished"] if store.started <= second <= store.finished]


def _label(row: Record) -> str:
    parts = [row.operation, format_duration(row.finished - row.started)]
    if row.instances:
        parts.append(f"{row.instances} instance{'s' if row.instances > 1 else ''}")
    if row.bytes:
        parts.append(format_size(row.bytes))
    return " · ".join(parts)


def _pack(rows: list[list[_Bar]], bar: _Bar) -> None:
    """Put a bar into the first row of a lane in which it and its label have room."""
    for row in rows:
        if row[-1].right <= min(bar.left, bar.label_left):
            row.append(bar)
            return
    rows.append([bar])


def _milestone_rows(milestones: Iterable[tuple[float, str]]) -> list[list[tuple[float, str]]]:
    """Milestones (x, name) in as many rows as their names need not to overlap."""
    rows: list[list[tuple[float, str]]] = []
    for x, name in sorted(milestones):
        for row in rows:
            last_x, last_name = row[-1]
            if last_x + LETTER * (len(last_name) + len(name)) / 2 + 0.08 <= x:
                row.append((x, name))
                break
        else:
            rows.append([(x, name)])
    return rows


def _draw_flags(axes: Axes, rows: list[list[tuple[float, str]]], bottom: float, top: float) -> None:
    for depth, row in enumerate(rows):
        height = top + MILESTONE_ROW * (depth + 0.55)
        for x, name in row:
            colour = ALARM if name == "failed" else INK
            axes.plot(
                [x, x],
                [bottom, height - 0.07],
                color=colour,
                linewidth=0.7,
                alpha=0.45,
                linestyle=(0, (3, 3)),
                zorder=1,
            )
            axes.text(x, height, name, color=colour, fontsize=8.5, ha="center", va="center")


def _draw_bar(axes: Axes, bar: _Bar, middle: float, peer: float | None) -> None:
    colour = OPERATION_COLOURS[bar.operation]
    edge = ALARM if bar.failed else colour
    if peer is not None:
        x = bar.left + min(bar.width, LEAST_BAR) / 2
        axes.plot([x, x], [middle, peer], color=colour, linewidth=0.9, alpha=0.55, zorder=2)
        axes.plot([x], [peer], "o", color=colour, markersize=3.2, markeredgewidth=0, zorder=2)
    axes.add_patch(
        rounded(
            bar.left,
            middle - BAR / 2,
            bar.width,
            BAR,
            min(0.025, bar.width / 2),
            facecolor=colour,
            edgecolor=edge,
            zorder=3,
        )
    )
    if bar.ticks and len(bar.ticks) <= bar.width / 0.03:
        axes.vlines(bar.ticks, middle - BAR / 2, middle + BAR / 2, color=PAPER, linewidth=0.5, zorder=4)
    label_colour = ALARM if bar.failed else MUTED
    behind = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.6}  # lines pass behind a label
    y = middle + BAR / 2 + 0.02
    axes.text(bar.label_left, y, bar.label, color=label_colour, fontsize=7, va="bottom", zorder=5, bbox=behind)


def _draw_seconds(axes: Axes, begin: float, end: float, scale: float) -> None:
    """The axis: seconds since the study's first operation."""
    span = end - begin
    for second in MaxNLocator(nbins=10).tick_values(0.0, span):
        if 0.0 <= second <= span * 1.001:
            x = LEFT + second * scale
            axes.plot([x, x], [FOOT - 0.04, FOOT], color=RULE, linewidth=1.0)
            axes.text(x, FOOT - 0.13, f"{second:g}", color=MUTED, fontsize=8.5, ha="center", va="center")
    axes.plot([LEFT, LEFT + span * scale], [FOOT, FOOT], color=RULE, linewidth=1.0)
    caption = f"seconds since run second {begin:.3f}"
    axes.text(LEFT + span * scale / 2, 0.1, caption, color=MUTED, fontsize=9, ha="center", va="center")
