"""Associations that we request: pynetdicom negotiates, on an upper layer without threads.

TCP_NODELAY is never set by pynetdicom, and without it Nagle and delayed acknowledgement stall small messages by 40 ms
each.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from simlab.network.live.directory import Peer
from simlab.network.live.sending.train import Ending, Outgoing, Train
from simlab.network.live.wire.association import ThreadlessAssociation
from simlab.network.live.wire.upper_layer import AssociationError
from simlab.network.seam import Status, Trouble
from simlab.records import InstanceRows
from simlab.studies.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # what goes wrong is a value, told by records

CONNECTION_TIMEOUT = 10.0
"""Seconds to wait for a TCP connection."""

MAXIMUM_LENGTH = 1 << 20
"""Of a P-DATA-TF that we receive, in bytes (PS3.8 annex D.1). Large: fewer headers, and we need no memory for it."""

MAXIMUM_CONTEXTS = 128
"""Presentation contexts in one association request: odd identifiers from 1 to 255 (PS3.8 section 9.3.2.2)."""

T = TypeVar("T")
Handlers = Sequence[tuple[evt.InterventionEvent, Callable[[evt.Event], Any]]]


def new_entity(ae_title: str, timeout: float) -> AE:
    """A pynetdicom AE that names simlab as its implementation and bounds every wait."""
    entity = AE(ae_title)
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = min(timeout, CONNECTION_TIMEOUT)
    entity.acse_timeout = timeout
    entity.dimse_timeout = timeout
    entity.network_timeout = timeout
    entity.maximum_pdu_size = MAXIMUM_LENGTH
    return entity


def contexts_for(pairs: Iterable[tuple[str, str]]) -> list[PresentationContext]:
    """One presentation context per (SOP class, transfer syntax), in order, without repetition.

    Given several transfer syntaxes in one context it is the acceptor who chooses; one per context leaves the choice
    to the sender, where it belongs. Raises ValueError beyond the 128 that fit into one request.
    """
    unique = dict.fromkeys(pairs)
    if len(unique) > MAXIMUM_CONTEXTS:
        raise ValueError(f"{len(unique)} presentation contexts, at most {MAXIMUM_CONTEXTS} fit into a request")
    return [build_context(sop_class, syntax) for sop_class, syntax in unique]


def without_nagle(event: evt.Event) -> None:
    """Handler of EVT_CONN_OPEN: set TCP_NODELAY."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Requestor:
    """An association that we requested. A context manager: leaving it releases, or aborts after an error."""

    def __init__(self, association: ThreadlessAssociation) -> None:
        self.association = association

    @classmethod
    def open(
        cls,
        calling: str,
        peer: Peer,
        contexts: Sequence[PresentationContext],
        *,
        timeout: float,
        scp_roles: Iterable[str] = (),
        handlers: Handlers = (),
        outstanding: int = 1,
    ) -> Self:
        """Request an association.

        ``scp_roles`` are SOP classes for which we propose the SCP role beside the SCU role (PS3.7 D.3.3.4);
        ``outstanding`` operations at a time are asked for, 0 for any number (PS3.7 D.3.3.3).
        Raises :class:`AssociationError` if none is established.
        """
        entity = new_entity(calling, timeout)
        association = ThreadlessAssociation(entity, "requestor")
        try:
            there = AddressInformation.from_addr_port(peer.host, peer.port)
        except (socket.gaierror, UnicodeError) as error:
            raise AssociationError(Trouble.UNREACHABLE, f"no address of {peer.host}") from error
        here = AddressInformation("::0" if there.is_ipv6 else "", 0)
        association.set_socket(entity._create_socket(association, here, None))
        association.acceptor.ae_title = peer.ae_title
        association.acceptor.address_info = there
        association.requestor.address_info = here
        association.requestor.ae_title = entity.ae_title
        association.requestor.maximum_length = entity.maximum_pdu_size
        association.requestor.implementation_class_uid = entity.implementation_class_uid
        association.requestor.implementation_version_name = entity.implementation_version_name
        for sop_class in dict.fromkeys(scp_roles):
            association.requestor.add_negotiation_item(build_role(sop_class, scu_role=True, scp_role=True))
        if outstanding != 1:
            window = AsynchronousOperationsWindowNegotiation()
            window.maximum_number_operations_invoked = outstanding
            window.maximum_number_operations_performed = 1
            association.requestor.add_negotiation_item(window)
        for number, context in enumerate(contexts):
            context.context_id = 2 * number + 1
        association.requestor.requested_contexts = list(contexts)

        connected = threading.Event()
        association.bind(evt.EVT_CONN_OPEN, without_nagle)
        association.bind(evt.EVT_CONN_OPEN, lambda _: connected.set())
        for event, handler in handlers:
            association.bind(event, handler)
        asked = time.perf_counter()
        association.request()
        if not (association.is_established and association.dul.is_alive()):  # it may have ended in the same breath
            waited = time.perf_counter() - asked
            association.kill()
            raise _refusal(association, peer, connected=connected.is_set(), waited=waited)
        return cls(association)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(abort=error is not None)

    def close(self, *, abort: bool = False) -> None:
        """Release the association, or abort it. Does nothing if it has ended already."""
        if self.association.is_established and abort:
            self.association.abort()
        elif self.association.is_established:
            self.association.release()
        self.association.kill()

    # ---- what was negotiated

    def accepted(self, sop_class: str) -> dict[str, int]:
        """Accepted transfer syntaxes for a SOP class, with the context ID of each, in the order proposed."""
        return accepted_syntaxes(self.association, sop_class)

    @property
    def window(self) -> int:
        """How many operations may be outstanding (PS3.7 D.3.3.3): 1 unless the peer agreed to more; 0 is any number."""
        return int(self.association.acceptor.asynchronous_operations[0])

    # ---- messages

    def train(
        self,
        clock: Callable[[], float],
        timeout: float,
        proceed: Callable[[InstanceRows], bool] = lambda _: True,
        originator: tuple[str, int] | None = None,
        outgoing: Iterable[Outgoing] = (),
    ) -> Train:
        """A train of C-STOREs on this association, to be run and then unhitched; nobody else may read meanwhile.

        ``originator`` is the move originator's AE title and message ID, for C-STOREs that a C-MOVE causes.
        """
        return make_train(self.association, 1, clock, timeout, proceed, originator, outgoing)

    def unhitch(self, train: Train) -> None:
        """Close the association behind a train: release it, if it is still whole."""
        hand_back(self.association, train)
        self._answer_release()
        self.close()

    def ask(self, send: Callable[[], T]) -> T:
        """Call one of pynetdicom's ``send_*`` functions; a missing presentation context raises AssociationError."""
        try:
            return send()
        except ValueError as error:  # pynetdicom's way to say that no context was accepted
            raise AssociationError(Trouble.NO_CONTEXT, str(error)) from error
        except RuntimeError as error:  # ... and that the association has ended
            raise AssociationError(Trouble.ABORTED, str(error)) from error

    def status_of(self, response: Dataset) -> Status:
        """The status in a response; an empty one means that none came. Raises AssociationError then."""
        if "Status" not in response:
            raise missing_response(self.association)
        return Status(int(response.Status), str(response.get("ErrorComment", "")), response.get("ErrorID"))

    def serve_until(self, finished: threading.Event, timeout: float) -> None:
        """Keep the association open for what the peer may send, until ``finished``, its end, or the time-out."""
        dul = self.association.dul
        self.association.dimse.wait(lambda: finished.is_set() or dul.release_requested, timeout)
        self._answer_release()

    def _answer_release(self) -> None:
        association = self.association
        if association.acse.is_release_requested():
            association.acse.send_release(is_response=True)
            association.is_released, association.is_established = True, False


