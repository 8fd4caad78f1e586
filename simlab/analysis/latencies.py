"""Latencies as histograms, where there are too many to keep each: exact to a hundredth, whatever their number.

Bins are equally wide on a logarithmic scale, so that a percentile is off by at most half a bin wherever it lies.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from math import floor, log
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from simlab.analysis.measurements import NO_STATUS
from simlab.records import InstanceBatch, Rows, StudyRows, Train

RATIO = 1.02
"""A bin's upper limit, divided by its lower one."""

LEAST = 1e-6
"""Seconds: the lower limit of bin 0. What is shorter took no time: bin -1."""

BELOW = RATIO**-0.5

LATENCY_COLUMNS = ("node", "peer", "study", "seconds", "count")

_SCALE = 1 / log(RATIO)

BIN = Struct("=iii")
"""The number of a transfer, a bin, and how many instances are in it."""


def bins_of(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The bin that each latency belongs to."""
    bins: npt.NDArray[np.int64] = np.floor(np.log(np.maximum(seconds / LEAST, BELOW)) * _SCALE).astype(np.int64)
    return bins


def middle(bins: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Seconds in the middle of each bin."""
    numbers = np.asarray(bins, dtype=float)
    return np.where(numbers < 0, 0.0, LEAST * RATIO ** (numbers + 0.5))


def percentiles(
    seconds: npt.NDArray[np.float64], counts: npt.NDArray[np.integer[Any]], wanted: npt.ArrayLike
) -> list[float]:
    """Percentiles of latencies of which there are so many each, in any order; NaN if there are none.

    Between two ranks they are interpolated, as numpy does.
    """
    if not counts.sum():
        return [float("nan")] * np.size(wanted)
    order = np.argsort(seconds, kind="stable")
    below = np.cumsum(counts[order])
    ranks = np.asarray(wanted, dtype=float) / 100 * (below[-1] - 1)
    low, high = (
        seconds[order][np.searchsorted(below, each, side="right")] for each in (np.floor(ranks), np.ceil(ranks))
    )
    return [float(value) for value in low + (high - low) * (ranks - np.floor(ranks))]


class TransferHistograms:
    """The latencies of C-STOREs, a histogram for each transfer."""

    def __init__(self) -> None:
        self.pairs: dict[tuple[str, str], int] = {}
        """Who sent to whom, numbered."""
        self.studies: dict[str, int] = {}
        self.transfers = array("i")
        """The numbers of each one's pair and study, one after the other."""
        self.bins = bytearray()
        """One :data:`BIN` after the other."""

    def take(self, batch: InstanceBatch) -> None:
        """Add the latencies of a batch, if it is of C-STOREs."""
        if batch.operation != "C-STORE":
            return
        number = len(self.transfers) // 2
        self.transfers.append(self.pairs.setdefault((batch.node, batch.peer), len(self.pairs)))
        self.transfers.append(self.studies.setdefault(batch.study, len(self.studies)))
        for each, count in bin_counts(batch.told).items():
            self.bins += BIN.pack(number, each, count)


def latencies_frame(histograms: TransferHistograms | None = None) -> pd.DataFrame:
    """One row for each bin of each transfer that has any: ``LATENCY_COLUMNS``, ``seconds`` in the bin's middle."""
    told = histograms or TransferHistograms()
    bins = np.frombuffer(bytes(told.bins), np.dtype([("transfer", "i4"), ("bin", "i4"), ("count", "i4")]))
    pairs, studies = np.array(told.transfers, np.int32).reshape(-1, 2)[bins["transfer"]].T
    nodes, peers = zip(*told.pairs, strict=True) if told.pairs else ((), ())
    columns = {
        "node": pd.Categorical(nodes)[pairs],
        "peer": pd.Categorical(peers)[pairs],
        "study": pd.Categorical(tuple(told.studies))[studies],
        "seconds": middle(bins["bin"]),
        "count": bins["count"],
    }
    return pd.DataFrame(columns, columns=list(LATENCY_COLUMNS))


def sample(histograms: pd.DataFrame, size: int = 10_000) -> pd.Series[float]:
    """So many latencies that are distributed like those of all transfers together: their percentiles, evenly spread."""
    steps = (np.arange(size) + 0.5) / size * 100
    return pd.Series(percentiles(histograms["seconds"].to_numpy(), histograms["count"].to_numpy(), steps))


def bin_counts(told: Rows) -> Counter[int]:
    """How many instances took as long, by bin."""
    counts = Counter[int]()
    for seconds, count in latencies(told):
        counts[floor(log(max(seconds / LEAST, BELOW)) * _SCALE)] += count
    return counts


def latencies(told: Rows) -> Iterator[tuple[float, int]]:
    """Seconds that instances took, and how many took as long. What was never sent has no latency."""
    if isinstance(told, StudyRows):
        for train in told.trains:
            yield from _of_train(train)
        return
    for started, finished, status in zip(told.started, told.finished, told.status, strict=True):
        if status != NO_STATUS or finished > started:
            yield finished - started, 1


def _of_train(train: Train) -> Iterator[tuple[float, int]]:
    """As of all its instances, of which most end at equal distances."""
    before = train.began
    for (since, done), (until, then) in pairwise(train.moments):
        first, last = floor(done) + 1, floor(then)
        if last < first:
            continue
        each = (until - since) / (then - done)
        yield since + each * (first - done) - before, 1
        if last > first:
            yield each, last - first
        before = since + each * (last - done)
