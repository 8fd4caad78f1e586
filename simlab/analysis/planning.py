"""What a planner wants to know of one run, as plain numbers: times, service levels, utilisation, volume, losses.

Everything is computed from the run alone. Times are run seconds. What concerns studies counts those that were ordered
after the warm-up; what must never happen (losses, alarms) counts over the whole run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd

from simlab.analysis.hours import (
    SCANNERS,
    SHORTEST,
    TO_READ,
    WAITING,
    Amounts,
    Hours,
    directions,
    scanners,
    series,
    stores,
)
from simlab.analysis.profile import Profile
from simlab.analysis.run import Run
from simlab.analysis.service_level import ServiceLevel
from simlab.analysis.stationarity import Window
from simlab.analysis.storage import kept, limits, stocks
from simlab.topology.model import Topology

PERCENTILES = (50, 95, 99)

TIMES = {
    "waiting": "from order to scanner",
    "transfer": "from acquired to stored",
    "time_to_safe": "from acquired to safe",
    "to_stored": "from order to stored",
    "to_safe": "from order to safe",
    "to_read": "from order to read",
}
"""Columns of :func:`simlab.analysis.studies.studies_table`, and how they are called before people."""

QUEUES = {WAITING: "patients waiting for a scanner", TO_READ: "studies waiting to be read"}
"""Series of :func:`simlab.analysis.hours.series`, and how they are called before people."""

PROFILE = "profile"
"""The column of the text of :class:`simlab.analysis.profile.Profile`."""

DAY = 86_400.0

PLACES = 6
"""Decimal places that are kept. At the end of a year a float resolves 4 ns: what is finer than a microsecond is noise,
and would make a difference of what does not differ."""


class Unit(Enum):
    """What a measure is measured in."""

    SECONDS = "s"
    SHARE = "of one"
    BYTES_PER_DAY = "B per day"
    BYTES_PER_SECOND = "B per s"
    BYTES = "B"
    COUNT = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number that is taken of every run."""

    name: str
    """The column of the table."""
    about: str
    """As it is called before people."""
    unit: Unit
    better: int = 0
    """-1 if less is better, 1 if more is, 0 if neither."""


def measures(topology: Topology, levels: Sequence[ServiceLevel] = ()) -> tuple[Measure, ...]:
    """What is taken of every run of a topology: the service levels first, for they are what was asked for."""
    return tuple(_measures(topology, levels))


def _measures(topology: Topology, levels: Sequence[ServiceLevel]) -> Iterator[Measure]:
    for level in levels:
        yield Measure(f"sla {level}", f"studies with {level}", Unit.SHARE, 1)
    for name, about in TIMES.items():
        yield Measure(f"{name}_mean", f"{about}, on average", Unit.SECONDS, -1)
        for percentile in PERCENTILES:
            yield Measure(f"{name}_p{percentile}", f"{about}, {percentile} % within", Unit.SECONDS, -1)
    yield Measure("utilisation", "scanners acquiring, on average", Unit.SHARE)
    for scanner in scanners(topology):
        yield Measure(f"utilisation {scanner}", f"{scanner} acquiring", Unit.SHARE)
    for queue, about in QUEUES.items():
        yield Measure(f"{queue}_number", f"{about}, on average", Unit.COUNT, -1)
        yield Measure(f"{queue}_number_peak", f"{about}, in the worst hour of the week", Unit.COUNT, -1)
    for link in topology.links:
        for source, target in (link.between, link.between[::-1]):
            line = f"line from {source} to {target}"
            yield Measure(f"busy {source}>{target}", f"{line} busy", Unit.SHARE)
            yield Measure(f"busy_hour {source}>{target}", f"{line} busy in its busiest hour", Unit.SHARE)
            yield Measure(f"busy_hour_rate {source}>{target}", f"{line}, its busiest hour", Unit.BYTES_PER_SECOND)
    yield Measure("stored_per_day", "stored in a day", Unit.BYTES_PER_DAY)
    for archive in dict.fromkeys(archive for archive, _, _ in limits(topology)):
        yield Measure(f"busy_hour {archive}", f"stored at {archive} in its busiest hour", Unit.BYTES)
    for archive, tier, _ in limits(topology):
        name = f"{archive} {tier}".rstrip()
        yield Measure(f"full {name}", f"until {name} is full", Unit.SECONDS, 1)
    yield Measure("studies", "studies that count", Unit.COUNT)
    yield Measure("unfinished", "of those, not at their end when the run was", Unit.COUNT, -1)
    yield Measure("failed", "of those, failed", Unit.COUNT, -1)
    yield Measure("lost", "instances lost", Unit.COUNT, -1)
    yield Measure("alarms", "alarms", Unit.COUNT, -1)
    yield Measure("passed", "runs that met every expectation", Unit.SHARE, 1)
    for half in ("first", "second"):
        yield Measure(f"waiting_{half}_half", f"from order to scanner, on average in the {half} half", Unit.SECONDS)


