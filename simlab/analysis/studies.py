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
    of_studies = records["operation"].isin(MILESTONES) & (records["study"] != "")
    milestones = records.loc[of_studies, ["study", "operation", "node", "finished", "comment"]]
    first = milestones.drop_duplicates(["study", "operation"])
    studies = first["study"].astype("category").cat.remove_unused_categories().cat
    row = studies.codes.to_numpy()
    column = first["operation"].astype("category").cat.set_categories(MILESTONES).cat.codes.to_numpy()
    times = np.full((len(studies.categories), len(MILESTONES)), np.nan)
    times[row, column] = first["finished"]
    index = pd.Index(studies.categories, dtype="str", name="study")
    table = pd.DataFrame(times, index=index, columns=list(MILESTONES))

    def told(milestone: str, what: str) -> pd.Series[str]:
        """What one milestone says of each study; empty where it was not reached."""
        reached = column == MILESTONES.index(milestone)
        values = np.full(len(index), "", dtype=object)
        values[row[reached]] = first.loc[reached, what]
        return pd.Series(values, index=index, dtype="str")

    labels = told("ordered", "comment").str.partition(" ")
    table.insert(0, "accession", labels[0] if len(table) else "")
    table.insert(1, "protocol", labels[2] if len(table) else "")
    table.insert(2, "node", told("started", "node"))
    table["failure"] = told("failed", "comment")
    table["outcome"] = _outcomes(table)
    return with_times(table).sort_values(["ordered", "accession"], kind="stable")


def with_times(table: pd.DataFrame) -> pd.DataFrame:
    """The same table, with the ``PHASES`` and ``DURATIONS`` between its milestones."""
    spans = {**PHASES, **DURATIONS}.items()
    return table.assign(**{name: table[end] - table[begin] for name, (begin, end) in spans})


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


def told_times(studies: pd.DataFrame) -> pd.DataFrame:
    """Of each study in seconds, the ``DURATIONS``, each followed by its two parts."""
    times = studies[list(DURATIONS)].join(split_clinical(studies))
    return times[[name for duration in DURATIONS for name in times.columns if name.startswith(duration)]]


def study_times(studies: pd.DataFrame) -> pd.DataFrame:
    """Count, p50 and p95 in seconds of the ``DURATIONS`` and their two parts, a row each; NaN where none was."""
    times = told_times(studies)
    rows = {
        name: {"count": times[name].count(), "p50": times[name].quantile(0.5), "p95": times[name].quantile(0.95)}
        for name in times.columns
    }
    return pd.DataFrame.from_dict(rows, orient="index").astype({"count": int})
