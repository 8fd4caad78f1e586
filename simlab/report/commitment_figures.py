"""Pictures of storage commitment: what a fault costs under each policy, how long until safe, and disks filling up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import ceil, isfinite
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from simlab.report.style import ALARM, INK, MUTED, PANEL, PAPER, SERIES_COLOURS, Drawing, styled
from simlab.units import format_size

WIDTH = 10.0
"""Inches."""
MOST_PANELS = 12

POLICY_STYLES = {
    "study": (SERIES_COLOURS[1], "s"), "failed": (SERIES_COLOURS[0], "o"), "by-reason": (SERIES_COLOURS[2], "D"),
}  # fmt: skip
"""Colour and marker of a policy in every picture; told apart without colour, too."""

POLICY_LABELS = {"study": "resend the study", "failed": "resend what failed", "by-reason": "go by the reason"}

MARKS = {
    "false_safe": ("D", "false-safe: committed, but not retrievable"),
    "lost": ("X", "lost: nobody has them any more"),
}
"""Columns that count instances nobody may lose: marker and meaning."""
UNSAFE = ("o", "not safe in the end")

_WASTE = LinearSegmentedColormap.from_list("waste", ["#dbe8f6", "#2f74c0", "#123a66"])
_ON_LIGHT, _ON_DARK = "#10202f", "#fdfdfd"
"""Text on a heat map's own colours, which no page sets anew."""

HALTED = "#c9a227"

# ---- waste


def draw_waste(cells: pd.DataFrame) -> Drawing:
    """How much was sent again for each fault (rows) under each policy (columns), as a share of the study.

    Cells in which instances were lost, or are false-safe, bear a mark with their number.
    """
    faults = list(dict.fromkeys(cells["fault"]))
    policies = _policies(cells)
    most = max(float(cells["waste"].max()), 1.0) if len(cells) else 1.0
    with styled():
        drawing, panels = _panels(cells, faults, row=0.3, head=0.62, pad=20)
        for axes, rows in panels:
            _draw_heat(axes, rows, faults, policies, most)
        drawing.legend(handles=list(_mark_handles(cells)), loc="outside lower left", ncols=3, handletextpad=0.4)
    return drawing


def _panels(
    cells: pd.DataFrame, faults: Sequence[str], *, row: float, head: float, pad: float
) -> tuple[Drawing, list[tuple[Axes, pd.DataFrame]]]:
    """A drawing with a panel for each way of deleting (downwards) and each occurrence, and the cells of each.

    Faults are its rows, of ``row`` inches; ``head`` is what a panel needs besides, ``pad`` points of it below its
    title. Where nothing goes wrong, that stands in every panel.
    """
    deletions = list(dict.fromkeys(cells["delete_local"])) or [""]
    occurrences = [name for name in dict.fromkeys(cells["occurrence"]) if name != "none"] or ["none"]
    size = (WIDTH, 0.65 + len(deletions) * (head + row * max(len(faults), 1)))
    drawing = Drawing(figsize=size, layout="constrained")
    grid = drawing.subplots(len(deletions), len(occurrences), squeeze=False)
    panels = []
    for axes, (deletion, occurrence) in zip(grid.ravel(), product(deletions, occurrences), strict=True):
        title = f"{occurrence}, copy deleted {deletion}" if len(deletions) > 1 else occurrence
        axes.set_title(title, fontsize=10, color=INK, loc="left", pad=pad)
        axes.set_yticks(range(len(faults)), faults if axes in grid[:, 0] else [""] * len(faults), color=INK)
        axes.set_ylim(max(len(faults), 1) - 0.5, -0.5)
        here = cells["occurrence"].isin((occurrence, "none")) & (cells["delete_local"] == deletion)
        panels.append((axes, cells[here]))
    return drawing, panels


def _policies(cells: pd.DataFrame) -> list[str]:
    """Policies that were tried: known ones in their order, then others."""
    tried = set(cells["policy"])
    return [*(name for name in POLICY_STYLES if name in tried), *sorted(tried - set(POLICY_STYLES))]


