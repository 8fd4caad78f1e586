"""What a planner wants to know of one run, as plain numbers: times, service levels, utilisation, volume, losses.

Everything is computed from the run alone. Times are run seconds. What concerns studies counts those that were ordered
after the warm-up; what must never happen (losses, alarms) counts over the whole run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd

from simlab.analysis.run import Run
from simlab.analysis.service_level import ServiceLevel
from simlab.analysis.stationarity import Window
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

DAY = 86_400.0

PLACES = 6
"""Decimal places that are kept. At the end of a year a float resolves 4 ns: what is finer than a microsecond is noise,
and would make a difference of what does not differ."""


class Unit(Enum):
    """What a measure is measured in."""

    SECONDS = "s"
    SHARE = "of one"
    BYTES_PER_DAY = "B per day"
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
    for link in topology.links:
        for source, target in (link.between, link.between[::-1]):
            yield Measure(f"busy {source}>{target}", f"line from {source} to {target} busy", Unit.SHARE)
    yield Measure("stored_per_day", "stored in a day", Unit.BYTES_PER_DAY)
    yield Measure("studies", "studies that count", Unit.COUNT)
    yield Measure("unfinished", "of those, not at their end when the run was", Unit.COUNT, -1)
    yield Measure("failed", "of those, failed", Unit.COUNT, -1)
    yield Measure("lost", "instances lost", Unit.COUNT, -1)
    yield Measure("alarms", "alarms", Unit.COUNT, -1)
    yield Measure("passed", "runs that met every expectation", Unit.SHARE, 1)
    for half in ("first", "second"):
        yield Measure(f"waiting_{half}_half", f"from order to scanner, on average in the {half} half", Unit.SECONDS)


def scanners(topology: Topology) -> list[str]:
    """The modalities."""
    return [name for name, spec in topology.nodes.items() if spec.kind == "modality"]


def measure(run: Run, warm_up: float, levels: Sequence[ServiceLevel] = ()) -> dict[str, Any]:
    """All measures of one run, by name, and its ``verdict``; NaN where nothing was measured.

    ``warm_up`` is in run seconds. ``lost`` is the larger of the instances that archives dropped and those that nobody
    has any more, as for ``expect``. A day is one of the department's, which ``compress`` makes shorter. How busy links
    were is told of the whole run, and only where the run says anything of links.
    """
    window = Window(warm_up, run.topology.duration)
    counted = window.counted(run.studies)
    found: dict[str, Any] = {f"sla {level}": level.share(counted) for level in levels}
    for name in TIMES:
        found |= _times(name, counted[name].dropna())
    found |= _utilisation(run, window)
    found |= _links(run)
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
    return {name: round(float(found[name]), PLACES) for name in names} | {"verdict": run.verdict}


def _times(name: str, seconds: pd.Series[float]) -> dict[str, float]:
    values = np.percentile(seconds, PERCENTILES) if len(seconds) else np.full(len(PERCENTILES), np.nan)
    told = {f"{name}_mean": float(seconds.mean())}
    told |= {f"{name}_p{percentile}": float(value) for percentile, value in zip(PERCENTILES, values, strict=True)}
    return told


def _utilisation(run: Run, window: Window) -> dict[str, float]:
    """The share of the window for which each scanner was acquiring; a scanner has one patient at a time."""
    studies = run.studies
    acquiring = studies[studies["started"].notna()]
    shares = {}
    for scanner in scanners(run.topology):
        ours = acquiring[acquiring["node"] == scanner]
        shares[f"utilisation {scanner}"] = window.busy(ours["started"], ours["acquired"]) / window.seconds
    return shares | {"utilisation": float(np.mean(list(shares.values()))) if shares else np.nan}


def _links(run: Run) -> dict[str, float]:
    rows = run.links.to_dict("records")
    told = {f"busy {row['source']}>{row['target']}": float(row["utilisation"]) for row in rows}
    pairs = [pair for link in run.topology.links for pair in (link.between, link.between[::-1])]
    return {name: told.get(name, np.nan) for name in (f"busy {source}>{target}" for source, target in pairs)}


def _stored(run: Run, window: Window) -> float:
    """Bytes that archives took in during the window. What an archive sends to a reader is no storage."""
    kinds = {name: spec.kind for name, spec in run.topology.nodes.items()}
    records = run.records
    stores = records[(records["operation"] == "C-STORE") & records["finished"].between(window.start, window.end)]
    return float(stores.loc[stores["peer"].map(kinds).isin(("archive", "external")), "bytes"].sum())
