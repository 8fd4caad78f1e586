"""A group: the nodes that share one process, one live environment and one network, and how they come to life."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from simpy import Event

from simlab.errors import UserError
from simlab.lab.joining import fronted
from simlab.network.live.directory import Peer, Ways
from simlab.network.live.environment import LiveEnvironment
from simlab.network.live.network import LiveNetwork
from simlab.network.live.receiving.acceptor import Listening
from simlab.network.seam import Outcome
from simlab.nodes.halves import LiveHalf
from simlab.nodes.kinds import KINDS
from simlab.nodes.node import Node
from simlab.nodes.options import syntaxes_in_use, uids
from simlab.nodes.storing import ReceivingSpec, StoringSpec
from simlab.records import InstanceBatch, Record, Recorder
from simlab.topology.model import Topology


@dataclass(frozen=True)
class GroupPlan:
    """What a group needs to know to start. Plain values, so that it can travel to another process."""

    topology: Topology
    nodes: tuple[str, ...]
    workspace: Path
    """Folder under which every node has a folder of its own."""
    run_id: str = ""
    works: bool = True
    """False: scanners and workstations only answer."""


@dataclass(frozen=True)
class GroupUsage:
    """How a group fared as a load generator."""

    lag_p99: float
    """Seconds that the environment was behind, 99th percentile; 0.0 if nothing was ever due."""
    cpu: float
    """CPU seconds of the process."""


class Group:
    """Nodes in one environment. All methods but :meth:`run` may be called from any thread."""

    def __init__(self, plan: GroupPlan) -> None:
        self._plan = plan
        self.env = LiveEnvironment()
        self.recorder = Recorder()
        self.network = LiveNetwork(self.env, self.recorder, syntaxes_in_use(plan.topology))
        self._stopped = self.env.event()
        self._nodes = {name: self._make_node(name) for name in plan.nodes}
        self._halves: dict[str, LiveHalf] = {}

    def _make_node(self, name: str) -> Node:
        return Node(
            name=name,
            topology=self._plan.topology,
            world="live",
            env=self.env,
            network=self.network,
            recorder=self.recorder,
            workspace=self._plan.workspace / name,
            run_id=self._plan.run_id,
            hand_in=self.env.hand_in,
            clock=self.env.wall,
        )

    def listen(self) -> list[Peer]:
        """Start every node's service. Raises UserError if a declared port is taken."""
        peers = []
        for name, node in self._nodes.items():
            service = KINDS[node.spec.kind].service
            if service is None:
                raise ValueError(f"{name} is not ours to start")
            self._halves[name] = half = service(node)
            listening = _listening(name, self._plan.topology)
            try:
                peers.append(self.network.register(name, half, listening, node.faults))
            except OSError as error:
                place = f"{listening.host}:{listening.port}"
                raise UserError(f"node {name}: cannot listen at {place}: {error.strerror or error}") from error
        return peers

    def meet(self, peers: Iterable[Peer], ways: Ways) -> None:
        """Learn where everybody is, and which ways lead over links."""
        self.network.directory.update(peers, ways)

    def run(self, origin: float) -> None:
        """Run the workflows until :meth:`stop`; run second 0 is ``origin`` on this process's ``perf_counter``."""
        self.env.start(origin)
        for name, node in self._nodes.items():
            workflow = KINDS[node.spec.kind].does(works=self._plan.works)
            if workflow is not None:
                self.env.process(workflow(node, self._halves[name]))
        self.env.run(until=self._stopped)

    def call(
        self,
        operation: str,
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
        then: Callable[[Outcome], object],
    ) -> None:
        """Start an operation of the network; ``then`` is called with its outcome, on the environment's thread."""

        def finished(event: Event) -> None:
            if event.ok:  # otherwise the exception ends the environment, and with it everybody's calls
                then(cast("Outcome", event.value))

        def start() -> None:
            event: Event = getattr(self.network, operation)(*arguments, **keywords)
            event.callbacks.append(finished)

        self.env.hand_in(start)

    def drain(self) -> tuple[Sequence[Record], list[InstanceBatch]]:
        """Take out the records since the last call."""
        return self.recorder.drain()

    def end_faults(self) -> None:
        """Let no node do wrong any more."""
        for node in self._nodes.values():
            node.faults.end()

    def usage(self) -> GroupUsage:
        """How the group has fared so far."""
        lag = list(self.env.lag)
        return GroupUsage(float(np.quantile(lag, 0.99)) if lag else 0.0, time.process_time())

    def stop(self) -> None:
        """Let :meth:`run` return."""
        self.env.hand_in(lambda: None if self._stopped.triggered else self._stopped.succeed())

    def close(self) -> None:
        """Stop listening, and let go of files; transfers under way end by their own time-outs."""
        self.network.close()
        for half in self._halves.values():
            half.close()


def _listening(name: str, topology: Topology) -> Listening:
    spec = topology.nodes[name]
    port = 0 if name in fronted(topology) else spec.port or 0
    known = tuple(other.ae_title for other in topology.nodes.values()) if spec.callers == "known" else None
    return Listening(
        spec.ae_title,
        spec.host,
        port,
        known,
        spec.maximum_associations,
        spec.maximum_length,
        spec.outstanding,
        spec.idle_timeout,
        spec.backlog,
        uids(spec.accept) if isinstance(spec, ReceivingSpec) else (),
        spec.default_syntax if isinstance(spec, StoringSpec) else True,
    )
