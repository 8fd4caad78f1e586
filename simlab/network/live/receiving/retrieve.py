"""C-MOVE and C-GET as SCP (PS3.4 sections C.4.2 and C.4.3): sub-operations counted, reported and cancelled."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any, Protocol

from pydicom import Dataset
from pynetdicom.dimse_primitives import C_GET, C_MOVE
from pynetdicom.dsutils import decode, encode

from simlab.network.live.directory import Directory, Peer
from simlab.network.live.receiving.faulty import AbortingParser
from simlab.network.live.sending.association import accepted_syntaxes, hand_back, make_train
from simlab.network.live.sending.conversion import Preparation, Unsendable
from simlab.network.live.sending.drive import run
from simlab.network.live.sending.train import Outgoing
from simlab.network.live.server import KeptInstance, LiveServer
from simlab.network.live.wire.association import ThreadlessAssociation
from simlab.network.live.wire.identifiers import query_from_data_set
from simlab.network.live.wire.pdus import ProtocolError
from simlab.network.seam import DEFAULT_TIMEOUT, NO_STATUS, Located, Status, is_success
from simlab.network.sop_classes import MODELS
from simlab.records import InstanceRows
from simlab.studies.study import InstanceReference

PENDING = 0xFF00
CANCELLED = 0xFE00
SOME_FAILED = 0xB000
ALL_FAILED = 0xA702
UNKNOWN_DESTINATION = 0xA801
UNABLE_TO_PROCESS = 0xC000

MOST_TOLD = 0xFFFF
"""Sub-operations of a kind: their numbers have two bytes (PS3.7 table 9.3-9). Of more, this many are told."""


class Forward(Protocol):
    """How a node stores the instances of a C-MOVE at their destination."""

    def __call__(
        self,
        destination: Peer,
        instances: Sequence[KeptInstance],
        *,
        originator: tuple[str, int],
        study: str,
        proceed: Callable[[InstanceRows], bool],
    ) -> InstanceRows:
        """Store; ``proceed`` is called after each response, and ends it by returning False."""


OnTranscoded = Callable[[str, Preparation], None]
"""Told, for which study, what had to be transcoded to answer a C-GET."""


class RetrieveService:
    """Answers C-MOVE and C-GET requests for one node."""

    def __init__(
        self, node: LiveServer, directory: Directory, forward: Forward, on_transcoded: OnTranscoded = lambda *_: None
    ) -> None:
        self._node = node
        self._directory = directory
        self._forward = forward
        self._on_transcoded = on_transcoded

    def __call__(self, association: ThreadlessAssociation, request: C_MOVE | C_GET, context: Any) -> None:
        """Serve one request. Runs on the association's thread, so its message queue is ours meanwhile."""
        dialogue = _Dialogue(association, request, context)
        located = self._locate(dialogue)
        if located.status.code != 0:
            dialogue.fail(located.status)
            return
        if isinstance(request, C_MOVE):
            destination = self._directory.titled(str(request.MoveDestination).strip())
            if destination is None:
                dialogue.fail(Status(UNKNOWN_DESTINATION, f"unknown destination {request.MoveDestination}"))
                return
            dialogue.begin(located.references)
            kept = self._fetch(dialogue, located.references)
            originator = (str(association.requestor.ae_title), int(request.MessageID))
            if kept:
                rows = self._forward(
                    destination, kept, originator=originator, study=dialogue.study, proceed=dialogue.take
                )
                dialogue.take(rows)
        else:
            dialogue.begin(located.references)
            preparation = self._prepare_for(association)
            for instance in self._fetch(dialogue, located.references):
                if not dialogue.proceed():
                    break
                dialogue.count(instance.reference, _store_back(association, preparation.prepare(instance), dialogue))
            if preparation.transcoded:
                self._on_transcoded(dialogue.study, preparation)
        dialogue.finish()

    def _locate(self, dialogue: _Dialogue) -> Located:
        try:
            query = query_from_data_set(dialogue.identifier(), MODELS[dialogue.request.AffectedSOPClassUID])
        except Exception as error:  # noqa: BLE001 -- whatever pydicom makes of a peer's garbage
            return Located((), Status(UNABLE_TO_PROCESS, f"identifier cannot be read: {error}"))
        study = query.keys.get("StudyInstanceUID", "")
        dialogue.study = study if isinstance(study, str) else ""
        return self._node.locate(query)

    def _prepare_for(self, association: ThreadlessAssociation) -> Preparation:
        """What the requestor of a C-GET wants to have proposed decides, in its order."""
        contexts = (context for context in association.accepted_contexts if context.as_scu)
        proposed = tuple(dict.fromkeys(str(context.transfer_syntax[0]) for context in contexts))
        options = replace(self._node.storing, propose=proposed, default_syntax=False, encode="stored")
        return Preparation(options, partial(accepted_syntaxes, association))

    def _fetch(self, dialogue: _Dialogue, references: Sequence[InstanceReference]) -> list[KeptInstance]:
        """The instances' files; what is indexed but cannot be fetched counts as failed."""
        kept = []
        for reference in dict.fromkeys(references):
            instance = self._node.fetch(reference)
            if instance is None:
                dialogue.count(reference, NO_STATUS)
            else:
                kept.append(instance)
        return kept


