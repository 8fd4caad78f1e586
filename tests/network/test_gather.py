"""Messages as lists of buffers: whatever the parts and the maximum length, the peer gets the data set back."""

import contextlib
import gc
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlab.network.live.wire.gather import (
    LARGEST_PDU,
    LEAST_PDU,
    MOST_BUFFERS,
    Gatherer,
    gather,
    gathered_send,
    longest_fragment,
)

lengths = st.sampled_from([0, 1, 2, 3]) | st.integers(0, 30000)
maxima = st.sampled_from([0, LEAST_PDU, 4096, 4097, 16384, 2**32 - 1]) | st.integers(4096, 100000)


def values(sent):
    """(PDU length, context ID, message control header, fragment) of each PDU, each with one PDV."""
    place, found = 0, []
    while place < len(sent):
        kind, length, inner, context_id, control = struct.unpack_from(">BxLLBB", sent, place)
        assert (kind, inner) == (0x04, length - 4)
        found.append((length, context_id, control, sent[place + 12 : place + 6 + length]))
        place += 6 + length
    assert place == len(sent)
    return found


@st.composite
def data_sets(draw):
    """Parts, some as memoryviews."""
    sizes = draw(st.lists(lengths, max_size=5))
    parts = [bytes((number + 7 * size) % 251 for number in range(size)) for size in sizes]
    return [memoryview(part) if draw(st.booleans()) else part for part in parts]


@given(data_sets(), maxima, st.sampled_from([1, 255]))
def test_a_data_set_comes_back(parts, max_pdu, context_id):
    found = values(b"".join(gather(parts, context_id, max_pdu)))
    assert b"".join(fragment for *_, fragment in found) == b"".join(parts)
    assert [control for _, _, control, _ in found] == [0] * (len(found) - 1) + [2]
    assert {context for _, context, _, _ in found} == {context_id}
    assert all(length <= (max_pdu or LARGEST_PDU) for length, *_ in found)
    assert all(len(fragment) % 2 == 0 for *_, fragment in found[:-1])
    assert all(fragment for *_, fragment in found) or not b"".join(parts)


@given(data_sets(), maxima, st.binary(min_size=1, max_size=5000))
def test_a_message_tells_its_lengths(parts, max_pdu, command):
    message = Gatherer(3, max_pdu).message(command, parts)
    sent = b"".join(message.buffers)
    assert (message.size, message.length) == (sum(map(len, parts)), len(sent))
    found = values(sent)
    commands = [(control, fragment) for _, _, control, fragment in found if control & 1]
    assert b"".join(fragment for _, fragment in commands) == command
    assert [control for control, _ in commands] == [1] * (len(commands) - 1) + [3]


def test_pixels_are_neither_copied_nor_cut_twice():
    pixels = memoryview(bytes(100_000))
    gatherer = Gatherer(1, 16384)
    first = gatherer.data_set((b"head", pixels))
    second = gatherer.data_set((b"HEAD", pixels))
    assert [buffer.obj is pixels.obj for buffer in first[3::2]] == [True] * 7
    assert all(one is other for one, other in zip(first[2:], second[2:], strict=True))


@pytest.mark.parametrize("size", [100, 100_000])
def test_shared_parts_are_forgotten_when_they_are_gone(size):
    gatherer = Gatherer(1, 16384)
    for number in range(10):
        part = memoryview(bytes([number]) * size)
        assert b"".join(gatherer.data_set([part])[1::2]) == bytes([number]) * size
        del part
    gc.collect()
    assert not gatherer._shared


@pytest.mark.parametrize("max_pdu", [1, 6, 7, LEAST_PDU - 1])
def test_a_maximum_that_would_drown_us(max_pdu):
    with pytest.raises(ValueError, match="less than"):
        longest_fragment(max_pdu)


@pytest.mark.parametrize("gathered", [True, False])
def test_a_gathered_write(gathered):
    here, there = socket.socketpair()
    with here, there:
        connection = here if gathered else WithoutSendmsg(here)
        send = gathered_send(connection)
        assert send([b"ab", memoryview(b"cd"), b"e"]) == 5
        assert there.recv(100) == b"abcde"
        assert send([b"x"] * MOST_BUFFERS) == MOST_BUFFERS
        assert there.recv(4096) == b"x" * MOST_BUFFERS
        assert send([bytes(70_000), b"tail"]) >= 70_000
        here.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while send([bytes(100_000)]):
                pass
        with pytest.raises(BlockingIOError):
            send([b"no more"])


class WithoutSendmsg:
    """A socket as Windows has it."""

    def __init__(self, connection):
        self._connection = connection

    def __getattr__(self, name):
        if name == "sendmsg":
            raise AttributeError(name)
        return getattr(self._connection, name)
