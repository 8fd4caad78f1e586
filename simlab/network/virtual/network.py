"""The virtual half of the seam: the same operations, in computed time.

An operation takes the round trips of its path, its bytes' share of the line, and its share of the computers at both
ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from math import inf

import simpy
from simpy import Event

from simlab.draws import Draws
from simlab.network.faults import RequestFault
from simlab.network.operation import Operation
from simlab.network.query import Identifier, Query
from simlab.network.seam import (
    DEFAULT_TIMEOUT,
    NO_STATUS,
    SUCCESS,
    AssociationHandle,
    CommitmentReport,
    CommitmentRequest,
    Located,
    Made,
    Outcome,
    Retrieved,
    Status,
    StoreOptions,
    Trouble,
)
from simlab.network.sop_classes import GET, MOVE, PERFORMED_PROCEDURE_STEP, STORAGE_COMMITMENT, VERIFICATION
from simlab.network.stored import Stored
from simlab.network.virtual.association import WITHOUT_DATA_SET, Association, AssociationError, Steps
from simlab.network.virtual.path import SEGMENT, Freight
from simlab.network.virtual.plane import NO_SEED, WORLD, Route
from simlab.network.virtual.polling import Querying
from simlab.network.virtual.retrieve import UNKNOWN_DESTINATION, retrieved
from simlab.network.virtual.server import VirtualNode
from simlab.network.virtual.transfer import Transfer, send_train
from simlab.records import InstanceBatch, Recorder, StudyRows
from simlab.studies.fingerprint import Fingerprint
from simlab.studies.study import Study


class VirtualNetwork(Querying):
    """:class:`simlab.network.seam.Network` in SimPy time."""

    def __init__(
        self, env: simpy.Environment, recorder: Recorder, route: Callable[[str, str], Route], draws: Draws = NO_SEED
    ) -> None:
        """``route`` tells what lies between two nodes."""
        super().__init__(env, recorder, route, draws)
        self._held: dict[AssociationHandle, Event] = {}
        """Associations on which commitment is asked for; once that is answered, until which run second they are open.
        """

    # ---- operations

    def echo(self, source: str, target: str, *, timeout: float = DEFAULT_TIMEOUT) -> Event:
        """C-ECHO."""
        call = Operation(Outcome, "C-ECHO", source, target, timeout, VERIFICATION)
        return self._exchange(call, self._asked(call), lambda _: call.outcome(), pdus=WITHOUT_DATA_SET)

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

        def steps() -> Steps[Stored]:
            peer, path = self._reach(call), self._path(source, target)
            calling, factor = self._nodes[source].ae_title, self._factor(path.target.times.serving.cv, call)
            transfer = Transfer(
                self.env, self._traffic, path, calling, peer, study, timeout, options, self._kept(source), factor
            )
            yield from transfer.run()
            told = transfer.told
            call.tally(told, study.count)
            call.transcoded, call.codec_seconds = transfer.transcoded, transfer.codec_seconds
            for series in study.series:
                if (form := transfer.forms[series.uid]) is not None:
                    self._keep(target, series, form.syntax)
            self._recorder.add_instances(InstanceBatch(WORLD, source, target, study.uid, told))
            status = Status(transfer.status, transfer.comment)
            return call.outcome(status, trouble=transfer.trouble, told=told, references=study.references)

        return self._operate(call, steps())

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
            server = self._reach(call).server
            association, located = yield from self._locate(call, query)
            if located.status.code == SUCCESS and destination not in self._nodes:
                association.release()
                return call.outcome(Status(UNKNOWN_DESTINATION, f"unknown destination {destination}"))
            statuses: list[int] = []
            for held in server.recall(located.references):
                stored: Stored = yield self.store(target, destination, held, timeout=timeout)
                statuses += stored.statuses
                statuses += [NO_STATUS] * (held.count - len(stored.told))  # never tried
            yield from self._released(call)
            association.release()
            return retrieved(call, statuses, located.status)

        return self._operate(call, steps())

    def get(
        self,
        source: str,
        target: str,
        query: Query,
        *,
        known: Mapping[str, Fingerprint] | None = None,
        study: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """C-GET: the instances come back on the same association, and are let go. There is nothing to look at."""
        del known
        call = Operation(Retrieved, "C-GET", source, target, timeout, GET[query.model], study)

        def steps() -> Steps[Retrieved]:
            server, back = self._reach(call).server, self._path(target, source)
            association, located = yield from self._locate(call, query)
            held = server.recall(located.references)
            sent = [association.returned(study) for study in held]
            count, size = sum(study.count for study in sent), sum(study.nominal_bytes for study in sent)
            if count:
                freight = Freight(size / count)
                yield from send_train(self.env, self._traffic, back, freight, count)
            aborted = association.aborts(count)  # at one of our responses
            if not aborted:
                yield from self._released(call)
            association.release()
            if aborted:
                raise AssociationError(Trouble.ABORTED, "the peer aborted")
            call.bytes = size
            missing = sum(study.count for study in held) - count
            received = dict.fromkeys((uid for study in sent for _, uid in study.references), Fingerprint())
            return retrieved(call, [SUCCESS] * count + [NO_STATUS] * missing, located.status, received)

        return self._operate(call, steps())

    def _locate(self, call: Operation[Retrieved], query: Query) -> Steps[tuple[Association, Located]]:
        """Ask for a retrieval; the sub-operations begin with the first response."""
        server = self._reach(call).server
        association = yield from self._associate(call)
        asked = self._asked(call)
        try:
            located = yield from association.ask(
                asked, lambda _: server.locate(query), lambda status: Located((), status)
            )
        except AssociationError:
            association.release()
            raise
        return association, located

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
        asked = self._asked(call, step, accession=_accession(attributes))

        def serve(_: RequestFault) -> Outcome:
            return call.outcome(self._nodes[target].server.create_step(step, attributes))

        return self._exchange(call, asked, serve)

    def set_step(
        self,
        source: str,
        target: str,
        step: str,
        attributes: Identifier,
        *,
        study: str = "",
        instances: int = 0,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """MPPS N-SET."""
        call = Operation(Outcome, "N-SET", source, target, timeout, PERFORMED_PROCEDURE_STEP, study, instances)

        def serve(_: RequestFault) -> Outcome:
            return call.outcome(self._nodes[target].server.set_step(step, attributes))

        return self._exchange(call, self._asked(call, step), serve, references=instances)

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
        asked = self._asked(call, instances=lambda: (uid for _, uid in study.references))

        def serve(_: RequestFault) -> Outcome:
            return call.outcome(self._nodes[target].server.commitment_requested(request))

        def steps() -> Steps[Outcome]:
            answered = self._held[handle] = self.env.event()
            open_until = -inf
            try:
                outcome = yield from self._asking(call, asked, serve, references=study.count, tells_first=True)
                if outcome.ok and hold > 0:
                    open_until = self.env.now + hold
            finally:
                answered.succeed(open_until)
                if open_until == -inf:
                    self._held.pop(handle, None)
            return outcome

        return self._operate(call, steps())

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
        asked = self._asked(call, instances=lambda: report.sop_instances)

        def serve(_: RequestFault) -> Outcome:
            return call.outcome(self._nodes[target].server.commitment_reported(report))

        def steps() -> Steps[Outcome]:
            held = None if on is None else self._held.pop(on, None)
            open_until: float = (yield held) if held is not None else inf  # one thing after the other
            if held is not None and open_until >= self.env.now:
                with suppress(AssociationError):  # then on a new one
                    outcome = yield from self._between(call).ask(asked, serve, call.outcome, references=count)
                    return replace(outcome, comment="on the association of the request")
            elif open_until == -inf:  # not held: it has met the release, which is on its way
                path = self._path(target, source)
                if seconds := path.cross(SEGMENT) + path.latency:
                    yield self.env.timeout(seconds)
            if astray:
                yield self.env.timeout(self._path(source, target).round_trip)
                raise AssociationError(Trouble.UNREACHABLE, f"nothing listens at that port of {target}")
            return (yield from self._asking(call, asked, serve, references=count, judge=_require_role))

        return self._operate(call, steps())

    # ---- local work

    def make(self, node: str, study: Study) -> Event:
        """Acquire a study."""
        call = Operation(Made, "make", node, study=study.uid)

        def steps() -> Steps[Made]:
            maker = self._nodes[node]
            seconds = study.count * maker.times.make_instance + self._encoding(maker, study)
            yield self._work(node, seconds, study.count)
            maker.server.keep(study)
            return self._made(call, study)

        return self._operate(call, steps())

    def derive(self, node: str, study_uid: str, recipe: str) -> Event:
        """Reconstruct from received instances."""
        call = Operation(Made, "derive", node, study=study_uid)

        def steps() -> Steps[Made]:
            derived = self._nodes[node].server.derive(study_uid, recipe)
            count = derived.count if derived is not None else 0
            yield self._work(node, count * self._nodes[node].times.derive_instance, count)
            return self._made(call, derived)

        return self._operate(call, steps())

    def discard(self, node: str, study_uid: str) -> Event:
        """Drop the local copy of a study."""
        call = Operation(Made, "discard", node, study=study_uid)

        def steps() -> Steps[Made]:
            call.bytes = self._nodes[node].server.discard(study_uid)
            yield self.env.timeout(0)
            return call.outcome(bytes=call.bytes)

        return self._operate(call, steps())

    def _encoding(self, maker: VirtualNode, study: Study) -> float:
        """Seconds that it takes to encode what is made, in the transfer syntax in which it is kept."""
        seconds = 0.0
        for series in study.series:
            self._keep(maker.name, series, maker.keeps)
            codec = maker.times.codec(series.modality, maker.keeps)
            seconds += codec.encode * series.nominal_bytes * series.instances
        return seconds

    def _made(self, call: Operation[Made], study: Study | None) -> Made:
        if study is None:
            return call.outcome(Status(NO_STATUS, "nothing received to derive from"))
        call.instances, call.bytes = study.count, study.nominal_bytes
        self._recorder.add_instances(InstanceBatch(WORLD, call.source, "", study.uid, StudyRows(study), call.name))
        return call.outcome(study=study, instances=call.instances, bytes=call.bytes)


def _accession(attributes: Identifier) -> str:
    """Accession number of the scheduled step that an N-CREATE is about, if it says so."""
    for item in attributes.get("ScheduledStepAttributesSequence", ()):
        if isinstance(item, Mapping):
            return str(item.get("AccessionNumber", ""))
    return ""


def _require_role(association: Association) -> None:
    if association.fault.refuses_role:
        raise AssociationError(Trouble.NO_CONTEXT, "the SCP role was refused")
