"""The data plane of the virtual world: nodes and their computers, the ways between them, and operations in general."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import exp, inf, log, sqrt
from statistics import NormalDist
from typing import Any, NamedTuple

import simpy
from simpy import Event

from simlab.draws import Draws
from simlab.network.faults import Asked
from simlab.network.negotiation import EXPLICIT, UNCOMPRESSED
from simlab.network.operation import Operation, OutcomeT
from simlab.network.seam import Trouble
from simlab.network.virtual.association import WITH_DATA_SET, Association, AssociationError, Serve, Steps, released
from simlab.network.virtual.host import Host
from simlab.network.virtual.link import SharedLine
from simlab.network.virtual.path import Path
from simlab.network.virtual.server import VirtualNode
from simlab.network.virtual.sharing import Demand
from simlab.network.virtual.traffic import Traffic
from simlab.records import Recorder
from simlab.studies.study import Series

WORLD = "virtual"

NO_SEED = Draws(0)


class Route(NamedTuple):
    """What lies between two sites, one way."""

    latency: float = 0.0
    """Seconds, the same both ways."""
    line: SharedLine | None = None
    """None: bytes take no time."""
    window: float = inf
    """Bytes that TCP has under way on a connection, at most."""


class Plane:
    """What all operations of :class:`simlab.network.virtual.network.VirtualNetwork` are made of."""

    def __init__(
        self, env: simpy.Environment, recorder: Recorder, route: Callable[[str, str], Route], draws: Draws = NO_SEED
    ) -> None:
        """``route`` tells what lies between two nodes."""
        self.env = env
        self.hosts: dict[str, Host] = {}
        """The computer of each node."""
        self.under_way = 0
        """Operations that have begun and not ended, but for queries, of which there is always one."""
        self._traffic = Traffic(env)
        self._recorder = recorder
        self._route = route
        self._draws = draws
        self._nodes: dict[str, VirtualNode] = {}
        self._paths: dict[tuple[str, str], Path] = {}
        self._compressed: dict[tuple[str, str], str] = {}
        """By node and series UID: the transfer syntax in which the node has the series, if that is not the default."""

    def register(self, node: VirtualNode, host: Host | None = None) -> None:
        """Let a node be reached. It has a computer of its own, unless one is given that it shares."""
        self._nodes[node.name] = node
        self.hosts[node.name] = host or Host(self.env, node.times, node.maximum_associations)
        self._paths.clear()

    def _work(self, node: str, seconds: float, count: int) -> Event:
        """Do something on a node's own account, in so many parts. Who shares a computer shares it for that too."""
        host = self.hosts[node]
        if not host.shared:
            return self.env.timeout(seconds)
        needs = ((host, seconds / count),) if seconds else ()
        return self._traffic.carry(Demand(0.0, needs), count)

    def _path(self, source: str, target: str) -> Path:
        path = self._paths.get((source, target))
        if path is None:
            latency, line, window = self._route(source, target)
            ends = self.hosts[source], self.hosts[target]
            path = Path(latency, line, *ends, window, self._route(target, source).line)
            self._paths[source, target] = path
        return path

    def _kept(self, node: str) -> Callable[[Series], str]:
        """In which transfer syntax a node has a series."""
        return lambda series: self._compressed.get((node, series.uid), EXPLICIT)

    def _keep(self, node: str, series: Series, syntax: str) -> None:
        if syntax not in UNCOMPRESSED:
            self._compressed[node, series.uid] = syntax

    def _factor(self, cv: float, call: Operation[Any]) -> float:
        """How much longer than on average an operation takes the other AE: lognormal, with a mean of 1."""
        if not cv:
            return 1.0
        entity = f"{call.name} {call.source} {call.target} {call.study}"
        chance = max(self._draws.uniform("service", entity), 2.0**-53)
        sigma = sqrt(log(1 + cv * cv))
        return exp(sigma * NormalDist().inv_cdf(chance) - sigma * sigma / 2)

    def _reach(self, call: Operation[Any]) -> VirtualNode:
        """The node that is asked. Raises AssociationError for one that nobody knows."""
        try:
            return self._nodes[call.target]
        except KeyError:
            message = f"nobody knows where {call.target or 'that AE'} is"
            raise AssociationError(Trouble.UNREACHABLE, message) from None

    def _asked(
        self,
        call: Operation[Any],
        *entities: str,
        instances: Callable[[], Iterable[str]] | None = None,
        accession: str = "",
    ) -> Asked:
        """``instances`` tells the SOP Instance UIDs that a request names. It takes time, and only a fault may ask."""
        peer = self._nodes.get(call.target)
        if instances is not None and peer is not None and peer.faults.concern(call.name):
            entities = tuple(instances())
        return Asked(call.name, self._nodes[call.source].ae_title, entities, accession)

    def _between(self, call: Operation[Any]) -> Association:
        """An association between two nodes, as if it had been established. Raises AssociationError."""
        peer, path = self._reach(call), self._path(call.source, call.target)
        return Association(self.env, path, peer.faults, self._nodes[call.source].ae_title, call.timeout)

    def _associate(self, call: Operation[Any]) -> Steps[Association]:
        """Request an association for the operation's SOP class. Raises AssociationError."""
        association = self._between(call)
        yield from self._request(association, call)
        return association

    def _request(self, association: Association, call: Operation[Any]) -> Steps[None]:
        if association.is_smooth(call.name):
            yield from association.establish()
        else:
            yield from association.request([(call.sop_class, syntax) for syntax in UNCOMPRESSED])

    def _released(self, call: Operation[Any]) -> Steps[None]:
        return released(self.env, self._path(call.source, call.target))

    def _exchange(
        self,
        call: Operation[OutcomeT],
        asked: Asked,
        serve: Serve[OutcomeT],
        *,
        pdus: int = WITH_DATA_SET,
        references: int = 0,
    ) -> Event:
        """An operation of one request and one response, on an association of its own."""
        return self._operate(call, self._asking(call, asked, serve, pdus=pdus, references=references))

    def _asking(
        self,
        call: Operation[OutcomeT],
        asked: Asked,
        serve: Serve[OutcomeT],
        *,
        pdus: int = WITH_DATA_SET,
        references: int = 0,
        judge: Callable[[Association], None] = lambda _: None,
        tells_first: bool = False,
    ) -> Steps[OutcomeT]:
        """Associate, ask and release. ``judge`` raises AssociationError if the association is of no use.

        With ``tells_first`` what came of it is told before it is released.
        """
        association = self._between(call)
        if association.is_smooth(call.name):
            return (yield from association.exchange(serve, references, tells_first=tells_first))
        yield from self._request(association, call)
        try:
            judge(association)
            outcome = yield from association.ask(asked, serve, call.outcome, pdus=pdus, references=references)
            if not tells_first:
                yield from self._released(call)
            return outcome
        finally:
            association.release()

    def _operate(self, call: Operation[OutcomeT], steps: Steps[OutcomeT]) -> Event:
        """Have an operation run by itself."""
        return self.env.process(self._operating(call, steps))

    def _operating(self, call: Operation[OutcomeT], steps: Steps[OutcomeT]) -> Steps[OutcomeT]:
        """Run the steps of an operation, and leave its record; what fails between AEs becomes its outcome."""
        call.started = self.env.now
        counts = call.name != "C-FIND"
        self.under_way += counts
        try:
            outcome = yield from steps
        except AssociationError as error:
            outcome = call.failed(error.trouble, error.comment)
        self.under_way -= counts
        return call.finish(outcome, WORLD, self.env.now, self._recorder)
