"""Statistics per operation, and throughput over time."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from simlab.analysis.latencies import percentiles
from simlab.analysis.measurements import OPERATION_ORDER, busy_seconds, measurements, store_measurements
from simlab.analysis.ramps import ramps

PERCENTILES = (50, 95, 99)

OPERATION_COLUMNS = ("count", "failures", "rate", "bytes", "throughput", "p50", "p95", "p99")

_SHORTEST = 1e-6
"""Seconds. A transfer that took no time at all is spread over this, so that its rate is finite."""


def operations_table(
    records: pd.DataFrame, instances: pd.DataFrame, seconds: float, latencies: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Statistics per (node, peer, operation), operations on the wire first.

    Columns: ``count`` and ``failures`` (instances for C-STORE, operations for all others), ``rate`` (count per second
    over the ``seconds`` that the run took), ``bytes``, ``throughput`` (bytes per second over the time in which at least
    one such operation was under way, so that idle time does not dilute it; NaN without bytes), and the latency
    percentiles ``p50``, ``p95`` and ``p99`` in seconds (numpy's linear interpolation; NaN if nothing was sent).

    Where ``latencies`` are given (:mod:`simlab.analysis.latencies`) there are no rows of C-STOREs: their percentiles
    come from the histograms, and all else is told by transfer.
    """
    keys = ["node", "peer", "operation"]
    rows = {key: _statistics(group) for key, group in measurements(records, instances).groupby(keys)}
    if latencies is not None and len(latencies):
        rows |= _by_transfer(transfers(records), latencies)
    # A store whose association was refused leaves a record, but may leave no instance rows: its failures still count.
    stores = records.loc[records["operation"] == "C-STORE", [*keys, "instances", "failures"]]
    stores = (
        stores.assign(wanted=stores[["instances", "failures"]].max(axis=1)).groupby(keys)[["wanted", "failures"]].sum()
    )
    for key, (wanted, failures) in zip(stores.index, stores.to_numpy(dtype=int), strict=True):
        row = rows.setdefault(key, dict.fromkeys(OPERATION_COLUMNS, np.nan) | {"count": 0, "failures": 0, "bytes": 0})
        row["failures"] = max(row["failures"], int(failures))
        row["count"] = max(row["count"], int(wanted))
    return as_table(rows, seconds)


def as_table(rows: Mapping[tuple[Hashable, ...], Mapping[str, float]], seconds: float) -> pd.DataFrame:
    """Statistics by (node, peer, operation) as a table; ``rate`` is filled in."""
    index = pd.MultiIndex.from_tuples(sorted(rows, key=_position), names=["node", "peer", "operation"])
    table = pd.DataFrame([rows[key] for key in index], index=index, columns=list(OPERATION_COLUMNS))
    table["rate"] = table["count"] / seconds if seconds > 0 else np.nan
    return table.astype({"count": int, "failures": int, "bytes": int})


def _position(key: tuple[Hashable, ...]) -> tuple[bool, str, int, str]:
    """Local work after operations on the wire; then by node, and in the order of ``OPERATION_ORDER``."""
    node, peer, operation = map(str, key)
    return not peer, node, OPERATION_ORDER.index(operation), peer


def _statistics(group: pd.DataFrame) -> dict[str, float]:
    moved = group[group["bytes"] > 0]
    busy = busy_seconds(moved["started"], moved["finished"])
    latency = group["latency"].dropna().to_numpy(dtype=float)
    percentiles = np.percentile(latency, PERCENTILES) if len(latency) else np.full(len(PERCENTILES), np.nan)
    return {
        "count": len(group),
        "failures": int(group["failed"].sum()),
        "bytes": int(moved["bytes"].sum()),
        "throughput": moved["bytes"].sum() / busy if busy > 0 else np.nan,
        **{f"p{percentile}": float(value) for percentile, value in zip(PERCENTILES, percentiles, strict=True)},
    }


def transfers(records: pd.DataFrame) -> pd.DataFrame:
    """The C-STORE operations in place of instance rows, as if each were a single C-STORE that succeeded."""
    stores = records.loc[records["operation"] == "C-STORE"]
    return stores[["node", "peer", "study", "operation", "started", "finished", "bytes"]].assign(status=0)


def _by_transfer(stores: pd.DataFrame, latencies: pd.DataFrame) -> dict[tuple[Hashable, ...], dict[str, float]]:
    """Statistics per (node, peer, "C-STORE"), without the counts."""
    rows: dict[tuple[Hashable, ...], dict[str, float]] = {}
    histograms = dict(iter(latencies.groupby(["node", "peer"])))
    for (node, peer), group in stores.groupby(["node", "peer"]):
        histogram = histograms.get((node, peer), latencies.iloc[:0])
        values = percentiles(histogram["seconds"].to_numpy(), histogram["count"].to_numpy(), PERCENTILES)
        busy, moved = busy_seconds(group["started"], group["finished"]), int(group["bytes"].sum())
        rows[node, peer, "C-STORE"] = {
            "count": 0,
            "failures": 0,
            "bytes": moved,
            "throughput": moved / busy if busy > 0 else np.nan,
            **{f"p{percentile}": value for percentile, value in zip(PERCENTILES, values, strict=True)},
        }
    return rows


def throughput_series(instances: pd.DataFrame, bin_seconds: float) -> pd.DataFrame:
    """Throughput over time: a row per bin, indexed by its start in run seconds, a column per (node, peer).

    Values are 10^6 bytes per second. Only what arrived counts, each instance spread evenly over its own transfer.
    """
    stores = store_measurements(instances)
    arrived = stores[stores["bytes"] > 0]
    end = float(arrived["finished"].max()) if len(arrived) else 0.0
    edges = np.arange(max(int(np.ceil(end / bin_seconds)), 1) + 1, dtype=np.float64) * np.float64(bin_seconds)
    columns = {
        key: np.diff(_delivered(group, edges)).clip(min=0.0) / bin_seconds / 1e6
        for key, group in arrived.groupby(["node", "peer"])
    }
    index = pd.Index(edges[:-1], name="seconds")
    series = pd.DataFrame(columns, index=index)
    return series.rename_axis(columns=["node", "peer"]) if columns else series


def _delivered(transfers: pd.DataFrame, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Bytes delivered until each of ``times``: a sum of ramps, one per transfer."""
    started = transfers["started"].to_numpy(dtype=float)
    finished = np.maximum(transfers["finished"].to_numpy(dtype=float), started + _SHORTEST)
    slopes = transfers["bytes"].to_numpy(dtype=float) / (finished - started)
    return ramps(started, slopes, times) - ramps(finished, slopes, times)
