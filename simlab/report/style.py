"""One visual style for all pictures: colours, type, and how a figure becomes SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simlab.errors import UserError

INK = "#1c2530"
MUTED = "#66727f"
RULE = "#d5dbe1"
PANEL = "#f4f6f8"
PAPER = "#ffffff"
ALARM = "#c8372d"

THEME_VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", PANEL: "--panel", PAPER: "--paper", ALARM: "--alarm"}
"""Neutral colours that a page may set anew, for its dark side; the others work on both."""

KIND_COLOURS = {
    "modality": "#2f74c0",
    "worklist": "#8457b5",
    "archive": "#14857b",
    "workstation": "#c96f12",
    "router": "#b8417a",
    "external": "#6b6f3a",
}

OPERATION_COLOURS = {
    "C-ECHO": "#7d8894",
    "C-FIND": "#a07fce",
    "N-CREATE": "#8457b5",
    "N-SET": "#8457b5",
    "C-STORE": "#2f74c0",
    "N-ACTION": "#2fa595",
    "N-EVENT-REPORT": "#14857b",
    "C-MOVE": "#c96f12",
    "C-GET": "#dd8f3c",
    "make": "#9aa5b1",
    "derive": "#b8417a",
    "discard": "#b9a58a",
}

SERIES_COLOURS = ("#2f74c0", "#c96f12", "#14857b", "#8457b5", "#b8417a", "#c2a02a", "#5a9bd8")
"""For things that have no colour of their own, in this order."""

OTHER_COLOUR = "#9aa5b1"

_SETTINGS: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "date.converter": "concise",
    "figure.facecolor": PAPER,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "simlab",
    "text.color": INK,
    "text.parse_math": False,  # a "$" in a name is a dollar
    "xtick.color": MUTED,
    "xtick.labelsize": 8.5,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.color": MUTED,
    "ytick.labelsize": 8.5,
    "ytick.major.size": 0,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in simlab's style. Needed while a figure is made and while it is written, for matplotlib asks at both."""
    with mpl.rc_context(_SETTINGS):
        yield


class Drawing(Figure):
    """A figure that shows itself in a notebook, and gives the same SVG every time. No pyplot holds on to it."""

    def svg(self) -> str:
        """The SVG element, without XML declaration, so that it can stand inside HTML."""
        text = io.StringIO()
        with styled():
            self.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        whole = text.getvalue()
        # Groups are named alike in every figure, but a page may hold an id only once.
        return re.sub(r'<g id="[^"]*"', "<g", whole[whole.index("<svg") :])

    def _repr_svg_(self) -> str:
        return self.svg()

    def save(self, target: str | Path) -> None:
        """Write the drawing as ``.svg`` or ``.png``. Raises UserError for anything else."""
        path = Path(target)
        if path.suffix == ".svg":
            path.write_text(self.svg(), encoding="utf-8")
        elif path.suffix == ".png":
            with styled():
                self.savefig(path, format="png", dpi=200, metadata={"Software": None})
        else:
            raise UserError(
                f"{path}: a drawing is written as .svg or .png, not as {path.suffix or 'a file without suffix'!r}"
            )


def blank(width: float, height: float) -> tuple[Drawing, Axes]:
    """A drawing of ``width`` x ``height`` inches whose coordinates are inches too, y upwards, without axes."""
    drawing = Drawing(figsize=(width, height))
    axes = drawing.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    return drawing, axes


def themed(svg: str) -> str:
    """The same SVG with its neutral colours replaced by the CSS variables of the page around it."""
    for colour, variable in THEME_VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg
