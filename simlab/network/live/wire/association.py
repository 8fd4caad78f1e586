"""DIMSE and associations of pynetdicom without its threads: messages come in on the thread that waits for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_CANCEL, N_EVENT_REPORT
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from simlab.network.faults import RequestFault
from simlab.network.live.wire.commands import read_command
from simlab.network.live.wire.pdus import ProtocolError, Reason
from simlab.network.live.wire.upper_layer import AssociationError, UpperLayer
from simlab.network.seam import Trouble

MOST_CANCELS = 10
"""C-CANCEL requests that are kept at a time, the latest."""


class Messages(DIMSEServiceProvider):
    """DIMSE whose messages come in on the thread that waits for one."""

    def __init__(self, association: ThreadlessAssociation) -> None:
        self._cancels: dict[int, C_CANCEL] = {}
        self.requests: deque[tuple[int, Any]] = deque()
        """Requests of the peer, to be served in their turn."""
        self.serve: Callable[[Any, int], None] = association._serve_request
        """Serves a request, given its context ID, of a peer that we have called: a report of storage commitment."""
        self.asked = 0
        """Message ID of the last request that was sent."""
        super().__init__(association)

    @property
    def cancel_req(self) -> dict[int, C_CANCEL]:
        """C-CANCEL requests, as far as they have come by now: pynetdicom looks here between two responses."""
        self.dul.poll()
        return self._cancels

    @cancel_req.setter
    def cancel_req(self, value: dict[int, C_CANCEL]) -> None:
        """Pynetdicom forgets those that came before it begins to serve; one of them may be for what it begins with."""

    def get_msg(self, block: bool = False) -> Any:
        """The next (context ID, message); (None, None) if none came in time, or none will.

        Raises AssociationError if the peer wants to release the association instead.
        """
        if block:
            self.wait(lambda: not self.msg_queue.empty() or self.dul.release_requested, self.dimse_timeout)
            if self.msg_queue.empty() and self.dul.release_requested:
                raise AssociationError(Trouble.ABORTED, "the peer released the association")
        return super().get_msg(block=False)

    def wait(self, condition: Callable[[], bool], timeout: float | None) -> None:
        """Wait for a condition, and meanwhile serve what a peer asks that we have called."""

        def holds() -> bool:
            while self.assoc.is_requestor and self.requests:
                context_id, request = self.requests.popleft()
                self.serve(request, context_id)
            return condition()

        self.dul.wait(holds, timeout)

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message. What still comes in response to an earlier request is nobody's from here on."""
        if primitive.MessageIDBeingRespondedTo is None:
            self.asked = primitive.MessageID
            while not self.msg_queue.empty():
                self.msg_queue.get_nowait()
        super().send_msg(primitive, context_id)

    def receive(self, context_id: int, command: bytes, data: bytes | None) -> None:
        """Make a message of a command set and its data set. Raises ProtocolError."""
        value = P_DATA()
        value.presentation_data_value_list.append([context_id, b"\x03" + command])
        if data is not None:
            value.presentation_data_value_list.append([context_id, b"\x02" + data])
        message = DIMSEMessage()
        try:
            message.decode_msg(value, self.assoc)
            primitive = message.message_to_primitive()
        except Exception as error:  # whatever pynetdicom makes of a peer's garbage
            raise ProtocolError(Reason.NOT_SPECIFIED, f"{error}") from error
        if isinstance(primitive, C_CANCEL):
            self._cancels[int(primitive.MessageIDBeingRespondedTo or 0)] = primitive
            if len(self._cancels) > MOST_CANCELS:
                del self._cancels[next(iter(self._cancels))]
        elif (self.assoc.is_acceptor and not read_command(command).field & 0x8000) or (
            self.assoc.is_requestor and isinstance(primitive, N_EVENT_REPORT) and primitive.is_valid_request
        ):
            self._cancels.pop(int(primitive.MessageID or 0), None)  # it was for another of that number
            self.requests.append((context_id, primitive))
        elif primitive.MessageIDBeingRespondedTo in (None, self.asked):
            self.msg_queue.put((context_id, primitive))


class ThreadlessAssociation(Association):
    """An association without threads of its own; never started."""

    dul: UpperLayer
    dimse: Messages
    _sent_abort: bool

    fault = RequestFault()
    """What goes wrong with the request that is being served."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.dul = UpperLayer(self)
        self.dimse = Messages(self)
        self.network_timeout = self.ae.network_timeout  # the upper layer has a timer of its own

    def set_socket(self, socket: AssociationSocket) -> None:
        """Use this connection."""
        super().set_socket(socket)
        self.dul.connection = socket.socket

    @property
    def _is_paused(self) -> bool:
        """Pynetdicom waits for the association's thread to pause before it sends; one that is none always does."""
        return True

    @_is_paused.setter
    def _is_paused(self, _: bool) -> None:
        """Set by pynetdicom around what it serves."""

    def _abort_blocking(self, block: bool = True) -> None:
        """Send an A-ABORT, unless the association has ended, and hang up."""
        del block
        if self._sent_abort or self.is_released:
            return
        self._sent_abort = True
        self.acse.send_abort(0x00)
        evt.trigger(self, evt.EVT_ABORTED, {})
        self.kill()

    def kill(self) -> None:
        """Hang up without a word."""
        self._kill = True
        self.is_established = False
        self.dul.hang_up()
