"""One association that a peer requested, from its connection to its end."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from socket import IPPROTO_TCP, TCP_NODELAY, socket
from typing import TYPE_CHECKING, Any, TypeVar

from pynetdicom.dimse_primitives import C_ECHO, C_GET, C_MOVE
from pynetdicom.pdu_primitives import A_ASSOCIATE, A_RELEASE
from pynetdicom.transport import AddressInformation, AssociationSocket

from simlab.network.faults import AssociationFault
from simlab.network.live.receiving.faulty import AbortingParser, FaultyReception, serve
from simlab.network.live.receiving.handover import GiveBack, Received
from simlab.network.live.receiving.negotiation import negotiate
from simlab.network.live.receiving.reception import BUFFER_BYTES, Reception
from simlab.network.live.server import ReceivedInstance
from simlab.network.live.wire.association import ThreadlessAssociation
from simlab.network.live.wire.commands import Command
from simlab.network.live.wire.pdus import ProtocolError
from simlab.network.live.wire.upper_layer import AssociationError
from simlab.network.seam import Status

if TYPE_CHECKING:
    from simlab.network.live.receiving.acceptor import Acceptor

T = TypeVar("T")


class Accepted:
    """A connection on its acceptor's thread, which calls all methods but :meth:`ask`.

    What may take long is *lent* to a thread of its own. That thread alone reads then, until it gives the association
    back.
    """

    def __init__(self, acceptor: Acceptor, connection: socket, address: Any) -> None:
        self.name = uuid.uuid4().hex
        self._acceptor = acceptor
        self._connection = connection
        self._lent = False
        self._waiting: deque[Callable[[], None]] = deque()
        """Work that waits until the association is given back."""
        self._rest = b""
        """Bytes that were received together with a message which is being served."""
        self._reception: Reception | None = None
        self._given_back: GiveBack | None = None
        """What waits until the node has responded to all that came before it."""
        self._heard = time.perf_counter()
        connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        connection.setblocking(False)
        self.association = self._make_association(connection, address)
        self._dul = self.association.dul
        self._dul.send_timeout = 0
        self._dul.pauses = True
        self._dul.start()
        acceptor.loop.add_reader(connection, self._receive)

    def _make_association(self, connection: socket, address: Any) -> ThreadlessAssociation:
        acceptor, entity = self._acceptor, self._acceptor.entity
        association = ThreadlessAssociation(entity, "acceptor")
        association.set_socket(AssociationSocket(association, client_socket=connection))
        association.acceptor.maximum_length = acceptor.listening.maximum_length
        association.acceptor.ae_title = entity.ae_title
        association.acceptor.address_info = AddressInformation.from_tuple(connection.getsockname())
        association.acceptor.implementation_class_uid = entity.implementation_class_uid
        association.acceptor.implementation_version_name = entity.implementation_version_name
        association.requestor.address_info = AddressInformation.from_tuple(address)
        for event, handler in acceptor.handlers:
            association.bind(event, handler)
        return association

    # ---- on the acceptor's thread

    def _receive(self) -> None:
        buffer = _local.buffer
        try:
            size = self._connection.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        self._heard = time.perf_counter()
        self._take_in(buffer[:size])
        self._proceed()

    def _take_in(self, data: memoryview) -> None:
        try:
            used = self._dul.take_in(data)
        except BaseException:
            self.association.abort()
            self._leave_if_ended()
            raise
        self._rest += data[used:]

    def _proceed(self) -> None:
        """Do what has become possible, message by message."""
        while self._act():
            self._go_on()

    def _act(self) -> bool:
        """Do what has become possible by what came. Returns whether a message is done with: another may follow."""
        association = self.association
        primitive = self._dul.peek_next_pdu()
        if isinstance(primitive, A_ASSOCIATE):
            self._dul.receive_pdu()
            self._negotiate(primitive)
        elif isinstance(primitive, A_RELEASE) and not self._owes and association.acse.is_release_requested():
            association.acse.send_release(is_response=True)
            association.is_released, association.is_established = True, False
        if self._leave_if_ended():
            return False
        requests = association.dimse.requests
        if requests and self._owes:
            self._acceptor.loop.remove_reader(self._connection)
            return False
        if requests and isinstance(requests[0][1], C_ECHO) and not self._acceptor.faults.concern("C-ECHO"):
            context_id, request = requests.popleft()
            association._serve_request(request, context_id)
            return True
        if requests:
            self.lend(self._serve)
            return False
        return self._dul.parser.paused  # for a C-CANCEL that came too late

    def _go_on(self) -> None:
        """A message has been served: take in what came behind it."""
        self._dul.parser.paused = False
        rest, self._rest = self._rest, b""
        if rest:
            self._take_in(memoryview(rest))

    @property
    def _owes(self) -> bool:
        """Whether C-STOREs that came before are still to be answered: nothing else gets between them and the responses.

        What a fault plan answers late or not at all is owed to nobody.
        """
        reception = self._reception
        if reception is None or isinstance(reception, FaultyReception):
            return False
        return reception.outstanding > (0 if self._dul.parser.between_messages else 1)  # one may be half there

    def _proceed_at_last(self) -> None:
        """Everything has been answered: what came behind it has its turn."""
        if not (self._lent or self._leave_if_ended()):
            self._acceptor.loop.add_reader(self._connection, self._receive)
            self._proceed()

    def _negotiate(self, request: A_ASSOCIATE) -> None:
        acceptor, fault = self._acceptor, AssociationFault()
        if acceptor.faults.concern("association"):
            fault = acceptor.faults.of_association(request.calling_ae_title.strip())
        if fault.delay:
            acceptor.loop.call_later(fault.delay, self._answer_late, request, fault)
        else:
            self._answer(request, fault)

    def _answer_late(self, request: A_ASSOCIATE, fault: AssociationFault) -> None:
        if self._dul.is_alive():
            self._answer(request, fault)
            self._proceed()

    def _answer(self, request: A_ASSOCIATE, fault: AssociationFault) -> None:
        association, acceptor = self.association, self._acceptor
        if fault.closes:
            association.kill()
            return
        agreed = negotiate(association, acceptor, request, fault)
        if agreed is None:
            return
        if fault.aborts_at is not None:
            self._dul.parser = AbortingParser(self._dul, acceptor.listening.maximum_length, fault.aborts_at)
        if acceptor.receiving is not None:
            stored, calling, window = agreed
            # What comes while a receiver has the association is the receiver's; after that it is ours.
            concerned = acceptor.faults.concern("C-STORE")
            if concerned:
                self._reception = FaultyReception(
                    acceptor.receiving, stored, calling, window, self._take, association, acceptor.faults, self.in_turn
                )
            else:
                self._reception = Reception(
                    acceptor.receiving, stored, calling, window, self._dul.send_at_once, self._take
                )
            self._dul.store = self._reception.begin
            if stored and acceptor.receivers and not concerned and fault.aborts_at is None:
                self._lent = True
                acceptor.loop.remove_reader(self._connection)
                acceptor.receivers.hand_over(self, stored, calling, window)

    def take_received(self, received: Received) -> None:
        """A receiver has received an instance on this association."""
        assert self._reception is not None
        if received.request is not None and self._reception.is_full:  # the receiver cannot see that
            received.instance.delete()
            self._dul.refuse()
            self._leave_if_ended()
        else:
            self._reception.outstanding += received.request is not None
            self._take(received.context_id, received.request, received.instance, received.examined)

    def take_back(self, came: GiveBack) -> None:
        """A receiver has met what is not its business: from here on the association stays with us."""
        # Set first, since the node may respond on another thread. Who was silent may have waited for us.
        self._given_back = GiveBack(came.association) if came.silent else came
        if self._reception is not None and self._reception.outstanding and not came.closed:
            return
        self._given_back = None
        self._rest = came.rest
        try:
            if came.closed:
                self._dul.take_in(memoryview(b""))
            elif came.silent:
                self.association.abort()
            elif came.broken:
                self._dul.refuse()
            elif came.message is not None:
                self._dul.message(*came.message)
            elif came.control is not None:
                self._dul.control(*came.control)
        except ProtocolError:
            self._dul.refuse()
        self._resume()

    def lose(self) -> None:
        """The receiver is gone, and with it what it was in the middle of."""
        self.association.abort()
        self._resume()

    def abort_if_idle(self) -> None:
        """Abort if nothing has come for too long, and the peer does not wait for us."""
        outstanding = self._reception is not None and self._reception.outstanding > 0
        waits = self._lent or (outstanding and self._dul.parser.between_messages)
        if not waits and time.perf_counter() - self._heard > self._acceptor.idle_timeout:
            if self.association.is_established:
                self.association.abort()
            else:
                self.association.kill()
            self._leave_if_ended()

    def close(self) -> None:
        """Abort, whatever is going on."""
        self.association.abort()
        self._leave_if_ended()

    def _leave_if_ended(self) -> bool:
        """Forget a connection that is closed."""
        if self._dul.is_alive():
            return False
        with suppress(ValueError):  # it was lent when it was closed
            self._acceptor.loop.remove_reader(self._connection)
        self._acceptor.associations.discard(self)
        self.association.kill()
        while self._waiting:
            self._waiting.popleft()()
        return True

    # ---- on threads of its own

    def lend(self, work: Callable[[], None]) -> None:
        """Have something done on a thread that has the association to itself; in its turn, if there is one already."""
        if self._lent:
            self._waiting.append(work)
        elif not self._dul.is_alive():
            work()
        else:
            self._lent = True
            self._acceptor.loop.remove_reader(self._connection)
            threading.Thread(target=self._work, args=(work,), name="serve", daemon=True).start()

    def _work(self, work: Callable[[], None]) -> None:
        dul = self._dul
        dul.pauses = False
        dul.send_timeout = self.association.network_timeout
        try:
            dul.parser.paused = False
            rest, self._rest = self._rest, b""
            if rest:
                dul.take_in(memoryview(rest))
            work()
            self._serve()
        except BaseException as error:  # noqa: BLE001 -- a bug, which ends the run where somebody listens
            self.association.abort()
            self._acceptor.on_bug(error)
        finally:
            with suppress(RuntimeError):  # the acceptor has been closed meanwhile
                self._acceptor.loop.call_soon_threadsafe(self._resume)

    def _serve(self) -> None:
        """Serve the requests that have come."""
        association = self.association
        while association.dimse.requests and not self._owes:
            self._acceptor.hear_receivers()
            if not association.is_established:
                return
            context_id, request = association.dimse.requests.popleft()
            serve(association, self._acceptor.faults, self._do, request, context_id)

    def _do(self, request: Any, context_id: int) -> None:
        """Do what a request asks for, and respond."""
        association, retrieve = self.association, self._acceptor.retrieve
        context = association._accepted_cx.get(context_id)
        if isinstance(request, C_MOVE | C_GET) and context is not None and retrieve is not None:
            if not request.is_valid_request or request.AffectedSOPClassUID != context.abstract_syntax:
                association.abort()
                return
            with suppress(AssociationError):  # the peer is gone, and nobody else has to hear of it
                retrieve(association, request, context)
        else:
            association._serve_request(request, context_id)

    def _resume(self) -> None:
        """Have the association on the acceptor's thread again, unless somebody waits for it."""
        self._lent = False
        self._heard = time.perf_counter()
        if self._leave_if_ended():
            return
        if self._waiting:
            self.lend(self._waiting.popleft())
            return
        self._dul.pauses = True
        self._dul.send_timeout = 0
        self._connection.setblocking(False)
        self._acceptor.loop.add_reader(self._connection, self._receive)
        if self._dul.parser.paused and not self.association.dimse.requests:
            self._go_on()
        self._proceed()

    # ---- any thread

    def _take(self, context_id: int, request: Command | None, instance: ReceivedInstance, examined: Any) -> None:
        """Let the node have an instance."""
        respond = None if request is None else partial(self._respond, context_id, request)
        self._acceptor.take(instance, examined, respond)

    def _respond(self, context_id: int, request: Command, status: Status) -> None:
        assert self._reception is not None
        self._reception.respond(context_id, request, status)
        if self._given_back is not None:
            with suppress(RuntimeError):  # the acceptor has been closed
                self._acceptor.loop.call_soon_threadsafe(self._take_back_at_last)
        elif not self._owes and (self._dul.release_requested or self.association.dimse.requests):
            with suppress(RuntimeError):
                self._acceptor.loop.call_soon_threadsafe(self._proceed_at_last)

    def _take_back_at_last(self) -> None:
        given_back, self._given_back = self._given_back, None
        if given_back is not None:
            self.take_back(given_back)

    def in_turn(self, work: Callable[[], None]) -> None:
        """Have something done on a thread that has the association to itself, in its turn; at once if it has ended."""
        try:
            self._acceptor.loop.call_soon_threadsafe(self.lend, work)
        except RuntimeError:  # the acceptor has been closed
            work()

    def ask(self, send: Callable[[], T], timeout: float) -> T | None:
        """Send a request on this association, in its turn. None if the association has ended, or does meanwhile."""
        answer: Future[T | None] = Future()

        def work() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            result = None
            with suppress(AssociationError, RuntimeError, ValueError):  # it ended, or has no such context
                if self.association.is_established:
                    result = send()
            answer.set_result(result)

        with suppress(RuntimeError, TimeoutError, CancelledError):
            self._acceptor.loop.call_soon_threadsafe(self.lend, work)
            return answer.result(timeout)
        if not answer.cancel():
            with suppress(TimeoutError):
                return answer.result(timeout)
        return None


class _Local(threading.local):
    """The receive buffer of a thread: what is in it is used up before the next connection is read."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(BUFFER_BYTES))


_local = _Local()
