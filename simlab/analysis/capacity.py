"""Capacity: the largest growth of the demand with which a department still meets what is asked, and what gives first.

A growth is a factor on today's demand. It is judged by several runs under common random numbers, requirement by
requirement:

- What ``expect`` says, that everything ordered comes to its end, and that no promise is broken, has to hold in every
  run, as for ``simlab plan``. How sure that makes us is told by Wilson's interval for the share of runs that pass
  (E. B. Wilson, J. Am. Stat. Assoc. 22:209, 1927): 20 of 20 mean 84 % at least.
- A service level is a share of studies in time. The 95 % t-interval of its mean over the runs has to lie above the
  share that is wanted; where it lies below, the level fails, and otherwise the runs are too few to tell, which is not
  enough.

Not all runs are made where fewer are clear. Whoever looks several times and stops when he likes what he sees is wrong
more often than his interval says; so at an early look the mean has to be two half-widths away (as J. L. Haybittle, Br.
J. Radiol. 44:793, 1971: hard to please early, nominal at the end). One run that misses an expectation is clear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import isfinite, sqrt
from typing import Any

import numpy as np
import pandas as pd

from simlab.analysis.comparison import Interval, t_interval
from simlab.analysis.hours import WIRE, directions
from simlab.analysis.ramps import ramps
from simlab.analysis.run import Run
from simlab.analysis.service_level import ServiceLevel
from simlab.analysis.stationarity import Window

TODAY = 1.0
"""The growth of no growth."""

STEP = 1.5
"""From one growth to the next while nothing has failed yet, or nothing passed: twice as much may be a very long run."""

FINISHED = "everything ordered comes to its end"
KEPT = "no promise is broken"

STAGES = {
    "waiting": "waiting for the scanner",
    "transfer": "transfer to the archive",
    "commitment": "storage commitment",
    "until_read": "from stored to read",
}
"""Parts of a study's way that grow where somebody has too much to do."""

_HOUR = 3600.0
_Z_975 = 1.959964


class State(Enum):
    """What some runs say of a requirement."""

    MEETS = "meets"
    FAILS = "fails"
    UNCLEAR = "too close to call"


