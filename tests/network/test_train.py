"""Trains of C-STOREs over real connections, to peers that behave."""

import contextlib
import random
import socket
import ssl
import threading
import time

import pytest

from network.peers import RELEASE_REQUEST
from network.receivers import (
    CT_IMAGE,
    EXPLICIT,
    MR_IMAGE,
    answer,
    fates,
    instance,
    instances,
    receivers,
    silence,
    train_to,
)
from simlab.network.live.sending import drive
from simlab.network.live.sending.conversion import Ahead
from simlab.network.live.sending.drive import run
from simlab.network.live.sending.train import Ending, Journey
from simlab.network.seam import NO_STATUS, StoreStatus, Trouble


@pytest.fixture
def receiver():
    yield from receivers()


@pytest.mark.parametrize("max_pdu", [0, 4096, 16384, 2**32 - 1])
@pytest.mark.parametrize("window", [1, 2, 8, 0])
def test_everything_arrives_as_it_is(receiver, window, max_pdu):
    peer = receiver()
    train = train_to(peer, instances(30), window=window, max_pdu=max_pdu)
    began = time.perf_counter()
    run(train)
    assert (train.ending, train.trouble, train.comment) == (Ending.COMPLETE, Trouble.NONE, "")
    assert (train.leftover, train.message_id, list(train.outgoing)) == (b"", 30, [])
    assert [message.id for message in peer.received] == list(range(1, 31))
    assert [message.data_set for message in peer.received] == [b"".join(each.parts) for each in instances(30)]
    assert peer.longest <= (max_pdu or 1 << 20)
    rows = train.rows
    assert rows.sop_instance == [message.sop_instance for message in peer.received]
    assert set(zip(rows.sop_class, rows.transfer_syntax, rows.bytes, rows.status, strict=True)) == {
        (CT_IMAGE, EXPLICIT, 50_008, 0)
    }
    for started, sent, finished in zip(rows.started, rows.sent, rows.finished, strict=True):
        assert began <= started <= sent <= finished <= time.perf_counter()


def test_contexts_originator_and_message_ids(receiver):
    peer = receiver()
    outgoing = [instance(1), instance(2, sop_class=MR_IMAGE), instance(3)]
    train = train_to(peer, outgoing, originator=("MOVER", 77), first_message_id=65535)
    run(train)
    assert [(message.id, message.context_id) for message in peer.received] == [(65535, 1), (1, 3), (2, 1)]
    assert train.message_id == 2
    assert {(message.values[0x1030], message.values[0x1031]) for message in peer.received} == {(b"MOVER ", b"M\0")}


def test_message_ids_are_unique_while_they_are_outstanding(receiver):
    journey = Journey(train_to(receiver(), (), first_message_id=65535))
    journey._outstanding.update({65535: None, 1: None})
    assert journey._next_message_id() == 2


@pytest.mark.parametrize("window", [2, 5])
def test_as_many_are_outstanding_as_was_negotiated(receiver, window):
    def script(peer):
        for _ in range(4):
            messages = [peer.message() for _ in range(window)]
            peer.connection.settimeout(0.05)
            with pytest.raises(TimeoutError):
                peer.connection.recv(1)
            peer.connection.settimeout(None)
            for message in reversed(messages):
                peer.send(answer(message.id, 0 if message.id % 2 else 0xB000))

    train = train_to(receiver(script), instances(4 * window), window=window)
    run(train)
    assert train.ending is Ending.COMPLETE
    statuses = dict(zip(train.rows.sop_instance, train.rows.status, strict=True))
    assert statuses == {f"2.25.{index}": 0xB000 if index % 2 else 0 for index in range(4 * window)}
    assert train.rows.sop_instance[:window] == [f"2.25.{index}" for index in reversed(range(window))]