def measure(run: Run, warm_up: float, levels: Sequence[ServiceLevel] = ()) -> dict[str, Any]:
    """All measures of one run, by name, NaN where nothing was measured; its ``verdict``, and its ``profile`` as text.

    ``warm_up`` is in run seconds. ``lost`` is the larger of the instances that archives dropped and those that nobody
    has any more, as for ``expect``. A day is one of the department's, which ``compress`` makes shorter. How busy links
    were is told of the whole run, and only where the run says anything of links.
    """
    window = Window(warm_up, run.topology.duration)
    counted = window.counted(run.studies)
    found: dict[str, Any] = {f"sla {level}": level.share(counted) for level in levels}
    for name in TIMES:
        found |= _times(name, counted[name].dropna())
    hours = Hours(run.topology, window)
    by_hour, stored = series(run, hours), stocks(run)
    found |= _clock(run, hours, by_hour)
    found |= _links(run)
    found |= {f"full {stock.name}": stock.full * DAY for stock in stored}
    found |= {
        "stored_per_day": _stored(run, window) / (window.seconds * run.topology.compress) * DAY,
        "studies": len(counted),
        "unfinished": int((counted["outcome"] == "unfinished").sum()),
        "failed": int((counted["outcome"] == "failed").sum()),
        "lost": max(run.counts.dropped, run.counts.lost),
        "alarms": int((run.records["operation"] == "alarm").sum()),
        "passed": float(run.verdict == "passed"),
    }
    for name, half in zip(("first", "second"), window.halves(run.studies), strict=True):
        found[f"waiting_{name}_half"] = half["waiting"].mean()
    names = [each.name for each in measures(run.topology, levels)]
    numbers = {name: round(float(found[name]), PLACES) for name in names}
    return numbers | {"verdict": run.verdict, PROFILE: Profile.of(hours, by_hour, stored).text}


def _times(name: str, seconds: pd.Series[float]) -> dict[str, float]:
    values = np.percentile(seconds, PERCENTILES) if len(seconds) else np.full(len(PERCENTILES), np.nan)
    told = {f"{name}_mean": float(seconds.mean())}
    told |= {f"{name}_p{percentile}": float(value) for percentile, value in zip(PERCENTILES, values, strict=True)}
    return told


def _clock(run: Run, hours: Hours, by_hour: Mapping[str, Amounts]) -> dict[str, float]:
    """How busy scanners were, how long queues, and how much passed in the busiest hour."""
    seconds = hours.covered.sum()
    told = {"utilisation": by_hour[SCANNERS].sum() / seconds if SCANNERS in by_hour else np.nan}
    for scanner in scanners(run.topology):
        told[f"utilisation {scanner}"] = by_hour[f"utilisation {scanner}"].sum() / seconds
    for queue in QUEUES:
        told[f"{queue}_number"] = by_hour[queue].sum() / seconds
        told[f"{queue}_number_peak"] = np.nanmax(hours.week(by_hour[queue]))
    for source, target, bandwidth in directions(run.topology):
        busiest = hours.most(by_hour[f"line {source}>{target}"]) / hours.seconds
        told[f"busy_hour {source}>{target}"] = busiest
        told[f"busy_hour_rate {source}>{target}"] = busiest * bandwidth
    moved = stores(run)
    for archive in dict.fromkeys(archive for archive, _, _ in limits(run.topology)):
        ours = moved[moved["peer"] == archive]
        lasted = (ours["finished"] - ours["started"]).clip(lower=SHORTEST)
        taken = hours.spread(ours["started"], ours["started"] + lasted, ours["wire_bytes"] / lasted)
        told[f"busy_hour {archive}"] = hours.most(taken)
    return told


def _links(run: Run) -> dict[str, float]:
    rows = run.links.to_dict("records")
    told = {f"busy {row['source']}>{row['target']}": float(row["utilisation"]) for row in rows}
    pairs = [pair for link in run.topology.links for pair in (link.between, link.between[::-1])]
    return {name: told.get(name, np.nan) for name in (f"busy {source}>{target}" for source, target in pairs)}


def _stored(run: Run, window: Window) -> float:
    """Bytes that archives have more after the window. What an archive sends to a reader is no storage."""
    kinds = {name: spec.kind for name, spec in run.topology.nodes.items()}
    moved = kept(run)
    counts = moved["finished"].between(window.start, window.end)
    return float(moved.loc[counts & moved["peer"].map(kinds).isin(("archive", "external")), "kept"].sum())
