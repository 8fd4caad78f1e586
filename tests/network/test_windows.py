"""Several operations outstanding (PS3.7 D.3.3.3): what is granted, who is answered, and who asks for too much."""

import queue
import random
import socket
import struct
import threading
import time

import pytest

from network.storing import (
    ABORTED,
    BOUND,
    CT,
    EXPLICIT,
    places,
    store_pdus,
    until,
)
from simlab.network.live.directory import Peer
from simlab.network.live.sending.association import Requestor, contexts_for
from simlab.network.live.sending.transfer import Transfer
from simlab.network.live.server import KeptInstance
from simlab.network.seam import SUCCESS, Status, StoreOptions, Trouble
from simlab.studies.study import InstanceReference


@pytest.fixture(params=[0, 2], ids=["alone", "receivers"])
def listen(request, tmp_path):
    with places(tmp_path, request.param) as start:
        yield start


@pytest.fixture
def listen_alone(tmp_path):
    with places(tmp_path, 0) as start:
        yield start


def peer_of(place):
    return Peer("archive", "ARCHIVE", "127.0.0.1", place.port)


def window_item(answer):
    """(invoked, performed) of an A-ASSOCIATE-AC, None without the item."""
    at = answer.find(b"\x53\0\0\4")
    return None if at < 0 else struct.unpack_from(">HH", answer, at + 4)


# ---- what is granted


@pytest.mark.parametrize(
    ("asked", "granted_by", "window"),
    [(8, 4, 4), (4, 8, 4), (8, 1, 1), (8, 0, 8), (0, 4, 4), (0, 0, 0), (0, 1, 1), (1, 4, 1), (1, 0, 1)],
)
def test_the_window_is_what_both_want(listen_alone, asked, granted_by, window):
    place = listen_alone(outstanding=granted_by)
    contexts = contexts_for([(CT, EXPLICIT)])
    with Requestor.open("CT1", peer_of(place), contexts, timeout=BOUND, outstanding=asked) as requestor:
        assert requestor.window == window


def test_an_acceptor_grants_one_unless_it_is_told_otherwise(listen_alone):
    contexts = contexts_for([(CT, EXPLICIT)])
    with Requestor.open("CT1", peer_of(listen_alone()), contexts, timeout=BOUND, outstanding=8) as requestor:
        assert requestor.window == 1


def test_the_item_answers_an_item(listen_alone, call):
    place = listen_alone(outstanding=4)
    assert window_item(call(place).answer) is None
    assert window_item(call(place, window=8).answer) == (4, 1)
    assert window_item(call(place, window=0).answer) == (4, 1)


# ---- more than was granted


@pytest.mark.parametrize(("window", "granted"), [(None, 1), (8, 4)])
def test_whoever_exceeds_the_window_is_cut_off(listen, call, window, granted):
    place = listen(outstanding=4)
    kept = []
    place.node.decide = lambda _, respond: kept.append(respond)
    caller, other = call(place, window=window), call(place)
    caller.send(*(store_pdus(index, f"2.25.1{index}") for index in range(granted)))
    until(lambda: len(kept) == granted)
    assert caller.is_quiet()
    caller.send(store_pdus(granted, "2.25.1"))
    caller.is_quiet(0.2)
    for respond in kept:  # with receivers, what was within the window is answered before the end
        respond(Status(SUCCESS))
    answers = []
    while (said := caller.status()) != ABORTED:
        answers.append(said)
    assert answers in ([], [(index, SUCCESS) for index in range(granted)])
    assert "2.25.1" not in place.node.taken
    other.send(store_pdus(1, "2.25.2"))
    until(lambda: "2.25.2" in place.node.taken)


# ---- who is answered


def test_responses_later_out_of_order_and_from_another_thread(listen, call):
    place = listen(outstanding=8)
    kept = {}
    place.node.decide = lambda instance, respond: kept.update({instance.reference.sop_instance: respond})
    caller = call(place, window=8)
    caller.send(*(store_pdus(100 + index, f"2.25.1{index}") for index in range(8)))
    until(lambda: len(kept) == 8)
    assert caller.is_quiet()
    order = [5, 2, 7, 0, 1, 6, 3, 4]
    for index in order:
        status = Status(0xA700 + index, f"number {index}") if index % 2 else Status(SUCCESS)
        threading.Thread(target=kept[f"2.25.1{index}"], args=(status,)).start()
        said = caller.response()
        assert (said.MessageIDBeingRespondedTo, said.AffectedSOPInstanceUID) == (100 + index, f"2.25.1{index}")
        assert said.Status == status.code
        assert said.get("ErrorComment", "") == status.comment
    assert caller.release()


