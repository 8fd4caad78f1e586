"""The virtual world of a topology: every node in one SimPy environment, the same workflows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import inf
from pathlib import Path

import simpy

from simlab.draws import Draws
from simlab.lab.links import link_settings
from simlab.network.negotiation import EXPLICIT, IMPLICIT
from simlab.network.virtual.host import Host
from simlab.network.virtual.link import SharedLine
from simlab.network.virtual.network import VirtualNetwork
from simlab.network.virtual.plane import Route
from simlab.network.virtual.server import VirtualNode
from simlab.network.virtual.times import UNCALIBRATED, Times
from simlab.nodes.kinds import KINDS
from simlab.nodes.node import Node
from simlab.nodes.options import uids
from simlab.nodes.storing import ReceivingSpec
from simlab.records import Recorder
from simlab.topology.model import LinkSpec, NodeSpec, Topology

AT_ONE_SITE = Route()
"""Nodes at one site are joined by a LAN that costs nothing."""


class VirtualWorld:
    """All nodes of a topology, brought to life in one environment."""

    def __init__(
        self,
        topology: Topology,
        run_id: str = "",
        *,
        works: bool = True,
        times: Mapping[str, Times] = {},
        groups: Iterable[Iterable[str]] = (),
        env: simpy.Environment | None = None,
    ) -> None:
        """``times`` tells what the work of nodes takes, as far as it was measured, ``groups`` who share a computer."""
        self.topology = topology
        self.env = env or simpy.Environment()
        self.recorder = Recorder()
        self.nodes: list[Node] = []
        shared: dict[tuple[str, ...], Host] = {}
        self._routes = dict(_routes(self.env, topology.links))
        self.network = VirtualNetwork(self.env, self.recorder, self._route, Draws(topology.seed))
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
            its = times.get(name, UNCALIBRATED)
            group = next((tuple(each) for each in groups if name in each), ())
            if group and group not in shared:
                shared[group] = Host(self.env, its, spec.maximum_associations * len(group), shared=True)
            self.network.register(
                VirtualNode(
                    name,
                    spec.ae_title,
                    model,
                    node.faults,
                    outstanding=spec.outstanding,
                    maximum_associations=spec.maximum_associations,
                    accepted=_accepted(spec),
                    keeps=uids([getattr(spec, "keep", EXPLICIT)])[0],
                    times=its,
                ),
                shared.get(group),
            )
            model.report_delay = its.report
            workflow = kind.does(works=works)
            if workflow is not None:
                self.env.process(workflow(node, model))

    def _route(self, source: str, target: str) -> Route:
        sites = self.topology.nodes[source].site, self.topology.nodes[target].site
        return self._routes.get(sites, AT_ONE_SITE)

    def link_rows(self, elapsed: float) -> Iterator[dict[str, object]]:
        """What passed each link in so many seconds, as :data:`simlab.analysis.frames.LINK_COLUMNS` names it."""
        for link in self.topology.links:
            for source, target in (link.between, link.between[::-1]):
                line = self._routes[source, target].line
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


def links_told(topology: Topology) -> Iterator[str]:
    """What of the links a reader must know that the virtual world does not, in sentences."""
    unknown = {
        "loss": [link.name for link in topology.links if max(link.loss, link.back.loss or 0.0)],
        "jitter": [link.name for link in topology.links if max(link.jitter, link.back.jitter or 0.0)],
        "outages": [link.name for link in topology.links if link.outages],
    }
    for what, names in unknown.items():
        if names:
            yield f"The virtual world knows no {what} of links; what {', '.join(names)} would do by it is left out."
    if any(link.congestion != "ideal" and link.bandwidth < inf for link in topology.links):
        yield (
            "The virtual world takes TCP's congestion control for ideal: transfers of large instances that meet others "
            "in a full queue may take half as long again."
        )


def _routes(env: simpy.Environment, links: Iterable[LinkSpec]) -> Iterator[tuple[tuple[str, str], Route]]:
    """The two directions of each link, by the sites where they begin and end."""
    for link in links:
        settings = link_settings(link)
        latency = (settings.forth.latency + settings.back.latency) / 2
        for ends, way in ((link.between, settings.forth), (link.between[::-1], settings.back)):
            line = SharedLine(env, way.bandwidth, settings.queue(way)) if way.bandwidth < inf else None
            yield ends, Route(latency, line, settings.window)


def _accepted(spec: NodeSpec) -> frozenset[str] | None:
    """The transfer syntaxes in which instances may be stored at a node; None for all."""
    listed = uids(spec.accept) if isinstance(spec, ReceivingSpec) else ()
    default = getattr(spec, "default_syntax", True)
    return frozenset((*listed, IMPLICIT) if default else listed) if listed else None
