"""Pictures of a WAN experiment: the best transfer syntax for a link, crossovers, speed-ups, where the time goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import ceil, isfinite
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from simlab.report.style import INK, MUTED, OTHER_COLOUR, PAPER, RULE, SERIES_COLOURS, Drawing, styled
from simlab.units import format_bandwidth, format_duration

WIDTH = 10.0
"""Inches."""

MOST_PANELS = 12

CONDITION = ("protocol", "noise", "associations", "outstanding", "encode")
"""What a panel has in common, besides the link."""

UNCOMPRESSED = ("explicit", "implicit", "big-endian", "deflated")
_GREYS = (OTHER_COLOUR, "#b9c1c9", "#7d8894", "#66727f")

_KNOWN = ("jpegls", "htj2k", "j2k", "sv1", "rle", "jxl", "jpeg-lossless")

PARTS = {
    "setup_part_s": ("association and slow start", "#9aa5b1"),
    "round_trips_part_s": ("round trips", "#8457b5"),
    "wire_part_s": ("bytes on the wire", "#2f74c0"),
    "codec_part_s": ("encoding", "#c96f12"),
    "server_part_s": ("server", "#14857b"),
}
"""Columns of the table that add up to the predicted study time: label and colour."""


def format_rtt(seconds: float) -> str:
    """A round trip as text; none is told in the unit that the others have."""
    return format_duration(seconds) if seconds else "0 ms"


def syntax_colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each transfer syntax; well-known ones have the same in every picture, uncompressed ones are grey."""
    colours = dict(zip(UNCOMPRESSED, _GREYS, strict=True)) | dict(zip(_KNOWN, SERIES_COLOURS, strict=True))
    others = sorted(set(names) - set(colours))
    return colours | {name: SERIES_COLOURS[place % len(SERIES_COLOURS)] for place, name in enumerate(others)}


def _panels(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """A title and the rows for each condition. The title names what differs between conditions, and the protocol."""
    varied = [name for name in CONDITION if name == "protocol" or _varies(frame[name])]
    groups = list(frame.groupby(varied))
    for levels, group in groups[:MOST_PANELS]:
        yield ", ".join(_level(name, level) for name, level in zip(varied, levels, strict=True)), group


def _varies(values: pd.Series[Any]) -> bool:
    return len(set(values)) > 1


def _level(name: str, level: Any) -> str:
    match name:
        case "protocol" | "encode":
            return str(level)
        case "noise":
            return f"noise {level:g}"
        case _:
            return f"{level} {name}"


def _subplots(drawing: Drawing, rows: int, columns: int, **how: Any) -> list[list[Axes]]:
    grid: list[list[Axes]] = drawing.subplots(rows, columns, squeeze=False, **how).tolist()
    return grid


# ---- the best for a link


_MAP_LEGEND = "the transfer syntax with the shortest study; how much faster than the default it is; what may be as fast"


def draw_best(best: pd.DataFrame) -> Drawing:
    """The best transfer syntax for each round trip and bandwidth, a map for each condition, with its speed-up."""
    panels = list(_panels(best))
    columns = min(len(panels), 2) or 1
    rows = max(ceil(len(panels) / columns), 1)
    deepest = max((group["rtt"].nunique() for _, group in panels), default=1)
    colours = syntax_colours(best["best"])
    with styled():
        drawing = Drawing(figsize=(WIDTH, 0.25 + rows * (0.95 + 0.66 * deepest)), layout="constrained")
        grid = _subplots(drawing, rows, columns)
        for place, axes in enumerate(axes for row in grid for axes in row):
            if place < len(panels):
                _draw_map(axes, *panels[place], colours)
            else:
                axes.set_axis_off()
        drawing.supxlabel(_MAP_LEGEND, fontsize=8.5, color=MUTED)
    return drawing


def _draw_map(axes: Axes, title: str, best: pd.DataFrame, colours: dict[str, str]) -> None:
    rtts, bandwidths = sorted(best["rtt"].unique()), sorted(best["bandwidth"].unique())
    for row in best.to_dict("records"):
        x, y = bandwidths.index(row["bandwidth"]), rtts.index(row["rtt"])
        axes.add_patch(Rectangle((x - 0.49, y - 0.48), 0.98, 0.96, facecolor=colours[row["best"]], edgecolor="none"))
        axes.text(x, y + 0.17, row["best"], color=PAPER, ha="center", va="center", fontsize=11, fontweight="bold")
        gain = f"{row['speed_up']:.1f} times" if isfinite(row["speed_up"]) and row["speed_up"] != 1 else ""
        axes.text(x, y - 0.11, gain, color=PAPER, ha="center", va="center", fontsize=8.5)
        axes.text(x, y - 0.33, _ties(row["ties"]), color=PAPER, ha="center", va="center", fontsize=7)
    axes.set_xlim(-0.5, len(bandwidths) - 0.5)
    axes.set_ylim(-0.5, len(rtts) - 0.5)
    axes.set_xticks(range(len(bandwidths)), [format_bandwidth(value) for value in bandwidths])
    axes.set_yticks(range(len(rtts)), [format_rtt(value) for value in rtts])
    axes.set_ylabel("round trip")
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)


