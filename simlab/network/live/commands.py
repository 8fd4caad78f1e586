"""C-STORE command sets: requests are built, responses are read (PS3.7 sections 9.3.1 and E.1).

Command sets are always encoded in Implicit VR Little Endian (PS3.7 section 6.3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sized
from struct import Struct
from typing import NamedTuple

from simlab.network.live.pdus import P_DATA_TF, PDUParser, ProtocolError, Reason

LONGEST_RESPONSE = 65536
"""Bytes of a PDU beyond which it holds no response."""

_ELEMENT = Struct("<HHL")
_GROUP_LENGTH = _ELEMENT.pack(0, 0x0000, 4)

_C_STORE_RQ, _C_STORE_RSP = 0x0001, 0x8001
_NO_DATA_SET = 0x0101
_DATA_SET = 0x0000
_MEDIUM = 0x0000


def element(number: int, value: bytes) -> bytes:
    """One command element (0000,``number``), whose value has an even length already."""
    return _ELEMENT.pack(0, number, len(value)) + value


def short(value: int) -> bytes:
    """The value of a US element."""
    return value.to_bytes(2, "little")


def unique_identifier(value: str) -> bytes:
    """The value of a UI element, padded to an even length with a null (PS3.5 section 9.1)."""
    encoded = value.encode()
    return encoded + b"\0" if len(encoded) % 2 else encoded


def application_entity(value: str) -> bytes:
    """The value of an AE element, padded to an even length with a space (PS3.5 section 6.2)."""
    encoded = value.encode()
    return encoded + b" " if len(encoded) % 2 else encoded


class StoreRequests:
    """Makes the C-STORE-RQ command sets of one SOP class: what they have in common is encoded once.

    ``originator`` is the move originator's AE title and message ID, for C-STOREs that a C-MOVE causes.
    """

    def __init__(self, sop_class: str, originator: tuple[str, int] | None = None) -> None:
        before = element(0x0002, unique_identifier(sop_class)) + element(0x0100, short(_C_STORE_RQ))
        before += _ELEMENT.pack(0, 0x0110, 2)
        after = element(0x0700, short(_MEDIUM)) + element(0x0800, short(_DATA_SET)) + _ELEMENT.pack(0, 0x1000, 0)[:4]
        end = b""
        if originator is not None:
            end = element(0x1030, application_entity(originator[0])) + element(0x1031, short(originator[1]))
        self._layout = Struct(f"<8sL{len(before)}sH{len(after)}sL")
        self._before, self._after, self._end = before, after, end
        self._fixed = self._layout.size - 12 + len(end)

    def encode(self, message_id: int, sop_instance: str) -> bytes:
        """The command set that announces one instance."""
        uid = unique_identifier(sop_instance)
        length = len(uid)
        return (
            self._layout.pack(_GROUP_LENGTH, self._fixed + length, self._before, message_id, self._after, length)
            + uid
            + self._end
        )


class StoreResponse(NamedTuple):
    """What a C-STORE-RSP says."""

    message_id: int
    """Message ID Being Responded To (0000,0120)."""
    status: int
    comment: str = ""
    """Error Comment (0000,0902)."""


def parse_response(command: bytes) -> StoreResponse:
    """Read a C-STORE-RSP command set. Raises ProtocolError if it is anything else."""
    values = dict(_elements(command))
    if _number(values, 0x0100) != _C_STORE_RSP or _number(values, 0x0800) != _NO_DATA_SET:
        raise ProtocolError(Reason.INVALID_PARAMETER, "a command that is no response to a C-STORE")
    comment = values.get(0x0902, b"").decode("ascii", "replace").strip(" \0")
    return StoreResponse(_number(values, 0x0120), _number(values, 0x0900), comment)


def _elements(command: bytes) -> Iterator[tuple[int, bytes]]:
    place, end = 0, len(command)
    while place < end:
        if end - place < 8:
            raise ProtocolError(Reason.INVALID_PARAMETER, "a command set that is cut short")
        group, number, length = _ELEMENT.unpack_from(command, place)
        place += 8
        if group != 0 or length > end - place:
            raise ProtocolError(Reason.INVALID_PARAMETER, "a command set that cannot be read")
        yield number, command[place : place + length]
        place += length


def _number(values: dict[int, bytes], number: int) -> int:
    value = values.get(number, b"")
    if len(value) != 2:
        raise ProtocolError(Reason.INVALID_PARAMETER, f"a command without element (0000,{number:04X})")
    return int.from_bytes(value, "little")


_HEADERS = Struct(">BxLLBB")
_ONE_COMMAND = 0x03
"""Message control header of a command set in one fragment (PS3.8 section E.2)."""

_PLAIN = Struct("<8sH8sH8sH8sH")
_SOP_CLASS = _ELEMENT.pack(0, 0x0002, 0)[:4]
_TAGS = tuple(_ELEMENT.pack(0, number, 2) for number in (0x0100, 0x0120, 0x0800, 0x0900))


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
        _C_STORE_RSP,
        _NO_DATA_SET,
        0,
    ):
        return 0, 0
    return message_id, stop


class OtherPDUError(Exception):
    """A PDU came that is no P-DATA-TF. Its only argument is the PDU's type (PS3.8 section 9.3.1)."""


class Responses:
    """Reads C-STORE-RSPs from what a peer sends, up to the last one that is due, however the bytes are cut.

    ``answered`` is called with the Message ID Being Responded To, the status and the Error Comment of each, and
    responses are due as long as ``outstanding`` is not empty.
    """

    def __init__(self, outstanding: Sized, answered: Callable[[int, int, str], None]) -> None:
        self.leftover = b""
        """What came after the last response that was due, or begins with a PDU that is no P-DATA-TF."""
        self._outstanding = outstanding
        self._answered = answered
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

    def command(self, _context_id: int, command: bytes) -> None:
        """A command set, from the parser."""
        self._answered(*parse_response(command))
        self._parser.paused = not self._outstanding

    def control(self, kind: int, content: bytes) -> None:
        """A PDU that is no P-DATA-TF, from the parser."""
        self._other = bytes([kind, 0]) + len(content).to_bytes(4, "big") + content
        self._parser.paused = True
