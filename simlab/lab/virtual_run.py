"""A run of the virtual world: every node in one SimPy environment, the same workflows."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from math import inf
from pathlib import Path
from typing import Any

import simpy
from simpy import Event

from simlab.lab.audit import proceed
from simlab.lab.happened import Happened, Progress, Watch
from simlab.network.virtual.link import SharedLine
from simlab.network.virtual.network import VirtualNetwork
from simlab.network.virtual.path import Path as NetworkPath
from simlab.network.virtual.server import VirtualNode
from simlab.nodes.kinds import KINDS
from simlab.nodes.node import Node
from simlab.records import Recorder
from simlab.topology.model import LinkSpec, Topology

LOOK_INTERVAL = 1.0
"""Run seconds between two looks at the records."""

AT_ONE_SITE = NetworkPath(latency=0.0)
"""Nodes at one site are joined by a LAN that costs nothing yet."""


def run_virtual(topology: Topology, run_id: str, watch: Watch) -> Happened:
    """Run a topology in virtual time. Ctrl-C cuts it short; what was simulated is returned all the same."""
    happened = Happened(topology)
    world = VirtualWorld(topology, run_id)
    try:
        while not happened.ended:
            world.env.run(until=world.env.now + LOOK_INTERVAL)
            happened.take(*world.recorder.drain())
            now, left = world.env.now, happened.completion.open
            phase = "working" if now < topology.duration else "finishing"
            watch(Progress(now, topology.duration, phase, happened.completion.counts(), {}, 0))
            if now > topology.duration and not left:
                break
            if now > topology.duration + topology.finish_within:
                happened.ended = (
                    f"{len(left)} studies had not come to their end {topology.finish_within:g} s after the last order"
                )
        happened.elapsed = max((record.finished for record in happened.records), default=0.0)
        # Before the audit, which is no part of the department's work.
        happened.links = list(world.link_rows(happened.elapsed))
        world.env.run(until=world.env.process(_audit(world, happened)))
    except KeyboardInterrupt:
        happened.ended = "interrupted"
        happened.elapsed = world.env.now
    return happened


class VirtualWorld:
    """All nodes of a topology, brought to life in one environment."""

    def __init__(self, topology: Topology, run_id: str = "", *, works: bool = True) -> None:
        self.topology = topology
        self.env = simpy.Environment()
        self.recorder = Recorder()
        self.nodes: list[Node] = []
        self._paths = dict(_paths(self.env, topology.links))
        self.network = VirtualNetwork(self.env, self.recorder, self._path)
        for name, spec in topology.nodes.items():
            kind = KINDS[spec.kind]
            node = Node(
                name=name,
                topology=topology,
                world="virtual",
                env=self.env,
                network=self.network,
                recorder=self.recorder,
                workspace=Path(),
                run_id=run_id,
            )
            model = kind.model(node)
            self.nodes.append(node)
            self.network.register(VirtualNode(name, spec.ae_title, model, node.faults, spec.outstanding))
            if kind.workflow is not None and (works or not kind.initiates):
                self.env.process(kind.workflow(node, model))

    def _path(self, source: str, target: str) -> NetworkPath:
        sites = self.topology.nodes[source].site, self.topology.nodes[target].site
        return self._paths.get(sites, AT_ONE_SITE)

    def link_rows(self, elapsed: float) -> Iterator[dict[str, object]]:
        """What passed each link in so many seconds, as :data:`simlab.analysis.frames.LINK_COLUMNS` names it."""
        for link in self.topology.links:
            for source, target in (link.between, link.between[::-1]):
                line = self._paths[source, target].line
                if line is not None and elapsed:
                    yield {
                        "link": link.name,
                        "source": source,
                        "target": target,
                        "connections": line.connections,
                        "payload": line.payload,
                        "wire": line.wire,
                        "busy": line.busy,
                        "utilisation": line.busy / elapsed,
                        **dict.fromkeys(("dropped", "cuts", "outages", "resets"), 0),
                    }


def _paths(env: simpy.Environment, links: Iterable[LinkSpec]) -> Iterator[tuple[tuple[str, str], NetworkPath]]:
    """The two directions of each link, by the sites where they begin and end."""
    for link in links:
        back = link.back
        latency_back = link.latency if back.latency is None else back.latency
        bandwidth_back = link.bandwidth if back.bandwidth is None else back.bandwidth
        for ends, bandwidth in ((link.between, link.bandwidth), (link.between[::-1], bandwidth_back)):
            line = SharedLine(env, bandwidth) if bandwidth < inf else None
            yield ends, NetworkPath((link.latency + latency_back) / 2, line, link.window)


def _audit(world: VirtualWorld, happened: Happened) -> Generator[Event, Any, None]:
    """Ask everything back that was acknowledged or committed to."""
    for node in world.nodes:
        node.faults.end()
    for question in happened.audit.questions():
        interview, answer = happened.audit.interview(question), None
        while (request := proceed(interview, answer)) is not None:
            ask = getattr(world.network, request.operation)
            answer = yield ask(request.source, request.archive, request.query, **request.keywords)
    happened.audited = True
    happened.notices += dict.fromkeys(happened.audit.unanswered)
