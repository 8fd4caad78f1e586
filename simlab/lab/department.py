"""A department that is up: its groups started, joined, watched over, and always stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from simlab.errors import UserError
from simlab.lab.group import GroupPlan, GroupUsage
from simlab.lab.hold import Hold, LocalGroup, RemoteGroup
from simlab.lab.joining import Joints
from simlab.lab.placement import place
from simlab.network.live.directory import Peer
from simlab.network.seam import Outcome
from simlab.nodes.kinds import KINDS
from simlab.records import InstanceBatch, Record
from simlab.topology.model import Topology

HEAD_START = 0.2
"""Seconds between telling the groups to go and run second 0, so that all hear of it in time."""


@dataclass(frozen=True)
class Staging:
    """How a department is brought up."""

    workspace: Path
    run_id: str = ""
    works: bool = True
    """False: scanners and workstations only answer; people play their part."""
    in_process: bool = False
    """All groups in this process, so that a trace can be stepped."""


class Department:
    """The live world of a topology. A context manager: leaving it stops everything, whatever happened."""

    def __init__(self, topology: Topology, staging: Staging) -> None:
        self.topology = topology
        self._staging = staging
        self._groups: list[Hold] = []
        self._by_node: dict[str, Hold] = {}
        self.peers: dict[str, Peer] = {}
        self.origin = 0.0
        self.usage: list[GroupUsage] = []
        self.links = Joints(topology)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        make: Callable[[GroupPlan], Hold] = LocalGroup if self._staging.in_process else RemoteGroup
        for nodes in place(self.topology):
            staging = self._staging
            group = make(GroupPlan(self.topology, nodes, staging.workspace, staging.run_id, staging.works))
            self._groups.append(group)
            self._by_node.update(dict.fromkeys(nodes, group))
        self.links.open()
        for group in self._groups:
            self.peers.update({peer.node: peer for peer in group.listen()})
        for name, spec in self.topology.nodes.items():
            if KINDS[spec.kind].service is None and spec.port is not None:
                self.peers[name] = Peer(name, spec.ae_title, spec.host, spec.port)
        self.peers = {name: self.peers[name] for name in self.topology.nodes}
        ways = self.links.join(self.peers)
        for group in self._groups:
            group.meet(tuple(self.peers.values()), ways)

    def run(self) -> None:
        """Let the workflows go. Run second 0 is ``origin``."""
        self.links.begin(HEAD_START)
        self.origin = time.perf_counter() + HEAD_START
        for group in self._groups:
            group.run(self.origin)

    def now(self) -> float:
        """Run seconds."""
        return time.perf_counter() - self.origin

    def call(self, source: str, operation: str, *arguments: Any, **keywords: Any) -> Future[Outcome]:
        """Have a node start an operation. Raises UserError for a node that is not ours or not there."""
        group = self._by_node.get(source)
        if group is None:
            raise UserError(f'no node "{source}" of ours here; there are {", ".join(self._by_node)}')
        return group.call(operation, source, *arguments, **keywords)

    def end_faults(self) -> None:
        """Let no node do wrong any more, at the latest after the next :meth:`drain`."""
        for group in self._groups:
            group.end_faults()

    def drain(self) -> tuple[Sequence[Record], list[InstanceBatch]]:
        """Records since the last call, from all groups. Raises what crashed a group."""
        self.links.check()
        return _merged(group.drain() for group in self._groups)

    def stop(self) -> tuple[Sequence[Record], list[InstanceBatch]]:
        """Stop all groups, within a bound. Returns the last records; a second call returns nothing."""
        for group in self._groups:
            group.ask_to_stop()
        left = []
        for group in self._groups:
            records, batches, usage = group.stop()
            left.append((records, batches))
            self.usage.append(usage)
        self._groups = []
        self._by_node = {}
        self.links.close()
        return _merged(left)


def _merged(
    parts: Iterable[tuple[Sequence[Record], list[InstanceBatch]]],
) -> tuple[Sequence[Record], list[InstanceBatch]]:
    records: list[Record] = []
    batches: list[InstanceBatch] = []
    for more_records, more_batches in parts:
        records += more_records
        batches += more_batches
    return records, batches
