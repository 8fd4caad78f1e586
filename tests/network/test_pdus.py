"""PDUs cut anywhere, and PDUs that lie about their length."""

import tracemalloc
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.peers import RELEASE_REQUEST, pdu
from simlab.network.live.wire.pdus import LONGEST_COMMAND, LONGEST_CONTROL, Gathering, PDUParser, ProtocolError

ANNOUNCED = 65536


def value(data, context=1, command=False, last=False):
    return (len(data) + 2).to_bytes(4, "big") + bytes([context, command + 2 * last]) + data


def p_data(*values):
    return pdu(0x04, b"".join(values))


class Heard:
    """Notes what a stream of PDUs says. A command that begins with D has a data set."""

    def __init__(self):
        self.said = []

    def command(self, context, command):
        if not command.startswith(b"D"):
            self.said.append((context, command, None))
            return None
        return Gathering(lambda data: self.said.append((context, command, data)))

    def control(self, kind, content):
        self.said.append((kind, content))


def hear(stream, cuts=(), announced=ANNOUNCED):
    heard = Heard()
    parser = PDUParser(heard, announced)
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(places):
        piece = bytearray(stream[start:end])
        assert parser.feed(memoryview(piece)) == len(piece)
        piece[:] = bytes(len(piece))  # its memory is used again
    return heard.said, parser


def chunks(draw, data, command, context, largest):
    """The values into which a command or data set is cut."""
    places = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=4))})
    pieces = [data[a:b] for a, b in pairwise(places)] or [b""]
    values = [value(piece, context, command, last=index == len(pieces) - 1) for index, piece in enumerate(pieces)]
    assert all(len(each) <= largest for each in values)
    return values


@st.composite
def conversations(draw):
    """Messages and other PDUs as bytes, and what they say."""
    stream, said = b"", []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from("MDC"))
        if kind == "C":
            content = draw(st.binary(min_size=1, max_size=60))
            stream += pdu(5, content)
            said.append((5, content))
            continue
        context = draw(st.sampled_from([1, 3, 255]))
        command = kind.encode() + draw(st.binary(max_size=300))
        values = chunks(draw, command, True, context, ANNOUNCED)
        data = draw(st.binary(max_size=2000)) if kind == "D" else None
        if data is not None:
            values += chunks(draw, data, False, context, ANNOUNCED)
        while values:  # several values to a PDU, the command's and the data set's among them
            size = draw(st.integers(1, len(values)))
            stream += p_data(*values[:size])
            values = values[size:]
        said.append((context, command, data))
    return stream, said


@given(conversations(), st.lists(st.integers(0, 10**6), max_size=12))
def test_a_stream_says_the_same_however_it_is_cut(conversation, cuts):
    stream, said = conversation
    heard, parser = hear(stream, cuts)
    assert heard == said
    assert parser.between_messages


@given(conversations())
def test_a_stream_says_the_same_byte_by_byte(conversation):
    stream, said = conversation
    assert hear(stream, range(len(stream)))[0] == said


@given(st.binary(max_size=400), st.lists(st.integers(0, 10**6), max_size=5))
def test_garbage_is_refused_or_waited_for(garbage, cuts):
    with suppress(ProtocolError):
        hear(garbage, cuts)


@given(conversations(), st.data())
def test_one_wrong_byte_never_breaks_more_than_the_association(conversation, data):
    stream = bytearray(conversation[0])
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(ProtocolError):
        hear(bytes(stream))


HUGE = 2**32 - 1


@pytest.mark.parametrize(
    "stream",
    [
        b"\x04\0" + length.to_bytes(4, "big") + bytes(20) for length in (0, 1, 5, ANNOUNCED + 1, HUGE)
    ]
    + [b"\x04\0\0\0\0\x40" + length.to_bytes(4, "big") + b"\x01\x03" + bytes(80) for length in (0, 1, 0x3D, 0x3F, HUGE)]
    + [bytes([kind, 0]) + (4).to_bytes(4, "big") + bytes(4) for kind in (0, 8, 0x48, 255)]
    + [b"\x05\0" + length.to_bytes(4, "big") + bytes(4) for length in (0, LONGEST_CONTROL + 1, HUGE)],
)  # fmt: skip
def test_lengths_and_types_that_cannot_be(stream):
    with pytest.raises(ProtocolError):
        hear(stream)


@pytest.mark.parametrize(
    "values",
    [
        [value(b"data", last=True)],
        [value(b"D", command=True, last=True), value(b"M", command=True, last=True)],
        [value(b"M", command=True), value(b"data")],
        [value(b"D", command=True, last=True), value(b"data", context=3)],
        [value(b"M", command=True), value(b"M", context=3, command=True)],
    ],
    ids=[
        "data without a command",
        "a command in a data set",
        "data in a command",
        "context changes",
        "and in a command",
    ],
)
def test_fragments_of_another_message(values):
    with pytest.raises(ProtocolError):
        hear(b"".join(p_data(each) for each in values))


def test_a_command_without_end():
    with pytest.raises(ProtocolError):
        hear(p_data(value(bytes(30000), command=True)) * (LONGEST_COMMAND // 30000 + 1))


def test_what_is_claimed_is_not_allocated():
    tracemalloc.start()
    parser = PDUParser(Heard(), 0)
    parser.feed(memoryview(p_data(value(b"D", command=True, last=True))))
    parser.feed(memoryview(b"\x04\0\xff\xff\xff\xf0\xff\xff\xff\xec\x01\x02only this"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_the_announced_maximum_may_be_none():
    big = p_data(value(b"D", command=True, last=True)) + p_data(value(bytes(200_000), last=True))
    assert hear(big, announced=0)[0] == [(1, b"D", bytes(200_000))]
    with pytest.raises(ProtocolError):
        hear(big)


def test_nothing_behind_a_message_is_read_while_paused():
    heard = Heard()
    parser = PDUParser(heard, ANNOUNCED)
    take = heard.command

    def pausing(context, command):
        parser.paused = True
        return take(context, command)

    heard.command = pausing
    first = p_data(value(b"M1", command=True, last=True))
    stream = memoryview(first + p_data(value(b"M2", command=True, last=True)) + RELEASE_REQUEST)
    used = parser.feed(stream)
    assert (used, heard.said) == (len(first), [(1, b"M1", None)])
    parser.paused = False
    used += parser.feed(stream[used:])
    parser.paused = False
    assert used + parser.feed(stream[used:]) == len(stream)
    assert heard.said[1:] == [(1, b"M2", None), (5, bytes(4))]


def test_who_waits_for_a_data_set_hears_that_it_ends():
    given_up = []

    class Sink(Gathering):
        def give_up(self):
            given_up.append(True)

    heard = Heard()
    heard.command = lambda *_: Sink(lambda _: None)
    parser = PDUParser(heard, ANNOUNCED)
    parser.feed(memoryview(p_data(value(b"D", command=True, last=True)) + p_data(value(b"half"))))
    assert not parser.between_messages
    parser.give_up()
    assert given_up == [True]
