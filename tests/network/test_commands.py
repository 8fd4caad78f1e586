"""C-STORE command sets, against pydicom; responses as peers send them, whole, cut anywhere, and wrong."""

import struct
from contextlib import suppress
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filereader import read_dataset

from network.peers import ABORT, RELEASE_REQUEST, command_pdu, element, number, pdu
from simlab.network.live.wire.commands import StoreRequests, parse_response
from simlab.network.live.wire.pdus import ProtocolError
from simlab.network.live.wire.responses import OtherPDUError, Responses, plain_success

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
uids = st.integers(0, 2**128 - 1).map(lambda value: f"2.25.{value}")


def response(message_id, status=0, **more):
    """The elements of a C-STORE-RSP."""
    elements = {0x0100: number(0x8001), 0x0120: number(message_id), 0x0800: number(0x0101), 0x0900: number(status)}
    return elements | {int(key[1:], 16): value for key, value in more.items()}


def usual(message_id, status=0, **more):
    return command_pdu(1, response(message_id, status, x0002=CT_IMAGE.encode() + b"\0", x1000=b"1.2.3.45", **more))


@given(st.integers(1, 65535), uids, uids, st.none() | st.tuples(st.text("ABC_", min_size=1), st.integers(1, 65535)))
def test_requests_say_what_they_should(message_id, sop_class, sop_instance, originator):
    encoded = StoreRequests(sop_class, originator).encode(message_id, sop_instance)
    command = read_dataset(BytesIO(encoded), is_implicit_VR=True, is_little_endian=True)
    assert command.CommandGroupLength == len(encoded) - 12
    assert list(command) == sorted(command, key=lambda each: each.tag)
    assert (command.AffectedSOPClassUID, command.AffectedSOPInstanceUID) == (sop_class, sop_instance)
    assert (command.CommandField, command.MessageID) == (0x0001, message_id)
    assert command.CommandDataSetType != 0x0101
    assert command.Priority == 0
    if originator:
        told = command.MoveOriginatorApplicationEntityTitle, command.MoveOriginatorMessageID
        assert told == originator
    assert len(encoded) % 2 == 0


def test_a_response_is_read():
    command = command_pdu(1, response(7, 0xA700, x0902=b"disk full "))[12:]
    assert parse_response(command) == (7, 0xA700, "disk full")


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {0x0100: number(0x8030), 0x0120: number(1), 0x0800: number(0x0101), 0x0900: number(0)},
        {0x0100: number(0x8001), 0x0120: number(1), 0x0800: number(0x0101)},
        {0x0100: number(0x8001), 0x0120: b"\1\0\0\0", 0x0800: number(0x0101), 0x0900: number(0)},
        {0x0100: number(0x8001), 0x0120: number(1), 0x0800: number(1), 0x0900: number(0)},
    ],
)
def test_what_is_no_response_is_not_taken_for_one(elements):
    with pytest.raises(ProtocolError):
        parse_response(command_pdu(1, elements)[12:])


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_worse(garbage):
    for read in (parse_response, lambda data: plain_success(bytearray(data + bytes(200)), 0, len(data))):
        with suppress(ProtocolError):
            assert read(garbage) == (0, 0)


@given(st.integers(1, 65535), st.integers(0, 50), st.integers(0, 50))
def test_the_usual_response_is_read_at_once(message_id, before, behind):
    sent = usual(message_id)
    received = bytearray(bytes(before) + sent + bytes(behind))
    assert plain_success(received, before, len(received)) == (message_id, before + len(sent))
    without_class = command_pdu(1, response(message_id))
    assert plain_success(bytearray(without_class), 0, len(without_class)) == (message_id, len(without_class))


@pytest.mark.parametrize("sent", [usual(3, 0xB000), usual(3, 0xA700), RELEASE_REQUEST * 20, usual(3)[:-1]])
def test_the_unusual_one_is_not(sent):
    assert plain_success(bytearray(sent), 0, len(sent)) == (0, 0)


