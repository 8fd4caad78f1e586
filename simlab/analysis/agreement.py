"""How far the virtual world agrees with the live one: both ran the same arrivals, and are compared figure by figure.

No two live runs are alike, so the virtual world is asked for no more than live runs give each other. The live runs of
one seed, the *repetitions*, are compared among themselves as the virtual run is with them: each one's figure over the
mean of the others (live/live, leave-one-out). Virtual/live agrees if it is within a tolerance of 1, or within the range
of live/live where that is wider (validation by comparison with the real system: A. M. Law, "Simulation Modeling and
Analysis", section 5.5). Counts have no tolerance: they have to be what they were in a live run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf, isnan, nan
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from simlab.analysis.measurements import busy_seconds, store_measurements
from simlab.analysis.run import Run
from simlab.records import DIMSE_OPERATIONS, LOCAL_OPERATIONS

Sample: TypeAlias = npt.NDArray[np.float64]
"""Seconds."""

TOLERANCES: Mapping[str, float] = {"p50": 0.05, "p95": 0.10, "count": 0.0, "retries": 0.0}
"""By which virtual/live may differ from 1, of the figures that are judged."""

STATISTICS = ("count", "retries", "p50", "p95", "mean")
"""Of what takes time. ``retries`` counts the operations on a study beyond its first of that kind."""

MILESTONES = {
    "ordered to started": ("ordered", "started"),
    "acquired to stored": ("acquired", "stored"),
    "stored to safe": ("stored", "safe"),
    "acquired to safe": ("acquired", "safe"),
    "stored to reconstructed": ("stored", "reconstructed"),
    "reconstructed to read": ("reconstructed", "read"),
}
"""Parts of a study's way that are compared."""

INSTANCE = "C-STORE, an instance"
"""What one C-STORE is called; ``C-STORE`` is all of them that send a study, as the sender waits for it."""

AGREEMENT_COLUMNS = (
    "what", "between", "statistic", "live", "virtual", "ratio", "live_low", "live_high", "low", "high", "judged",
    "agrees", "why",
)  # fmt: skip

LATE = 0.050
"""Seconds (99th percentile) by which the generator of a live run may have been late, its environment or its links'
relay: beyond, waiting is its own, and the run is *spoiled*."""


class Subject(NamedTuple):
    """Something that is compared."""

    what: str
    """An operation, or from which milestone to which."""
    between: str = ""
    """Which kinds of node have to do with each other, as in "modality to archive"."""

    def __str__(self) -> str:
        return f"{self.what}, {self.between}" if self.between else self.what


EXTERNAL = "external "
"""What an AE that is not ours asks for leaves records in the virtual world only."""


def spoiled(run: Run) -> str:
    """Why a live run says nothing about the network; empty if it does."""
    late = {"the environment": "lag_p99", "the links' relay": "relay_late_p99"}
    for who, name in late.items():
        if run.generator.get(name, 0.0) > LATE:
            return f"{who} was {run.generator[name] * 1e3:.0f} ms late (99th percentile)"
    return ""


# ---- what is compared


def samples(run: Run) -> dict[Subject, Sample]:
    """Everything that takes time, in the order in which it is told: operations, then parts of a study's way.

    Operations count from when they were intended to start. Those that never had a status are there as well: their time
    is what was waited for them.
    """
    kinds = {name: spec.kind for name, spec in run.topology.nodes.items()}
    found: dict[Subject, Sample] = {}
    for subject, records in _operations(run, kinds):
        found[subject] = (records["finished"] - records["intended"]).to_numpy(dtype=float)
        if subject.what == "C-STORE" and len(run.instances):
            stores = store_measurements(run.instances)
            ours = stores.loc[_between(stores, kinds) == subject.between, "latency"].dropna()
            found[Subject(INSTANCE, subject.between)] = ours.to_numpy(dtype=float)
    for what, (begin, end) in MILESTONES.items():
        taken = (run.studies[end] - run.studies[begin]).dropna().to_numpy(dtype=float)
        if len(taken):
            found[Subject(what)] = taken
    return found


def _operations(run: Run, kinds: Mapping[str, str]) -> Iterator[tuple[Subject, pd.DataFrame]]:
    records = run.records
    between = _between(records, kinds)
    for operation in (*DIMSE_OPERATIONS, *LOCAL_OPERATIONS):
        ours = records["operation"] == operation
        for pair in sorted(between[ours].unique()):
            if pair.startswith(EXTERNAL):
                continue
            yield Subject(operation, pair), records[ours & (between == pair)]


def _between(rows: pd.DataFrame, kinds: Mapping[str, str]) -> pd.Series[str]:
    """Kinds of the nodes that ask and are asked; of local work, the kind of the node."""
    asking, asked = (rows[column].astype(str).map(kinds).fillna("") for column in ("node", "peer"))
    return asking.str.cat(asked, sep=" to ").str.removesuffix(" to ")


def figures(run: Run) -> dict[tuple[Subject, str], float]:
    """Every figure of a run that is compared: ``STATISTICS`` of its samples, what was busy, and the makespan."""
    kinds = {name: spec.kind for name, spec in run.topology.nodes.items()}
    found: dict[tuple[Subject, str], float] = {}
    again = {subject: _retries(subject, records) for subject, records in _operations(run, kinds)}
    for subject, sample in samples(run).items():
        p50, p95 = np.percentile(sample, (50, 95)) if len(sample) else (nan, nan)
        mean = float(sample.mean()) if len(sample) else nan
        told = (float(len(sample)), again.get(subject, nan), float(p50), float(p95), mean)
        found.update({(subject, name): value for name, value in zip(STATISTICS, told, strict=True) if not isnan(value)})
    for link in run.links.to_dict("records"):
        found[Subject("link", f"{link['source']} to {link['target']}"), "busy"] = float(link["utilisation"])
    for node, seconds in _storing(run.records):
        found[Subject("storing at", node), "busy"] = seconds / run.elapsed if run.elapsed else nan
    found[Subject("makespan"), "seconds"] = run.elapsed
    return found