def _draw_heat(
    axes: Axes, cells: pd.DataFrame, faults: Sequence[str], policies: Sequence[str], most: float
) -> None:  # fmt: skip
    for cell in cells.to_dict("records"):
        _draw_cell(axes, policies.index(cell["policy"]), faults.index(cell["fault"]), cell, most)
    axes.set_xlim(-0.5, max(len(policies), 1) - 0.5)
    axes.set_xticks(range(len(policies)), policies, color=INK)
    axes.tick_params(axis="x", labeltop=True, labelbottom=False, pad=1)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)


def _draw_cell(axes: Axes, x: int, y: int, cell: Mapping[Any, Any], most: float) -> None:
    waste = float(cell["waste"])
    expected = cell["resent"] == cell["expected_resent"]
    fill = to_hex(_WASTE(min(waste / most, 1.0))) if waste else PANEL
    ink = INK if not waste else _ON_LIGHT if waste / most < 0.4 else _ON_DARK
    box = Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=fill, edgecolor="none" if expected else ALARM)
    box.set_linewidth(2)
    axes.add_patch(box)
    marks = [(marker, f"{cell[name]}") for name, (marker, _) in MARKS.items() if cell[name]]
    weight = "bold" if marks else "normal"
    marks += [(UNSAFE[0], "")] if cell["outcome"] != "safe" else []
    left = x - 0.17 * bool(marks)
    axes.text(left, y, f"{waste:.2f}", color=ink, ha="center", va="center_baseline", fontsize=8.5, fontweight=weight)
    for marker, count in marks:
        left += 0.21
        fill, edge = (ALARM, PANEL) if count else ("none", ink)
        rim = 0.4 if count else 1.0
        axes.plot([left], [y], marker, markersize=6.5, markerfacecolor=fill, markeredgecolor=edge, markeredgewidth=rim)
        axes.text(left + 0.05, y, count, color=ink, fontsize=7.5, fontweight="bold", va="center_baseline")


def _mark_handles(cells: pd.DataFrame) -> Iterator[Line2D | Patch]:
    for name, (marker, label) in MARKS.items():
        if len(cells) and cells[name].any():
            yield Line2D([], [], marker=marker, color=ALARM, linestyle="", markersize=6, label=label)
    if (cells["outcome"] != "safe").any():
        marker, label = UNSAFE
        yield Line2D(
            [], [], marker=marker, markerfacecolor="none", markeredgecolor=INK, linestyle="", markersize=6, label=label
        )
    if (cells["resent"] != cells["expected_resent"]).any():
        yield Patch(facecolor="none", edgecolor=ALARM, linewidth=2, label="not what was expected")
    yield Patch(facecolor=to_hex(_WASTE(0.5)), edgecolor="none", label="bytes sent again, as a share of the study")


# ---- time until safe


def draw_times(cells: pd.DataFrame) -> Drawing:
    """How long after the acquisition instances became safe: for each fault a line per policy, from p50 to p95."""
    faults = list(dict.fromkeys(cells["fault"]))
    policies = _policies(cells)
    known = cells["time_to_safe_p95"].dropna()
    end = float(known.max()) if len(known) else 1.0
    logarithmic = len(known) > 0 and end > 5 * float(cells["time_to_safe_p50"].min())
    with styled():
        drawing, panels = _panels(cells, faults, row=0.33, head=0.55, pad=6)
        for axes, rows in panels:
            if logarithmic:
                axes.set_xscale("log")
            for cell in rows.to_dict("records"):
                offset = (policies.index(cell["policy"]) - (len(policies) - 1) / 2) * 0.26
                _draw_time(axes, faults.index(cell["fault"]) + offset, cell)
            for y in range(0, len(faults), 2):
                axes.axhspan(y - 0.5, y + 0.5, color=PANEL, linewidth=0, zorder=0)
            axes.set_xlim(float(cells["time_to_safe_p50"].min()) / 1.5 if logarithmic else 0, end * 1.08)
            axes.xaxis.set_major_locator(LogLocator(10, (1.0, 2.0, 5.0)) if logarithmic else MaxNLocator(6))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
            axes.grid(visible=False, axis="y")
            axes.set_xlabel("seconds from acquired to safe")
        handles = [
            Line2D([], [], color=_colour(name), marker=_marker(name), markersize=5, linewidth=2.5, label=_label(name))
            for name in policies
        ]
        unfilled: dict[str, Any] = {"color": MUTED, "linestyle": "", "markersize": 5, "markerfacecolor": PAPER}
        spread = Line2D([], [], color=MUTED, linewidth=2.5, alpha=0.6, label="mark p50, line to p95")
        some = Line2D([], [], marker="o", label="not all became safe", **unfilled)
        none = Line2D([], [], marker="x", label="none did", **unfilled)
        drawing.legend(
            handles=[*handles, spread, some, none], loc="outside upper left", ncols=len(handles) + 3, columnspacing=1.3
        )
    return drawing


