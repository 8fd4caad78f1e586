"""Several messages that come in one go, or close together: each has its turn, and none gets lost."""

from io import BytesIO

import pytest
from pydicom.filereader import read_dataset

from network.peers import command_pdu, number, read_pdu
from network.storing import (
    ABORTED,
    NO_DATA_SET,
    callers,
    echo_pdu,
    find_pdus,
    places,
    store_pdus,
    until,
)
from simlab.network.seam import SUCCESS, Answer, Status

RELEASE_RQ, RELEASE_RP = bytes.fromhex("05000000000400000000"), 0x06
ABORT = bytes.fromhex("07000000000400000000")
PENDING, CANCELLED = 0xFF00, 0xFE00
MATCHES = 50


@pytest.fixture(params=[0, 2], ids=["alone", "receivers"])
def listen(request, tmp_path):
    with places(tmp_path, request.param) as start:
        yield start


@pytest.fixture
def receiving(tmp_path):
    """Starts nodes with receivers."""
    with places(tmp_path, 2) as start:
        yield start


@pytest.fixture
def call():
    with callers() as connect:
        yield connect


def cancel_pdu(message_id, context=9):
    return command_pdu(context, {0x0100: number(0x0FFF), 0x0120: number(message_id), 0x0800: number(NO_DATA_SET)})


def with_matches(place):
    place.node.find = lambda _: Answer(tuple({"StudyInstanceUID": f"2.25.{index}"} for index in range(MATCHES)))
    return place


def final_statuses(caller, count):
    """How queries ended, by message ID, and how many matches came before."""
    found, matches = {}, 0
    while len(found) < count:
        _, content = read_pdu(caller.connection)
        if not content[5] & 1:
            continue  # a match
        said = read_dataset(BytesIO(content[6:]), is_implicit_VR=True, is_little_endian=True)
        if said.Status == PENDING:
            matches += 1
        else:
            found[said.MessageIDBeingRespondedTo] = said.Status, matches
            matches = 0
    return found


def test_a_thousand_echoes_in_one_go(listen, call):
    caller = call(listen(outstanding=0), window=0)
    caller.send(*(echo_pdu(number) for number in range(1000)))
    assert [caller.status() for _ in range(1000)] == [(number, SUCCESS) for number in range(1000)]
    assert caller.release()


def test_a_query_and_its_cancellation_in_one_go(listen, call):
    caller = call(with_matches(listen()))
    caller.send(find_pdus(7), cancel_pdu(7))
    assert final_statuses(caller, 1) == {7: (CANCELLED, 0)}
    assert caller.release()


def test_a_query_that_waits_for_its_turn_is_cancelled(listen, call):
    caller = call(with_matches(listen(outstanding=4)), window=4)
    caller.send(find_pdus(7), find_pdus(8), cancel_pdu(8))
    assert final_statuses(caller, 2) == {7: (SUCCESS, MATCHES), 8: (CANCELLED, 0)}


def test_a_cancellation_is_for_what_came_before_it(listen, call):
    caller = call(with_matches(listen()))
    caller.send(*(cancel_pdu(number) for number in range(100)), find_pdus(7))
    assert final_statuses(caller, 1) == {7: (SUCCESS, MATCHES)}
    caller.send(*(cancel_pdu(number) for number in range(100)), find_pdus(8), cancel_pdu(8))
    assert final_statuses(caller, 1) == {8: (CANCELLED, 0)}
    caller.send(cancel_pdu(8))  # too late
    assert caller.is_quiet()
    caller.send(echo_pdu(9))
    assert caller.status() == (9, SUCCESS)


# ---- what comes behind C-STOREs


@pytest.fixture
def owing(listen, call):
    """A caller with three C-STOREs that nobody has answered yet, and what answers them."""
    place, kept = listen(outstanding=8), []
    place.node.decide = lambda _, respond: kept.append(respond)
    caller = call(place, window=8)
    caller.send(*(store_pdus(index, f"2.25.1{index}") for index in range(3)))
    until(lambda: len(kept) == 3)
    return caller, kept, place


def test_a_release_waits_until_everything_is_answered(owing):
    caller, kept, place = owing
    caller.send(RELEASE_RQ)
    assert caller.is_quiet()
    for respond in kept:
        respond(Status(SUCCESS))
    assert [caller.status() for _ in range(4)] == [(0, SUCCESS), (1, SUCCESS), (2, SUCCESS), RELEASE_RP]
    until(lambda: not place.acceptor.associations)


def test_requests_wait_until_everything_is_answered(owing):
    caller, kept, place = owing
    caller.send(find_pdus(7), echo_pdu(8))
    assert caller.is_quiet()
    caller.send(store_pdus(9, "2.25.9"))
    assert caller.is_quiet()
    for respond in kept:
        respond(Status(SUCCESS))
    place.node.decide = lambda _, respond: respond(Status(SUCCESS))
    assert [caller.status() for _ in range(3)] == [(index, SUCCESS) for index in range(3)]
    assert final_statuses(caller, 3) == {7: (SUCCESS, 1), 8: (SUCCESS, 0), 9: (SUCCESS, 0)}
    assert "2.25.9" in place.node.taken


def test_a_peer_that_goes_while_it_is_owed_something(owing):
    caller, kept, place = owing
    caller.send(find_pdus(7))
    assert caller.is_quiet()
    caller.close(reset=True)
    for respond in kept:
        respond(Status(SUCCESS))
    until(lambda: not place.acceptor.associations)


# ---- what comes behind the end


@pytest.mark.parametrize("end", [RELEASE_RQ, ABORT], ids=["release", "abort"])
def test_what_comes_behind_the_end_is_not_taken(listen, call, end):
    place = listen()
    caller = call(place)
    caller.send(end, store_pdus(1, "2.25.1"))
    assert caller.response() in (RELEASE_RP, ABORTED)
    until(lambda: not place.acceptor.associations)
    assert place.node.taken == {}
    assert place.node.half_written() == []


def test_who_aborts_at_once_is_in_nobodys_hands(receiving, call):
    place = receiving()
    for _ in range(20):
        with pytest.raises(ConnectionError):
            call(place, behind=ABORT)
    until(lambda: not place.acceptor.associations)
    assert [len(receiver.associations) for receiver in place.acceptor.receivers._receivers] == [0, 0]
    caller = call(place)
    caller.send(store_pdus(1, "2.25.1"))
    assert caller.status() == (1, SUCCESS)
