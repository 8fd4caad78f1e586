"""Faults acted out on the wire: what an AE does wrong where it is asked for something (PS3.7 and PS3.8).

What goes wrong is decided elsewhere (:class:`simlab.network.faults.Faults`). What takes time is done on a thread that
has the association to itself, one thing after the other: so no response gets into the middle of another one, and every
wait ends with the association. A request is done all the same if the peer has not waited for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from functools import partial
from math import ceil
from typing import Any, NamedTuple

from pydicom import Dataset
from pynetdicom.dsutils import decode

from simlab.network.faults import Asked, AssociationFault, Faults, RequestFault
from simlab.network.live.commitment import report_from_data_set, request_from_data_set
from simlab.network.live.receiving.handlers import Contexts
from simlab.network.live.receiving.reception import Deliver, Receiving, Reception, Writing
from simlab.network.live.wire.association import ThreadlessAssociation
from simlab.network.live.wire.attributes import UnreadableError, read_attributes
from simlab.network.live.wire.commands import Command, store_response
from simlab.network.live.wire.elements import wanted
from simlab.network.live.wire.pdus import P_DATA_TF, DataSink, Incoming, PDUParser, ProtocolError, Reason
from simlab.network.live.wire.upper_layer import UpperLayer
from simlab.network.query import Identifier
from simlab.network.seam import SUCCESS, Status
from simlab.network.sop_classes import VERIFICATION

MOST_PIECES = 20
"""In how many pieces a response goes whose bytes are spread over a time."""

_OF_AN_INSTANCE = wanted(("InstanceNumber", "AccessionNumber"))

Serve = Callable[[Any, int], object]
"""Does what a request asks for, given its context ID, and responds."""


# ---- associations


def without_refused(contexts: Contexts, fault: AssociationFault) -> Contexts:
    """What is left of the supported contexts.

    A context that is proposed is then rejected with result 3 for its SOP class, 4 for its transfer syntaxes (PS3.8
    table 9-18), and without the role the requestor is no SCP (PS3.7 section D.3.3.4).
    """
    if fault.refused is None:
        contexts = Contexts(context for context in contexts if context.abstract_syntax == VERIFICATION)
    elif fault.refused:
        kept = Contexts(copy(context) for context in contexts if context.abstract_syntax not in fault.refused)
        for context in kept:
            context.transfer_syntax = [each for each in context.transfer_syntax if each not in fault.refused]
        contexts = kept
    if fault.refuses_role:
        contexts = Contexts(map(copy, contexts))
        for context in contexts:
            if context.scp_role:
                context.scp_role = False
    return contexts


class AbortingParser(PDUParser):
    """Finds fault with the P-DATA-TF of a given number, whatever is in it."""

    def __init__(self, incoming: Incoming, announced: int, aborts_at: int) -> None:
        super().__init__(incoming, announced)
        self._left = aborts_at

    def count(self) -> None:
        """Another one has come. Raises ProtocolError if it is the one."""
        self._left -= 1
        if not self._left:
            raise ProtocolError(Reason.NOT_SPECIFIED, "as the fault plan says")

    def _begin_pdu(self, kind: int, length: int) -> None:
        if kind == P_DATA_TF:
            self.count()
        super()._begin_pdu(kind, length)


# ---- requests


def serve(association: ThreadlessAssociation, faults: Faults, do: Serve, request: Any, context_id: int) -> None:
    """Serve a request other than a C-STORE, as ``faults`` want it.

    On the thread that has the association to itself, and not while bytes are being taken in.
    """
    operation, context = type(request).__name__.replace("_", "-"), association._accepted_cx.get(context_id)
    fault = RequestFault()
    if context is not None and faults.concern(operation):
        fault = faults.of_request(_asked(association, operation, request, context.transfer_syntax[0]))
    if not fault:
        do(request, context_id)
        return
    association.dul.pass_time(fault.delay)
    if fault.closes:
        association.kill()
    elif not (fault.ignores or association._sent_abort):
        if fault.answer is not None:
            do = partial(_answer, association, fault.answer)
        with _responding(association, fault):
            do(request, context_id)


@contextmanager
def _responding(association: ThreadlessAssociation, fault: RequestFault) -> Iterator[None]:
    """Have the response to a request sent as its fault wants it."""
    dul = association.dul
    dul.withheld = bytearray() if _affects_response(fault) else None
    association.fault = fault
    try:
        yield
    finally:
        response, dul.withheld = dul.withheld, None
        association.fault = RequestFault()
    if response:
        _send(dul, fault, bytes(response))


def _affects_response(fault: RequestFault) -> bool:
    return bool(fault.response_delay or fault.spread or fault.twice)


def _send(dul: UpperLayer, fault: RequestFault, response: bytes) -> None:
    """Send a response late, slowly or twice. Ends when the association does."""
    dul.pass_time(fault.response_delay)
    size = ceil(len(response) / MOST_PIECES) if fault.spread else len(response)
    pieces = [response[start : start + size] for start in range(0, len(response), size)]
    for _ in range(1 + fault.twice):
        for number, piece in enumerate(pieces):
            dul.pass_time(fault.spread / (len(pieces) - 1) if number else 0.0)
            dul.send_at_once(piece)


def _answer(association: ThreadlessAssociation, status: Status, request: Any, context_id: int) -> None:
    """Respond with a status, and with nothing else that need not be (PS3.7 chapters 9 and 10)."""
    response = type(request)()
    response.MessageIDBeingRespondedTo = request.MessageID
    response.AffectedSOPClassUID = request.AffectedSOPClassUID or request.RequestedSOPClassUID
    response.Status = status.code
    if status.comment:
        response.ErrorComment = status.comment[:64]
    association.dimse.send_msg(response, context_id)


def _asked(association: ThreadlessAssociation, operation: str, request: Any, syntax: Any) -> Asked:
    """What a request is about; of one that cannot be read, no more than who asks."""
    peer = association.requestor if association.is_acceptor else association.acceptor
    entities: tuple[str, ...] = ()
    accession = ""
    with suppress(Exception):  # whatever pydicom makes of a peer's garbage
        match operation:
            case "N-CREATE":
                entities = _named(request.AffectedSOPInstanceUID)
                steps = _data_set(request.AttributeList, syntax).get("ScheduledStepAttributesSequence")
                accession = str(steps[0].get("AccessionNumber") or "") if steps else ""
            case "N-SET":
                entities = _named(request.RequestedSOPInstanceUID)
            case "N-ACTION":
                _, references = request_from_data_set(_data_set(request.ActionInformation, syntax))
                entities = tuple(reference.sop_instance for reference in references)
            case "N-EVENT-REPORT":
                entities = report_from_data_set(_data_set(request.EventInformation, syntax)).sop_instances
    return Asked(operation, str(peer.ae_title).strip(), entities, accession)


def _named(uid: object) -> tuple[str, ...]:
    return (str(uid),) if uid else ()


def _data_set(encoded: Any, syntax: Any) -> Dataset:
    data_set: Dataset = decode(encoded, syntax.is_implicit_VR, syntax.is_little_endian)
    return data_set


# ---- C-STORE


class _Judged(NamedTuple):
    """A data set of which is decided at its end what becomes of it."""

    write: Callable[[Sequence[memoryview]], object]
    end: Callable[[], None]
    give_up: Callable[[], None]


class FaultyReception(Reception):
    """The C-STORE requests of one association with an AE whose faults concern them."""

    def __init__(
        self,
        receiving: Receiving,
        contexts: Mapping[int, tuple[str, str]],
        calling: str,
        window: int,
        deliver: Deliver,
        association: ThreadlessAssociation,
        faults: Faults,
        in_turn: Callable[[Callable[[], None]], object],
    ) -> None:
        """``in_turn``, called on any thread, has something done on one that has the association to itself."""
        super().__init__(receiving, contexts, calling, window, association.dul.send_at_once, deliver)
        self._association = association
        self._faults = faults
        self._in_turn = in_turn
        self._wrong: dict[int, RequestFault] = {}
        """By Message ID: what is wrong with responses that are due."""

    def begin(self, context_id: int, command: bytes) -> DataSink | None:
        """Where the data set of a C-STORE-RQ goes; None if the command is none. Raises ProtocolError."""
        writing = super().begin(context_id, command)
        if not isinstance(writing, Writing):
            return writing
        return _Judged(writing.write, partial(self._judge, writing), writing.give_up)

    def _judge(self, writing: Writing) -> None:
        fault = self._faults.of_request(_asked_to_store(writing))
        if fault:
            self._in_turn(partial(self._end, writing, fault))
        else:
            writing.end()

    def _end(self, writing: Writing, fault: RequestFault) -> None:
        association = self._association
        association.dul.pass_time(fault.delay)
        if fault.closes or fault.ignores or association._sent_abort:
            writing.give_up()
            if fault.closes:
                association.kill()
            return
        if fault.drops or fault.answer is not None:
            writing.refuse(fault.answer or Status(SUCCESS))
        self._wrong[writing.request.message_id] = fault
        writing.end()

    def respond(self, context_id: int, request: Command, status: Status) -> None:
        """Send a C-STORE-RSP, as its fault wants it."""
        fault = self._wrong.pop(request.message_id, RequestFault())
        if self._window == 1 and not _affects_response(fault):
            super().respond(context_id, request, status)
            return
        self.outstanding -= 1  # before the peer has the first of two responses, and goes on
        response = store_response(context_id, request, status)
        self._in_turn(partial(_send, self._association.dul, fault, response))


def _asked_to_store(writing: Writing) -> Asked:
    instance = writing.instance
    attributes: Identifier = {}
    with suppress(UnreadableError):
        attributes = read_attributes(instance, writing.head, _OF_AN_INSTANCE)
    number, accession = attributes.get("InstanceNumber"), attributes.get("AccessionNumber")
    return Asked(
        "C-STORE",
        instance.calling.strip(),
        _named(instance.reference.sop_instance),
        accession if isinstance(accession, str) else "",
        int(number) if isinstance(number, str) and number.lstrip("+-").isdecimal() else None,
    )