@dataclass(frozen=True, slots=True)
class Required:
    """A service level, and the share of studies that is to keep to it."""

    level: ServiceLevel
    share: float

    def __str__(self) -> str:
        """Say it as it is read."""
        return f"{self.level} at least {100 * self.share:g} %"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the runs at a growth say of one requirement."""

    requirement: str
    runs: int
    share: Interval
    """Of the studies for a service level, of the runs for anything else."""
    wanted: float
    state: State


# ---- one run


def gauge(run: Run, warm_up: float, levels: Sequence[ServiceLevel]) -> dict[str, Any]:
    """What one run says, in plain values by name.

    ``counted`` studies, and those of them that ``failed``; ``levels`` are shares of them in time; ``met``, whether each
    thing that was expected was met; ``loads``, as from :func:`loads`; ``stages``, mean seconds of each of ``STAGES``.
    ``warm_up`` is in run seconds; what concerns studies counts those ordered after it.
    """
    window = Window(warm_up, run.topology.duration)
    counted = window.counted(run.studies)
    stages = counted[["waiting", "transfer", "commitment"]].assign(until_read=counted["read"] - counted["stored"])
    met = {FINISHED: run.complete, KEPT: not run.counts.promises_broken}
    met |= {verdict.expectation: verdict.passed for verdict in run.verdicts}
    return {
        "counted": len(counted),
        "failed": int((counted["outcome"] == "failed").sum()),
        "levels": {str(level): level.share(counted) for level in levels},
        "met": met,
        "loads": loads(run, window),
        "stages": {name: float(seconds) for name, seconds in stages.mean().items()},
    }


def loads(run: Run, window: Window) -> dict[str, float]:
    """How busy each scanner, line and group of readers was in its busiest hour of the window, as a share of one.

    An hour is one of the department's, which ``compress`` makes shorter. For a line it is the IP bytes of C-STOREs,
    each spread evenly over its transfer, against the bandwidth. How busy servers of nodes were, records do not tell.
    """
    return {**_scanners(run, window), **_lines(run, window), **_readers(run, window)}


def _scanners(run: Run, window: Window) -> dict[str, float]:
    acquiring = run.studies[run.studies["started"].notna()]
    return {
        f"scanner {node}": _busiest(run, window, ours["started"], ours["acquired"], 1.0)
        for node, ours in acquiring.groupby("node")
    }


def _lines(run: Run, window: Window) -> dict[str, float]:
    sites = {name: spec.site for name, spec in run.topology.nodes.items()}
    stores = run.records[run.records["operation"] == "C-STORE"]
    told = {}
    for source, target, bandwidth in directions(run.topology):
        ours = stores[(stores["node"].map(sites) == source) & (stores["peer"].map(sites) == target)]
        lasted = (ours["finished"] - ours["started"]).clip(lower=1e-6)
        rates = ours["wire_bytes"] / lasted * WIRE / bandwidth
        told[f"line {source}>{target}"] = _busiest(run, window, ours["started"], ours["started"] + lasted, rates)
    return told


def _readers(run: Run, window: Window) -> dict[str, float]:
    """Somebody reads from the retrieval of a study to the milestone ``read``, or until that has failed."""
    told = {}
    moves = run.records[run.records["operation"] == "C-MOVE"]
    for name, spec in run.topology.nodes.items():
        if spec.kind == "workstation":
            begun = moves[moves["node"] == name].groupby("study")["started"].min()
            studies = run.studies.reindex(begun.index)
            over = studies["read"].fillna(studies["failed"])
            told[f"readers {name}"] = _busiest(run, window, begun, over, 1.0 / getattr(spec, "people", 1))
    return told


def _busiest(
    run: Run, window: Window, starts: pd.Series[float], ends: pd.Series[float], rates: pd.Series[float] | float
) -> float:
    """The most that intervals, each at its rate, fill of an hour; what has not ended (NaN) lasts as long as we look."""
    hour = min(_HOUR / run.topology.compress, window.seconds)
    edges = window.start + hour * np.arange(int(window.seconds / hour * (1 + 1e-9)) + 1)
    begun = starts.to_numpy(dtype=float)
    ended = np.maximum(ends.fillna(window.end).to_numpy(dtype=float), begun)
    each = np.broadcast_to(np.asarray(rates, dtype=float), begun.shape)
    filled = np.diff(ramps(begun, each, edges) - ramps(ended, each, edges))
    return round(min(float(filled.max()) / hour, 1.0), 6)


# ---- the runs at one growth


def judge_growth(rows: Sequence[Mapping[str, Any]], required: Sequence[Required], runs: int) -> list[Judgement]:
    """Judge some of so many runs (what :func:`gauge` told of each), one judgement for each requirement."""
    last = len(rows) >= runs
    judged = []
    for one in required:
        shares = [row["levels"][str(one.level)] for row in rows]
        judged.append(judge_shares(str(one), [share for share in shares if isfinite(share)], one.share, last=last))
    names = dict.fromkeys(name for row in rows for name in row["met"])
    return judged + [judge_passes(name, [row["met"].get(name, False) for row in rows], last=last) for name in names]


def judge_shares(name: str, shares: Sequence[float], wanted: float, *, last: bool) -> Judgement:
    """Judge the shares of studies in time, one for each run; ``last`` if there will be no more of them."""
    found = t_interval(shares)
    far = 0.0 if last else 1.0
    state = State.UNCLEAR
    if found.low - far * (found.mean - found.low) >= wanted:
        state = State.MEETS
    elif found.high + far * (found.high - found.mean) < wanted:
        state = State.FAILS
    return Judgement(name, len(shares), Interval(found.mean, max(found.low, 0.0), min(found.high, 1.0)), wanted, state)


def judge_passes(name: str, passed: Sequence[bool], *, last: bool) -> Judgement:
    """Judge what has to hold in every run."""
    state = State.FAILS if not all(passed) else State.MEETS if last else State.UNCLEAR
    return Judgement(name, len(passed), wilson(sum(passed), len(passed)), 1.0, state)


def together(judged: Sequence[Judgement]) -> State:
    """What a growth does: it fails if anything does, and meets what is asked if everything does."""
    states = {one.state for one in judged}
    if State.FAILS in states:
        return State.FAILS
    return State.MEETS if states == {State.MEETS} else State.UNCLEAR


def wilson(successes: int, trials: int) -> Interval:
    """A share and its 95 % score interval (Wilson 1927), which is not empty even if all succeed."""
    if not trials:
        return Interval(float("nan"), 0.0, 1.0)
    share, z2 = successes / trials, _Z_975**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z_975 / (1 + z2 / trials) * sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    # Where all or none succeed a bound is the share itself, but for rounding.
    return Interval(share, max(min(middle - half, share), 0.0), min(max(middle + half, share), 1.0))


def looks(runs: int, first: int = 5) -> list[int]:
    """After how many of so many runs one looks whether it is clear: 5, 10, 20 and so on, and after the last."""
    found = []
    while first < runs:
        found.append(first)
        first *= 2
    return [*found, runs]


# ---- the search


@dataclass(frozen=True, slots=True)
class Bracket:
    """Where the capacity lies."""

    meets: float | None
    """The largest growth that was shown to meet everything; None if none did."""
    fails: float | None
    """The smallest that was not; None if all did."""


def search(meets: Callable[[float], bool], *, precision: float, least: float, most: float) -> Bracket:
    """Bracket the growth up to which something is met, by steps from today on and then by bisection.

    Growths are multiples of ``precision`` (but for ``least`` and ``most``, which end the search), so that the same ones
    are asked for whatever came before. ``meets`` is supposed to be met up to some growth, and not beyond it.
    """

    def rounded(growth: float) -> float:
        return min(max(round(round(growth / precision) * precision, 9), least), most)

    low: float | None = None
    high: float | None = None
    growth = min(max(TODAY, least), most)
    while low is None or high is None:
        if meets(growth):
            low = growth
        else:
            high = growth
        if (high is None and growth == most) or (low is None and growth == least):
            return Bracket(low, high)
        growth = rounded(
            max(growth * STEP, growth + precision) if high is None else min(growth / STEP, growth - precision)
        )
    while True:
        growth = rounded((low + high) / 2)
        if not low < growth < high:
            return Bracket(low, high)
        if meets(growth):
            low = growth
        else:
            high = growth


# ---- all growths


def capacity_table(judged: Mapping[float, Sequence[Judgement]]) -> pd.DataFrame:
    """One row per growth and requirement, by growth.

    Columns: ``growth``, ``requirement``, ``runs``, ``share``, ``low``, ``high``, ``wanted`` and ``state`` (a word).
    """
    columns = ["growth", "requirement", "runs", "share", "low", "high", "wanted", "state"]
    rows = [
        (growth, one.requirement, one.runs, one.share.mean, one.share.low, one.share.high, one.wanted, one.state.value)
        for growth in sorted(judged)
        for one in judged[growth]
    ]
    return pd.DataFrame(rows, columns=columns)


def telling(table: pd.DataFrame) -> list[str]:
    """The requirements of which a run, or a study, missed something at any growth, or may have; all if none did."""
    names = list(dict.fromkeys(table["requirement"]))
    missed = set(table.loc[(table["share"] < 1) | (table["state"] != State.MEETS.value), "requirement"])
    return [name for name in names if name in missed] or names


def first_to_give(judged: Mapping[float, Sequence[Judgement]], bracket: Bracket) -> list[str]:
    """The requirements that are not met at the smallest growth that does not do: those that fail, else the unclear."""
    if bracket.fails is None:
        return []
    there = judged[bracket.fails]
    for state in (State.FAILS, State.UNCLEAR):
        if names := [one.requirement for one in there if one.state is state]:
            return names
    return []


def mean_of(rows: Mapping[tuple[float, int], Mapping[str, Any]], what: str) -> pd.DataFrame:
    """The means over the runs of what :func:`gauge` told, ``loads`` or ``stages``: a row per growth."""
    # In an order that does not depend on which run was over first, for sums of floats do.
    frame = pd.DataFrame([{"growth": growth, **rows[growth, seed][what]} for growth, seed in sorted(rows)])
    return frame.groupby("growth", as_index=False).mean() if len(frame) else frame