def test_what_a_status_means():
    assert StoreStatus.of(0x0000) is StoreStatus.SUCCESS
    assert {StoreStatus.of(status) for status in (0xB000, 0xB006, 0xB007)} == {StoreStatus.WARNING}
    assert {StoreStatus.of(status) for status in (0xA700, 0xA7FF)} == {StoreStatus.REFUSED}
    failures = (0xA900, 0xC000, 0xCFFF, 0x0122, 0x0124, 0x0110, NO_STATUS)
    assert {StoreStatus.of(status) for status in failures} == {StoreStatus.FAILURE}


@pytest.mark.parametrize("window", [1, 3])
def test_failures_do_not_end_a_train(receiver, window):
    def script(peer):
        while True:
            message = peer.message()
            bad = message.id in (2, 4)
            peer.send(answer(message.id, 0xA700 if bad else 0, b"full" if bad else b""))

    train = train_to(receiver(script), instances(5), window=window)
    run(train)
    assert train.rows.status == [0, 0xA700, 0, 0xA700, 0]
    assert (train.ending, train.trouble, train.comment) == (Ending.COMPLETE, Trouble.NONE, "full")


@pytest.mark.parametrize("window", [1, 3])
def test_an_instance_without_context_is_not_sent(receiver, window):
    peer = receiver()
    train = train_to(peer, [instance(1), instance(2, sop_class="1.2.3"), instance(3)], window=window)
    run(train)
    assert [message.sop_instance for message in peer.received] == ["2.25.1", "2.25.3"]
    fate = dict(
        zip(train.rows.sop_instance, zip(train.rows.status, train.rows.transfer_syntax, strict=True), strict=True)
    )
    assert fate == {"2.25.1": (0, EXPLICIT), "2.25.2": (NO_STATUS, ""), "2.25.3": (0, EXPLICIT)}
    assert (train.ending, train.trouble) == (Ending.COMPLETE, Trouble.NO_CONTEXT)
    assert "Explicit VR Little Endian" in train.comment


@pytest.mark.parametrize("window", [1, 4])
def test_the_sender_may_stop(receiver, window):
    peer = receiver()
    train = train_to(peer, instances(20), window=window, proceed=lambda rows: len(rows) < 3)
    run(train)
    assert (train.ending, train.trouble) == (Ending.STOPPED, Trouble.NONE)
    done, in_doubt, unsent = fates(train)
    assert 3 <= done < 3 + window
    assert (in_doubt, unsent) == (0, 20 - done)


@pytest.mark.parametrize("window", [1, 3])
def test_responses_in_pieces(receiver, window):
    def script(peer):
        draws = random.Random(window)
        while True:
            sent = answer(peer.message().id)
            while sent:
                size = draws.randint(1, 40)
                peer.send(sent[:size])
                sent = sent[size:]
                time.sleep(0.0005)

    train = train_to(receiver(script), instances(20), window=window)
    run(train)
    assert fates(train) == (20, 0, 0)


@pytest.mark.parametrize("window", [1, 2])
def test_an_answer_before_the_end_of_the_request(receiver, window):
    def script(peer):
        while True:
            _, command = peer.whole(1)
            peer.send(answer(int.from_bytes(command[command.index(b"\x10\x01\2\0\0\0") + 6 :][:2], "little"), 0x0122))
            time.sleep(0.05)
            peer.whole(0)

    large = memoryview(bytes(8_000_000))
    train = train_to(receiver(script), instances(3, pixels=large), window=window)
    run(train)
    assert train.ending is Ending.COMPLETE
    assert train.rows.status == [0x0122] * 3
    assert all(map(float.__le__, train.rows.sent, train.rows.finished))


def test_a_read_ahead_of_what_is_ours_is_handed_back(receiver):
    def script(peer):
        peer.message()
        peer.send(answer(1) + RELEASE_REQUEST)
        peer.done.wait()

    train = train_to(receiver(script), instances(1))
    run(train)
    assert (train.ending, train.leftover) == (Ending.COMPLETE, RELEASE_REQUEST)


