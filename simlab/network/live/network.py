"""The live half of the seam: each operation runs on a worker thread, over real associations, and leaves one record."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any, cast

from simpy import Event

from simlab.network.faults import NO_FAULTS, Faults
from simlab.network.live.call import Call, follow_retrieve, retrieved
from simlab.network.live.committing import report_commitment, request_commitment
from simlab.network.live.directory import Directory, Peer
from simlab.network.live.environment import LiveEnvironment
from simlab.network.live.fetched import FetchedStores
from simlab.network.live.receiving.acceptor import Acceptor, Listening
from simlab.network.live.receiving.retrieve import UNKNOWN_DESTINATION, Forward, RetrieveService
from simlab.network.live.sending.conversion import Preparation
from simlab.network.live.sending.transfer import Transfer
from simlab.network.live.server import KeptInstance, LiveServer
from simlab.network.live.watched import Watched
from simlab.network.live.wire.identifiers import from_data_set, query_to_data_set, to_data_set
from simlab.network.live.wire.upper_layer import AssociationError
from simlab.network.operation import OutcomeT
from simlab.network.polling import ask_on
from simlab.network.query import Identifier, Poll, Query
from simlab.network.seam import (
    DEFAULT_TIMEOUT,
    NO_STATUS,
    SUCCESS,
    AssociationHandle,
    CommitmentReport,
    Found,
    Made,
    Outcome,
    Retrieved,
    Status,
    StoreOptions,
)
from simlab.network.sop_classes import FIND, GET, MOVE, PERFORMED_PROCEDURE_STEP, STORAGE_COMMITMENT, VERIFICATION
from simlab.network.stored import Stored
from simlab.records import InstanceBatch, InstanceRows, Recorder
from simlab.studies.fingerprint import Fingerprint
from simlab.studies.sop_classes import STORAGE_CLASSES
from simlab.studies.study import Study

WORLD = "live"

FORWARD_TIMEOUT = DEFAULT_TIMEOUT / 2
"""Seconds to wait for a C-MOVE's destination: the mover must hear how it ended before it gives up itself."""


