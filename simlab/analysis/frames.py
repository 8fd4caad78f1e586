"""Records as pandas frames: what all statistics are computed from, and what is kept on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from simlab.records import KIND_FIELDS, ROW_FIELDS, SELDOM_FIELDS, InstanceBatch, InstanceRows, Record, Records

RECORD_COLUMNS = tuple(f.name for f in fields(Record))
INSTANCE_COLUMNS = ("world", "node", "peer", "study", "operation", *(f.name for f in fields(InstanceRows)))


_ROW = np.dtype(list(zip(ROW_FIELDS, ("i4", "i4", "i4", "i4", "i8", "f8", "f8"), strict=True)))
"""A record as :data:`simlab.records.ROW` has it."""


def records_frame(records: Iterable[Record]) -> pd.DataFrame:
    """A DataFrame with one row per record, the columns of :class:`Record`, sorted by ``finished``.

    Columns of words are categorical, in alphabetical order: a year has millions of rows.
    """
    kept = Records.of(records)
    rows = record_rows(kept)
    order = np.argsort(rows["finished"], kind="stable")
    kinds, tables = rows["kind"][order], kept.tables
    columns: dict[str, Any] = {}
    for place, name in enumerate(KIND_FIELDS):
        values: list[Any] = [kind[place] for kind in tables.kinds]
        numbers = name in ("failures", "status")
        columns[name] = np.array(values, np.int32)[kinds] if numbers else _words(values, kinds)
    for name, words in (("comment", tables.comments), ("study", tables.studies)):
        columns[name] = _words(list(words), rows[name][order])
    columns |= {name: rows[name][order] for name in ("started", "finished", "instances", "bytes")}
    columns |= zip(SELDOM_FIELDS, _seldom(kept, columns["started"], columns["bytes"], order), strict=True)
    return pd.DataFrame({name: columns[name] for name in RECORD_COLUMNS}, copy=False)


def record_rows(records: Records) -> npt.NDArray[np.void]:
    """Records as they are kept, ``ROW_FIELDS`` in each. Nothing can be added to them while the array is in use."""
    return np.frombuffer(records.rows, _ROW)


def intended_of(records: Records) -> npt.NDArray[np.float64]:
    """When each of the operations should have started, in run seconds."""
    intended = record_rows(records)["started"].copy()
    if records.seldom:
        intended[list(records.seldom)] = [values[0] for values in records.seldom.values()]
    return intended


def end_of(records: Records) -> float:
    """The run second at which the last operation finished; 0 if there was none."""
    return float(record_rows(records)["finished"].max(initial=0.0))


def _words(values: Sequence[str], places: npt.NDArray[np.int32]) -> pd.Categorical:
    """A column with ``values[place]`` for each of the places."""
    used = np.flatnonzero(np.bincount(places, minlength=len(values))).tolist()
    categories = sorted({values[place] for place in used})
    code = {word: number for number, word in enumerate(categories)}
    codes = np.array([code.get(value, -1) for value in values], np.min_scalar_type(-max(len(categories), 1)))
    return pd.Categorical.from_codes(codes[places], pd.Index(categories, dtype="str"), validate=False)


def _seldom(
    records: Records,
    started: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.int64],
    order: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """``SELDOM_FIELDS`` of all records."""
    intended, wire, transcoded, seconds = started, sizes, np.zeros(len(order), np.int32), np.zeros(len(order))
    if records.seldom:
        position = np.empty_like(order)
        position[order] = np.arange(len(order))
        places, intended, wire = position[list(records.seldom)], started.copy(), sizes.copy()
        columns = zip(*records.seldom.values(), strict=True)
        intended[places], wire[places], transcoded[places], seconds[places] = columns
    return intended, wire, transcoded, seconds


def instances_frame(batches: Sequence[InstanceBatch]) -> pd.DataFrame:
    """A DataFrame with one row per C-STORE, the columns of ``INSTANCE_COLUMNS``, sorted by ``finished``."""
    columns: dict[str, list[object]] = {name: [] for name in INSTANCE_COLUMNS}
    for batch in batches:
        rows = batch.rows
        for name in ("world", "node", "peer", "study", "operation"):
            columns[name].extend([getattr(batch, name)] * len(rows))
        for column in fields(InstanceRows):
            columns[column.name].extend(getattr(rows, column.name))
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


ROWS_AT_ONCE = 1 << 18
"""Rows that are made ready to be written at a time: all of a year's would take as much memory again as they have."""


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as Parquet, columns and dtypes kept."""
    schema = pa.Schema.from_pandas(frame, preserve_index=False)
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, max(1, len(frame)), ROWS_AT_ONCE):
            rows = frame.iloc[first : first + ROWS_AT_ONCE]
            writer.write_table(pa.Table.from_pandas(rows, schema, preserve_index=False))
