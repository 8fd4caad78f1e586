"""PDUs as they come in, cut anywhere: from bytes to messages, without a socket and without believing any length.

A stream of PDUs (PS3.8 section 9.3) is fed in pieces of any size. Data sets are passed on in the pieces in which they
came, so a large one needs no memory here. What a peer *claims* to send is never allocated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol

P_DATA_TF = 0x04
RELEASE_RQ = 0x05
ABORT = 0x07

_PREFIX = 6
"""Bytes in front of a PDU's variable field, and of a presentation data value's too."""

LONGEST_COMMAND = 65536
"""Bytes of a command set; the longest sensible one has some hundreds."""

LONGEST_CONTROL = 1 << 20
"""Bytes of a PDU that is no P-DATA-TF: an association request with every context and user identity stays far below."""


LARGEST_DATA_SET = 1 << 28
"""Bytes of a data set that is gathered in memory: an identifier, or an instance of a C-GET."""


class Reason(IntEnum):
    """Why the upper layer aborts (PS3.8 table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    INVALID_PARAMETER = 6


class ProtocolError(Exception):
    """What came is no upper layer protocol. Never leaves the live data plane: the association is aborted."""

    def __init__(self, reason: Reason, comment: str) -> None:
        super().__init__(comment)
        self.reason = reason


class DataSink(Protocol):
    """Where the data set of one message goes."""

    def write(self, pieces: Sequence[memoryview]) -> object:
        """The next pieces, all that came together; they must be used up at once, the memory is used again."""

    def end(self) -> None:
        """That was all of it."""

    def give_up(self) -> None:
        """The rest will never come."""


class Gathering:
    """A data set that is gathered in memory, until the message that it ends is handed on."""

    def __init__(self, complete: Callable[[bytes], None]) -> None:
        self._complete = complete
        self._data = bytearray()

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Keep the pieces. Raises ProtocolError if it gets too much."""
        for piece in pieces:
            self._data += piece
        if len(self._data) > LARGEST_DATA_SET:
            raise ProtocolError(Reason.NOT_SPECIFIED, "a data set without end")

    def end(self) -> None:
        """Hand the message on."""
        self._complete(bytes(self._data))

    def give_up(self) -> None:
        """Forget it."""


class Incoming(Protocol):
    """Whoever a stream of PDUs is meant for."""

    def command(self, context_id: int, command: bytes) -> DataSink | None:
        """A complete command set; returns where its data set shall go, None if it has none."""

    def control(self, kind: int, content: bytes) -> None:
        """A PDU of any type but P-DATA-TF."""


class PDUParser:
    """Parses one direction of one association."""

    def __init__(self, incoming: Incoming, announced: int) -> None:
        """``announced`` is the Maximum Length that we told the peer (PS3.8 annex D.1), 0 for no limit."""
        self._incoming = incoming
        self._announced = announced
        self._prefix = bytearray()
        """A PDU's or a value's prefix, as far as it came."""
        self._in_data = 0
        """Bytes left of the present P-DATA-TF."""
        self._in_value = 0
        """Bytes left of the present value, or of a PDU of another type."""
        self._control_kind = 0
        self._control = bytearray()
        self._context_id = 0
        self._is_command = False
        self._is_last = False
        self._command = bytearray()
        self._sink: DataSink | None = None
        self._pieces: list[memoryview] = []
        """Of its data set, to be passed on before this memory is used again."""
        self.paused = False
        """Set by whoever a message was meant for, to have no more bytes parsed after it."""

    @property
    def between_messages(self) -> bool:
        """Whether everything that came belonged to a complete message or PDU."""
        idle = not (self._prefix or self._in_data or self._control_kind or self._command)
        return idle and self._sink is None

    def give_up(self) -> None:
        """No more will come: whoever waits for the rest of a data set is told."""
        self._pieces.clear()
        if self._sink is not None:
            self._sink.give_up()
            self._sink = None

    def feed(self, data: memoryview) -> int:
        """Parse what came. Returns how much of it, all unless ``paused``. Raises ProtocolError."""
        at, end = 0, len(data)
        while at < end and not self.paused:
            if self._in_value:
                size = min(self._in_value, end - at)
                self._in_value -= size
                self._take(data[at : at + size])
                at += size
            else:
                size = min(_PREFIX - len(self._prefix), end - at)
                if size == _PREFIX:
                    self._begin(data[at : at + size])
                else:  # a prefix that came in pieces
                    self._prefix += data[at : at + size]
                    if len(self._prefix) == _PREFIX:
                        prefix = bytes(self._prefix)
                        self._prefix.clear()
                        self._begin(memoryview(prefix))
                at += size
        self._pass_on()
        return at

    def _begin(self, prefix: memoryview) -> None:
        if self._in_data:
            self._begin_value(int.from_bytes(prefix[:4], "big"), prefix[4], prefix[5])
        else:
            self._begin_pdu(prefix[0], int.from_bytes(prefix[2:], "big"))

    def _begin_pdu(self, kind: int, length: int) -> None:
        if kind == P_DATA_TF:
            if length < _PREFIX or 0 < self._announced < length:
                raise ProtocolError(Reason.INVALID_PARAMETER, f"a P-DATA-TF of {length} bytes")
            self._in_data = length
        elif not 1 <= kind <= ABORT:
            raise ProtocolError(Reason.UNRECOGNIZED_PDU, f"no PDU type {kind:02X}H")
        elif not 0 < length <= LONGEST_CONTROL:
            raise ProtocolError(Reason.INVALID_PARAMETER, f"a PDU of {length} bytes")
        else:
            self._control_kind, self._in_value = kind, length

    def _begin_value(self, length: int, context_id: int, control: int) -> None:
        """A presentation data value item: its length counts the context ID and the message control header."""
        left = self._in_data - 4 - length
        if length < 2 or left < 0 or 0 < left < _PREFIX:
            raise ProtocolError(Reason.INVALID_PARAMETER, f"a value of {length} bytes in {self._in_data} of P-DATA-TF")
        is_command, continues = bool(control & 1), self._sink is not None
        if is_command == continues or ((continues or self._command) and context_id != self._context_id):
            raise ProtocolError(Reason.UNEXPECTED_PDU, "a fragment of another message")
        self._in_data, self._in_value = left, length - 2
        self._context_id, self._is_command, self._is_last = context_id, is_command, bool(control & 2)
        if not self._in_value:
            self._end_value()

    def _take(self, piece: memoryview) -> None:
        if self._control_kind:
            self._control += piece
            if not self._in_value:
                kind, content = self._control_kind, bytes(self._control)
                self._control_kind = 0
                self._control.clear()
                self._incoming.control(kind, content)
            return
        if self._is_command:
            self._command += piece
            if len(self._command) > LONGEST_COMMAND:
                raise ProtocolError(Reason.INVALID_PARAMETER, "a command set without end")
        elif self._sink is not None:
            self._pieces.append(piece)
        if not self._in_value:
            self._end_value()

    def _end_value(self) -> None:
        if not self._is_last:
            return
        if self._is_command:
            command = bytes(self._command)
            self._command.clear()
            self._sink = self._incoming.command(self._context_id, command)
        elif self._sink is not None:
            self._pass_on()
            sink, self._sink = self._sink, None
            sink.end()

    def _pass_on(self) -> None:
        if self._pieces and self._sink is not None:
            self._sink.write(self._pieces)
            self._pieces = []
