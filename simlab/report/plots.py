"""Plots over all operations of a run: throughput over time, and how latencies are distributed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from simlab.analysis.latencies import sample
from simlab.analysis.measurements import OPERATION_ORDER, measurements
from simlab.analysis.operations import throughput_series
from simlab.report.style import INK, MUTED, OPERATION_COLOURS, OTHER_COLOUR, SERIES_COLOURS, Drawing, styled
from simlab.units import format_duration

WIDTH = 10.0
"""Inches; the same for all plots, so that a report scales them alike."""
BINS = 100
MOST_SERIES = 6
FEW = 40
"""Up to so many measurements are drawn one by one; more as their density."""


def bin_seconds(seconds: float) -> float:
    """A round bin width, of 1, 2 or 5 times a power of ten seconds, that makes at most ``BINS`` bins."""
    least = max(seconds, 1e-3) / BINS
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(power * step for step in (1, 2, 5, 10) if power * step >= least))


def draw_throughput(instances: pd.DataFrame, seconds: float) -> Drawing:
    """Stored bytes per second over the run, stacked by who sends to whom; beyond six pairs, the least as one."""
    width = bin_seconds(seconds)
    series = throughput_series(instances, width)
    by_size = list(series.sum().sort_values(ascending=False, kind="stable").index)
    shown = by_size if len(by_size) <= MOST_SERIES else by_size[: MOST_SERIES - 1]
    curves = {f"{node} → {peer}": series[node, peer].to_numpy() for node, peer in shown}
    colours = list(SERIES_COLOURS[: len(curves)])
    if len(by_size) > len(shown):
        curves["all others"] = series[by_size[len(shown) :]].sum(axis=1).to_numpy()
        colours.append(OTHER_COLOUR)
    with styled():
        drawing = Drawing(figsize=(WIDTH, 2.7), layout="constrained")
        axes = drawing.subplots()
        edges = np.append(series.index.to_numpy(), len(series) * width)
        below = np.zeros(len(series))
        for (label, values), colour in zip(curves.items(), colours, strict=True):
            axes.stairs(below + values, edges, baseline=below, fill=True, color=colour, linewidth=0, label=label)
            below = below + values
        axes.set_xlim(0, max(seconds, edges[-1]))
        axes.set_ylim(bottom=0, top=float(below.max()) * 1.08 or 1.0)
        axes.set_xlabel("run seconds")
        axes.set_ylabel("MB/s")
        axes.grid(visible=False, axis="x")
        if curves:
            axes.legend(
                loc="lower left", bbox_to_anchor=(0, 1.0), ncols=MOST_SERIES, borderaxespad=0.2, handlelength=0.8
            )
    return drawing


def draw_latencies(records: pd.DataFrame, instances: pd.DataFrame, histograms: pd.DataFrame | None = None) -> Drawing:
    """How long each operation took: a row each, on a common logarithmic axis, with its median and its p95.

    ``histograms`` are those of C-STOREs, where they have no rows (:mod:`simlab.analysis.latencies`).
    """
    measured = measurements(records, instances).dropna(subset="latency")
    # A logarithmic axis has no zero: what took no time is shown at a microsecond.
    by_operation = {name: rows["latency"].clip(lower=1e-6) for name, rows in measured.groupby("operation")}
    if histograms is not None and len(histograms):
        by_operation["C-STORE"] = sample(histograms)
    names = [name for name in OPERATION_ORDER if name in by_operation]
    with styled():
        drawing = Drawing(figsize=(WIDTH, 0.85 + 0.42 * max(len(names), 1)), layout="constrained")
        axes = drawing.subplots()
        axes.set_xscale("log")
        for row, name in enumerate(names):
            _draw_distribution(axes, -row, by_operation[name].to_numpy(dtype=float), OPERATION_COLOURS[name])
        axes.set_yticks([-row for row in range(len(names))], names, color=INK)
        axes.set_ylim(-len(names) + 0.6, 0.75)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: format_duration(seconds)))
        axes.xaxis.set_minor_formatter("")
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("latency from the intended start (C-STORE: per instance)")
        _annotate(axes, 0.75, "median · p95")
    return drawing


def _draw_distribution(axes: Axes, row: float, seconds: npt.NDArray[np.float64], colour: str) -> None:
    """One row: dots or a hill, the median as a tall tick and the p95 as a short one, with their values at the right."""
    middle, high = np.percentile(seconds, (50, 95))
    if len(seconds) <= FEW:
        axes.plot(seconds, np.full(len(seconds), row), "o", color=colour, markersize=5, alpha=0.45, markeredgewidth=0)
    else:
        positions, heights = _hill(seconds)
        axes.fill_between(positions, row - 0.18, row - 0.18 + 0.75 * heights, color=colour, alpha=0.5, linewidth=0)
    axes.plot([middle, middle], [row - 0.24, row + 0.3], color=colour, linewidth=2.2, solid_capstyle="butt")
    axes.plot([high, high], [row - 0.24, row], color=colour, linewidth=1.4, solid_capstyle="butt")
    _annotate(axes, row, f"{format_duration(middle)} · {format_duration(high)}")


def _annotate(axes: Axes, row: float, text: str) -> None:
    """Write at the right of a row, outside the axes."""
    place = ("axes fraction", "data")
    axes.annotate(text, (1.0, row), (8, 0), place, "offset points", color=MUTED, fontsize=8.5, va="center")


def _hill(seconds: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The density over the logarithm of time, smoothed, its peak at 1: positions in seconds, and heights."""
    logs = np.log10(seconds)
    spread = max(float(np.ptp(logs)), 0.02)
    edges = np.linspace(logs.min() - 0.15 * spread, logs.max() + 0.15 * spread, 161)
    counts, _ = np.histogram(logs, edges)
    kernel = np.exp(-0.5 * np.linspace(-3, 3, 25) ** 2)
    heights = np.convolve(counts, kernel, mode="same")
    return 10 ** ((edges[1:] + edges[:-1]) / 2), heights / heights.max()