def _store_back(association: ThreadlessAssociation, instance: Outgoing | Unsendable, dialogue: _Dialogue) -> int:
    """C-STORE sub-operation of a C-GET on the same association. Returns the DIMSE status, NO_STATUS if none came."""
    if isinstance(instance, Unsendable):
        return NO_STATUS
    timeout = association.dimse_timeout or DEFAULT_TIMEOUT
    train = make_train(association, dialogue.next_message_id(), time.perf_counter, timeout, outgoing=[instance])
    train.other = partial(association.dul.message, data=None)  # a C-CANCEL
    run(train)
    hand_back(association, train)
    if isinstance(association.dul.parser, AbortingParser):  # which the train has passed by
        try:
            association.dul.parser.count()
        except ProtocolError:
            association.dul.refuse()
            return NO_STATUS
    return train.rows.status[0] if train.rows else NO_STATUS


class _Dialogue:
    """One C-MOVE or C-GET on the wire: its responses, counts and cancellation."""

    def __init__(self, association: ThreadlessAssociation, request: C_MOVE | C_GET, context: Any) -> None:
        self.association = association
        self.request = request
        self._context = context
        self._remaining: dict[str, InstanceReference] = {}
        self._completed = 0
        self._taken = 0
        """Rows of the train that were counted: it has one association, so they only ever grow."""
        self._warning = 0
        self._failed: list[str] = []
        self._cancelled = False
        self._message_id = int(request.MessageID)
        self.study = ""
        """Study Instance UID, where the request is about one study."""

    def identifier(self) -> Dataset:
        """The request's identifier. Raises pydicom's errors on garbage."""
        syntax = self._context.transfer_syntax[0]
        identifier: Dataset = decode(self.request.Identifier, syntax.is_implicit_VR, syntax.is_little_endian)
        return identifier

    def next_message_id(self) -> int:
        """A message ID for a sub-operation, distinct from the request's."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def begin(self, references: Sequence[InstanceReference]) -> None:
        """Sub-operations are known; none has been done."""
        self._remaining = {reference.sop_instance: reference for reference in references}

    def take(self, rows: InstanceRows) -> bool:
        """Count the rows that came since the last call; False if the peer cancelled."""
        for index in range(self._taken, len(rows)):
            self.count(InstanceReference(rows.sop_class[index], rows.sop_instance[index]), rows.status[index])
        self._taken = len(rows)
        return self.proceed()

    def count(self, reference: InstanceReference, status: int) -> None:
        """One sub-operation is done; tell the peer while more remain."""
        if self._remaining.pop(reference.sop_instance, None) is None:
            return  # located twice, counted once
        if status == 0:
            self._completed += 1
        elif is_success(status):
            self._warning += 1
        else:
            self._failed.append(reference.sop_instance)
        if self._remaining and self.association.is_established:
            self._respond(PENDING)

    def proceed(self) -> bool:
        """False if the peer cancelled or the association has ended."""
        self._cancelled = self._cancelled or self.request.MessageID in self.association.dimse.cancel_req
        return not self._cancelled and self.association.dul.is_alive() and bool(self.association.is_established)

    def fail(self, status: Status) -> None:
        """Answer with a failure before any sub-operation."""
        self._respond(status.code, status.comment)

    def finish(self) -> None:
        """Send the final response (PS3.4 tables C.4-2 and C.4-3)."""
        if not self.association.is_established:
            return
        if self._cancelled and self._remaining:
            self._respond(CANCELLED)
            return
        self._failed.extend(self._remaining)  # never tried: the association to the destination failed
        self._remaining = {}
        if not self._failed:
            self._respond(SOME_FAILED if self._warning else 0x0000)
        elif self._completed or self._warning:
            self._respond(SOME_FAILED)
        else:
            self._respond(ALL_FAILED, "no sub-operation succeeded")

    def _respond(self, status: int, comment: str = "") -> None:
        response = type(self.request)()
        response.MessageIDBeingRespondedTo = self.request.MessageID
        response.AffectedSOPClassUID = self.request.AffectedSOPClassUID
        response.Status = status
        if comment:
            response.ErrorComment = comment[:64]
        if status in (PENDING, CANCELLED):
            response.NumberOfRemainingSuboperations = min(len(self._remaining), MOST_TOLD)
        if status == PENDING or status in (0x0000, CANCELLED, SOME_FAILED, ALL_FAILED):
            response.NumberOfCompletedSuboperations = min(self._completed, MOST_TOLD)
            response.NumberOfFailedSuboperations = min(len(self._failed), MOST_TOLD)
            response.NumberOfWarningSuboperations = min(self._warning, MOST_TOLD)
        if self._failed and status in (CANCELLED, SOME_FAILED, ALL_FAILED):
            identifier = Dataset()
            identifier.FailedSOPInstanceUIDList = self._failed
            syntax = self._context.transfer_syntax[0]
            response.Identifier = BytesIO(encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian) or b"")
        self.association.dimse.send_msg(response, self._context.context_id)