class Taken:
    """Responses, and what they answered."""

    def __init__(self, *message_ids):
        self.outstanding = set(message_ids)
        self.told = []
        self.responses = Responses(self.outstanding, self.answered)

    def answered(self, message_id, status, comment):
        self.outstanding.discard(message_id)
        self.told.append((message_id, status, comment))

    def feed(self, data):
        self.responses.feed(bytearray(data), len(data))


def fragments(draw, command):
    """A command set as PDVs, cut at random, some fragments empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(command)), max_size=4)))
    pieces = [command[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(command)], strict=True)]
    controls = [0x01] * (len(pieces) - 1) + [0x03]
    return [
        struct.pack(">LBB", len(piece) + 2, 1, control) + piece for piece, control in zip(pieces, controls, strict=True)
    ]


@st.composite
def streams(draw):
    """What was answered, and its bytes: PDVs shared out among PDUs at random, the whole cut at random."""
    answers = draw(
        st.lists(
            st.tuples(st.integers(1, 65535), st.sampled_from([0, 0, 0xB000, 0xA700, 0xC001])), unique_by=lambda a: a[0]
        )
    )
    sent, values = b"", []
    for answer in answers:
        values += fragments(draw, usual(*answer)[12:])
        if draw(st.booleans()):
            sent, values = sent + pdu(0x04, b"".join(values)), []
    if values:
        sent += pdu(0x04, b"".join(values))
    cuts = sorted(draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    return answers, [sent[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]


@given(streams())
def test_responses_may_be_cut_anywhere(stream):
    answers, pieces = stream
    taken = Taken(*(message_id for message_id, _ in answers))
    for piece in pieces:
        taken.feed(piece)
    assert [(message_id, status) for message_id, status, _ in taken.told] == answers
    assert taken.responses.leftover == b""


@given(st.integers(0, 20))
def test_what_comes_behind_the_last_response_is_left(cut):
    sent = usual(5) + RELEASE_REQUEST
    split = len(sent) - cut
    taken = Taken(5)
    taken.feed(sent[:split])
    taken.feed(sent[split:])
    assert taken.told == [(5, 0, "")]
    assert taken.responses.leftover == RELEASE_REQUEST


def test_another_pdu_is_told_and_left():
    taken = Taken(5, 6)
    with pytest.raises(OtherPDUError) as caught:
        taken.feed(usual(5) + ABORT + b"more")
    assert caught.value.args == (0x07,)
    assert (taken.told, taken.responses.leftover) == ([(5, 0, "")], ABORT + b"more")


@pytest.mark.parametrize(
    "sent",
    [
        pdu(0x04, b""),
        pdu(0x04, struct.pack(">LBB", 0, 1, 3)),
        pdu(0x04, struct.pack(">LBB", 1, 1, 3)),
        pdu(0x04, struct.pack(">LBB", 100, 1, 3) + b"short"),
        pdu(0x04, struct.pack(">LBB", 2**32 - 1, 1, 3) + b"short"),
        pdu(0x04, struct.pack(">LBB", 4, 1, 2) + b"ab"),
        b"\x04\0" + struct.pack(">L", 65537),
        b"\x04\0" + struct.pack(">L", 2**32 - 1),
        b"HTTP/1.1 400 Bad Request\r\n",
        pdu(0x04, struct.pack(">LBB", 10, 1, 3) + element(0, 0x0100, b"")),
        usual(5)[:2] + struct.pack(">L", len(usual(5))) + usual(5)[6:] + struct.pack(">LBB", 2, 1, 1),
    ],
)
def test_lies_are_found_out(sent):
    with pytest.raises(ProtocolError):
        Taken(5).feed(sent)


def test_a_command_set_without_end():
    taken = Taken(5)
    endless = pdu(0x04, struct.pack(">LBB", 10002, 1, 1) + bytes(10000)) * 10
    with pytest.raises(ProtocolError, match="without end"):
        taken.feed(endless)
