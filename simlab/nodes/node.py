"""What every node has, whatever its kind: its place in a world, its clocks, and refusals of what it does not offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path

import simpy

from simlab.draws import Draws
from simlab.faults import Plan
from simlab.network.query import Identifier, Query
from simlab.network.seam import Answer, CommitmentReport, CommitmentRequest, FailedReference, Located, Network, Status
from simlab.nodes.queues import Inbox
from simlab.records import InstanceBatch, InstanceRows, Recorder, StudyRows
from simlab.studies.study import InstanceReference, References
from simlab.topology.model import NodeSpec, Topology

NOT_OFFERED = Status(0x0122, "SOP class not supported")


@dataclass
class Node:
    """A node as its own workflow sees it: what it is, the network, and time. Nothing of any other node's state."""

    name: str
    topology: Topology
    world: str
    env: simpy.Environment
    network: Network
    recorder: Recorder
    workspace: Path
    """A folder of the node's own (its local disk); the virtual world leaves it alone."""
    run_id: str = ""
    """Enters the UIDs, so that a later run against a real PACS does not meet its own instances again."""
    hand_in: Callable[[Callable[[], object]], None] = field(default=lambda completion: completion())
    """How any thread has something done on the environment's own thread; the virtual world has only that one."""
    clock: Callable[[], float] | None = None
    """Run seconds, for any thread. None: as the environment has it."""
    notifications: Inbox = field(init=False)
    """What the node's service or model tells its workflow, in the order in which it happened."""
    faults: Plan = field(init=False)
    """What the node does wrong."""
    draws: Draws = field(init=False)
    """Random draws under the scenario's seed; name the entity, not the node, where both worlds must agree."""

    def __post_init__(self) -> None:
        self.notifications = Inbox(self.env)
        self.draws = Draws(self.topology.seed)
        self.faults = Plan(self.topology, self.name, self.now, partial(self.remark, "fault"))

    def now(self) -> float:
        """Run seconds."""
        return self.clock() if self.clock is not None else float(self.env.now)

    @property
    def spec(self) -> NodeSpec:
        """The node's part of the topology."""
        return self.topology.nodes[self.name]

    def clinical(self, seconds: float) -> simpy.Event:
        """A wait of ``seconds`` of scenario time (arrival, acquisition, reading): ``compress`` divides it."""
        return self.env.timeout(seconds / self.topology.compress)

    def protocol(self, seconds: float) -> simpy.Event:
        """A wait that belongs to a protocol (time-out, back-off, polling): never compressed."""
        return self.env.timeout(seconds)

    def scenario_time(self) -> datetime:
        """The time of day in the scenario: what fills DICOM dates."""
        return self.topology.epoch + timedelta(seconds=self.env.now * self.topology.compress)

    def notify(self, notification: object) -> None:
        """Put out a notification to the node's workflow. Called by its service or model, from any thread."""
        self.hand_in(lambda: self.notifications.put(notification))

    def titled(self, ae_title: str) -> str | None:
        """The node with an AE title, by the topology that everybody is configured with; None for a stranger."""
        return self._titles.get(ae_title)

    @cached_property
    def _titles(self) -> Mapping[str, str]:
        titles: dict[str, str] = {}
        for name, spec in self.topology.nodes.items():
            titles.setdefault(spec.ae_title, name)
        return titles

    def committed(
        self, archive: str, study: str, stored: Iterable[InstanceReference], failed: Iterable[FailedReference] = ()
    ) -> None:
        """Enter into the ledger what an archive has just reported on these instances."""
        failed, now = tuple(failed), self.env.now
        if isinstance(stored, References) and not failed:
            told = StudyRows(stored.study, at=now)
            self.recorder.add_instances(InstanceBatch(self.world, self.name, archive, study, told, "N-EVENT-REPORT"))
            return
        rows = InstanceRows()
        for sop_class, sop_instance in stored:
            rows.append(sop_instance, sop_class, "", 0, now, now, 0)
        for (sop_class, sop_instance), reason in failed:
            rows.append(sop_instance, sop_class, "", 0, now, now, reason)
        self.recorder.add_instances(InstanceBatch(self.world, self.name, archive, study, rows, "N-EVENT-REPORT"))

    def milestone(self, name: str, study: str, comment: str = "", *, at: float | None = None) -> None:
        """Record that a study has reached a milestone (one of ``records.MILESTONES``), at a run second; None is now."""
        self._note(name, "", study, comment, self.env.now if at is None else at)

    def remark(self, what: str, peer: str, comment: str, about: str = "", *, study: str = "") -> None:
        """Record something that the node did wrong or noticed (one of ``records.REMARKS``). Called from any thread."""
        self._note(what, peer, study, f"{comment}: {about}" if about else comment, self.now())

    def _note(self, name: str, peer: str, study: str, comment: str, now: float) -> None:
        kind = self.world, self.name, peer, name, "", "", 0, 0
        self.recorder.enter(kind, study, now, now, 0, 0, comment)


class Refusing:
    """Answers everything with "not supported". Services and models override what their kind offers."""

    def find(self, query: Query) -> Answer:
        """Refuse a C-FIND."""
        return Answer((), NOT_OFFERED)

    def locate(self, query: Query) -> Located:
        """Refuse a C-MOVE or C-GET."""
        return Located((), NOT_OFFERED)

    def create_step(self, step: str, attributes: Identifier) -> Status:
        """Refuse an MPPS N-CREATE."""
        return NOT_OFFERED

    def set_step(self, step: str, attributes: Identifier) -> Status:
        """Refuse an MPPS N-SET."""
        return NOT_OFFERED

    def commitment_requested(self, request: CommitmentRequest) -> Status:
        """Refuse a storage commitment request."""
        return NOT_OFFERED

    def commitment_reported(self, report: CommitmentReport) -> Status:
        """Refuse a storage commitment report."""
        return NOT_OFFERED