def _ties(names: str) -> str:
    """Which others may be as good, as far as there is room."""
    ties = names.split(", ") if names else []
    if len(ties) > 2:
        return f"or any of {len(ties)} others"
    return f"or {' or '.join(ties)}" if ties else ""


# ---- crossovers


def draw_crossovers(crossovers: pd.DataFrame) -> Drawing:
    """Up to which bandwidth each transfer syntax pays: measured with its interval, and predicted."""
    rows = crossovers.to_dict("records")
    with styled():
        drawing = Drawing(figsize=(WIDTH, 1.0 + 0.36 * max(len(rows), 1)), layout="constrained")
        axes = drawing.subplots()
        axes.set_xscale("log")
        finite = [
            value * 8 / 1e6
            for row in rows
            for value in (row["bandwidth"], row["predicted"], row["low"], row["high"])
            if isfinite(value) and value > 0
        ]
        axes.set_xlim(min(finite, default=10) / 2, max(finite, default=1000) * 2)
        colours = syntax_colours(row["syntax"] for row in rows)
        for place, row in enumerate(rows):
            _draw_crossover(axes, -place, row, colours[row["syntax"]], first=place == 0)
        varied = [name for name in ("noise", "encode") if _varies(crossovers[name])]
        labels = [
            ", ".join([
                f"{row['syntax']}  {row['protocol']}", format_rtt(row["rtt"]),
                *(_level(name, row[name]) for name in varied),
            ])
            for row in rows
        ]  # fmt: skip
        axes.set_yticks([-place for place in range(len(rows))], labels, color=INK)
        axes.set_ylim(-len(rows) + 0.4, 0.6)
        axes.grid(visible=False, axis="y")
        _label_bandwidths(axes)
        axes.set_xlabel("bandwidth up to which it beats the default")
        if rows:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2)
    return drawing


def _draw_crossover(axes: Axes, y: float, row: Mapping[Any, Any], colour: str, *, first: bool) -> None:
    left, right = axes.get_xlim()
    place = ("axes fraction", "data")
    if isfinite(row["predicted"]) and row["predicted"] > 0:
        at = row["predicted"] * 8 / 1e6
        label = "predicted" if first else None
        axes.plot([at], [y], marker="D", markersize=9, color="none", markeredgecolor=MUTED, linestyle="", label=label)
    if not isfinite(row["bandwidth"]):
        axes.plot([left, right], [y, y], color=colour, linewidth=2, alpha=0.25, solid_capstyle="butt")
        axes.annotate("at all tried", (1.0, y), (8, 0), place, "offset points", color=MUTED, fontsize=8.5, va="center")
    elif row["bandwidth"] == 0:
        axes.annotate("at none tried", (1.0, y), (8, 0), place, "offset points", color=MUTED, fontsize=8.5, va="center")
    else:
        axes.plot([left, row["low"] * 8 / 1e6], [y, y], color=colour, linewidth=2, alpha=0.25, solid_capstyle="butt")
        axes.plot([row["low"] * 8 / 1e6, row["high"] * 8 / 1e6], [y, y], color=colour, linewidth=5, alpha=0.5)
        label = "measured, 95 % interval" if first else None
        axes.plot([row["bandwidth"] * 8 / 1e6], [y], "o", color=colour, markersize=6, label=label)
        text = format_bandwidth(row["bandwidth"])
        axes.annotate(text, (1.0, y), (8, 0), place, "offset points", color=MUTED, fontsize=8.5, va="center")


def _label_bandwidths(axes: Axes) -> None:
    """Of an axis in Mbit/s."""
    axes.xaxis.set_major_locator(LogLocator(10, (1.0, 2.0, 5.0), numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_bandwidth(value * 1e6 / 8)))
    axes.xaxis.set_minor_formatter(NullFormatter())


# ---- speed-ups


