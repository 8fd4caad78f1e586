"""Command sets (PS3.7 section 6.3.1 and annex E): Implicit VR Little Endian, group 0000 alone."""

from __future__ import annotations

import struct
from typing import NamedTuple

from simlab.network.seam import Status

C_STORE_RQ = 0x0001
C_ECHO_RQ = 0x0030
NO_DATA_SET = 0x0101

_header = struct.Struct("<HHL").unpack_from


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
        group, element, length = _header(command, at)
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


_short_element = struct.Struct("<HHLH").pack
_prefixes = struct.Struct(">BBLLBB").pack
_STORE_RESPONSE = _short_element(0, 0x0100, 2, 0x8001)
_NO_DATA_SET = _short_element(0, 0x0800, 2, NO_DATA_SET)


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0, element, len(value)) + value


def store_response(context_id: int, request: Command, status: Status) -> bytes:
    """The whole P-DATA-TF of a C-STORE-RSP (PS3.7 table 9.3-2)."""
    comment = status.comment[:64].encode("ascii", "replace")
    body = b"".join(
        (
            _element(0x0002, request.sop_class) if request.sop_class else b"",
            _STORE_RESPONSE,
            _short_element(0, 0x0120, 2, request.message_id),
            _NO_DATA_SET,
            _short_element(0, 0x0900, 2, status.code),
            _element(0x0902, comment + b" " * (len(comment) & 1)) if comment else b"",
            _element(0x1000, request.sop_instance) if request.sop_instance else b"",
        )
    )
    command = _element(0x0000, len(body).to_bytes(4, "little")) + body
    return _prefixes(0x04, 0, len(command) + 6, len(command) + 2, context_id, 0x03) + command
