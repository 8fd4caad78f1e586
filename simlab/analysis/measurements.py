"""The one long table that all statistics are made from: a row per thing that was measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from simlab.records import DIMSE_OPERATIONS, LOCAL_OPERATIONS

NO_STATUS = -1
"""In the records: no response was received."""

OPERATION_ORDER = (*DIMSE_OPERATIONS, *LOCAL_OPERATIONS)
"""How operations are ordered in tables and plots."""

MEASUREMENT_COLUMNS = ("node", "peer", "operation", "study", "started", "finished", "latency", "bytes", "failed")


def succeeded(status: pd.Series[int]) -> pd.Series[bool]:
    """Which statuses are success or warning (PS3.7 annex C.1 and C.3)."""
    return status.isin((0x0000, 0x0001, 0x0107, 0x0116)) | status.between(0xB000, 0xBFFF)


def measurements(records: pd.DataFrame, instances: pd.DataFrame) -> pd.DataFrame:
    """One row per measured unit: per instance for C-STORE, per record for every other operation.

    Columns are ``MEASUREMENT_COLUMNS``: times in run seconds, ``latency`` in seconds, ``failed`` a bool. An operation's
    latency counts from when it was *intended* to start, so that a late start is not hidden.
    """
    ours = records["operation"].isin(OPERATION_ORDER) & (records["operation"] != "C-STORE")
    operations = records.loc[ours, [name for name in MEASUREMENT_COLUMNS if name in records]]
    latency = records.loc[ours, "finished"] - records.loc[ours, "intended"]
    failed = (records.loc[ours, "failures"] > 0) | ~succeeded(records.loc[ours, "status"])
    by_record = operations.assign(latency=latency, failed=failed)[list(MEASUREMENT_COLUMNS)]
    parts = [part for part in (by_record, store_measurements(instances)) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else by_record


def store_measurements(instances: pd.DataFrame) -> pd.DataFrame:
    """One row per C-STORE, with ``MEASUREMENT_COLUMNS``.

    A C-STORE has no intended time of its own within its association: its latency counts from when it was sent. An
    instance that was never sent has no latency (NaN), but it has failed. Bytes count only where they were accepted.
    """
    # The frame also holds the ledger of what was made and committed, which has no times.
    stores = instances[instances["operation"] == "C-STORE"]
    taken = stores["finished"] - stores["started"]
    unsent = (stores["status"] == NO_STATUS) & (taken <= 0)
    accepted = succeeded(stores["status"])
    measured = stores.assign(latency=taken.mask(unsent), failed=~accepted, bytes=stores["bytes"].where(accepted, 0))
    return measured[list(MEASUREMENT_COLUMNS)]


def busy_seconds(started: npt.ArrayLike, finished: npt.ArrayLike) -> float:
    """Seconds during which at least one of the given intervals was under way (the length of their union)."""
    starts = np.asarray(started, dtype=float)
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.asarray(finished, dtype=float)[order]
    if not len(starts):
        return 0.0
    covered_until = np.maximum.accumulate(ends)
    # Each interval adds what reaches beyond all that started before it.
    uncovered_from = np.maximum(starts[1:], covered_until[:-1])
    return float(ends[0] - starts[0] + np.maximum(ends[1:] - uncovered_from, 0.0).sum())
