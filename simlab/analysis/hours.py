"""How busy a department is by the clock: in each hour of the week, and in the busiest hour of all.

A run is cut into clock hours of the department's time (``compress`` makes them shorter). What is spread over some of
them (a patient on the table, a study that waits, bytes on a line) is shared out in proportion.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from simlab.analysis.run import Run
from simlab.analysis.stationarity import Window
from simlab.topology.model import NodeSpec, Topology

Amounts: TypeAlias = npt.NDArray[np.float64]

HOUR = 3600.0
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEEK = 24 * len(DAYS)

WIRE = 1500 / 1448
"""Bytes that a line carries for each byte of payload: an IP packet of 1500 bytes has 1448 of them, with TCP's time
stamps. Requests, responses and acknowledgements are left out."""

SHORTEST = 1e-6
"""Seconds. A transfer that took no time at all is spread over this, so that its rate is finite."""

SCANNERS, WAITING, TO_READ = "scanners", "waiting", "to_read"
"""Names of series: the share of scanners that acquire, patients who wait for one, studies that wait to be read."""


class Hours:
    """The clock hours of a window of a run."""

    def __init__(self, topology: Topology, window: Window) -> None:
        epoch = topology.epoch
        midnight = epoch.replace(hour=0, minute=0, second=0, microsecond=0)
        before = (epoch - midnight).total_seconds() / topology.compress
        self.seconds = HOUR / topology.compress
        """Run seconds that an hour takes."""
        first = int(np.floor((window.start + before) / self.seconds))
        self._count = max(int(np.ceil((window.end + before) / self.seconds)) - first, 1)
        self._begin = first * self.seconds - before
        self._window = window
        self.of_week = (epoch.weekday() * 24 + first + np.arange(self._count)) % WEEK
        """The hour of the week that each is, from Monday 0 h."""
        self.covered = self.spread(np.array([window.start]), np.array([window.end]))
        """Run seconds of each that are in the window."""

    def spread(self, started: npt.ArrayLike, finished: npt.ArrayLike, rate: npt.ArrayLike = 1.0) -> Amounts:
        """What falls into each hour of intervals in which something goes on at a rate; by default, their seconds.

        What lies outside the window does not count, nor what never began (NaN).
        """
        window, length = self._window, self._count
        start, end = (np.clip(np.asarray(t, np.float64), window.start, window.end) for t in (started, finished))
        begun = ~np.isnan(start)
        pace = np.broadcast_to(np.asarray(rate, np.float64), start.shape)[begun]
        start, end = start[begun], np.maximum(start, end)[begun]
        begins, ends = ((times - self._begin) / self.seconds for times in (start, end))
        first, last = (np.clip(np.floor(each).astype(int), 0, length - 1) for each in (begins, ends))
        alone = first == last
        # The hours in which an interval begins and ends have a part of it; those in between have their whole length.
        head = np.where(alone, ends - begins, first + 1 - begins) * pace
        tail = np.where(alone, 0.0, ends - last) * pace
        steps = np.bincount(first + 1, np.where(alone, 0.0, pace), minlength=length + 1)
        steps = steps - np.bincount(last, np.where(alone, 0.0, pace), minlength=length + 1)
        parts = np.bincount(first, head, minlength=length) + np.bincount(last, tail, minlength=length)
        return np.asarray((parts + np.cumsum(steps)[:length]) * self.seconds, np.float64)

    def week(self, amounts: Amounts) -> Amounts:
        """The mean rate in each of the 168 hours of a week; NaN in those of which the window has too little.

        That is less than half an hour in all: a minute of one is chance. In a short window it is as much as there is.
        """
        total = np.bincount(self.of_week, amounts, minlength=WEEK)
        covered = np.bincount(self.of_week, self.covered, minlength=WEEK)
        enough = covered >= min(self.seconds / 2, covered.max()) * (1 - 1e-9)
        known = enough & (covered > 0)
        return np.asarray(np.divide(total, covered, out=np.full(WEEK, np.nan), where=known), np.float64)

    def most(self, amounts: Amounts) -> float:
        """The largest amount of an hour that is in the window as a whole; NaN if there is no such hour."""
        whole = amounts[self.covered > self.seconds * (1 - 1e-9)]
        return float(whole.max()) if len(whole) else float("nan")


def scanners(topology: Topology) -> dict[str, tuple[str, ...]]:
    """The modalities, each with all its replicas."""
    names = [name for name, spec in topology.nodes.items() if spec.kind == "modality"]
    groups = {name: topology.replicas(name) for name in names}
    others = {replica for group in groups.values() for replica in group[1:]}
    return {name: group for name, group in groups.items() if name not in others}


def directions(topology: Topology) -> Iterator[tuple[str, str, float]]:
    """Each direction of each link: from which site, to which, and its bandwidth in bytes per second."""
    for link in topology.links:
        back = link.bandwidth if link.back.bandwidth is None else link.back.bandwidth
        yield (*link.between, link.bandwidth)
        yield (*link.between[::-1], back)


def stores(run: Run) -> pd.DataFrame:
    """The records of C-STOREs that sent anything."""
    records = run.records
    return records[(records["operation"] == "C-STORE") & (records["wire_bytes"] > 0)]


def series(run: Run, hours: Hours) -> dict[str, Amounts]:
    """What went on in each clock hour, in run seconds, summed over patients and studies, or the share of scanners.

    ``scanners`` and ``utilisation <scanner>`` (seconds acquiring, per scanner), ``waiting`` and ``to_read`` (seconds
    waited), ``line <site>><site>`` (seconds that C-STOREs kept a line busy).
    """
    studies, groups = run.studies, scanners(run.topology)
    found: dict[str, Amounts] = {}
    begun = studies[studies["started"].notna()]
    for name, group in groups.items():
        ours = begun[begun["node"].isin(group)]
        busy = hours.spread(ours["started"], _ended(ours["acquired"], ours))
        found[f"utilisation {name}"] = busy / len(group)
    if groups:
        weights = {name: len(group) for name, group in groups.items()}
        whole = sum(found[f"utilisation {name}"] * weight for name, weight in weights.items())
        found[SCANNERS] = np.asarray(whole) / sum(weights.values())
    found[WAITING] = hours.spread(studies["ordered"], _ended(studies["started"], studies))
    # What nobody reads does not wait for it.
    read = [name for name, spec in run.topology.nodes.items() if is_read(spec, run.topology)]
    awaiting = studies[studies["node"].isin(read) & studies["stored"].notna()]
    found[TO_READ] = hours.spread(awaiting["stored"], _ended(awaiting["reconstructed"], awaiting))
    return found | {f"line {name}": busy for name, busy in _lines(run, hours).items()}


def is_read(spec: NodeSpec, topology: Topology) -> bool:
    """Whether there is somebody who reads what a node acquires."""
    store, modality = getattr(spec, "store", None), getattr(spec, "modality", None)
    return store is not None and any(
        getattr(other, "archive", None) == store and modality in getattr(other, "reads", ())
        for other in topology.nodes.values()
    )


def _ended(times: pd.Series[float], studies: pd.DataFrame) -> pd.Series[float]:
    """When something ended: with the study if that failed, and otherwise not within the run."""
    return times.fillna(studies["failed"]).fillna(np.inf)


def _lines(run: Run, hours: Hours) -> dict[str, Amounts]:
    """Seconds that C-STOREs kept each direction of each link busy."""
    sites = {name: spec.site for name, spec in run.topology.nodes.items()}
    moved = stores(run)
    source, target = moved["node"].map(sites), moved["peer"].map(sites)
    found = {}
    for start, end, bandwidth in directions(run.topology):
        ours = moved[(source == start) & (target == end)]
        lasted = (ours["finished"] - ours["started"]).clip(lower=SHORTEST)
        found[f"{start}>{end}"] = hours.spread(
            ours["started"], ours["started"] + lasted, ours["wire_bytes"] / lasted * WIRE / bandwidth
        )
    return found
