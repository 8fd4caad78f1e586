"""The virtual half of the seam: the same operations, each taking a fixed time, nothing shared.

This first virtual world proves the seam. An operation takes the round trips and the bytes of its path plus a fixed
service time; operations do not wait for one another. Sharing, queues and calibration come with the virtual world
proper, behind the same methods.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

import simpy
from simpy import Event

from simlab.network.faults import NO_FAULTS, Faults
from simlab.network.operation import Operation, OutcomeT
from simlab.network.query import Identifier, Query
from simlab.network.seam import (
    DEFAULT_TIMEOUT,
    NO_STATUS,
    SUCCESS,
    AssociationHandle,
    CommitmentReport,
    CommitmentRequest,
    Found,
    Made,
    Outcome,
    Retrieved,
    Status,
    Stored,
    StoreOptions,
    Trouble,
    is_success,
)
from simlab.network.sop_classes import FIND, GET, MOVE, PERFORMED_PROCEDURE_STEP, STORAGE_COMMITMENT, VERIFICATION
from simlab.network.virtual.server import VirtualServer
from simlab.records import InstanceBatch, InstanceRows, Recorder
from simlab.studies.study import Study

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

UNKNOWN_DESTINATION = 0xA801
SOME_FAILED = 0xB000
ALL_FAILED = 0xA702
"""C-MOVE and C-GET statuses (PS3.4 tables C.4-2 and C.4-3)."""

WORLD = "virtual"
Steps = Generator[Event, Any, OutcomeT]


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """Fixed times in seconds: what one association, message or instance costs both ends together.

    Orders of magnitude of the live world on a laptop; nothing here is calibrated.
    """

    association: float = 0.010
    message: float = 0.005
    instance: float = 0.004
    make_instance: float = 0.025
    derive_instance: float = 0.020


@dataclass(frozen=True, slots=True)
class Path:
    """What lies between two nodes, one way."""

    latency: float
    """Seconds."""
    bandwidth: float
    """Bytes per second."""

    @property
    def round_trip(self) -> float:
        """Seconds there and back."""
        return 2 * self.latency


@dataclass(frozen=True, slots=True)
class VirtualNode:
    """A node as the virtual network knows it."""

    name: str
    ae_title: str
    server: VirtualServer
    faults: Faults = NO_FAULTS


class VirtualNetwork:
    """:class:`simlab.network.seam.Network` in SimPy time."""

    def __init__(
        self,
        env: simpy.Environment,
        recorder: Recorder,
        path: Callable[[str, str], Path],
        times: ServiceTimes = ServiceTimes(),
    ) -> None:
        self.env = env
        self._recorder = recorder
        self._path = path
        self._times = times
        self._nodes: dict[str, VirtualNode] = {}
        self._held_until: dict[AssociationHandle, float] = {}

    def register(self, node: VirtualNode) -> None:
        """Let a node be reached."""
        self._nodes[node.name] = node

    # ---- operations

    def echo(self, source: str, target: str, *, timeout: float = DEFAULT_TIMEOUT) -> Event:
        """C-ECHO."""
        call = Operation(Outcome, "C-ECHO", source, target, timeout, VERIFICATION)
        return self._exchange(call, call.outcome)

    def find(self, source: str, target: str, query: Query, *, timeout: float = DEFAULT_TIMEOUT) -> Event:
        """C-FIND."""
        call = Operation(Found, "C-FIND", source, target, timeout, FIND[query.model])

        def serve() -> Found:
            answer = self._nodes[target].server.find(query)
            matches = tuple(answer.matches)
            return call.outcome(answer.status, matches=matches)

        return self._exchange(call, serve)

    def store(
        self,
        source: str,
        target: str,
        study: Study,
        options: StoreOptions = StoreOptions(),
        *,
        intended: float | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """C-STORE of every selected instance, one after the other on each association."""
        call = Operation(Stored, "C-STORE", source, target, timeout, study=study.uid, intended=intended)
        return self.env.process(self._operate(call, self._train(call, study, options.associations)))

    def move(
        self,
        source: str,
        target: str,
        query: Query,
        destination: str,
        *,
        study: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """C-MOVE: the target stores at the destination."""
        call = Operation(Retrieved, "C-MOVE", source, target, timeout, MOVE[query.model], study)

        def steps() -> Steps[Retrieved]:
            if (trouble := self._out_of_reach(call)) is not None:
                yield self.env.timeout(trouble[1])
                return call.failed(*trouble[0])
            server = self._nodes[target].server
            yield self._passing(call, self._times.association + self._times.message)
            located = server.locate(query)
            if located.status.code == SUCCESS and destination not in self._nodes:
                return call.outcome(Status(UNKNOWN_DESTINATION, f"unknown destination {destination}"))
            statuses: list[int] = []
            for held in server.recall(located.references):
                stored: Stored = yield self.store(target, destination, held, timeout=timeout)
                statuses += stored.rows.status
                statuses += [NO_STATUS] * (held.count - len(stored.rows))  # never tried
            return self._retrieved(call, statuses, located.status)

        return self.env.process(self._operate(call, steps()))

    def get(
        self, source: str, target: str, query: Query, *, study: str = "", timeout: float = DEFAULT_TIMEOUT
    ) -> Event:
        """C-GET: the instances come back on the same association, and are let go."""
        call = Operation(Retrieved, "C-GET", source, target, timeout, GET[query.model], study)

        def steps() -> Steps[Retrieved]:
            if (trouble := self._out_of_reach(call)) is not None:
                yield self.env.timeout(trouble[1])
                return call.failed(*trouble[0])
            server = self._nodes[target].server
            yield self._passing(call, self._times.association + self._times.message)
            located = server.locate(query)
            held = server.recall(located.references)
            count, size = sum(study.count for study in held), sum(study.nominal_bytes for study in held)
            yield self._passing(call, count * self._times.instance, size)
            call.bytes = size
            outcome = self._retrieved(call, [SUCCESS] * count, located.status)
            received = frozenset(ref.sop_instance for study in held for ref in study.references)
            return replace(outcome, received=received)

        return self.env.process(self._operate(call, steps()))

    def _retrieved(self, call: Operation[Retrieved], statuses: list[int], located: Status) -> Retrieved:
        completed = statuses.count(SUCCESS)
        warning = sum(map(is_success, statuses)) - completed
        failed = len(statuses) - completed - warning
        code = located.code
        if code == SUCCESS and (failed or warning):
            code = SOME_FAILED if completed or warning else ALL_FAILED
        call.instances, call.failures = completed, failed if is_success(code) else max(failed, 1)
        return call.outcome(
            Status(code, located.comment),
            completed=completed,
            failed=failed,
            warning=warning,
            pending_responses=max(0, len(statuses) - 1),
        )

    def create_step(
        self,
        source: str,
        target: str,
        step: str,
        attributes: Identifier,
        *,
        study: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """MPPS N-CREATE."""
        call = Operation(Outcome, "N-CREATE", source, target, timeout, PERFORMED_PROCEDURE_STEP, study)
        return self._exchange(call, lambda: call.outcome(self._nodes[target].server.create_step(step, attributes)))

    def set_step(
        self,
        source: str,
        target: str,
        step: str,
        attributes: Identifier,
        *,
        study: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """MPPS N-SET."""
        call = Operation(Outcome, "N-SET", source, target, timeout, PERFORMED_PROCEDURE_STEP, study)
        return self._exchange(call, lambda: call.outcome(self._nodes[target].server.set_step(step, attributes)))

    def request_commitment(
        self,
        source: str,
        target: str,
        transaction: str,
        study: Study,
        *,
        hold: float = 0.0,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """Storage commitment N-ACTION."""
        call = Operation(Outcome, "N-ACTION", source, target, timeout, STORAGE_COMMITMENT, study.uid, study.count)
        handle = f"{source}:{transaction}"
        request = CommitmentRequest(transaction, study.references, self._nodes[source].ae_title, handle)

        def serve() -> Outcome:
            self._held_until[handle] = self.env.now + self._path(target, source).latency + hold
            return call.outcome(self._nodes[target].server.commitment_requested(request))

        return self._exchange(call, serve)

    def report_commitment(
        self,
        source: str,
        target: str,
        report: CommitmentReport,
        *,
        on: AssociationHandle | None = None,
        astray: bool = False,
        study: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """Storage commitment N-EVENT-REPORT."""
        count = len(report.stored) + len(report.failed)
        call = Operation(Outcome, "N-EVENT-REPORT", source, target, timeout, STORAGE_COMMITMENT, study, count)
        same = on is not None and self._held_until.pop(on, 0.0) >= self.env.now

        def serve() -> Outcome:
            status = self._nodes[target].server.commitment_reported(report)
            comment = "on the association of the request" if same and not status.comment else status.comment
            return call.outcome(Status(status.code, comment))

        return self._exchange(call, serve, associate=not same)

    # ---- local work

    def make(self, node: str, study: Study) -> Event:
        """Acquire a study."""
        call = Operation(Made, "make", node, study=study.uid)

        def steps() -> Steps[Made]:
            yield self.env.timeout(study.count * self._times.make_instance)
            self._nodes[node].server.keep(study)
            return self._made(call, study)

        return self.env.process(self._operate(call, steps()))

    def derive(self, node: str, study_uid: str, recipe: str) -> Event:
        """Reconstruct from received instances."""
        call = Operation(Made, "derive", node, study=study_uid)

        def steps() -> Steps[Made]:
            derived = self._nodes[node].server.derive(study_uid, recipe)
            count = derived.count if derived is not None else 0
            yield self.env.timeout(count * self._times.derive_instance)
            return self._made(call, derived)

        return self.env.process(self._operate(call, steps()))

    def discard(self, node: str, study_uid: str) -> Event:
        """Drop the local copy of a study."""
        call = Operation(Made, "discard", node, study=study_uid)

        def steps() -> Steps[Made]:
            call.bytes = self._nodes[node].server.discard(study_uid)
            yield self.env.timeout(0)
            return call.outcome(bytes=call.bytes)

        return self.env.process(self._operate(call, steps()))

    def _made(self, call: Operation[Made], study: Study | None) -> Made:
        if study is None:
            return call.outcome(Status(NO_STATUS, "nothing received to derive from"))
        call.instances, call.bytes = study.count, study.nominal_bytes
        rows = InstanceRows.of(study.references)
        self._recorder.add_instances(InstanceBatch(WORLD, call.source, "", study.uid, rows, call.name))
        return call.outcome(study=study, instances=call.instances, bytes=call.bytes)

    # ---- the data plane

    def _passing(self, call: Operation[Any], service: float, size: int = 0) -> Event:
        """One request and response: a round trip, the bytes, and the service."""
        path = self._path(call.source, call.target)
        return self.env.timeout(path.round_trip + size / path.bandwidth + service)

    def _out_of_reach(
        self, call: Operation[Any], *, associate: bool = True
    ) -> tuple[tuple[Trouble, str], float] | None:
        """Why no answer will come, and after how many seconds that is known; None if one will."""
        if call.target not in self._nodes:
            return (Trouble.UNREACHABLE, f"nobody knows where {call.target or 'that AE'} is"), 0.0
        round_trip = self._path(call.source, call.target).round_trip
        set_up = round_trip + self._times.association if associate else 0.0
        if max(set_up, round_trip + self._times.message) > call.timeout:
            return (Trouble.TIMEOUT, f"none within {call.timeout:g} s"), call.timeout
        return None

    def _exchange(self, call: Operation[OutcomeT], serve: Callable[[], OutcomeT], *, associate: bool = True) -> Event:
        """An operation of one request and one response, given up when it takes longer than its time-out."""

        def steps() -> Steps[OutcomeT]:
            if (trouble := self._out_of_reach(call, associate=associate)) is not None:
                yield self.env.timeout(trouble[1])
                return call.failed(*trouble[0])
            path = self._path(call.source, call.target)
            set_up = path.round_trip + self._times.association if associate else 0.0
            yield self.env.timeout(set_up + path.latency + self._times.message)
            outcome = serve()
            yield self.env.timeout(path.latency)
            return outcome

        return self.env.process(self._operate(call, steps()))

    def _train(self, call: Operation[Stored], study: Study, associations: int) -> Steps[Stored]:
        """C-STOREs, dealt out in turn to the associations, each waiting for the response before the next."""
        if call.target not in self._nodes:
            yield self.env.timeout(0)
            return call.failed(Trouble.UNREACHABLE, f"nobody knows where {call.target or 'that AE'} is")
        path, target = self._path(call.source, call.target), self._nodes[call.target].server
        set_up = path.round_trip + self._times.association
        rows = InstanceRows()
        ready = [self.env.now + set_up] * associations
        trouble = Trouble.TIMEOUT if set_up > call.timeout else Trouble.NONE
        status = Status(SUCCESS) if trouble is not Trouble.NONE else target.take(study)
        for position, index in enumerate(study.indices if trouble is Trouble.NONE else ()):
            series, number = study.locate(index)
            began, size = ready[position % associations], series.nominal_bytes
            ended = began + path.round_trip + size / path.bandwidth + self._times.instance
            ready[position % associations] = ended
            rows.append(
                series.instance_uid(number), series.sop_class, EXPLICIT_LITTLE_ENDIAN, size, began, ended, status.code
            )
        yield self.env.timeout(max(ready) - self.env.now if trouble is Trouble.NONE else call.timeout)
        call.tally(rows, study.count)
        self._recorder.add_instances(InstanceBatch(WORLD, call.source, call.target, call.study, rows))
        requested = frozenset(sop_instance for _, sop_instance in study.references)
        if trouble is not Trouble.NONE:
            failed = call.failed(Trouble.TIMEOUT, f"none within {call.timeout:g} s")
            return replace(failed, requested=requested)
        return call.outcome(status, rows=rows, requested=requested)

    def _operate(self, call: Operation[OutcomeT], steps: Steps[OutcomeT]) -> Steps[OutcomeT]:
        """Run the steps of an operation, and leave its record."""
        call.started = self.env.now
        outcome = yield from steps
        return call.finish(outcome, WORLD, self.env.now, self._recorder)
