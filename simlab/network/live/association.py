"""Associations that we request: pynetdicom negotiates, with its known faults worked around here and nowhere else.

- TCP_NODELAY is never set by pynetdicom, and without it Nagle and delayed acknowledgement stall small
  messages by 40 ms each.
- pynetdicom's association thread may take a response off the queue before the caller that waits for it does, and the
  caller then waits out its time-out. Requestors here never start that thread: nobody else reads the queue.
  N-EVENT-REPORTs that come in on such an association are served by pynetdicom on a thread of their own all the same.
- For an association that a peer requested from us that thread runs, and must be parked before we send on it.
"""

from __future__ import annotations

import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from types import TracebackType
from typing import Any, Self, TypeVar

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_RELEASE
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from simlab.network.live.bounds import bound_waits
from simlab.network.live.directory import Peer
from simlab.network.seam import Status, Trouble
from simlab.studies.study import InstanceReference
from simlab.studies.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # what goes wrong is a value, told by records

CONNECTION_TIMEOUT = 10.0
"""Seconds to wait for a TCP connection."""

MAXIMUM_CONTEXTS = 128
"""Presentation contexts in one association request: odd identifiers from 1 to 255 (PS3.8 section 9.3.2.2)."""

T = TypeVar("T")
Handlers = Sequence[tuple[evt.InterventionEvent, Callable[[evt.Event], Any]]]


class AssociationError(Exception):
    """An association failed. Never leaves the live data plane: operations turn it into an Outcome."""

    def __init__(self, trouble: Trouble, comment: str = "") -> None:
        super().__init__(trouble, comment)
        self.trouble = trouble
        self.comment = comment


def new_entity(ae_title: str, timeout: float) -> AE:
    """A pynetdicom AE that names simlab as its implementation and bounds every wait."""
    entity = AE(ae_title)
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = min(timeout, CONNECTION_TIMEOUT)
    entity.acse_timeout = timeout
    entity.dimse_timeout = timeout
    entity.network_timeout = timeout
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


class _Requested(Association):
    """An association whose own thread never starts, so nobody but the caller reads its message queue."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        bound_waits(self)
        self._serving = threading.Lock()
        self._releasing = False

    @property
    def _is_paused(self) -> bool:
        """Pynetdicom waits for its thread to pause before it sends; one that does not run is always paused."""
        return True

    @_is_paused.setter
    def _is_paused(self, _: bool) -> None:
        """Serving an N-EVENT-REPORT ends with the thread running again, or so pynetdicom thinks."""

    def _serve_request(self, message: Any, context_id: int) -> None:
        """An N-EVENT-REPORT. One that meets our release is left alone: the answer could no longer be sent.

        pynetdicom would try to, and its upper layer would end with an error, deaf to the answer to the release.
        """
        with self._serving:
            if not self._releasing:
                super()._serve_request(message, context_id)

    def release(self) -> None:
        """Once a report that is being served has been answered."""
        with self._serving:
            self._releasing = True
        super().release()


class Requestor:
    """An association that we requested. A context manager: leaving it releases, or aborts after an error."""

    def __init__(self, association: Association, connection: socket.socket) -> None:
        self.association = association
        self._connection = connection
        self._message_id = 0

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
    ) -> Self:
        """Request an association.

        ``scp_roles`` are SOP classes for which we propose the SCP role beside the SCU role (PS3.7 D.3.3.4).
        Raises :class:`AssociationError` if none is established.
        """
        entity = new_entity(calling, timeout)
        association = _Requested(entity, "requestor")
        association.name = f"Requestor {calling}>{peer.ae_title}"
        try:
            there = AddressInformation.from_addr_port(peer.host, peer.port)
        except (socket.gaierror, UnicodeError) as error:
            raise AssociationError(Trouble.UNREACHABLE, f"no address of {peer.host}") from error
        here = AddressInformation("::0" if there.is_ipv6 else "", 0)
        transport = entity._create_socket(association, here, None)
        connection = transport.socket
        association.set_socket(transport)
        association.acceptor.ae_title = peer.ae_title
        association.acceptor.address_info = there
        association.requestor.address_info = here
        association.requestor.ae_title = entity.ae_title
        association.requestor.maximum_length = entity.maximum_pdu_size
        association.requestor.implementation_class_uid = entity.implementation_class_uid
        association.requestor.implementation_version_name = entity.implementation_version_name
        for sop_class in dict.fromkeys(scp_roles):
            association.requestor.add_negotiation_item(build_role(sop_class, scu_role=True, scp_role=True))
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
        if not association.is_established:
            waited = time.perf_counter() - asked
            association.kill()
            connection.close()  # pynetdicom forgets it without closing it
            raise _refusal(association, peer, connected=connected.is_set(), timed_out=waited >= timeout)
        return cls(association, connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(abort=error is not None)

    def close(self, *, abort: bool = False) -> None:
        """Release the association, or abort it. Does nothing if it has ended already."""
        if not self.association.is_established:
            self.association.kill()
        elif abort:
            self.association.abort()
        else:
            self.association.release()
        self._connection.close()  # pynetdicom forgets it without closing it, if the peer was first

    # ---- what was negotiated

    def accepted(self, sop_class: str) -> dict[str, int]:
        """Accepted transfer syntaxes for a SOP class, with the context ID of each, in the order proposed."""
        return {
            str(context.transfer_syntax[0]): context.context_id
            for context in self.association.accepted_contexts
            if context.abstract_syntax == sop_class and context.as_scu
        }

    # ---- messages

    def next_message_id(self) -> int:
        """Message IDs count from 1 to 65535 and begin anew (PS3.7 section 9.3)."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def store(
        self,
        reference: InstanceReference,
        context_id: int,
        data_set: bytes,
        originator: tuple[str, int] | None = None,
    ) -> Status:
        """C-STORE one encoded data set and wait for the response. Raises AssociationError if none comes.

        ``originator`` is the move originator's AE title and message ID, for a C-STORE that a C-MOVE causes.
        """
        return store_on(self.association, reference, context_id, data_set, self.next_message_id(), originator)

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
        deadline = time.perf_counter() + timeout
        association = self.association
        while association.is_established and time.perf_counter() < deadline and not finished.wait(0.02):
            if association.acse.is_release_requested():
                association.acse.send_release(is_response=True)
                association.is_released, association.is_established = True, False
            elif association.acse.is_aborted():
                association.is_aborted, association.is_established = True, False