def accepted_syntaxes(association: ThreadlessAssociation, sop_class: str) -> dict[str, int]:
    """Transfer syntaxes in which we may send a SOP class, with the context ID of each, in the order proposed."""
    return {
        str(context.transfer_syntax[0]): int(context.context_id)
        for context in association.accepted_contexts
        if context.abstract_syntax == sop_class and context.as_scu
    }


def make_train(
    association: ThreadlessAssociation,
    first_message_id: int,
    clock: Callable[[], float],
    timeout: float,
    proceed: Callable[[InstanceRows], bool] = lambda _: True,
    originator: tuple[str, int] | None = None,
    outgoing: Iterable[Outgoing] = (),
) -> Train:
    """A train of C-STOREs on any association on which we may send them."""
    peer = association.acceptor if association.is_requestor else association.requestor
    connection = association.dul.connection
    assert connection is not None
    return Train(
        connection,
        {
            (str(context.abstract_syntax), str(context.transfer_syntax[0])): int(context.context_id)
            for context in association.accepted_contexts
            if context.as_scu
        },
        int(peer.maximum_length or 0),
        int(association.acceptor.asynchronous_operations[0]) if association.is_requestor else 1,
        timeout,
        clock,
        iter(outgoing),
        proceed,
        originator,
        first_message_id,
    )