class LiveNetwork:
    """:class:`simlab.network.seam.Network` for the nodes of one group, over TCP."""

    def __init__(self, env: LiveEnvironment, recorder: Recorder, in_use: Collection[str] | None = None) -> None:
        """``in_use`` are the transfer syntaxes that a C-GET must be prepared for besides the usual; None: all."""
        self.env = env
        self._retrieved = retrieved(in_use)
        self.directory = Directory()
        self._recorder = recorder
        self._servers: dict[str, LiveServer] = {}
        self._acceptors: dict[str, Acceptor] = {}

    # ---- nodes of this group

    def register(self, name: str, server: LiveServer, listening: Listening, faults: Faults = NO_FAULTS) -> Peer:
        """Let a node listen, and do wrong what ``faults`` says; returns where it can be reached.

        Raises OSError if its port is taken.
        """
        self._servers[name] = server
        watched = cast("LiveServer", Watched(server, self.env))
        transcoded = partial(self._transcoded, name)
        retrieve = RetrieveService(watched, self.directory, self._forward_from(name), transcoded)
        self._acceptors[name] = Acceptor(listening, watched, retrieve, self.env.crash, faults)
        return Peer(name, listening.ae_title, listening.host, self._acceptors[name].port)

    def close(self) -> None:
        """Stop listening."""
        for acceptor in self._acceptors.values():
            acceptor.close()

    # ---- operations

    def echo(self, source: str, target: str, *, timeout: float = DEFAULT_TIMEOUT) -> Event:
        """C-ECHO (PS3.4 annex A)."""
        call = self._call(Outcome, "C-ECHO", source, target, timeout, VERIFICATION)

        def work() -> Outcome:
            with call.associate([VERIFICATION]) as association:
                response = association.ask(association.association.send_c_echo)
                return call.outcome(association.status_of(response))

        return self._operate(call, work)

    def find(self, source: str, target: str, query: Query, *, timeout: float = DEFAULT_TIMEOUT) -> Event:
        """C-FIND (PS3.4 annexes C and K)."""
        sop_class = FIND[query.model]
        call = self._call(Found, "C-FIND", source, target, timeout, sop_class)

        def work() -> Found:
            matches: list[Identifier] = []
            status = Status(NO_STATUS)
            with call.associate([sop_class]) as association:
                send = association.association.send_c_find
                for response, identifier in association.ask(lambda: send(query_to_data_set(query), sop_class)):
                    status = association.status_of(response)
                    if identifier is not None:
                        matches.append(from_data_set(identifier))
            return call.outcome(status, matches=tuple(matches))

        return self._operate(call, work)

    def poll(
        self, source: str, target: str, poll: Poll, *, deadline: float = inf, timeout: float = DEFAULT_TIMEOUT
    ) -> Event:
        """C-FIND until there are news."""
        find = partial(self.find, source, target, poll.query, timeout=timeout)
        return self.env.process(ask_on(self.env, poll, deadline, find))

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
        """C-STORE of every selected instance (PS3.4 annex B)."""
        call = self._call(Stored, "C-STORE", source, target, timeout, study=study.uid, intended=intended)

        def work() -> Stored:
            fetched = [self._servers[source].fetch(reference) for reference in study.references]
            kept = [instance for instance in fetched if instance is not None]
            transfer = Transfer(call.calling, call.peer, kept, self.env.wall, call.timeout, options)
            if len(kept) < study.count:
                transfer.comment = f"{study.count - len(kept)} instances are not on the local disk"
            stored = self._run(call, transfer, options.associations, requested=study.count)
            return replace(stored, references=study.references)

        return self._operate(call, work)

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
        """C-MOVE (PS3.4 section C.4.2)."""
        sop_class = MOVE[query.model]
        call = self._call(Retrieved, "C-MOVE", source, target, timeout, sop_class, study)

        def work() -> Retrieved:
            try:
                title = self.directory.node(destination).ae_title
            except KeyError:
                return call.outcome(Status(UNKNOWN_DESTINATION, f"unknown destination {destination}"))
            with call.associate([sop_class]) as association:
                send = association.association.send_c_move
                responses = association.ask(lambda: send(query_to_data_set(query), title, sop_class))
                return follow_retrieve(call, association, responses)

        return self._operate(call, work)

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
        """C-GET (PS3.4 section C.4.3); what comes is looked at and let go."""
        sop_class = GET[query.model]
        call = self._call(Retrieved, "C-GET", source, target, timeout, sop_class, study)

        def work() -> Retrieved:
            with (
                FetchedStores(known or {}) as fetched,
                call.associate([sop_class, *self._retrieved], scp_roles=STORAGE_CLASSES) as association,
            ):
                fetched.take_from(association)
                send = association.association.send_c_get
                responses = association.ask(lambda: send(query_to_data_set(query), sop_class))
                try:
                    outcome = follow_retrieve(call, association, responses)
                except AssociationError as error:  # what has come by then has come
                    outcome = call.failed(error.trouble, error.comment)
            call.bytes = fetched.bytes
            return replace(outcome, received=fetched.fingerprints())

        return self._operate(call, work)

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
        """N-CREATE of a Modality Performed Procedure Step (PS3.4 section F.7.1)."""
        return self._step("N-CREATE", source, target, step, attributes, study, timeout)

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
        """N-SET of a Modality Performed Procedure Step (PS3.4 section F.7.2)."""
        return self._step("N-SET", source, target, step, attributes, study, timeout, instances)

    def _step(
        self,
        operation: str,
        source: str,
        target: str,
        step: str,
        attributes: Identifier,
        study: str,
        timeout: float,
        instances: int = 0,
    ) -> Event:
        sop_class = PERFORMED_PROCEDURE_STEP
        call = self._call(Outcome, operation, source, target, timeout, sop_class, study, instances)

        def work() -> Outcome:
            with call.associate([sop_class]) as association:
                peer = association.association
                send = peer.send_n_create if operation == "N-CREATE" else peer.send_n_set
                response, _ = association.ask(lambda: send(to_data_set(attributes), sop_class, step))
                return call.outcome(association.status_of(response))

        return self._operate(call, work)

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
        """Storage commitment N-ACTION (PS3.4 section J.3.2)."""
        sop_class, count = STORAGE_COMMITMENT, study.count
        call = self._call(Outcome, "N-ACTION", source, target, timeout, sop_class, study.uid, instances=count)
        node, faults = self._servers[source], self._acceptors[source].faults
        event, answer = self.env.promise()

        def told(outcome: Outcome) -> None:
            # The workflow hears of the response at once; the association may stay open for the report after that.
            answer(self._finish(call, outcome))

        self.env.spawn(lambda: request_commitment(call, transaction, study.references, hold, node, faults, told))
        return event

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
        """Storage commitment N-EVENT-REPORT (PS3.4 section J.3.3)."""
        sop_class = STORAGE_COMMITMENT
        count = len(report.stored) + len(report.failed)
        call = self._call(Outcome, "N-EVENT-REPORT", source, target, timeout, sop_class, study, instances=count)

        def work() -> Outcome:
            requested = self._acceptors[source].association(on) if on is not None else None
            return report_commitment(call, report, requested, astray=astray)

        return self._operate(call, work)

    # ---- local work

    def make(self, node: str, study: Study) -> Event:
        """Acquire a study."""
        return self._local("make", node, study.uid, lambda: self._servers[node].make(study))

    def derive(self, node: str, study_uid: str, recipe: str) -> Event:
        """Reconstruct from received instances."""
        return self._local("derive", node, study_uid, lambda: self._servers[node].derive(study_uid, recipe))

    def discard(self, node: str, study_uid: str) -> Event:
        """Delete the local copy of a study."""

        def discard() -> Made:
            return Made(operation="discard", bytes=self._servers[node].discard(study_uid))

        return self._local("discard", node, study_uid, discard)

    def _local(self, operation: str, node: str, study: str, work: Callable[[], Made]) -> Event:
        call = self._call(Made, operation, node, study=study)

        def run() -> Made:
            made = work()
            call.instances, call.bytes, call.codec_seconds = made.instances, made.bytes, made.codec_seconds
            if made.study is not None:
                rows = InstanceRows.of(made.study.references)
                batch = InstanceBatch(WORLD, node, "", study, rows, operation, made.fingerprints)
                self._recorder.add_instances(batch)
            return made

        return self._operate(call, run)

    def _transcoded(self, node: str, study: str, what: Preparation) -> None:
        """Record what a C-GET cost ``node``: it is the requestor's operation."""
        call = self._call(Made, "transcode", node, study=study, instances=what.transcoded)
        call.started -= what.elapsed
        call.bytes, call.transcoded, call.codec_seconds = what.bytes, what.transcoded, what.seconds
        self._finish(call, call.outcome(instances=what.transcoded))

    # ---- the data plane

    def _call(self, kind: type[OutcomeT], *args: Any, **kwargs: Any) -> Call[OutcomeT]:
        call = Call(kind, *args, **kwargs, directory=self.directory)
        call.started = self.env.wall()
        return call

    def _finish(self, call: Call[OutcomeT], outcome: OutcomeT) -> OutcomeT:
        return call.finish(outcome, WORLD, self.env.wall(), self._recorder)

    def _operate(self, call: Call[OutcomeT], work: Callable[[], OutcomeT]) -> Event:
        """Run an operation on a worker thread; what fails between AEs becomes its outcome."""

        def run() -> OutcomeT:
            try:
                outcome = work()
            except AssociationError as error:
                outcome = call.failed(error.trouble, error.comment)
            return self._finish(call, outcome)

        return self.env.submit(run)

    def _run(self, call: Call[Stored], transfer: Transfer, associations: int, *, requested: int) -> Stored:
        """Send everything, and note in the call and in instance rows what it came to."""
        transfer.run(associations)
        rows = transfer.rows
        call.tally(rows, requested)
        call.transcoded, call.codec_seconds = transfer.transcoded, transfer.codec_seconds
        self._recorder.add_instances(InstanceBatch(WORLD, call.source, call.target, call.study, rows))
        code = NO_STATUS if transfer.status == SUCCESS and call.failures else transfer.status
        spent = {"transcoded": call.transcoded, "codec_seconds": call.codec_seconds}
        return call.outcome(Status(code, transfer.comment), trouble=transfer.trouble, told=rows, **spent)

    def _forward_from(self, node: str) -> Forward:
        """How ``node`` sends the sub-operations of a C-MOVE: through its own store, recorded as such."""

        def forward(
            destination: Peer,
            instances: Sequence[KeptInstance],
            *,
            originator: tuple[str, int],
            study: str,
            proceed: Callable[[InstanceRows], bool],
        ) -> InstanceRows:
            call = self._call(Stored, "C-STORE", node, destination.node, FORWARD_TIMEOUT, study=study)
            options = self._servers[node].storing
            transfer = Transfer(
                call.calling, call.peer, instances, self.env.wall, call.timeout, options, originator, proceed
            )
            self._finish(call, self._run(call, transfer, 1, requested=len(instances)))
            return transfer.rows

        return forward