def _retries(subject: Subject, records: pd.DataFrame) -> float:
    """How many operations on a study were not the first of their kind; NaN where that is no retry."""
    if subject.what in LOCAL_OPERATIONS or _is_result(subject):
        return nan
    studies = records.loc[records["study"] != "", "study"].astype(str)
    return float(len(studies) - studies.nunique()) if len(studies) else nan


def _storing(records: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """For each node, the seconds in which at least one transfer to it was under way."""
    stores = records[records["operation"] == "C-STORE"]
    for node in sorted(stores["peer"].astype(str).unique()):
        ours = stores[stores["peer"] == node]
        yield node, busy_seconds(ours["started"], ours["finished"])


# ---- what is judged

_CLINICAL = ("ordered to started", "reconstructed to read")
_JUDGED = ("C-STORE", "C-MOVE", "C-GET")
_COUNTED = ("N-CREATE", "N-SET", "N-ACTION", "N-EVENT-REPORT")


def why_not_judged(subject: Subject, statistic: str) -> str:
    """Why a figure is shown, and not judged; empty if it is judged."""
    if statistic not in TOLERANCES:
        return "follows from the rest"
    if subject.what in ("C-ECHO", "C-FIND"):
        return "a poll"
    if subject.what in LOCAL_OPERATIONS:
        return "a node's own work"
    if subject.what in _CLINICAL:
        return "clinical"
    if statistic in ("count", "retries"):
        return "" if subject.what in (*_JUDGED, *_COUNTED) else "follows from the rest"
    if subject.what in _COUNTED:
        return "a small message"
    if subject.what == INSTANCE:
        return "its study is judged"
    if _is_result(subject):
        return "reformats, and key objects"
    return ""


def _is_result(subject: Subject) -> bool:
    """Whether it is what a reader makes of a study: reformats, many instances, and key objects, one."""
    return subject.what == "C-STORE" and subject.between.startswith("workstation ")


def agreement_table(live: Sequence[Run], virtual: Run) -> pd.DataFrame:
    """One row per figure, the columns of ``AGREEMENT_COLUMNS``.

    ``live`` is the mean over the repetitions, ``ratio`` virtual/live; ``live_low`` and ``live_high`` are the least and
    the largest live/live (NaN with one repetition); ``low`` and ``high`` are what a ratio that is judged has to be
    between; ``agrees`` is None where nothing is ``judged``, and ``why`` says why not. What is missing in one world has
    no ratio, and does not agree. Raises ValueError without a live run.
    """
    if not live:
        raise ValueError("nothing to compare with: expected at least one live run")
    of_live, of_virtual = [figures(run) for run in live], figures(virtual)
    order = dict.fromkeys(key for each in (*of_live, of_virtual) for key in each)
    rows = [_row(key, [each.get(key, nan) for each in of_live], of_virtual.get(key, nan)) for key in order]
    return pd.DataFrame(rows, columns=list(AGREEMENT_COLUMNS))


def _row(key: tuple[Subject, str], live: Sequence[float], virtual: float) -> dict[str, object]:
    subject, statistic = key
    mean = float(np.mean(live))
    among = live_over_live(live)
    least, most = (min(among), max(among)) if among else (nan, nan)
    ratio = over(virtual, mean)
    reason = why_not_judged(subject, statistic)
    low, high = bounds(statistic, among)
    return {
        "what": subject.what,
        "between": subject.between,
        "statistic": statistic,
        "live": mean,
        "virtual": virtual,
        "ratio": ratio,
        "live_low": least,
        "live_high": most,
        "low": nan if reason else low,
        "high": nan if reason else high,
        "judged": not reason,
        "agrees": None if reason else _agrees(statistic, live, virtual, ratio, low, high),
        "why": reason,
    }


def _agrees(statistic: str, live: Sequence[float], virtual: float, ratio: float, low: float, high: float) -> bool:
    if any(map(isnan, (virtual, *live))):
        return False
    if TOLERANCES[statistic] == 0.0:
        return min(live) <= virtual <= max(live)
    return low <= ratio <= high


def over(value: float, reference: float) -> float:
    """``value / reference``; 1 if both are 0, infinite if only the reference is, NaN if either is missing."""
    if isnan(value) or isnan(reference):
        return nan
    if reference:
        return value / reference
    return inf if value else 1.0


def live_over_live(values: Sequence[float]) -> list[float]:
    """Each live run's figure over the mean of the other ones; nothing with a single run, or where one has no figure."""
    total, others = sum(values), len(values) - 1
    ratios = [over(value, (total - value) / others) for value in values] if others else []
    return [] if any(map(isnan, ratios)) else ratios


def bounds(statistic: str, among: Sequence[float]) -> tuple[float, float]:
    """Between which virtual/live has to be: the tolerance, or the range of live/live where that is wider."""
    tolerance = TOLERANCES.get(statistic, inf)
    return min([1 - tolerance, *among]), max([1 + tolerance, *among])