def store_on(
    association: Association,
    reference: InstanceReference,
    context_id: int,
    data_set: bytes,
    message_id: int,
    originator: tuple[str, int] | None = None,
) -> Status:
    """C-STORE one encoded data set on any association whose message queue only the caller reads."""
    request = C_STORE()
    request.MessageID = message_id
    request.Priority = 0
    request.AffectedSOPClassUID = reference.sop_class
    request.AffectedSOPInstanceUID = reference.sop_instance
    if originator is not None:
        request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID = originator
    request.DataSet = BytesIO(data_set)
    association.dimse.send_msg(request, context_id)
    _, response = association.dimse.get_msg(block=True)
    if response is None:
        raise missing_response(association)
    if not (isinstance(response, C_STORE) and response.is_valid_response):
        association.abort()
        raise AssociationError(Trouble.ABORTED, "by us: what came was no response to a C-STORE")
    return Status(int(response.Status), str(response.ErrorComment or ""))


def missing_response(association: Association) -> AssociationError:
    """Why no response came; after a time-out the association is aborted."""
    if not association._sent_abort and (association.acse.is_aborted() or not association.is_established):
        association.is_aborted, association.is_established = True, False
        return AssociationError(Trouble.ABORTED)
    if association.is_established:  # pynetdicom's own send functions have aborted already
        association.abort()
    return AssociationError(Trouble.TIMEOUT, f"none within {association.dimse_timeout:g} s")


def _refusal(association: Association, peer: Peer, *, connected: bool, timed_out: bool) -> AssociationError:
    """Why an association was not established."""
    if association.is_rejected:
        answer = association.acceptor.primitive
        reason = f"{answer.result}/{answer.result_source}/{answer.diagnostic} {answer.reason_str}"
        return AssociationError(Trouble.REJECTED, reason)
    if not connected:
        return AssociationError(Trouble.UNREACHABLE, f"nothing listens at {peer.host}:{peer.port}")
    if association.rejected_contexts and not association.accepted_contexts:
        return AssociationError(Trouble.NO_CONTEXT, "every presentation context was rejected")
    if timed_out:
        return AssociationError(Trouble.TIMEOUT, "no answer to the association request")
    return AssociationError(Trouble.ABORTED, "during negotiation")


class _Parking(threading.Event):
    """A reactor checkpoint that tells when the reactor has really come to wait at it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.reached.set()
        return super().wait(timeout)


class _ReleasedError(Exception):
    """The peer asked for the release of an association on which we waited for a response."""


def _message_or_release(association: Association, timeout: float) -> Any:
    """The next message like pynetdicom's ``get_msg``; raises _ReleasedError if the peer sends none, but releases."""
    deadline = time.perf_counter() + timeout
    while True:
        # Looked for first: a response that came before it is in the queue by now.
        released = isinstance(association.dul.peek_next_pdu(), A_RELEASE)
        try:
            return association.dimse.msg_queue.get(timeout=0.0 if released else 0.02)
        except queue.Empty:
            if released:
                raise _ReleasedError from None
            if time.perf_counter() > deadline:
                return None, None


def send_on_acceptor(association: Association, send: Callable[[], T], timeout: float) -> T | None:
    """Send a request on an association that the peer requested, its reactor parked meanwhile.

    Returns None if the association has ended, or does so before its reactor could be parked. Also if the peer asks for
    its release: a response will not come then, and only the reactor answers the peer.
    """
    parking = _Parking()
    association._reactor_checkpoint = parking
    get_message = association.dimse.get_msg

    def get_message_or_release(block: bool = False) -> Any:
        return _message_or_release(association, timeout) if block else get_message(block=False)

    association.dimse.get_msg = get_message_or_release
    try:
        deadline = time.perf_counter() + timeout
        while not parking.reached.wait(0.02):
            # A reactor that has just ended never comes to its checkpoint.
            if not association.is_established or time.perf_counter() > deadline:
                return None
        return send() if association.is_established else None
    except _ReleasedError:
        return None
    except (RuntimeError, ValueError):  # pynetdicom: the association ended, or has no such context
        return None
    finally:
        association.dimse.get_msg = get_message
        parking.set()
