"""A study as a ladder (sequence) diagram: a line for each node, time downwards, an arrow for each message.

The vertical axis is the order of events, not their distance in time, so that a burst stays readable; the time stands
at the left, and where nothing happens for long the lines are broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from simlab.records import Record
from simlab.report.glyphs import rounded
from simlab.report.ladder_rows import Row, Shape, is_bad, is_unanswered, ladder_rows
from simlab.report.style import ALARM, INK, MUTED, OPERATION_COLOURS, PANEL, PAPER, RULE, Drawing, blank, styled

WIDTH = 10.0
"""Inches."""
MOST_ROWS = 40

FAULT = "#b07a10"
GOOD = "#14857b"
MARKS = {
    "acquired": ("D", INK), "stored": ("D", INK), "safe": ("o", GOOD), "failed": ("X", ALARM), "read": ("D", INK),
}  # fmt: skip
"""Milestones that are shown: marker and colour."""
REMARK_COLOURS = {"fault": FAULT, "report": ALARM, "alarm": ALARM, "halt": ALARM, "resume": GOOD}

RIM: dict[str, Any] = {"markeredgecolor": PAPER, "markeredgewidth": 0.8, "zorder": 4}
"""Of marks: they stand on lines and bars."""

LEFT, RIGHT = 1.75, 0.95
"""Inches beside the first and the last line."""
HEAD, FOOT = 0.62, 0.12
STAMPS = 0.9
"""Where time stamps end."""
LEVELS = {Shape.EXCHANGE: 0.04, Shape.REQUEST: -0.06}
"""Inches above the middle of a row at which the request stands."""
LETTER = 0.066
"""About the width of a letter, in inches."""
LEAST_LETTERS, MOST_LETTERS = 26, 60
"""Between two neighbours: lines are spaced for so many; longer answers are cut."""


def draw_ladder(
    records: pd.DataFrame,
    instances: pd.DataFrame,
    study: str,
    *,
    commitments: pd.DataFrame | None = None,
    title: str = "",
    most_rows: int = MOST_ROWS,
) -> Drawing:
    """Draw which node asked which for what in one study, what was answered, and what went wrong.

    Made from records alone. A train of C-STOREs is one arrow. ``commitments`` has what the archive said of each
    instance (``Run.commitments``); without it, it is looked for among the ``instances``. Remarks without a study are
    shown if they were made during the study between nodes that took part in it, and name no other study's instances.
    Beyond ``most_rows`` the middle is left out, and counted.
    """
    names, rows = ladder_rows(records, instances, study, commitments, most_rows)
    begin = rows[0].at if rows else 0.0
    head = HEAD + (0.28 if title else 0.0)
    with styled():
        height = head + sum(row.height for row in rows) + FOOT
        drawing, axes = blank(WIDTH, height)
        if title:
            axes.text(0.12, height - 0.17, title, fontsize=10.5, fontweight="bold", va="center")
        lines = _lines(names, rows)
        _draw_heads(axes, lines, height - head + HEAD, begin)
        _draw_rows(axes, lines, rows, height - head, begin)
    return drawing


def _lines(names: Sequence[str], rows: Sequence[Row]) -> dict[str, float]:
    """Where the line of each node is; neighbours stand as far apart as what is written between them asks for."""
    letters = dict.fromkeys(pairwise(names), LEAST_LETTERS)
    for row in rows:
        pair = _between(names, row)
        if pair in letters:
            longest = max(len(line) for text in (row.text, row.answer) for line in text.split("\n"))
            letters[pair] = min(max(letters[pair], longest + 2), MOST_LETTERS)
    scale = (WIDTH - LEFT - RIGHT) / max(sum(letters.values()), 1)
    return dict(zip(names, accumulate((scale * each for each in letters.values()), initial=LEFT), strict=False))


def _between(names: Sequence[str], row: Row) -> tuple[str, str] | None:
    """The neighbours between which a row's text stands, if it is not wider."""
    if row.record is None:
        return None
    first = names.index(row.record.node)
    if row.shape in (Shape.EXCHANGE, Shape.REQUEST, Shape.RESPONSE):
        second = names.index(row.record.peer) if row.record.peer in names else first
    else:
        second = first + 1 if first + 1 < len(names) else first - 1
    return (names[min(first, second)], names[max(first, second)])


def _draw_heads(axes: Axes, lines: dict[str, float], top: float, begin: float) -> None:
    for name, x in lines.items():
        wide = max(1.1, LETTER * 1.25 * len(name) + 0.3)
        box = rounded(x - wide / 2, top - 0.42, wide, 0.32, 0.06, facecolor=PANEL, edgecolor=RULE, zorder=3)
        axes.add_patch(box)
        axes.text(x, top - 0.265, name, fontsize=9.5, fontweight="bold", ha="center", va="center", zorder=4)
    if lines:
        axes.text(0.12, top - 0.2, "seconds since", color=MUTED, fontsize=7, va="center")
        axes.text(0.12, top - 0.34, f"run second {begin:.3f}", color=MUTED, fontsize=7, va="center")


def _draw_rows(axes: Axes, lines: dict[str, float], rows: Sequence[Row], top: float, begin: float) -> None:
    waiting: dict[int, float] = {}
    for x in lines.values():
        axes.plot([x, x], [top + 0.2, top], color=RULE, linewidth=1.4, zorder=1)
    for row in rows:
        bottom = top - row.height
        middle = (top + bottom) / 2
        broken = row.shape in (Shape.PAUSE, Shape.FOLD)
        for x in lines.values():
            _draw_line(axes, x, top, bottom, broken=broken)
        if row.record is None:
            axes.text(STAMPS, middle, row.text, color=MUTED, fontsize=7.5, ha="right", va="center", fontstyle="italic")
        else:
            level = middle + LEVELS.get(row.shape, 0.0)
            axes.text(STAMPS, level, f"{row.at - begin:.3f}", color=MUTED, fontsize=7.5, ha="right", va="center")
            _draw_row(axes, lines, row, row.record, level, waiting)
        top = bottom


