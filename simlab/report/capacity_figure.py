"""A picture of a capacity search: every requirement against the growth of the demand, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from textwrap import wrap

import pandas as pd
from matplotlib.ticker import FuncFormatter

from simlab.analysis.capacity import TODAY, Bracket, telling
from simlab.report.intervals import MINUS
from simlab.report.style import ALARM, INK, MUTED, PANEL, SERIES_COLOURS, Drawing, styled

WIDTH, HEIGHT = 8.4, 4.6
"""Inches."""
CHARACTERS = 118
"""Of small print on a line."""
MOST_LINES = 7
APART = 0.005
"""Of the width, by which requirements stand beside each other, so that intervals do not hide one another."""


def draw_capacity(table: pd.DataFrame, bracket: Bracket, about: Sequence[str] = ()) -> Drawing:
    """Shares with their intervals against the growth; what is wanted as a dashed line; the bracket shaded.

    ``table`` is as from :func:`simlab.analysis.capacity.capacity_table`. What every run met at every growth has no line
    of its own, unless that is all of them.
    """
    with styled():
        drawing = Drawing(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = drawing.subplots()
        if bracket.meets is not None and bracket.fails is not None:
            axes.axvspan(_percent(bracket.meets), _percent(bracket.fails), color=PANEL, linewidth=0, zorder=0)
        apart = APART * _percent(table["growth"].max() - table["growth"].min() + TODAY)
        for place, (name, colour) in enumerate(zip(telling(table), cycle(SERIES_COLOURS), strict=False)):
            rows = table[table["requirement"] == name]
            share, low, high = (100 * rows[column].to_numpy(dtype=float) for column in ("share", "low", "high"))
            beside = [_percent(growth) + apart * place for growth in rows["growth"]]
            axes.errorbar(
                beside, share, (share - low, high - share), color=colour, marker="o", markersize=5, linewidth=1.4,
                elinewidth=1.2, capsize=3, label=name,
            )  # fmt: skip
            axes.axhline(100 * float(rows["wanted"].iloc[0]), color=colour, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.axvline(0, color=INK, linewidth=0.9)
        if bracket.fails is not None:
            axes.axvline(_percent(bracket.fails), color=ALARM, linewidth=1.1)
        axes.set_ylim(-3, 103)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _label(value)))
        axes.set_xlabel("growth of the demand")
        axes.set_ylabel("studies in time, or runs that pass, %")
        drawing.suptitle(_title(bracket), x=0.008, ha="left", fontsize=12.5, fontweight="bold", color=INK)
        lines = wrap(" ".join(about), CHARACTERS, max_lines=MOST_LINES, placeholder=" ...")
        legend = drawing.legend(
            loc="outside lower left", title="\n".join(lines), title_fontsize=8, alignment="left", handletextpad=0.6
        )
        legend.get_title().set_color(MUTED)
    return drawing


def _title(bracket: Bracket) -> str:
    if bracket.meets is None:
        return "Nothing that was tried meets everything"
    return f"Everything is met up to {_label(_percent(bracket.meets))}"


def _percent(growth: float) -> float:
    return (growth - TODAY) * 100


def _label(value: float) -> str:
    return f"{value:+.3g} %".replace("-", MINUS) if round(value, 6) else "today"
