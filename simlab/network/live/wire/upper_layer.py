"""pynetdicom's upper layer without its threads: whoever waits for the peer runs it.

pynetdicom gives every association two threads that look for work a thousand times a second, and that may take a message
off a queue before the caller who waits for it does. Here an association is an object without threads. Its state machine
(PS3.8 section 9.2), ACSE, DIMSE and service classes are pynetdicom's; what drives them is a call that waits for the
peer, on the thread that waits: an idle association costs nothing, and nobody can be overtaken.

One thread at a time reads. Any thread may send or abort meanwhile.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pynetdicom.dul import _PDU_TYPES, DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import A_RELEASE
from pynetdicom.transport import AssociationSocket

from simlab.network.live.wire.commands import NO_DATA_SET, read_command
from simlab.network.live.wire.pdus import DataSink, Gathering, PDUParser, ProtocolError, Reason
from simlab.network.seam import Trouble

if TYPE_CHECKING:
    from simlab.network.live.wire.association import ThreadlessAssociation

RECEIVE_BYTES = 65536

_ESTABLISHED, _RELEASING, _CLOSING, _IDLE = "Sta6", "Sta7", "Sta13", "Sta1"


class AssociationError(Exception):
    """An association failed. Never leaves the live data plane: operations turn it into an Outcome."""

    def __init__(self, trouble: Trouble, comment: str = "") -> None:
        super().__init__(trouble, comment)
        self.trouble = trouble
        self.comment = comment


StoreSink = Callable[[int, bytes], DataSink | None]
"""Where the data set of a C-STORE-RQ goes, given its context ID and command set; None: the command is no C-STORE-RQ."""


class UpperLayer(DULServiceProvider):
    """The upper layer of one association, run by whoever waits for it."""

    socket: AssociationSocket

    def __init__(self, association: ThreadlessAssociation) -> None:
        super().__init__(association)
        self._acting = threading.RLock()
        self._ended = False
        self.store: StoreSink = lambda _context_id, _command: None
        """Takes C-STORE requests past pynetdicom."""
        self.send_timeout: float | None = association.network_timeout
        """Seconds that sending may wait for the peer to read."""
        self.pauses = False
        """Whether to stop after each message for pynetdicom, until it has been served."""
        self.connection: socket.socket | None = None
        """As it was given to us; pynetdicom forgets its own reference, in places without closing it."""
        self.timed_out = False
        """Whether the peer has failed to read what we sent."""
        self.withheld: bytearray | None = None
        """Gets the P-DATA-TFs of a response that is not to be sent as it comes."""

    # ---- pynetdicom's thread, which is none

    def start(self) -> None:
        """Nothing to start; a connection that a peer opened is known to be there."""
        self.assoc._dul_ready.set()
        self._act()

    def is_alive(self) -> bool:
        """Whether the association may still go on."""
        return not self._ended

    def stop_dul(self) -> bool:
        """Nothing to stop."""
        return True

    def kill_dul(self) -> None:
        """The state machine has come to its end."""
        self._ended = True

    # ---- sending

    def send_pdu(self, primitive: Any) -> None:
        """Send at once; what an association that has ended should send is dropped."""
        with self._acting:
            if not self._ended:
                super().send_pdu(primitive)
                self._act()

    def _send(self, pdu: Any) -> None:
        if self.connection is None:
            return
        if self.withheld is not None and isinstance(pdu, P_DATA_TF):
            self.withheld += pdu.encode()
            return
        try:
            self.connection.settimeout(self.send_timeout)
            self.connection.sendall(pdu.encode())
        except OSError as error:
            self.timed_out = isinstance(error, TimeoutError)
            self.event_queue.put("Evt17")  # transport connection closed; or as good as, if the peer does not read

    def send_at_once(self, data: bytes) -> None:
        """Send bytes past the state machine, without waiting: if they do not fit, the connection is cut off.

        The end of the association is up to the thread that reads, and hears of it.
        """
        with self._acting:
            if self.connection is None or self._ended:
                return
            with suppress(OSError):
                if self.connection.send(data) == len(data):
                    return
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    # ---- receiving

    @cached_property
    def parser(self) -> PDUParser:
        """What makes messages of bytes. Made once it is known which maximum length we announce."""
        us = self.assoc.requestor if self.assoc.is_requestor else self.assoc.acceptor
        return PDUParser(self, us.maximum_length or 0)

    def wait(self, condition: Callable[[], bool], timeout: float | None) -> bool:
        """Receive until a condition holds; False if the time is up or the association has ended before."""
        deadline = None if timeout is None else time.perf_counter() + timeout
        while not condition():
            left = None if deadline is None else deadline - time.perf_counter()
            if self._ended or (left is not None and left <= 0) or not self.receive(left):
                return condition()
        return True

    def pass_time(self, seconds: float) -> bool:
        """Take in what comes within so many seconds; False if the association has ended by then."""
        self.wait(lambda: False, seconds)
        return not self._ended

    def poll(self) -> None:
        """Take in what has come by now."""
        while not self._ended and self.receive(0):
            pass

    def receive(self, timeout: float | None) -> bool:
        """Wait for bytes and take them in; False if none came in time (seconds)."""
        connection = self.connection
        if connection is None:
            return False
        buffer = bytearray(RECEIVE_BYTES)
        try:
            connection.settimeout(timeout)
            size = connection.recv_into(buffer)
        except (TimeoutError, BlockingIOError):
            return False
        except OSError:
            size = 0
        self.take_in(memoryview(buffer)[:size])
        return True

    def take_in(self, data: memoryview) -> int:
        """Take in what was received; nothing means that the connection is closed. Returns how much of it was used."""
        if not data:
            self._note("Evt17")
            return 0
        try:
            used = self.parser.feed(data)
        except ProtocolError:
            self.refuse()
            return len(data)
        self._idle_timer.restart()
        return used

    def refuse(self) -> None:
        """What came is no upper layer protocol: abort."""
        self._note("Evt19")  # invalid PDU

    def command(self, context_id: int, command: bytes) -> DataSink | None:
        """A command set came: a C-STORE-RQ takes its own way, all else is pynetdicom's. Raises ProtocolError."""
        if self.state_machine.current_state not in (_ESTABLISHED, _RELEASING):
            raise ProtocolError(Reason.UNEXPECTED_PDU, "a message outside of an association")
        if (sink := self.store(context_id, command)) is not None:
            return sink
        if read_command(command).data_set_type != NO_DATA_SET:
            return Gathering(lambda data: self.message(context_id, command, data))
        self.message(context_id, command, None)
        return None

    def message(self, context_id: int, command: bytes, data: bytes | None) -> None:
        """A message for pynetdicom came. Raises ProtocolError."""
        if self.state_machine.current_state not in (_ESTABLISHED, _RELEASING):
            raise ProtocolError(Reason.UNEXPECTED_PDU, "a message outside of an association")
        self.assoc.dimse.receive(context_id, command, data)
        self.parser.paused = self.pauses

    def control(self, kind: int, content: bytes) -> None:
        """Any other PDU goes through the state machine. Raises ProtocolError."""
        pdu_class, event = _PDU_TYPES[bytes([kind])]
        pdu = pdu_class()
        try:
            pdu.decode(bytes([kind, 0]) + len(content).to_bytes(4, "big") + content)
        except Exception as error:  # whatever pynetdicom makes of a peer's garbage
            raise ProtocolError(Reason.INVALID_PARAMETER, f"{error}") from error
        self._recv_pdu.put(pdu)
        self._note(event)

    @property
    def release_requested(self) -> bool:
        """Whether the peer has asked for the release of the association."""
        return isinstance(self.peek_next_pdu(), A_RELEASE)

    def receive_pdu(self, wait: bool = False, timeout: float | None = None) -> Any:
        """The next primitive for the user, None if there is none in time."""
        if wait:
            self.wait(lambda: not self.to_user_queue.empty(), timeout)
        return super().receive_pdu(wait=False)

    # ---- the state machine

    def _note(self, event: str) -> None:
        """Something happened to the connection."""
        with self._acting:
            if not self._ended:
                self.event_queue.put(event)
                self._act()

    def _act(self) -> None:
        """Run the state machine for as long as there is something to do."""
        with self._acting:
            while not self._ended and (not self.event_queue.empty() or self._process_recv_primitive()):
                try:
                    self.state_machine.do_action(self.event_queue.get_nowait())
                except Exception:  # noqa: BLE001 -- whatever pynetdicom makes of a peer's garbage
                    self._give_up()
                if self.state_machine.current_state == _CLOSING:
                    # Our last word has been said. PS3.8 would wait for the peer to close, pynetdicom closes too.
                    self.hang_up()

    def _give_up(self) -> None:
        """Abort on the spot, past the state machine."""
        abort = A_ABORT_RQ()
        abort.source, abort.reason_diagnostic = 0x02, 0x00
        if self.connection is not None:
            with suppress(OSError):
                self.connection.sendall(abort.encode())
        self.assoc.is_aborted, self.assoc.is_established = True, False
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection, whatever state the association is in; who waits for the peer wakes up."""
        with self._acting:
            self.parser.give_up()
            self.state_machine.current_state = _IDLE
            self._ended = True
        connection = self.connection
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
                connection.settimeout(0)
                connection.recv(RECEIVE_BYTES)  # or closing would reset the connection, and our last word be lost
            connection.close()
