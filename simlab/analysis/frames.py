"""Records as pandas frames: what all statistics are computed from, and what is kept on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd

from simlab.records import InstanceBatch, InstanceRows, Record

RECORD_COLUMNS = tuple(f.name for f in fields(Record))
INSTANCE_COLUMNS = ("world", "node", "peer", "study", "operation", *(f.name for f in fields(InstanceRows)))


def records_frame(records: Iterable[Record]) -> pd.DataFrame:
    """A DataFrame with one row per record, the columns of :class:`Record`, sorted by ``finished``."""
    frame = pd.DataFrame([asdict(r) for r in records], columns=list(RECORD_COLUMNS))
    return frame.sort_values("finished", kind="stable", ignore_index=True)


def instances_frame(batches: Sequence[InstanceBatch]) -> pd.DataFrame:
    """A DataFrame with one row per C-STORE, the columns of ``INSTANCE_COLUMNS``, sorted by ``finished``."""
    columns: dict[str, list[object]] = {name: [] for name in INSTANCE_COLUMNS}
    for batch in batches:
        for name in ("world", "node", "peer", "study", "operation"):
            columns[name].extend([getattr(batch, name)] * len(batch.rows))
        for column in fields(InstanceRows):
            columns[column.name].extend(getattr(batch.rows, column.name))
    return pd.DataFrame(columns).sort_values("finished", kind="stable", ignore_index=True)


LINK_COLUMNS = (
    "link", "source", "target", "connections", "payload", "wire", "busy", "utilisation", "dropped", "cuts",
    "outages", "resets",
)  # fmt: skip
"""Of what passed a link from one site to the other: bytes, IP bytes, seconds of line time and their share of the run,
segments that were lost, times that a sender reduced its window; and, of the link, connections that outages ended."""


def links_frame(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """A DataFrame with one row for each direction of each link, the columns of ``LINK_COLUMNS``."""
    return pd.DataFrame([dict(row) for row in rows], columns=list(LINK_COLUMNS))


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as Parquet, columns and dtypes kept."""
    frame.to_parquet(path, index=False)