def _draw_time(axes: Axes, y: float, cell: Mapping[Any, Any]) -> None:
    colour, marker = _colour(cell["policy"]), _marker(cell["policy"])
    middle, high = float(cell["time_to_safe_p50"]), float(cell["time_to_safe_p95"])
    if not isfinite(middle):
        place = axes.get_yaxis_transform()
        axes.plot([0.985], [y], "x", color=colour, markersize=4.5, markeredgewidth=1.4, transform=place, clip_on=False)
        return
    axes.plot([middle, high], [y, y], color=colour, linewidth=2.5, alpha=0.6, solid_capstyle="butt")
    fill = colour if cell["safe"] >= cell["instances"] else PAPER
    axes.plot([middle], [y], marker, markerfacecolor=fill, markeredgecolor=colour, markersize=4.5, markeredgewidth=1.2)


def _colour(policy: str) -> str:
    return POLICY_STYLES.get(policy, (MUTED, "v"))[0]


def _marker(policy: str) -> str:
    return POLICY_STYLES.get(policy, (MUTED, "v"))[1]


def _label(policy: str) -> str:
    return POLICY_LABELS.get(policy, policy)


# ---- disks


def draw_disks(disks: pd.DataFrame, faults: Sequence[str] | None = None) -> Drawing:
    """What is on the scanner's disk over time: a panel for each fault and occurrence, a line for each policy.

    ``faults`` are those to show. None: all; where that makes more than a dozen panels, one stands for those that are
    like it. Where lines coincide, one shows within the other.
    """
    shown = disks if faults is None else disks[disks["fault"].isin(faults)]
    keys = ["fault", "occurrence", *(["delete_local"] if len(set(disks["delete_local"])) > 1 else [])]
    panels = [
        (", ".join(str(level) for level in dict.fromkeys(levels)), rows)
        for levels, rows in shown.groupby(keys, sort=False)
    ]
    end = float(shown["time"].max()) * 1.03 if len(shown) else 1.0
    if faults is None and len(panels) > MOST_PANELS:
        panels = _alike_together(panels, end)
    panels = panels[:MOST_PANELS]
    columns = min(len(panels), 3) or 1
    lines = max(ceil(len(panels) / columns), 1)
    policies = _policies(shown)
    with styled():
        drawing = Drawing(figsize=(WIDTH, 0.55 + 1.85 * lines), layout="constrained")
        grid = drawing.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        for axes in grid.ravel()[len(panels) :]:
            axes.set_axis_off()
        for axes, (title, rows) in zip(grid.ravel(), panels, strict=False):
            for place, policy in enumerate(policies):
                one = rows[rows["policy"] == policy].sort_values("time", kind="stable")
                _draw_steps(axes, one, end, _colour(policy), 4.4 - 1.5 * place)
            axes.set_title(title, fontsize=9.5, color=INK, loc="left")
            axes.set_xlim(0, end)
            axes.set_ylim(bottom=0)
        for axes in grid.ravel()[: len(panels)][-columns:]:
            axes.set_xlabel("run seconds")
            axes.tick_params(axis="x", labelbottom=True)
        _label_bytes(grid[0][0], float(shown["bytes"].max()) if len(shown) else 1.0)
        handles = [Line2D([], [], color=_colour(name), linewidth=2.5, label=_label(name)) for name in policies]
        if handles:
            drawing.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    return drawing


def _alike_together(panels: Sequence[tuple[str, pd.DataFrame]], end: float) -> list[tuple[str, pd.DataFrame]]:
    """One panel for all in which the disk is about as full for about as long, under every policy."""
    alike: dict[tuple[tuple[object, int], ...], list[tuple[str, pd.DataFrame]]] = {}
    for title, rows in panels:
        peak = float(rows["bytes"].max()) or 1.0
        fullness = tuple(
            (policy, round(10 * _byte_seconds(one, end) / (peak * end))) for policy, one in rows.groupby("policy")
        )
        alike.setdefault(fullness, []).append((title, rows))
    return [(f"{same[0][0]}{_and_more(len(same) - 1)}", same[0][1]) for same in alike.values()]