def draw_speed_ups(speed_ups: pd.DataFrame, default: str) -> Drawing:
    """How many times as fast as the default each transfer syntax is, over bandwidth: conditions by round trips."""
    shown = speed_ups[speed_ups["syntax"] != default]
    panels = list(_panels(shown)) if len(shown) else []
    rtts = sorted(shown["rtt"].unique())
    colours = syntax_colours(shown["syntax"])
    with styled():
        rows, columns = max(len(panels), 1), max(len(rtts), 1)
        drawing = Drawing(figsize=(WIDTH, 0.7 + 2.0 * rows), layout="constrained")
        grid = _subplots(drawing, rows, columns, sharex=True, sharey="row")
        for row, (title, group) in enumerate(panels):
            for column, rtt in enumerate(rtts):
                axes = grid[row][column]
                _draw_speed_up(axes, group[group["rtt"] == rtt], colours)
                axes.set_title(f"{title}, round trip {format_rtt(rtt)}", fontsize=9, color=INK, loc="left")
                if column == 0:
                    axes.set_ylabel(f"times as fast as {default}")
            # Intervals of few repetitions are wide; what was measured is what the scale is for.
            grid[row][0].set_ylim(0, 1.3 * max([1.0, *group["speed_up"].dropna()]))
        if panels:
            names = sorted(set(shown["syntax"]))
            handles = [
                drawing.axes[0].plot([], [], "o-", color=colours[name], label=name, markersize=4)[0] for name in names
            ]
            drawing.legend(handles=handles, loc="outside upper left", ncols=len(names))
    return drawing


def _draw_speed_up(axes: Axes, rows: pd.DataFrame, colours: dict[str, str]) -> None:
    axes.set_xscale("log")
    bandwidths = sorted(rows["bandwidth"].unique() * 8 / 1e6)
    if bandwidths:  # an experiment that was interrupted may have nothing here
        axes.set_xlim(bandwidths[0] / 1.6, bandwidths[-1] * 1.6)
    axes.axhline(1.0, color=MUTED, linewidth=1)
    for name, one in rows.groupby("syntax", sort=False):
        ordered = one.sort_values("bandwidth")
        megabits = ordered["bandwidth"].to_numpy() * 8 / 1e6
        known = np.isfinite(ordered["speed_up_high"].to_numpy()) & (ordered["speed_up_high"].to_numpy() < 1e3)
        low, high = (np.where(known, ordered[f"speed_up_{end}"], ordered["speed_up"]) for end in ("low", "high"))
        axes.vlines(megabits, low, high, color=colours[str(name)], alpha=0.35, linewidth=2.5)
        axes.plot(megabits, ordered["speed_up"], "o-", color=colours[str(name)], markersize=4)
    axes.xaxis.set_major_locator(FixedLocator(bandwidths))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_bandwidth(value * 1e6 / 8)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(5))


# ---- what time is spent on


def draw_parts(measurements: pd.DataFrame) -> Drawing:
    """What the time of a study is spent on, by the closed form, and how long it took: a panel for each link.

    One condition only: of several the first, as they come.
    """
    _, rows = next(iter(_panels(measurements)))
    rtts, bandwidths = sorted(rows["rtt"].unique()), sorted(rows["bandwidth"].unique())
    names = list(dict.fromkeys(sorted(rows["syntax"], key=list(dict.fromkeys(measurements["syntax"])).index)))
    order = sorted(names, key=lambda name: (name not in UNCOMPRESSED, name))
    with styled():
        height = 0.75 + len(bandwidths) * (0.55 + 0.24 * len(order))
        drawing = Drawing(figsize=(WIDTH, height), layout="constrained")
        grid = _subplots(drawing, len(bandwidths), len(rtts))
        for row, bandwidth in enumerate(bandwidths):
            for column, rtt in enumerate(rtts):
                axes = grid[row][column]
                _draw_part_bars(axes, rows[(rows["rtt"] == rtt) & (rows["bandwidth"] == bandwidth)], order)
                title = f"{format_bandwidth(bandwidth)}, {format_rtt(rtt)}"
                axes.set_title(title, fontsize=9, color=INK, loc="left")
                axes.set_yticks(range(len(order)), order if column == 0 else [""] * len(order), color=INK)
                if row == len(bandwidths) - 1:
                    axes.set_xlabel("seconds")
        handles = [
            Rectangle((0, 0), 1, 1, facecolor=colour, edgecolor="none", label=label) for label, colour in PARTS.values()
        ]
        mark = grid[0][0].plot([], [], "|", color=INK, markersize=9, markeredgewidth=2, label="measured")[0]
        drawing.legend(handles=[*handles, mark], loc="outside upper left", ncols=len(handles) + 1, handlelength=0.9)
    return drawing


def _draw_part_bars(axes: Axes, rows: pd.DataFrame, order: list[str]) -> None:
    for y, name in enumerate(order):
        one = rows[rows["syntax"] == name]
        if not len(one):
            continue
        left = 0.0
        for column, (_, colour) in PARTS.items():
            width = float(one[column].mean())
            axes.barh(y, width, height=0.66, left=left, color=colour, linewidth=0)
            left += width
        axes.plot([one["study_s"].mean()], [y], "|", color=INK, markersize=13, markeredgewidth=2)
    axes.set_xlim(left=0)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.spines["bottom"].set_color(RULE)
