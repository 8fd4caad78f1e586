"""Statistics that are kept up while a run goes on, where its records are not: what a summary needs, in little room.

Latencies and times are counted in bins (:mod:`simlab.analysis.latencies`), so that percentiles are right to a
hundredth. Only the studies that are on their way are known one by one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from simlab.analysis.frames import intended_of, record_rows
from simlab.analysis.latencies import bin_counts, bins_of, middle, percentiles
from simlab.analysis.measurements import OPERATION_ORDER, succeeded
from simlab.analysis.mentions import mentions
from simlab.analysis.operations import PERCENTILES, as_table
from simlab.analysis.studies import GOALS, told_times, with_times
from simlab.records import MILESTONES, InstanceBatch, Records

FOLDED = 2000
"""Studies that are folded into the histograms at a time."""


@dataclass(slots=True)
class _Tally:
    """What is known of an operation between two nodes."""

    count: int = 0
    failures: int = 0
    bytes: int = 0
    latencies: Counter[int] = field(default_factory=Counter)
    """By bin."""


class Running:
    """The summary of a run, as far as it has come."""

    def __init__(self) -> None:
        self.records = 0
        """How many there were."""
        self.elapsed = 0.0
        """Run second at which the last operation finished."""
        self._tallies: defaultdict[tuple[str, str, str], _Tally] = defaultdict(_Tally)
        self._under_way: dict[str, dict[str, float]] = {}
        """By study, when it reached each milestone."""
        self._ended: list[dict[str, float]] = []
        self._times: defaultdict[str, Counter[int]] = defaultdict(Counter)
        """Of studies, by bin."""
        self._goals: Counter[tuple[bool, ...]] = Counter()
        """How many studies have reached which of the goals."""
        self._reached = [False] * len(GOALS)
        """Which of the goals any study has reached, failed or not."""
        self._failed = 0

    # ---- what happens

    def take(self, records: Records, batches: Iterable[InstanceBatch], under_way: Collection[str]) -> None:
        """Take account of what has happened since. ``under_way`` are the studies that have not come to their end."""
        self._take_operations(records)
        for batch in batches:
            if batch.operation == "C-STORE":
                self._tallies[batch.node, batch.peer, "C-STORE"].latencies.update(bin_counts(batch.told))
        for milestone, _, study, at in mentions(records, MILESTONES):
            if milestone == "ordered" or study in self._under_way:
                self._under_way.setdefault(study, {}).setdefault(milestone, at)
        # One that has failed may still be saved, by a report that is late.
        ended = [study for study, times in self._under_way.items() if study not in under_way and "failed" not in times]
        self._ended += [self._under_way.pop(study) for study in ended]
        if len(self._ended) >= FOLDED:
            self._fold()

    def end(self) -> None:
        """Take account of the studies that are still under way: nothing more will happen."""
        self._ended += self._under_way.values()
        self._under_way.clear()
        self._fold()

    def _take_operations(self, records: Records) -> None:
        if not len(records):
            return
        rows, kinds = record_rows(records), list(records.tables.kinds)
        self.records += len(rows)
        self.elapsed = max(self.elapsed, float(rows["finished"].max()))
        sums = np.zeros((len(kinds), 3), np.int64)  # records, instances that were to be stored, bytes
        wanted = np.maximum(rows["instances"], np.array([kind[-2] for kind in kinds])[rows["kind"]])
        np.add.at(sums, rows["kind"], np.stack((np.ones(len(rows), np.int64), wanted, rows["bytes"]), axis=1))
        failed = ~succeeded(pd.Series([kind[-1] for kind in kinds])) | np.array([kind[-2] > 0 for kind in kinds])
        for kind, (number, instances, size), bad in zip(kinds, sums.tolist(), failed, strict=True):
            _, node, peer, operation, _, _, failures, _ = kind
            if operation in OPERATION_ORDER and number:
                tally = self._tallies[node, peer, operation]
                tally.bytes += size
                store = operation == "C-STORE"
                failures = failures * number if store else number * bad
                tally.failures += failures
                tally.count += instances if store else number
        measured = np.array([kind[3] in OPERATION_ORDER and kind[3] != "C-STORE" for kind in kinds])
        ours = measured[rows["kind"]]
        latencies = (rows["finished"] - intended_of(records))[ours]
        bins = np.stack((rows["kind"][ours], bins_of(latencies)))
        found, counts = np.unique(bins, axis=1, return_counts=True)
        for (place, latency), count in zip(found.T.tolist(), counts.tolist(), strict=True):
            self._tallies[kinds[place][1:4]].latencies[latency] += count

    def _fold(self) -> None:
        table = with_times(pd.DataFrame(self._ended, columns=list(MILESTONES), dtype=float))
        self._ended = []
        for name, seconds in told_times(table).items():
            self._times[str(name)].update(bins_of(seconds.dropna().to_numpy()).tolist())
        failed = table["failed"].notna()
        self._failed += int(failed.sum())
        self._reached = [was or bool(table[goal].notna().any()) for was, goal in zip(self._reached, GOALS, strict=True)]
        self._goals.update(table.loc[~failed, list(GOALS)].notna().itertuples(index=False, name=None))

    # ---- what it came to

    def operations(self, seconds: float) -> pd.DataFrame:
        """As from :func:`simlab.analysis.operations.operations_table`; nothing is known of throughput."""
        rows: dict[tuple[Hashable, ...], dict[str, float]] = {}
        for key, tally in self._tallies.items():
            values = _percentiles(tally.latencies, PERCENTILES)
            rows[key] = {
                "count": tally.count,
                "failures": tally.failures,
                "bytes": tally.bytes,
                "throughput": np.nan,
                **{f"p{percentile}": value for percentile, value in zip(PERCENTILES, values, strict=True)},
            }
        return as_table(rows, seconds)

    def study_times(self) -> pd.DataFrame:
        """As from :func:`simlab.analysis.studies.study_times`."""
        rows = {}
        for name, bins in self._times.items():
            p50, p95 = _percentiles(bins, (50, 95))
            rows[name] = {"count": bins.total(), "p50": p50, "p95": p95}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["count", "p50", "p95"]).astype({"count": int})

    @property
    def studies(self) -> int:
        """How many there were."""
        return self._failed + self._goals.total()

    @property
    def complete(self) -> int:
        """How many have reached every goal that any study has reached."""
        return sum(
            count
            for reached, count in self._goals.items()
            if any(self._reached) and all(has for has, must in zip(reached, self._reached, strict=True) if must)
        )


def _percentiles(bins: Mapping[int, int], wanted: tuple[int, ...]) -> list[float]:
    return percentiles(middle(list(bins.keys())), np.array(list(bins.values()), np.int64), wanted)
