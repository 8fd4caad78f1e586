"""What became of each study, and how long it took."""

from __future__ import annotations

import numpy as np
import pandas as pd

from simlab.records import MILESTONES

PHASES = {
    "waiting": ("ordered", "started"),
    "acquisition": ("started", "acquired"),
    "transfer": ("acquired", "stored"),
    "commitment": ("stored", "safe"),
    "retrieval": ("stored", "reconstructed"),
    "reading": ("reconstructed", "read"),
}
"""Parts of a study's way, each from one milestone to another. ``waiting`` and ``acquisition`` are clinical: they are
divided by ``compress``, and so is ``reading``. ``transfer`` and ``commitment`` are the network's; ``retrieval`` is the
reader's: waiting until the study is stable, retrieving, reconstructing and storing the results."""

GOALS = ("stored", "safe", "read")
"""Milestones that matter to those who wait for the study, in the order in which they are usually reached."""

DURATIONS = {**{f"to_{goal}": ("ordered", goal) for goal in GOALS}, "time_to_safe": ("acquired", "safe")}
"""Durations of interest, each from one milestone to another."""


def studies_table(records: pd.DataFrame) -> pd.DataFrame:
    """One row per study, indexed by Study Instance UID, in the order of ordering.

    Columns: ``accession``, ``protocol`` (from the comment of ``ordered``: "<accession> <protocol>"), ``node`` (that
    acquired it), the run second at which each milestone was first reached (NaN if it was not), ``failure`` (comment of
    ``failed``), ``outcome``, and in seconds the ``PHASES`` and ``DURATIONS``. ``outcome`` is ``complete``, ``failed``
    or ``unfinished``: complete is a study that reached every goal that any study of this run reached.
    """
    milestones = records[records["operation"].isin(MILESTONES) & (records["study"] != "")]
    first = milestones.drop_duplicates(["study", "operation"])
    table = (
        first.pivot_table(index="study", columns="operation", values="finished", aggfunc="first")
        .reindex(columns=list(MILESTONES))
        .astype(float)
        .rename_axis(columns=None)
    )
    by_milestone = {str(name): rows.set_index("study") for name, rows in first.groupby("operation")}
    labels = _column(by_milestone, "ordered", "comment", table.index).str.partition(" ")
    table.insert(0, "accession", labels[0] if len(table) else "")
    table.insert(1, "protocol", labels[2] if len(table) else "")
    table.insert(2, "node", _column(by_milestone, "started", "node", table.index))
    table["failure"] = _column(by_milestone, "failed", "comment", table.index)
    table["outcome"] = _outcomes(table)
    for name, (begin, end) in {**PHASES, **DURATIONS}.items():
        table[name] = table[end] - table[begin]
    return table.sort_values(["ordered", "accession"], kind="stable")


def _column(
    by_milestone: dict[str, pd.DataFrame], milestone: str, column: str, studies: pd.Index[str]
) -> pd.Series[str]:
    """What one milestone says of each study; empty where it was not reached."""
    if milestone not in by_milestone:
        return pd.Series("", index=studies, dtype=object)
    return by_milestone[milestone][column].reindex(studies, fill_value="")


def _outcomes(table: pd.DataFrame) -> pd.Series[str]:
    goals = [goal for goal in GOALS if table[goal].notna().any()]
    reached = table[goals].notna().all(axis=1) & bool(goals)
    outcomes = np.where(table["failed"].notna(), "failed", np.where(reached, "complete", "unfinished"))
    return pd.Series(outcomes, index=table.index, dtype=object)


def split_clinical(studies: pd.DataFrame) -> pd.DataFrame:
    """Split the times to each goal in two parts that must not be added up across different ``compress`` factors.

    Columns ``to_<goal>_clinical`` (ordered to acquired, and for ``to_read`` the reading as well, in seconds; divided by
    ``compress``) and ``to_<goal>_network`` (the rest; not divided).
    """
    parts = {}
    for goal in GOALS:
        total = studies[f"to_{goal}"]
        clinical = studies["waiting"] + studies["acquisition"]
        if goal == "read":
            clinical += studies["reading"]
        parts[f"to_{goal}_clinical"] = clinical.where(total.notna())
        parts[f"to_{goal}_network"] = total - clinical
    return pd.DataFrame(parts, index=studies.index)


def study_times(studies: pd.DataFrame) -> pd.DataFrame:
    """Count, p50 and p95 in seconds of the ``DURATIONS`` and their two parts, a row each; NaN where none was."""
    times = studies[list(DURATIONS)].join(split_clinical(studies))
    order = [name for duration in DURATIONS for name in times.columns if name.startswith(duration)]
    rows = {
        name: {"count": times[name].count(), "p50": times[name].quantile(0.5), "p95": times[name].quantile(0.95)}
        for name in order
    }
    return pd.DataFrame.from_dict(rows, orient="index").astype({"count": int})
