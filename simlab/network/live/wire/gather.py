"""Messages as lists of buffers for one gathered write: P-DATA-TF PDUs with one PDV each (PS3.8 sections 9.3.5, E.2).

Headers and fragments are buffers of their own, and a fragment is a view of the data set that it is cut from, so no
byte of a data set is ever copied on its way to the socket.
"""

from __future__ import annotations

import socket
import ssl
import weakref
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from struct import Struct
from typing import NamedTuple, TypeAlias

from simlab.network.live.wire.pdus import P_DATA_TF

Buffer: TypeAlias = bytes | memoryview
"""Bytes of a data set. A memoryview is one of bytes (format B), in one dimension."""

LEAST_PDU = 1024
"""The least maximum PDU length that we put up with. The standard has none, but a peer's should not drown us in PDUs."""

LARGEST_PDU = 1 << 20
"""Bytes in a PDU to a peer without maximum, or with a larger one. More gains nothing."""

MOST_BUFFERS = 1024
"""Buffers in one gathered write: IOV_MAX of all systems in use."""

_JOINED_BYTES = 65536
"""Bytes that are joined for one write where there is no gathered one."""

_HEADER = Struct(">BxLLBB")
_DATA, _COMMAND, _LAST = 0x00, 0x01, 0x02


_Shared: TypeAlias = dict[tuple[int, int], tuple["weakref.ref[memoryview]", list["Buffer"]]]


class Message(NamedTuple):
    """A command set with its data set, ready for the wire."""

    buffers: list[Buffer]
    size: int
    """Bytes of the data set."""
    length: int
    """Bytes on the wire."""


class Gatherer:
    """Makes the messages that go through one presentation context.

    The buffers of a part that is a memoryview are kept as long as that memoryview lives, to be used again by the next
    message with this part. Raises ValueError for a maximum PDU length below ``LEAST_PDU``.
    """

    def __init__(self, context_id: int, max_pdu: int) -> None:
        self._context_id = context_id
        self._longest = longest_fragment(max_pdu)
        self._shared: _Shared = {}

    def message(self, command: bytes, parts: Sequence[Buffer]) -> Message:
        """One message. ``parts`` follow each other in its data set."""
        buffers = [*self._fragments(command, _COMMAND | _LAST), *self.data_set(parts)]
        size = sum(map(len, parts))
        return Message(buffers, size, size + len(command) + _HEADER.size * (len(buffers) // 2))

    def data_set(self, parts: Sequence[Buffer]) -> list[Buffer]:
        """A header and a fragment in turn: each part in PDUs of its own."""
        if len(parts) != 1:
            parts = _divisible(parts)
        buffers: list[Buffer] = []
        for part in parts[:-1]:
            buffers += self._part(part, _DATA)
        return buffers + self._part(parts[-1], _DATA | _LAST)

    def _part(self, part: Buffer, control: int) -> list[Buffer]:
        if not isinstance(part, memoryview):
            return self._fragments(part, control)
        key = id(part), control
        known = self._shared.get(key)
        if known is None:
            # The fragments are views of their own: they do not keep the part alive, and an entry goes with its part,
            # before another can have the same identity.
            gone = weakref.ref(part, partial(_forget, self._shared, key))
            known = self._shared[key] = gone, self._fragments(part[:], control)
        return known[1]

    def _fragments(self, part: Buffer, control: int) -> list[Buffer]:
        """The PDUs of one part; ``control`` is the message control header of the last (PS3.8 section 9.3.5.1)."""
        size, longest = len(part), self._longest
        if size <= longest:
            return [_header(size, self._context_id, control), part]
        view = memoryview(part)
        full = _header(longest, self._context_id, control & ~_LAST)
        rest = (size - 1) % longest + 1
        buffers: list[Buffer] = []
        for place in range(0, size - rest, longest):
            buffers += (full, view[place : place + longest])
        return [*buffers, _header(rest, self._context_id, control), view[size - rest :]]


def gather(parts: Sequence[Buffer], context_id: int, max_pdu: int) -> list[Buffer]:
    """A data set as buffers. ``max_pdu`` is the peer's maximum length as negotiated, 0 for none (PS3.8 section D.1)."""
    return Gatherer(context_id, max_pdu).data_set(parts)


def longest_fragment(max_pdu: int) -> int:
    """Bytes of data set in a full PDU: an even number (PS3.8 section E.2). Raises ValueError below ``LEAST_PDU``."""
    if 0 < max_pdu < LEAST_PDU:
        raise ValueError(f"a maximum PDU length of {max_pdu}, less than {LEAST_PDU}")
    return (min(max_pdu or LARGEST_PDU, LARGEST_PDU) - 6) // 2 * 2


def _divisible(parts: Sequence[Buffer]) -> Sequence[Buffer]:
    """Parts at whose ends a message may be cut: none is empty, and all but the last are of even length.

    Elements have even lengths, so only parts that no data set is made of need to be joined.
    """
    some = [part for part in parts if part]
    if not some or any(len(part) % 2 for part in some[:-1]):
        return [b"".join(some)]
    return some


def _forget(shared: _Shared, key: tuple[int, int], _part: weakref.ref[memoryview]) -> None:
    shared.pop(key, None)


@lru_cache(maxsize=4096)
def _header(size: int, context_id: int, control: int) -> bytes:
    """Headers of a PDU with one PDV, whose fragment has ``size`` bytes."""
    return _HEADER.pack(P_DATA_TF, size + 6, size + 2, context_id, control)


def gathered_send(connection: socket.socket) -> Callable[[Sequence[Buffer]], int]:
    """``sendmsg``, or what comes nearest to it where there is none: on Windows, and under TLS."""
    if hasattr(connection, "sendmsg") and not isinstance(connection, ssl.SSLSocket):
        return connection.sendmsg
    return partial(_send_joined, connection)


def _send_joined(connection: socket.socket, buffers: Sequence[Buffer]) -> int:
    """Send as many buffers as make up a moderate amount; the first one by itself if it is larger."""
    joined: list[Buffer] = []
    size = 0
    for buffer in buffers:
        size += len(buffer)
        if joined and size > _JOINED_BYTES:
            break
        joined.append(buffer)
    return connection.send(joined[0] if len(joined) == 1 else b"".join(joined))
