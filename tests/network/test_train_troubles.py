"""Trains of C-STOREs whose peers break off, break the protocol or fall silent; due times, and many trains at once."""

import time
from itertools import chain

import pytest

from network.peers import ABORT, RELEASE_REQUEST, command_pdu, number, pdu
from network.receivers import HEADER, answer, fates, instance, instances, receivers, silence, train_to
from simlab.network.live.sending.drive import run, run_all
from simlab.network.live.sending.train import Ending
from simlab.network.seam import Trouble


@pytest.fixture
def receiver():
    yield from receivers()


BREAKS = {
    "abort": (lambda peer: peer.send(ABORT), Ending.ABORTED, ABORT),
    "release": (lambda peer: peer.send(RELEASE_REQUEST), Ending.RELEASED, RELEASE_REQUEST),
    "disconnection": (lambda peer: peer.connection.close(), Ending.DISCONNECTED, b""),
    "half a response": (lambda peer: (peer.send(answer(6)[:50]), peer.connection.close()), Ending.DISCONNECTED, None),
    "silence": (silence, Ending.TIMED_OUT, b""),
    "garbage": (lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Ending.PROTOCOL_ERROR, None),
    "another PDU": (lambda peer: peer.send(pdu(0x06, bytes(4))), Ending.PROTOCOL_ERROR, None),
    "an unknown message": (lambda peer: peer.send(answer(999)), Ending.PROTOCOL_ERROR, None),
    "a huge PDU": (lambda peer: peer.send(b"\4\0\xff\xff\xff\xff"), Ending.PROTOCOL_ERROR, None),
    "no response": (
        lambda peer: peer.send(command_pdu(1, {0x0100: number(0x8030), 0x0120: number(6), 0x0900: number(0)})),
        Ending.PROTOCOL_ERROR,
        None,
    ),
}


@pytest.mark.parametrize("window", [1, 3])
def test_a_response_that_comes_again_says_nothing_of_other_requests(receiver, window):
    def script(peer):
        for index in range(20):
            said = peer.message().id
            peer.send(answer(said, 0xA700 if index % 2 else 0) + answer(said))  # a success, if it were another's

    train = train_to(receiver(script), instances(20), window=window)
    run(train)
    assert (train.ending, train.trouble) == (Ending.COMPLETE, Trouble.NONE)
    assert train.rows.sop_instance == [f"2.25.{index}" for index in range(20)]
    assert train.rows.status == [0, 0xA700] * 10


@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("kind", BREAKS)
def test_a_break_in_mid_train(receiver, kind, window):
    broken, ending, leftover = BREAKS[kind]

    def script(peer):
        for _ in range(5):
            peer.send(answer(peer.message().id))
        for _ in range(window):
            peer.message()
        broken(peer)
        peer.done.wait()

    train = train_to(receiver(script), instances(20), window=window, timeout=0.5)
    began = time.perf_counter()
    run(train)
    assert time.perf_counter() - began < 2
    assert (train.ending, train.trouble) == (ending, ending.trouble)
    assert train.trouble is not Trouble.NONE
    assert train.comment
    assert fates(train) == (5, window, 15 - window)
    assert leftover is None or train.leftover == leftover
    assert train.connection.gettimeout() is None


@pytest.mark.parametrize("window", [1, 3])
def test_what_was_answered_before_the_connection_broke_counts(receiver, window):
    pixels = memoryview(bytes(50_000_000))  # more than all buffers on the way can hold
    large = [instance(index, pixels=pixels) for index in range(5, 20)]

    def script(peer):
        for _ in range(5):
            peer.send(answer(peer.message().id))
        peer.whole(1)
        peer.send(ABORT)  # and closes, with much of the data set unread: what is sent then is answered by a reset

    train = train_to(receiver(script), chain(instances(5), large), window=window)
    run(train)
    assert train.ending is Ending.ABORTED
    assert fates(train) == (5, 1, 14)


@pytest.mark.parametrize("window", [1, 3])
def test_a_peer_that_does_not_read(receiver, window):
    train = train_to(receiver(silence), instances(5, pixels=memoryview(bytes(50_000_000))), window=window, timeout=0.3)
    began = time.perf_counter()
    run(train)
    assert time.perf_counter() - began < 3
    assert train.ending is Ending.TIMED_OUT
    assert fates(train) == (0, 1, 4)


@pytest.mark.parametrize("window", [1, 3])
def test_a_peer_that_answers_drop_by_drop(receiver, window):
    def script(peer):
        peer.message()
        for byte in pdu(0x04, HEADER.pack(50002, 1, 1) + bytes(50000)):
            peer.send(bytes([byte]))
            time.sleep(0.05)

    train = train_to(receiver(script), instances(1), window=window, timeout=0.3)
    began = time.perf_counter()
    run(train)
    assert time.perf_counter() - began < 1.5
    assert train.ending is Ending.TIMED_OUT


def test_a_maximum_length_that_leaves_no_room(receiver):
    train = train_to(receiver(), instances(3), max_pdu=7)
    run(train)
    assert (train.ending, fates(train)) == (Ending.PROTOCOL_ERROR, (0, 0, 3))


# ---- due times


@pytest.mark.parametrize("window", [1, 4])
def test_nothing_is_sent_before_it_is_due(receiver, window):
    start = time.perf_counter() + 0.05
    due = [start + 0.0105 * index for index in range(20)]
    train = train_to(receiver(), [instance(index, when) for index, when in enumerate(due)], window=window)
    busy = time.thread_time()
    run(train)
    assert time.thread_time() - busy < 0.1
    assert train.rows.started == due
    assert all(map(float.__le__, due, train.rows.sent))
    assert fates(train) == (20, 0, 0)


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize(("sent", "ending"), [(RELEASE_REQUEST, Ending.RELEASED), (b"", Ending.DISCONNECTED)])
def test_an_end_while_nothing_is_due(receiver, window, sent, ending):
    def script(peer):
        peer.send(answer(peer.message().id))
        peer.send(sent)

    later = time.perf_counter() + 30
    train = train_to(receiver(script), [instance(1), instance(2, later), instance(3)], window=window)
    began = time.perf_counter()
    run(train)
    assert time.perf_counter() - began < 2
    assert (train.ending, train.leftover, fates(train)) == (ending, sent, (1, 0, 2))
    train.connection.close()


# ---- several at once


def test_one_trains_end_does_not_disturb_the_others(receiver):
    def dies(peer):
        for _ in range(3):
            peer.send(answer(peer.message().id))
        peer.message()
        peer.send(ABORT)

    peers = [receiver(dies), receiver(silence), *(receiver() for _ in range(6))]
    trains = [train_to(peer, instances(40), window=1 + index % 3, timeout=1.0) for index, peer in enumerate(peers)]
    began = time.perf_counter()
    run_all(trains)
    assert 1.0 <= time.perf_counter() - began < 4
    assert [train.ending for train in trains] == [Ending.ABORTED, Ending.TIMED_OUT, *[Ending.COMPLETE] * 6]
    assert [fates(train)[0] for train in trains] == [3, 0, *[40] * 6]
    assert [train.connection.gettimeout() for train in trains] == [None] * 8
    run_all([])


@pytest.mark.parametrize("count", [1, 2])
def test_a_bug_of_the_senders_is_not_the_peers_fault(receiver, count):
    def outgoing():
        yield instance(1)
        raise FileNotFoundError("gone")

    trains = [train_to(receiver(), outgoing()) for _ in range(count)]
    with pytest.raises(FileNotFoundError):
        run_all(trains)
    assert [train.connection.gettimeout() for train in trains] == [None] * count
