"""A small picture for each kind of node, drawn in a unit square around a centre."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Ellipse, FancyBboxPatch, Patch, Rectangle

from simlab.report.style import PAPER

Point = tuple[float, float]


def rounded(left: float, bottom: float, width: float, height: float, radius: float, **style: Any) -> FancyBboxPatch:
    """A rectangle with round corners."""
    box = f"round,pad=0,rounding_size={radius}"
    return FancyBboxPatch((left, bottom), width, height, boxstyle=box, **style)


def draw_glyph(axes: Axes, kind: str, centre: Point, size: float, colour: str, alpha: float, zorder: float) -> None:
    """Draw a coloured tile of ``size`` inches with the kind's symbol in white."""
    x, y = centre
    tile = rounded(x - size / 2, y - size / 2, size, size, size * 0.22, facecolor=colour, edgecolor="none")
    # Stroke width in points: a fourteenth of the tile.
    stroke = size * 72 / 14
    for part in (tile, *_SYMBOLS.get(kind, _external)(x, y, size, stroke, colour)):
        part.set_alpha(alpha)
        part.set_zorder(zorder)
        axes.add_artist(part)


def _stroked(points: list[Point], stroke: float) -> Line2D:
    return Line2D(*zip(*points, strict=True), color=PAPER, linewidth=stroke, solid_capstyle="round")


def _modality(x: float, y: float, size: float, stroke: float, colour: str) -> list[Patch | Line2D]:
    """A gantry with its bore, and the table."""
    return [
        Circle((x, y + 0.04 * size), 0.31 * size, facecolor=PAPER, edgecolor="none"),
        Circle((x, y + 0.04 * size), 0.16 * size, facecolor=colour, edgecolor="none"),
        _stroked([(x - 0.3 * size, y - 0.32 * size), (x + 0.3 * size, y - 0.32 * size)], stroke),
    ]


def _worklist(x: float, y: float, size: float, stroke: float, colour: str) -> list[Patch | Line2D]:
    """A list with its bullets."""
    del colour
    rows = [y + offset * size for offset in (0.2, 0.0, -0.2)]
    bullets: list[Patch | Line2D] = [
        Circle((x - 0.26 * size, row), 0.05 * size, facecolor=PAPER, edgecolor="none") for row in rows
    ]
    return bullets + [_stroked([(x - 0.1 * size, row), (x + 0.28 * size, row)], stroke) for row in rows]


def _archive(x: float, y: float, size: float, stroke: float, colour: str) -> list[Patch | Line2D]:
    """A stack of disks."""
    width, height = 0.56 * size, 0.26 * size
    parts: list[Patch | Line2D] = []
    for offset in (-0.2, 0.0, 0.2):
        middle = y + offset * size
        parts.append(Ellipse((x, middle), width, height, facecolor=PAPER, edgecolor=colour, linewidth=stroke * 0.55))
    return parts


def _workstation(x: float, y: float, size: float, stroke: float, colour: str) -> list[Patch | Line2D]:
    """A monitor on its foot."""
    return [
        rounded(
            x - 0.31 * size, y - 0.14 * size, 0.62 * size, 0.43 * size, 0.06 * size, facecolor=PAPER, edgecolor="none"
        ),
        Rectangle((x - 0.24 * size, y - 0.07 * size), 0.48 * size, 0.29 * size, facecolor=colour, edgecolor="none"),
        _stroked([(x, y - 0.16 * size), (x, y - 0.28 * size)], stroke),
        _stroked([(x - 0.15 * size, y - 0.3 * size), (x + 0.15 * size, y - 0.3 * size)], stroke),
    ]


def _router(x: float, y: float, size: float, stroke: float, colour: str) -> list[Patch | Line2D]:
    """Two arrows, there and back."""
    del colour
    parts: list[Patch | Line2D] = []
    for sign in (1, -1):
        row, tip, tail = y + sign * 0.13 * size, x + sign * 0.29 * size, x - sign * 0.27 * size
        barb = tip - sign * 0.13 * size
        parts.append(_stroked([(tail, row), (tip, row)], stroke))
        parts.append(_stroked([(barb, row + 0.11 * size), (tip, row), (barb, row - 0.11 * size)], stroke))
    return parts


def _external(x: float, y: float, size: float, stroke: float, colour: str) -> list[Patch | Line2D]:
    """A box of which only the outside is known."""
    del colour
    low, high = -0.25 * size, 0.25 * size
    corners = [(x + low, y + low), (x + high, y + low), (x + high, y + high), (x + low, y + high), (x + low, y + low)]
    return [_stroked(corners, stroke), Circle((x, y), 0.07 * size, facecolor=PAPER, edgecolor="none")]


_SYMBOLS = {
    "modality": _modality,
    "worklist": _worklist,
    "archive": _archive,
    "workstation": _workstation,
    "router": _router,
}