def test_responses_from_many_threads_at_once(listen, call):
    place = listen(outstanding=0)
    arrived = queue.SimpleQueue()
    place.node.decide = lambda _, respond: arrived.put(respond)

    def respond_to_all():
        while (respond := arrived.get()) is not None:
            respond(Status(SUCCESS))

    threads = [threading.Thread(target=respond_to_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    caller = call(place, window=0)
    count = 400
    sending = threading.Thread(
        target=caller.send, args=[store_pdus(index, f"2.25.1{index}", bytes(100)) for index in range(count)]
    )
    sending.start()
    try:
        answers = sorted(caller.status() for _ in range(count))
    finally:
        for _ in threads:
            arrived.put(None)
        for thread in (*threads, sending):
            thread.join()
    assert answers == [(index, SUCCESS) for index in range(count)]
    assert caller.release()


def test_a_peer_that_reads_no_responses_is_cut_off_and_keeps_nobody_else_out(listen, call):
    """Alone, the responses that do not fit come from a thread that is not the acceptor's, which is busy meanwhile."""
    place = listen(outstanding=0)
    deaf = call(place, window=0)
    (accepted,) = place.acceptor.associations
    accepted._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    deaf.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    other = call(place)
    kept = []
    count = 2000

    def respond_to_all():
        for respond in kept:
            respond(Status(SUCCESS, "c" * 64))

    def decide(instance, respond):
        if instance.reference.sop_instance != "2.25.2":
            kept.append(respond)
            return
        answering = threading.Thread(target=respond_to_all)
        answering.start()
        answering.join()
        respond(Status(SUCCESS))

    place.node.decide = decide
    for index in range(0, count, 100):
        deaf.send(*(store_pdus(1 + index + k, f"2.25.{1 + index + k}1") for k in range(100)))
    until(lambda: len(kept) == count)
    other.send(store_pdus(1, "2.25.2"))
    assert other.status() == (1, SUCCESS)
    until(lambda: len(place.acceptor.associations) == 1)
    assert all(call(place).is_established for _ in range(3))


# ---- a transfer


class Slowly:
    """Responds to several at once, in any order, and counts how many it has."""

    def __init__(self):
        self.most = 0
        self._have = []
        self._lock = threading.Lock()
        self._random = random.Random(1)

    def decide(self, _, respond):
        with self._lock:
            self._have.append(respond)
            self.most = max(self.most, len(self._have))
        timer = threading.Timer(0.02, self._respond)
        timer.daemon = True
        timer.start()

    def _respond(self):
        with self._lock:
            respond = self._have.pop(self._random.randrange(len(self._have)))
        respond(Status(SUCCESS))


@pytest.mark.parametrize("associations", [1, 2])
def test_a_transfer_with_a_window(listen, tmp_path, associations):
    place = listen(outstanding=16)
    slowly = Slowly()
    place.node.decide = slowly.decide
    data = {f"2.25.1{index}": bytes([index]) * (1000 * index) for index in range(50)}
    instances = []
    for name, content in data.items():
        path = tmp_path / f"{name}.dcm"
        path.write_bytes(content)
        instances.append(KeptInstance(InstanceReference(CT, name), EXPLICIT, path, 0))
    transfer = Transfer("CT1", peer_of(place), instances, time.perf_counter, BOUND, StoreOptions(outstanding=16))
    began = time.perf_counter()
    transfer.run(associations)
    assert (transfer.trouble, transfer.status, transfer.comment) == (Trouble.NONE, SUCCESS, "")
    assert 1 < slowly.most <= 16 * associations
    assert {name: place.taken(name) for name in data} == data
    rows = transfer.rows
    assert sorted(rows.sop_instance) == sorted(data)
    assert [len(data[name]) for name in rows.sop_instance] == rows.bytes
    assert (set(rows.status), set(rows.sop_class), set(rows.transfer_syntax)) == ({SUCCESS}, {CT}, {EXPLICIT})
    for started, sent, finished in zip(rows.started, rows.sent, rows.finished, strict=True):
        assert began < started <= sent < finished
    overlapping = max(
        sum(start <= at < end for start, end in zip(rows.started, rows.finished, strict=True)) for at in rows.started
    )
    assert 1 < overlapping <= 16 * associations
