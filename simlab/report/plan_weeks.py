"""The week by the hour: when scanners, lines and queues are busy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter, MaxNLocator

from simlab.analysis.hours import DAYS, SCANNERS, TO_READ, WAITING, Amounts
from simlab.report.style import INK, MUTED, PANEL, PAPER, SERIES_COLOURS, Drawing, styled

HEAT = LinearSegmentedColormap.from_list("simlab", [PANEL, "#a9c8ea", SERIES_COLOURS[0], "#0f2c52"])
NAMES = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")

LITTLE = 0.3
"""Shares that all are less than this would hardly be seen on a scale up to one."""

FEW_PER_CENT = 0.05
"""Shares that are less are written with two digits."""

LINE, SCANNER = "line ", "utilisation "
"""How the names of series begin that are about one line or one scanner."""

CALENDARS = {
    SCANNERS: "Scanners in use",
    WAITING: "Patients waiting for a scanner",
    TO_READ: "Studies waiting to be read",
}


def draw_week(weeks: Mapping[str, Amounts]) -> Drawing:
    """Hour by weekday: how many scanners are in use, how many patients and studies wait, and the busiest line."""
    chosen = {name: title for name, title in CALENDARS.items() if name in weeks and np.nanmax(weeks[name]) > 0}
    lines = [name for name in weeks if name.startswith(LINE) and np.nanmax(weeks[name]) > 0]
    if lines:
        busiest = max(lines, key=lambda name: float(np.nanmax(weeks[name])))
        chosen[busiest] = f"Line {_line(busiest)}, the busiest"
    count = max(len(chosen), 1)
    days = _days(list(weeks.values()))
    with styled():
        across = 2 if count > 1 else 1
        down = -(-count // across)
        size = (0.4 + 5.4 * across, 0.7 + (1.1 + 0.22 * len(days)) * down)
        drawing = Drawing(figsize=size, layout="constrained")
        panels: list[Axes] = drawing.subplots(down, across, squeeze=False).ravel().tolist()
        for axes, (name, title) in zip(panels, chosen.items(), strict=False):
            _draw_calendar(drawing, axes, weeks[name], days, title, share=name not in (WAITING, TO_READ))
        for axes in panels[len(chosen) :]:
            axes.set_axis_off()
        title = fill(_finding(weeks), int(size[0] * 9))
        drawing.suptitle(title, x=0.008, ha="left", fontsize=12.5, fontweight="bold", color=INK)
    return drawing


def rows_of(weeks: Mapping[str, Amounts]) -> list[str]:
    """The scanners, and then the lines, of which something is known."""
    return [name for prefix in (SCANNER, LINE) for name in weeks if name.startswith(prefix)]


def draw_rows(weeks: Mapping[str, Amounts]) -> Drawing:
    """Each scanner and each line in its own row, over the hours of the week; there has to be one."""
    names = rows_of(weeks)
    scanners = [name for name in names if name.startswith(SCANNER)]
    lines = names[len(scanners) :]
    labels = [name.removeprefix(SCANNER) for name in scanners] + [f"line {_line(name)}" for name in lines]
    days = _days(list(weeks.values()))
    hours = np.concatenate([np.arange(24 * day, 24 * day + 24) for day in days])
    grid = np.array([weeks[name][hours] for name in names])
    with styled():
        drawing = Drawing(figsize=(max(1.75 * len(days), 5.0) + 2.6, 1.5 + 0.26 * len(grid)), layout="constrained")
        axes = drawing.subplots()
        mesh = axes.pcolormesh(np.arange(len(hours) + 1), np.arange(len(grid) + 1), grid, cmap=HEAT, vmin=0, vmax=1)
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set_yticks(np.arange(len(grid)) + 0.5, labels, color=INK)
        axes.hlines(np.arange(1, len(grid)), 0, len(hours), color=PAPER, linewidth=1.2)
        axes.hlines([len(scanners)] if scanners and lines else [], 0, len(hours), color=PAPER, linewidth=6)
        axes.vlines(24 * np.arange(1, len(days)), 0, len(grid), color=PAPER, linewidth=2.5)
        ticks = [24 * index + hour for index in range(len(days)) for hour in (0, 6, 12, 18)]
        said = [f"{tick % 24}" if tick % 24 else f"0 h\n{DAYS[days[tick // 24]]}" for tick in ticks]
        axes.set_xticks(ticks, said, ha="left")
        for y, row in enumerate(grid):
            axes.annotate(_share(np.nanmean(row)), (1.0, y + 0.5), (6, 0), ("axes fraction", "data"), "offset points",
                          va="center", color=MUTED, fontsize=8.5)  # fmt: skip
        axes.annotate("mean", (1, 1), (6, 2), "axes fraction", "offset points", color=MUTED, fontsize=8.5)
        bar = drawing.colorbar(mesh, ax=axes, fraction=0.02, pad=0.045, aspect=30)
        _style_bar(bar.ax, share=True)
        drawing.suptitle(_busiest(scanners, weeks), x=0.008, ha="left", fontsize=12.5, fontweight="bold", color=INK)
    return drawing


def _line(name: str) -> str:
    return name.removeprefix(LINE).replace(">", " to ")


def _days(series: Sequence[Amounts]) -> list[int]:
    """The weekdays that there is anything of."""
    known = np.isfinite(np.array(series).reshape(-1, len(DAYS), 24)).any(axis=(0, 2))
    return np.flatnonzero(known).tolist()


def _draw_calendar(
    drawing: Drawing, axes: Axes, week: Amounts, days: Sequence[int], title: str, *, share: bool
) -> None:
    grid = week.reshape(len(DAYS), 24)[list(days)]
    most = 1.0 if share and np.nanmax(grid) > LITTLE else float(np.nanmax(grid))
    mesh = axes.pcolormesh(
        np.arange(25), np.arange(len(days) + 1), grid, cmap=HEAT, vmin=0, vmax=most, edgecolor=PAPER, linewidth=0.8
    )
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_yticks(np.arange(len(days)) + 0.5, [DAYS[day] for day in days], color=INK)
    axes.set_xticks(range(0, 25, 3), [f"{hour} h" for hour in range(0, 25, 3)])
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    _style_bar(drawing.colorbar(mesh, ax=axes, fraction=0.03, pad=0.02).ax, share=share)


def _style_bar(axes: Axes, *, share: bool) -> None:
    axes.grid(visible=False)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _share(value) if share else f"{value:g}"))


def _finding(weeks: Mapping[str, Amounts]) -> str:
    """When most scanners are in use, and when most patients wait."""
    parts = []
    if SCANNERS in weeks and np.nanmax(weeks[SCANNERS]) > 0:
        most, when = _top(weeks[SCANNERS])
        parts.append(f"Scanners are busiest {when}: {_share(most)} are in use")
    if WAITING in weeks and np.nanmax(weeks[WAITING]) >= 0.05:
        most, when = _top(weeks[WAITING])
        parts.append(f"most patients wait {when}: {most:.1f} on average")
    return "; ".join(parts) or "Nothing went on"


def _busiest(scanners: Sequence[str], weeks: Mapping[str, Amounts]) -> str:
    if not scanners:
        return "Lines in use"
    means = {name.removeprefix(SCANNER): float(np.nanmean(weeks[name])) for name in scanners}
    most, least = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    if most == least:
        return f"{most} is in use for {_share(means[most])} of the time"
    return f"{most} is in use for {_share(means[most])} of the time, {least} for {_share(means[least])}"


def _share(value: float) -> str:
    return f"{100 * value:.0f} %" if value >= FEW_PER_CENT or not value else f"{100 * value:.2g} %"


def _top(week: Amounts) -> tuple[float, str]:
    """The largest value, and when it is."""
    hour = int(np.nanargmax(week))
    return float(week[hour]), f"on {NAMES[hour // 24]} from {hour % 24} to {hour % 24 + 1} h"