def _draw_line(axes: Axes, x: float, top: float, bottom: float, *, broken: bool) -> None:
    """A node's line through one row, with a gap between two strokes where time is left out."""
    if not broken:
        axes.plot([x, x], [top, bottom], color=RULE, linewidth=1.4, zorder=1)
        return
    middle = (top + bottom) / 2
    for edge, cut in ((top, middle + 0.045), (bottom, middle - 0.045)):
        axes.plot([x, x], [edge, cut], color=RULE, linewidth=1.4, zorder=1)
        axes.plot([x - 0.07, x + 0.07], [cut - 0.03, cut + 0.03], color=MUTED, linewidth=1.0, zorder=2)


def _draw_row(
    axes: Axes, lines: dict[str, float], row: Row, record: Record, y: float, waiting: dict[int, float]
) -> None:
    x = lines[record.node]
    match row.shape:
        case Shape.EXCHANGE:
            _draw_request(axes, lines, row, record, y)
            _draw_response(axes, lines, row, record, y - 0.17)
            _draw_waiting(axes, x, y, y - 0.17, record)
        case Shape.REQUEST:
            _draw_request(axes, lines, row, record, y)
            waiting[id(record)] = y
        case Shape.RESPONSE:
            _draw_response(axes, lines, row, record, y)
            if id(record) in waiting:
                _draw_waiting(axes, x, waiting.pop(id(record)), y, record)
        case Shape.LOCAL:
            axes.plot([x], [y], "s", color=OPERATION_COLOURS[record.operation], markersize=6, **RIM)
            _beside(axes, lines, x, y, row.text, ALARM if row.bad else INK)
        case Shape.REMARK:
            colour = REMARK_COLOURS[record.operation]
            marker = "^" if record.operation != "resume" else "v"
            axes.plot([x], [y], marker, color=colour, markersize=8, **RIM)
            _beside(axes, lines, x, y, row.text, colour, boxed=True)
        case _:
            marker, colour = MARKS[record.operation]
            axes.plot([x], [y], marker, color=colour, markersize=8, **RIM)
            _beside(axes, lines, x, y, row.text, colour, bold=True)


def _draw_request(axes: Axes, lines: dict[str, float], row: Row, record: Record, y: float) -> None:
    start, end = lines[record.node], lines.get(record.peer, lines[record.node])
    colour = OPERATION_COLOURS[record.operation]
    arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 1, "mutation_scale": 10}
    axes.annotate("", (end, y), (start, y), arrowprops=arrow, zorder=3)
    if is_unanswered(record):
        axes.plot([end], [y], "X", color=ALARM, markersize=7, markeredgecolor=PAPER, markeredgewidth=0.6, zorder=5)
    middle = (start + end) / 2
    _write(axes, middle, y + 0.095, row.text, ALARM if row.bad else INK, size=8, align="center")


def _draw_response(axes: Axes, lines: dict[str, float], row: Row, record: Record, y: float) -> None:
    """Back from the peer; where nothing came back there is no arrow, only what was made of it."""
    start, end = lines.get(record.peer, lines[record.node]), lines[record.node]
    if not is_unanswered(record):
        thin = {"arrowstyle": "->", "color": OPERATION_COLOURS[record.operation], "linewidth": 0.8}
        thin |= {"linestyle": (0, (4, 2.5)), "shrinkA": 0, "shrinkB": 2, "mutation_scale": 7}
        axes.annotate("", (end, y), (start, y), arrowprops=thin, zorder=2)
    failed = is_bad(record)
    text = _fitted(row.answer, abs(end - start) - 0.3, 0.9)
    _write(axes, (start + end) / 2, y, text, ALARM if failed else MUTED, size=7, align="center")


def _draw_waiting(axes: Axes, x: float, top: float, bottom: float, record: Record) -> None:
    """A bar on the line of the node that waits for its response."""
    colour = OPERATION_COLOURS[record.operation]
    axes.add_patch(rounded(x - 0.04, bottom, 0.08, top - bottom, 0.02, facecolor=colour, edgecolor="none", zorder=2))


def _beside(
    axes: Axes, lines: dict[str, float], x: float, y: float, text: str, colour: str, *, bold: bool = False,
    boxed: bool = False,
) -> None:  # fmt: skip
    """Write at the right of a line, or at the left of the last one."""
    last = x == max(lines.values()) and len(lines) > 1
    place = x - 0.16 if last else x + 0.16
    _write(axes, place, y, text, colour, size=8, align="right" if last else "left", bold=bold, boxed=boxed)


def _write(
    axes: Axes, x: float, y: float, text: str, colour: str, *, size: float, align: str, bold: bool = False,
    boxed: bool = False,
) -> None:  # fmt: skip
    """Text that lines pass behind."""
    behind = {"facecolor": PAPER, "edgecolor": colour if boxed else "none", "linewidth": 0.7, "pad": 2 if boxed else 1}
    weight = "bold" if bold else "normal"
    axes.text(
        x, y, text, color=colour, fontsize=size, ha=align, va="center", fontweight=weight, bbox=behind,
        zorder=4,
    )  # fmt: skip


def _fitted(text: str, inches: float, scale: float) -> str:
    """The text, cut where it would be wider than so many inches."""
    most = max(int(inches / (LETTER * scale)), 8)
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
