"""What archives hold: over the run, and afterwards, until they are full.

Bytes count as they were sent, once their C-STORE is over; nothing does that comes again. Beyond the
run the last weeks go on, and grow as the topology's orders do (the mean of their ``growth``, by how many are expected
of each). With ``tiers``, what gets older than ``after`` moves on to the next one. An archive that is full refuses
nothing: it is only told when that will be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import expm1, inf, isfinite, log1p, nan
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from simlab.analysis.hours import stores
from simlab.analysis.run import Run
from simlab.topology.model import Topology

Numbers: TypeAlias = npt.NDArray[np.float64]

DAY = 86_400.0
YEAR = 365.0
HORIZON = 50 * YEAR
"""Days that are looked ahead."""
HOURLY = 14.0
"""Days of a run up to which it is looked at by the hour: scanners rest at night."""
RECENT = 28.0
"""Days at the end of a run, in whole weeks if there are any, whose volume goes on."""


@dataclass(frozen=True)
class Stock:
    """What one archive, or one tier of it, holds."""

    archive: str
    tier: str
    """Empty where there are none."""
    capacity: float | None
    """Bytes."""
    days: Numbers
    """Since the epoch: the run, and what is foretold."""
    held: Numbers
    """Bytes at these days."""
    until: float
    """The day on which the run ended: what is later is foretold."""
    full: float
    """The day on which it holds more than it can; NaN if that is beyond the horizon, or never."""

    @property
    def name(self) -> str:
        """As in "archive" or "archive online"."""
        return f"{self.archive} {self.tier}".rstrip()

    @property
    def foretold(self) -> bool:
        """Whether that day is after the run."""
        return isfinite(self.full) and self.full > self.until


def limits(topology: Topology) -> Iterator[tuple[str, str, float | None]]:
    """Each archive and its tiers: name, tier (empty without any) and capacity."""
    for name, spec in topology.nodes.items():
        if spec.kind == "archive":
            tiers = getattr(spec, "tiers", ())
            for tier in tiers:
                yield name, tier.name, tier.capacity
            if not tiers:
                yield name, "", getattr(spec, "capacity", None)


def kept(run: Run) -> pd.DataFrame:
    """The C-STOREs that sent anything, as from :func:`simlab.analysis.hours.stores`, with one column more: ``kept``.

    That is how many bytes the peer has now that it had not before. It keeps one copy of an instance, so of those that a
    node has made of a study no more count than it has made, whichever they are.
    """
    records, moved = run.records, stores(run).sort_values("finished", kind="stable")
    of_study = ["node", "study"]
    made = records[records["operation"].isin(("make", "derive"))].groupby(of_study, observed=True)["instances"].sum()
    most = moved[of_study].merge(made.rename("made").reset_index(), on=of_study, how="left")["made"].fillna(inf)
    taken = moved["instances"] - moved["failures"]
    in_all = taken.groupby([moved[name] for name in (*of_study, "peer")], observed=True).cumsum()
    new = np.minimum(in_all, most.to_numpy()) - np.minimum(in_all - taken, most.to_numpy())
    return moved.assign(kept=moved["bytes"] * new / taken.clip(lower=1))


def stocks(run: Run) -> list[Stock]:
    """What each archive holds, day by day, from the epoch to the horizon."""
    moved, topology = kept(run), run.topology
    until = topology.duration * topology.compress / DAY
    hours = np.arange(0.0, (until if until <= HOURLY else 0.0) * 24) / 24
    days = np.union1d(np.arange(0.0, max(HORIZON, until) + 1), [*hours, until])
    found = []
    for archive, tier, capacity in limits(topology):
        ours = moved[moved["peer"] == archive]
        taken = _taken(
            ours["finished"].to_numpy(dtype=float) * topology.compress / DAY,
            ours["kept"].to_numpy(dtype=float),
            until,
            growth(topology),
        )
        spec: Any = topology.nodes[archive]
        held = _held(taken, days, getattr(spec, "tiers", ()), tier, float(getattr(spec, "holds", 0)))
        over = held > (inf if capacity is None else capacity)
        full = float(days[np.argmax(over)]) if over.any() else nan
        found.append(Stock(archive, tier, capacity, days, held, until, full))
    return found


def recent(until: float) -> float:
    """The last days of a run of so many, in whole weeks if there are any: what is foretold goes on as they were."""
    return min(RECENT, until // 7 * 7 or until)


def growth(topology: Topology) -> float:
    """The yearly growth of all that is ordered: the mean of all sources, by how many patients are expected of each."""
    sources = [source for spec in topology.nodes.values() for source in getattr(spec, "sources", {}).values()]
    expected = sum(source.per_day for source in sources)
    return sum(source.per_day * source.growth for source in sources) / expected if expected else 0.0


def _taken(finished: Numbers, sizes: Numbers, until: float, share: float) -> Callable[[Numbers], Numbers]:
    """The bytes taken in by any day, as a function: as in the run, and then as in its last weeks, with growth."""
    order, lately = np.argsort(finished, kind="stable"), recent(until)
    times, total = finished[order], np.concatenate(([0.0], np.cumsum(sizes[order])))

    def observed(days: Numbers) -> Numbers:
        counted: Numbers = total[np.searchsorted(times, days, side="right")]
        return counted

    last, before = observed(np.array([until, until - lately]))
    pace = log1p(share) / YEAR
    # The volume of an interval, by what a unit of today's rate would have brought in it.
    rate = (last - before) / (-expm1(-pace * lately) / pace if pace else lately)

    def taken(days: Numbers) -> Numbers:
        ahead = np.clip(days - until, 0.0, None)
        more = np.expm1(pace * ahead) / pace if pace else ahead
        return np.asarray(observed(np.minimum(days, until)) + rate * more, np.float64)

    return taken


def _held(taken: Callable[[Numbers], Numbers], days: Numbers, tiers: Any, tier: str, holds: float) -> Numbers:
    """What is held where: what has come, less what has moved on. What was there at first is in the last tier."""
    came = 0.0
    for each in tiers:
        if each.name == tier:
            there = taken(days - came)
            return there + holds if each.after is None else there - taken(days - each.after / DAY)
        came = each.after / DAY
    return taken(days) + holds
