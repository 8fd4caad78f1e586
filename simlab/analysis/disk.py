"""The local disks of scanners: how full they were, and when one was too full to go on."""

from __future__ import annotations

import numpy as np
import pandas as pd

HALT_COLUMNS = ("node", "halted", "resumed", "comment")
OCCUPANCY_COLUMNS = ("node", "time", "bytes")


def halts(records: pd.DataFrame) -> pd.DataFrame:
    """When scanners stopped for want of room: a row each time, in the order of stopping.

    Columns: ``node``, ``halted``, ``resumed`` (run seconds; NaN if it never went on) and ``comment``, which says why.
    """
    remarks = records[records["operation"].isin(["halt", "resume"])].sort_values("finished", kind="stable")
    # A scanner that has stopped does nothing of the kind before it goes on.
    following = remarks.groupby("node")["finished"].shift(-1)
    table = remarks.rename(columns={"finished": "halted"}).assign(resumed=following.astype(float))
    return table.loc[table["operation"] == "halt", list(HALT_COLUMNS)].reset_index(drop=True)


def halt_sentences(records: pd.DataFrame) -> list[str]:
    """What a reader must know of scanners that stopped: a sentence for each, on the last time and how often before."""
    sentences = []
    for node, table in halts(records).groupby("node", sort=False):
        last = table.iloc[-1]
        end = "it never went on" if np.isnan(last["resumed"]) else f"it went on at {last['resumed']:.1f} s"
        before = (
            f", as {len(table) - 1} times before" if len(table) > 2 else ", as once before" if len(table) > 1 else ""
        )
        sentences.append(f"{node} stopped scanning at {last['halted']:.1f} s{before}: {last['comment']} ({end}).")
    return sentences


def occupancy(records: pd.DataFrame) -> pd.DataFrame:
    """How many bytes scanners had on their local disks: a step for each study acquired or deleted.

    Columns: ``node``, ``time`` (run seconds) and ``bytes`` from then on. Each scanner begins empty, at run second 0.
    """
    made = records[records["operation"] == "make"]
    steps = records[records["operation"].isin(["make", "discard"]) & records["node"].isin(made["node"])]
    change = steps["bytes"].where(steps["operation"] == "make", -steps["bytes"])
    table = pd.DataFrame({"node": steps["node"], "time": steps["finished"], "bytes": change})
    empty = pd.DataFrame({"node": made["node"].unique(), "time": 0.0, "bytes": 0})
    table = pd.concat([empty, table]).astype({"time": float, "bytes": np.int64})
    table = table.sort_values(["node", "time"], kind="stable", ignore_index=True)
    table["bytes"] = table.groupby("node")["bytes"].cumsum()
    return table[list(OCCUPANCY_COLUMNS)]
