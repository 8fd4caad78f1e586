"""The responses to C-STOREs in a stream of PDUs: nearly all in a microsecond, the others with care."""

from __future__ import annotations

from collections.abc import Callable, Sized
from struct import Struct

from simlab.network.live.wire.commands import C_STORE_RSP, NO_DATA_SET, element, parse_response, read_command
from simlab.network.live.wire.pdus import P_DATA_TF, PDUParser, ProtocolError, Reason

LONGEST_RESPONSE = 65536
"""Bytes of a PDU beyond which it holds no response."""

_HEADERS = Struct(">BxLLBB")
_ONE_COMMAND = 0x03
"""Message control header of a command set in one fragment (PS3.8 section E.2)."""

_PLAIN = Struct("<8sH8sH8sH8sH")
_SOP_CLASS = element(0x0002, b"")[:4]
_TAGS = tuple(element(number, bytes(2))[:8] for number in (0x0100, 0x0120, 0x0800, 0x0900))


def plain_success(received: bytearray, start: int, end: int) -> tuple[int, int]:
    """The Message ID Being Responded To, and where the PDU ends, if what begins at ``start`` is a plain success.

    That is a whole PDU with one PDV, in which a C-STORE-RSP says success by its elements in their usual order: nearly
    every response, read in a microsecond. (0, 0) if it is anything else, which is for :func:`parse_response`.
    """
    if end - start < _HEADERS.size + 12 + _PLAIN.size:
        return 0, 0
    kind, length, pdv_length, _, control = _HEADERS.unpack_from(received, start)
    stop: int = start + 6 + length
    if kind != P_DATA_TF or stop > end or pdv_length != length - 4 or control != _ONE_COMMAND:
        return 0, 0
    place = start + _HEADERS.size + 12  # the group length is taken for granted
    if received.startswith(_SOP_CLASS, place):
        place += 8 + received[place + 4]
    if place + _PLAIN.size > stop:
        return 0, 0
    field_tag, field, id_tag, message_id, data_tag, data_set, status_tag, status = _PLAIN.unpack_from(received, place)
    if (field_tag, id_tag, data_tag, status_tag) != _TAGS or (field, data_set, status) != (
        C_STORE_RSP,
        NO_DATA_SET,
        0,
    ):
        return 0, 0
    return message_id, stop


class OtherPDUError(Exception):
    """A PDU came that is no P-DATA-TF. Its only argument is the PDU's type (PS3.8 section 9.3.1)."""


class Responses:
    """Reads C-STORE-RSPs from what a peer sends, up to the last one that is due, however the bytes are cut.

    ``answered`` is called with the Message ID Being Responded To, the status and the Error Comment of each, and
    responses are due as long as ``outstanding`` is not empty. ``other`` takes other commands without a data set.
    """

    def __init__(
        self,
        outstanding: Sized,
        answered: Callable[[int, int, str], None],
        other: Callable[[int, bytes], object] | None = None,
    ) -> None:
        self.leftover = b""
        """What came after the last response that was due, or begins with a PDU that is no P-DATA-TF."""
        self._outstanding = outstanding
        self._answered = answered
        self._others = other
        self._parser = PDUParser(self, LONGEST_RESPONSE)
        self._whole = True
        """Whether what comes next is the beginning of a PDU."""
        self._other = b""

    def feed(self, received: bytearray, size: int) -> None:
        """Read the first ``size`` bytes. Raises ProtocolError and OtherPDUError."""
        place = 0
        while self._whole and self._outstanding and place < size:
            message_id, end = plain_success(received, place, size)
            if not end:
                break
            self._answered(message_id, 0, "")
            place = end
        if place < size:
            self.leftover += bytes(memoryview(received)[place:size])
            if self._outstanding:
                self.examine()

    def examine(self) -> None:
        """Read the leftover though no response may be due. Raises ProtocolError and OtherPDUError."""
        unread, parser = self.leftover, self._parser
        parser.paused = False
        self.leftover = unread[parser.feed(memoryview(unread)) :]
        self._whole = parser.between_messages
        if self._other:
            self.leftover = self._other + self.leftover
            raise OtherPDUError(self._other[0])
        if parser.paused and not self._whole:
            raise ProtocolError(Reason.UNEXPECTED_PDU, "more than a response in its PDU")

    def command(self, context_id: int, command: bytes) -> None:
        """A command set, from the parser."""
        if self._others is not None and _is_other(command):
            self._others(context_id, command)
            return
        self._answered(*parse_response(command))
        self._parser.paused = not self._outstanding

    def control(self, kind: int, content: bytes) -> None:
        """A PDU that is no P-DATA-TF, from the parser."""
        self._other = bytes([kind, 0]) + len(content).to_bytes(4, "big") + content
        self._parser.paused = True


def _is_other(command: bytes) -> bool:
    """Whether this is a command without a data set, and no C-STORE-RSP."""
    read = read_command(command)
    return read.field != C_STORE_RSP and read.data_set_type == NO_DATA_SET
