"""What archives hold, and the day on which they are full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from simlab.analysis.comparison import Interval
from simlab.analysis.storage import DAY, HORIZON, Stock, recent
from simlab.report.style import ALARM, INK, KIND_COLOURS, MUTED, Drawing, styled
from simlab.units import format_size

COLOUR = KIND_COLOURS["archive"]

_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1.0, "B"))


def draw_storage(
    stocks: Sequence[Stock], epoch: datetime, full: Mapping[str, Interval] | None = None, about: str = ""
) -> Drawing:
    """What each archive, or each tier of it, holds, with its capacity and the day on which that is reached.

    ``full`` are intervals of that day over some runs, in seconds since the epoch, by the names of stocks.
    """
    with styled():
        drawing = Drawing(figsize=(8.4, 0.9 + 2.5 * len(stocks)), layout="constrained")
        panels: list[Axes] = drawing.subplots(len(stocks), 1, squeeze=False)[:, 0].tolist()
        for axes, stock in zip(panels, stocks, strict=True):
            _draw(axes, stock, epoch, (full or {}).get(stock.name))
        drawing.suptitle(finding(stocks, epoch), x=0.008, ha="left", fontsize=12.5, fontweight="bold", color=INK)
        if about:
            drawing.supxlabel(about, x=0.008, ha="left", fontsize=8, color=MUTED)
    return drawing


def finding(stocks: Sequence[Stock], epoch: datetime) -> str:
    """Which is full first, and when."""
    first = min((stock for stock in stocks if isfinite(stock.full)), key=lambda stock: stock.full, default=None)
    if first is None:
        limited = any(stock.capacity is not None for stock in stocks)
        return "There is room for fifty years" if limited else "What archives hold"
    foretold = ", if it goes on like this" if first.foretold else ""
    return f"{first.name[:1].upper()}{first.name[1:]} is full on {_date(epoch, first.full)}{foretold}"


def sentences(
    stocks: Sequence[Stock], epoch: datetime, full: Mapping[str, Interval], runs: Mapping[str, tuple[int, int]]
) -> list[str]:
    """A sentence for each stock that has a capacity: when it is full, and whether that is foretold.

    ``runs`` tells in how many runs it is, of how many; the day is the mean over those.
    """
    told = []
    for stock in stocks:
        day = full[stock.name].mean / DAY
        if stock.capacity is None:
            continue
        name, capacity = stock.name[:1].upper() + stock.name[1:], format_size(stock.capacity)
        if not isfinite(day):
            told.append(f"{name} ({capacity}) is not full within fifty years.")
            continue
        between = _between(epoch, full[stock.name])
        days = f"{recent(stock.until):.3g} d"
        foretold = f"; foretold from the last {days}, since runs end before" if day > stock.until else ""
        some, of = runs[stock.name]
        only = f" in {some} of {of} runs, and not within fifty years in the others" if some < of else ""
        told.append(f"{name} ({capacity}) is full on {_date(epoch, day)}{between and f' ({between})'}{only}{foretold}.")
    return told


def _draw(axes: Axes, stock: Stock, epoch: datetime, interval: Interval | None) -> None:
    largest = max(float(stock.held.max()), stock.capacity or 0.0)
    size, unit = next((size, unit) for size, unit in _SIZES if largest >= size or size == 1.0)
    dates, held = _dates(epoch, stock.days), stock.held / size
    (end, full) = _dates(epoch, [stock.until, stock.full if isfinite(stock.full) else 0.0])
    known = stock.days <= stock.until
    later = stock.days >= stock.until
    early = stock.full < (stock.days[0] + stock.days[-1]) / 2
    axes.fill_between(dates, held, color=COLOUR, alpha=0.12, linewidth=0)
    axes.plot(dates[known], held[known], color=COLOUR, linewidth=2)
    axes.plot(dates[later], held[later], color=COLOUR, linewidth=1.6, linestyle=(0, (4, 2)))
    if later.sum() > 1:
        axes.axvline(end, color=MUTED, linewidth=0.8)
        axes.annotate("run ends; foretold from here", (end, 0), (4, 4), ("data", "axes fraction"),
                      "offset points", color=MUTED, fontsize=8)  # fmt: skip
    if stock.capacity is not None:
        axes.axhline(stock.capacity / size, color=ALARM, linewidth=1.2)
        # The day on which it is full is told beside it: the capacity at the other end.
        x, side = (1, "right") if early else (0, "left")
        axes.annotate(f"capacity {format_size(stock.capacity)}", (x, stock.capacity / size), (-4 if early else 4, 3),
                      ("axes fraction", "data"), "offset points", color=ALARM, fontsize=8.5, ha=side)  # fmt: skip
    if isfinite(stock.full) and stock.capacity is not None:
        axes.plot([full], [stock.capacity / size], "o", color=ALARM, markersize=6)
        told = f"full on {_date(epoch, stock.full)}"
        if interval is not None and (between := _between(epoch, interval)):
            told += f"\n{between}"
        axes.annotate(told, (full, stock.capacity / size), (0, 7), "data", "offset points", va="bottom",
                      ha="left" if early else "right", color=INK, fontsize=8.5, fontweight="bold")  # fmt: skip
    axes.set_ylim(0, largest / size * 1.35)
    axes.set_xlim(dates[0], dates[-1])
    axes.set_title(f"{stock.name} holds", loc="left", fontsize=10, color=INK)
    axes.set_ylabel(unit)


def _dates(epoch: datetime, days: Any) -> Any:
    """Days since the epoch as matplotlib takes dates."""
    return np.datetime64(epoch, "s") + (np.asarray(days) * DAY).astype("timedelta64[s]")


def _between(epoch: datetime, interval: Interval) -> str:
    """The days between which the true mean is likely to be; empty where nothing is known of that."""
    if not isfinite(interval.low):
        return ""
    days = (min(max(value / DAY, 0.0), 2 * HORIZON) for value in (interval.low, interval.high))
    return f"95 %: {' to '.join(_date(epoch, day) for day in days)}"


def _date(epoch: datetime, days: float) -> str:
    date = epoch + timedelta(days=days)
    return f"{date.day} {date:%B %Y}"