def hand_back(association: ThreadlessAssociation, train: Train) -> None:
    """Let pynetdicom have an association again on which a train was run."""
    if train.leftover:
        association.dul.take_in(memoryview(train.leftover))
    if train.ending is Ending.DISCONNECTED:
        association.dul.take_in(memoryview(b""))
    elif train.ending in (Ending.TIMED_OUT, Ending.PROTOCOL_ERROR):
        association.abort()


def at_once(tasks: Sequence[Callable[[], T]], most: int | None = None) -> list[T]:
    """Do things side by side, ``most`` of them at a time; the results in order.

    An exception in one is raised at the end. Who is interrupted waits for none that has begun, and begins no more.
    """
    if len(tasks) == 1:
        return [tasks[0]()]
    answers = [Future[T]() for _ in tasks]
    left = deque(zip(answers, tasks, strict=True))

    def work() -> None:
        while left:
            with suppress(IndexError):  # another thread has taken the last one
                answer, task = left.popleft()
                try:
                    answer.set_result(task())
                except BaseException as error:  # noqa: BLE001 -- raised where the result is asked for
                    answer.set_exception(error)

    for _ in range(min(len(tasks), most or len(tasks))):
        threading.Thread(target=work, name="at-once", daemon=True).start()
    try:
        wait(answers)
    finally:
        left.clear()
    return [answer.result() for answer in answers]


def missing_response(association: ThreadlessAssociation) -> AssociationError:
    """Why no response came; after a time-out the association is aborted."""
    timed_out = association._sent_abort or association.dul.is_alive() or association.dul.timed_out
    association.abort()
    if timed_out:
        return AssociationError(Trouble.TIMEOUT, f"none within {association.dimse_timeout:g} s")
    return AssociationError(Trouble.ABORTED)


def _refusal(association: Association, peer: Peer, *, connected: bool, waited: float) -> AssociationError:
    """Why an association was not established."""
    if association.is_rejected:
        answer = association.acceptor.primitive
        reason = f"{answer.result}/{answer.result_source}/{answer.diagnostic} {answer.reason_str}"
        return AssociationError(Trouble.REJECTED, reason)
    patience = association.ae.connection_timeout
    if not connected and waited >= patience:
        return AssociationError(Trouble.UNREACHABLE, f"{peer.host}:{peer.port} takes no connection in {patience:g} s")
    if not connected:
        return AssociationError(Trouble.UNREACHABLE, f"nothing listens at {peer.host}:{peer.port}")
    if association.rejected_contexts and not association.accepted_contexts:
        return AssociationError(Trouble.NO_CONTEXT, "every presentation context was rejected")
    if waited >= association.acse_timeout:
        return AssociationError(Trouble.TIMEOUT, "no answer to the association request")
    return AssociationError(Trouble.ABORTED, "during negotiation")