def _and_more(count: int) -> str:
    return f" (and {count} like it)" if count else ""


def _byte_seconds(rows: pd.DataFrame, end: float) -> float:
    ordered = rows.sort_values("time", kind="stable")
    spans = np.diff(ordered["time"].to_numpy(dtype=float), append=end)
    return float((ordered["bytes"].to_numpy(dtype=float) * spans).sum())


def draw_occupancy(
    occupancy: pd.DataFrame, halts: pd.DataFrame, capacities: Mapping[str, int | None], elapsed: float = 0.0
) -> Drawing:
    """What is on each scanner's disk over time, how much it can take, and when the scanner stands still.

    ``occupancy`` has node, time (run seconds) and bytes from then on; ``halts`` has node, halted, resumed (NaN if it
    never went on) and comment. ``elapsed`` is how long the run was, in seconds.
    """
    nodes = list(dict.fromkeys([*occupancy["node"], *halts["node"]])) or [""]
    nodes = nodes[:MOST_PANELS]
    times = [float(time) for times in (occupancy["time"], halts["halted"], halts["resumed"]) for time in times.dropna()]
    end = max(max(times, default=1.0) * (1.08 if halts["resumed"].isna().any() else 1.02), elapsed) or 1.0
    with styled():
        drawing = Drawing(figsize=(WIDTH, 0.75 + 1.45 * len(nodes)), layout="constrained")
        grid = drawing.subplots(len(nodes), 1, squeeze=False, sharex=True)[:, 0].tolist()
        for axes, node in zip(grid, nodes, strict=True):
            ours = occupancy[occupancy["node"] == node].sort_values("time", kind="stable")
            capacity = capacities.get(node)
            most = max(float(ours["bytes"].max()) if len(ours) else 0.0, float(capacity or 0)) or 1.0
            _draw_steps(axes, ours, end, SERIES_COLOURS[0], 1.8, filled=True)
            for halt in halts[halts["node"] == node].to_dict("records"):
                until = halt["resumed"] if isfinite(halt["resumed"]) else end
                axes.axvspan(halt["halted"], until, facecolor=HALTED, alpha=0.25, hatch="///", edgecolor=HALTED, lw=0)
            if capacity is not None:
                axes.axhline(capacity, color=ALARM, linewidth=1.2, linestyle=(0, (5, 3)))
            axes.set_title(node, fontsize=9.5, loc="left", color=INK, fontweight="bold")
            axes.set_xlim(0, end)
            axes.set_ylim(0, most * 1.12)
            _label_bytes(axes, most)
        grid[-1].set_xlabel("run seconds")
        handles: list[Line2D | Patch] = [Patch(facecolor=SERIES_COLOURS[0], alpha=0.6, label="on the local disk")]
        if any(capacities.get(node) is not None for node in nodes):
            handles.append(Line2D([], [], color=ALARM, linewidth=1.2, linestyle=(0, (5, 3)), label="its capacity"))
        if len(halts):
            handles.append(
                Patch(facecolor=HALTED, edgecolor=HALTED, alpha=0.4, hatch="///", label="the scanner stands still")
            )
        drawing.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    return drawing


def _draw_steps(
    axes: Axes, rows: pd.DataFrame, end: float, colour: str, width: float, *, filled: bool = False
) -> None:  # fmt: skip
    """A step function that keeps its last value up to the end."""
    if not len(rows):
        return
    times = np.append(rows["time"].to_numpy(dtype=float), end)
    sizes = np.append(rows["bytes"].to_numpy(dtype=float), float(rows["bytes"].iloc[-1]))
    axes.step(times, sizes, where="post", color=colour, linewidth=width, solid_joinstyle="miter")
    if filled:
        axes.fill_between(times, sizes, step="post", color=colour, alpha=0.3, linewidth=0)


def _label_bytes(axes: Axes, most: float) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(4 if most > 1 else 1))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda size, _: format_size(size) if size > 0 else "0"))
