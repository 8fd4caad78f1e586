"""What a topology says of an experiment: which studies cross which link, how, and what is varied."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from simlab.errors import TopologyError
from simlab.lab.lab import Lab
from simlab.nodes.storing import StoringSpec
from simlab.topology.checks import check
from simlab.topology.model import ExperimentSpec, LinkSpec, PlannedSpec, Topology
from simlab.topology.references import StorePath, store_paths
from simlab.units import format_bandwidth, format_duration


class Scenario(NamedTuple):
    """An experiment as a topology has it."""

    path: StorePath
    """Who sends to whom, over which link."""
    options: dict[str, Any]
    """Arguments for :func:`simlab.lab.wan.run.wan`."""

    def __str__(self) -> str:
        """Say, in a line, what is sent over which link, and what of that link an experiment leaves out."""
        link = self.path.link
        rtt, bandwidth = _round_trip(link), _bandwidth(self.path)
        directions = (link, link.back)
        left_out = [name for name in ("jitter", "loss") if any(getattr(each, name) for each in directions)]
        left_out += ["outages"] if link.outages else []
        without = f", without its {' and '.join(left_out)}" if left_out else ""
        figures = f"{format_duration(rtt)} there and back, {format_bandwidth(bandwidth)}"
        return f"{self.path.source} stores at {self.path.target} over {link.name} ({figures}){without}"


def read_scenario(topology: Topology | Lab | str | Path, sender: str | None = None) -> Scenario:
    """What a topology says; ``sender`` names who sends, else its ``experiment`` or the first that stores over a link.

    Raises TopologyError, in one line, for a topology without such a node.
    """
    if isinstance(topology, str | Path):
        topology = Lab.load(topology)
    if isinstance(topology, Lab):
        topology = topology.topology
    asked = topology.experiment or ExperimentSpec()
    if sender is not None:
        asked = asked.model_copy(update={"from_": sender})
    # What is good for one scanner need not be for another.
    for mistake in check(topology.model_copy(update={"experiment": asked})):
        raise TopologyError(f"{topology.name}: {'.'.join(map(str, mistake.path))}: {mistake.message}")
    paths = {path.source: path for path in store_paths(topology)}
    path = paths[asked.from_] if asked.from_ is not None else next(iter(paths.values()))
    others = {"from_", *PlannedSpec.model_fields}
    varied = {name: value for name, value in asked if name not in others and value is not None}
    return Scenario(path, {**_as_it_is(topology, path), **varied})


def _as_it_is(topology: Topology, path: StorePath) -> dict[str, Any]:
    source, target, link = topology.nodes[path.source], topology.nodes[path.target], path.link
    sending = source.sending(topology) if isinstance(source, StoringSpec) else None
    assert sending is not None, "whoever stores by itself acquires"
    queue = link.queue if path.forward or link.back.queue is None else link.back.queue
    options = {
        "protocol": sending.protocols,
        "syntax": sending.syntaxes,
        "associations": sending.associations,
        "outstanding": sending.outstanding,
        "encode": sending.encode,
        "rtt": _round_trip(link),
        "bandwidth": _bandwidth(path),
        "window": link.window,
        "backend": link.backend,
        "congestion": link.congestion,
        "queue": queue,
        "seed": topology.seed,
        "calling": source.ae_title,
    }
    if target.kind == "external":
        options["to"] = f"{target.ae_title}@{target.host}:{target.port}"
    return options


def _round_trip(link: LinkSpec) -> float:
    """Seconds."""
    return link.latency + (link.latency if link.back.latency is None else link.back.latency)


def _bandwidth(path: StorePath) -> float:
    """Bytes per second on the way of the studies; responses are small."""
    back = path.link.back.bandwidth
    return path.link.bandwidth if path.forward or back is None else back