# ---- where there is less to build upon


class WithoutSendmsg(socket.socket):
    """A socket as Windows has it."""

    @property
    def sendmsg(self):
        raise AttributeError("sendmsg")


@pytest.mark.parametrize("window", [1, 4])
def test_without_gathered_writes_and_the_systems_bounds(receiver, monkeypatch, window):
    monkeypatch.setattr(drive, "_bound", lambda *_: False)
    peer = receiver()
    peer.theirs = WithoutSendmsg(fileno=peer.theirs.detach())
    train = train_to(peer, instances(20), window=window)
    run(train)
    assert [message.data_set for message in peer.received] == [b"".join(each.parts) for each in instances(20)]
    silent = receiver(silence)
    silent.theirs = WithoutSendmsg(fileno=silent.theirs.detach())
    train = train_to(silent, instances(2), window=window, timeout=0.2)
    run(train)
    assert train.ending is Ending.TIMED_OUT


@pytest.mark.parametrize("window", [1, 4])
def test_over_tls(receiver, window):
    contexts = [ssl.SSLContext(side) for side in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)]
    for context in contexts:  # without certificates, which are not what this is about
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AECDH-AES256-SHA:@SECLEVEL=0")
    peer = receiver(secure=contexts[0])
    peer.theirs = contexts[1].wrap_socket(peer.theirs)
    train = train_to(peer, instances(20), window=window)
    run(train)
    assert train.ending is Ending.COMPLETE
    assert [message.data_set for message in peer.received] == [b"".join(each.parts) for each in instances(20)]


@pytest.mark.parametrize(("window", "delay"), [(1, 0.0), (3, 0.0), (1, 0.1)])
def test_a_connection_on_which_somebody_hangs_up(receiver, window, delay):
    train = train_to(receiver(silence), instances(5), window=window)

    def hang_up():
        time.sleep(delay)
        train.connection.shutdown(socket.SHUT_RDWR)
        train.connection.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    if not delay:
        thread.join()
    run(train)
    thread.join()
    assert train.ending is Ending.DISCONNECTED
    assert fates(train) == ((0, window, 5 - window) if delay else (0, 0, 5))


# ---- what a response took


MAKING = 0.05
"""Seconds: far more than the peer takes."""


def latencies(train):
    return [finished - sent for sent, finished in zip(train.rows.sent, train.rows.finished, strict=True)]


def slowly(number):
    time.sleep(MAKING)
    return instance(number)


@pytest.mark.parametrize(("window", "bound"), [(1, MAKING / 2), (4, 1.5 * MAKING)])
def test_a_response_does_not_take_as_long_as_to_make_what_comes_next(receiver, window, bound):
    """With a larger window one making may be between a response and the look for it, and not one for each place."""
    train = train_to(receiver(), map(slowly, range(20)), window=window)
    run(train)
    assert train.ending is Ending.COMPLETE
    assert len(train.rows) == 20
    assert max(latencies(train)[2:]) < bound, "what making takes has to be learned"


@pytest.mark.parametrize("window", [1, 4])
def test_what_somebody_else_makes_delays_no_response(receiver, window):
    with contextlib.closing(Ahead(slowly, range(12))) as made:
        train = train_to(receiver(), made, window=window, ready=made.is_ready)
        run(train)
    assert train.ending is Ending.COMPLETE
    assert len(train.rows) == 12
    assert sorted(latencies(train))[-2] < MAKING / 2, "one may meet with a busy machine"


def test_what_is_made_quickly_is_taken_while_the_peer_is_busy(receiver):
    taken = []

    def script(peer):
        for number in range(6):
            message = peer.message()
            time.sleep(0.05)
            assert len(taken) == min(number + 2, 6)
            peer.send(answer(message.id))

    train = train_to(receiver(script), (taken.append(each) or each for each in instances(6)))
    run(train)
    assert train.ending is Ending.COMPLETE
