"""Command sets: those of a C-STORE are built and read, of others no more is read than must be (PS3.7 9.3.1 and E.1).

Command sets are always encoded in Implicit VR Little Endian (PS3.7 section 6.3.1).
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from simlab.network.live.wire.pdus import P_DATA_TF, ProtocolError, Reason
from simlab.network.seam import Status

_ELEMENT = Struct("<HHL")
_GROUP_LENGTH = _ELEMENT.pack(0, 0x0000, 4)

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
NO_DATA_SET = 0x0101
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
        before = element(0x0002, unique_identifier(sop_class)) + element(0x0100, short(C_STORE_RQ))
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


class Command(NamedTuple):
    """What a command set says, as far as whoever receives it must know."""

    field: int
    """Command Field: which message it is; a response has the bit 8000H."""
    message_id: int
    """Message ID, or Message ID Being Responded To."""
    sop_class: bytes
    """Affected or Requested SOP Class UID, with its padding, as it came."""
    sop_instance: bytes
    data_set_type: int
    """``NO_DATA_SET``, or any other number."""
    status: int


def read_command(command: bytes) -> Command:
    """Read a command set. What is missing is 0 or empty; what is beyond reading ends it."""
    field = message_id = status = 0
    data_set_type = NO_DATA_SET
    sop_class = sop_instance = b""
    at, end = 0, len(command)
    while at + 8 <= end:
        group, element, length = _ELEMENT.unpack_from(command, at)
        at += 8
        value = command[at : at + length]
        at += length
        if group or len(value) < length:
            break
        if element in (0x0002, 0x0003):
            sop_class = value
        elif element in (0x1000, 0x1001):
            sop_instance = value
        elif length == 2:
            number = value[0] | value[1] << 8
            if element == 0x0100:
                field = number
            elif element in (0x0110, 0x0120):
                message_id = number
            elif element == 0x0800:
                data_set_type = number
            elif element == 0x0900:
                status = number
    return Command(field, message_id, sop_class, sop_instance, data_set_type, status)


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
    if _number(values, 0x0100) != C_STORE_RSP or _number(values, 0x0800) != NO_DATA_SET:
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


_SHORT = Struct("<HHLH")
_WRAPPED = Struct(">BxLLBB")
_IS_RESPONSE = element(0x0100, short(C_STORE_RSP))
_HAS_NO_DATA_SET = element(0x0800, short(NO_DATA_SET))


def store_response(context_id: int, request: Command, status: Status) -> bytes:
    """The whole P-DATA-TF of a C-STORE-RSP (PS3.7 table 9.3-2)."""
    comment = status.comment[:64].encode("ascii", "replace")
    body = b"".join(
        (
            element(0x0002, request.sop_class) if request.sop_class else b"",
            _IS_RESPONSE,
            _SHORT.pack(0, 0x0120, 2, request.message_id),
            _HAS_NO_DATA_SET,
            _SHORT.pack(0, 0x0900, 2, status.code),
            element(0x0902, comment + b" " * (len(comment) & 1)) if comment else b"",
            element(0x1000, request.sop_instance) if request.sop_instance else b"",
        )
    )
    size = len(_GROUP_LENGTH) + 4 + len(body)
    headers = _WRAPPED.pack(P_DATA_TF, size + 6, size + 2, context_id, 0x03)
    return headers + _GROUP_LENGTH + len(body).to_bytes(4, "little") + body
