"""Peers that fall silent, go away or talk nonsense: every wait has a bound, and every thread ends."""

import contextlib
import socket
import threading
import time

import pytest

from network.hostile import (
    BOUND,
    TIMEOUT,
    assert_threads_end,
    closes_at_once,
    data_plane_threads,
    make_at_scanner,
    read_one_more,
    read_store,
    released,
    silent,
    stores_then,
    wait_for,
)
from network.peers import (
    ABORT,
    NO_DATA_SET,
    RELEASE_RESPONSE,
    ScriptedPeer,
    accept,
    accept_pdu,
    command_pdu,
    number,
    pdu,
    read_pdu,
)
from network.worlds import LiveWorld, make_study
from simlab.network.live.directory import Peer
from simlab.network.live.receiving import acceptor as acceptor_module
from simlab.network.live.server import KeptInstance
from simlab.network.seam import NO_STATUS, StoreOptions, Trouble

C_ECHO_RESPONSE = 0x8030
HALF_A_MESSAGE = pdu(0x04, (96).to_bytes(4, "big") + b"\x01\x03" + bytes(94))[:50]


@pytest.fixture
def world(live_world):
    return live_world


def half_an_answer(peer, connection):
    _, request = read_pdu(connection)
    connection.sendall(accept_pdu(request)[:20])
    peer.done.wait()


def accepts_and_falls_silent(peer, connection):
    accept(connection)
    peer.done.wait()


def accepts_and_stops_in_a_message(peer, connection):
    accept(connection)
    read_pdu(connection)
    connection.sendall(HALF_A_MESSAGE)
    peer.done.wait()


def accepts_and_closes(_, connection):
    accept(connection)
    read_pdu(connection)


def accepts_and_aborts(peer, connection):
    accept(connection)
    read_pdu(connection)
    connection.sendall(ABORT)
    peer.done.wait()


def talks_http(peer, connection):
    connection.recv(10)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    peer.done.wait()


def accepts_and_sends_garbage(peer, connection):
    accept(connection)
    read_pdu(connection)
    connection.sendall(pdu(0x04, b"\0\0\0\x10\x01\x03" + b"\xff" * 14))
    peer.done.wait()


def answers_without_a_status(peer, connection):
    accept(connection)
    read_pdu(connection)
    connection.sendall(command_pdu(1, {0x0100: number(C_ECHO_RESPONSE), 0x0120: number(1), 0x0800: number(0x0101)}))
    peer.done.wait()


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        (silent, Trouble.TIMEOUT),
        (half_an_answer, Trouble.TIMEOUT),
        (closes_at_once, Trouble.ABORTED),
        (talks_http, Trouble.ABORTED),
        (accepts_and_falls_silent, Trouble.TIMEOUT),
        (accepts_and_stops_in_a_message, Trouble.TIMEOUT),
        (accepts_and_closes, Trouble.ABORTED),
        (accepts_and_aborts, Trouble.ABORTED),
        (accepts_and_sends_garbage, Trouble.ABORTED),
        (answers_without_a_status, None),
    ],
)
def test_echo_of_a_bad_peer(world, scripted, script, trouble):
    scripted(script)
    before = data_plane_threads()
    began = time.monotonic()
    outcome = wait_for(world, world.network.echo("scanner", "peer", timeout=TIMEOUT))
    assert time.monotonic() - began < BOUND
    assert outcome.status == NO_STATUS
    assert trouble is None or outcome.trouble is trouble, outcome
    assert_threads_end(before)


def echo_then(last):
    def script(peer, connection):
        accept(connection)
        read_pdu(connection)
        answer = {0x0002: b"1.2.840.10008.1.1\0", 0x0100: number(C_ECHO_RESPONSE), 0x0120: number(1)}
        connection.sendall(command_pdu(1, answer | {0x0800: number(NO_DATA_SET), 0x0900: number(0)}))
        read_pdu(connection)
        last(peer, connection)

    return script


@pytest.mark.parametrize(
    "last",
    [
        lambda _peer, _connection: None,
        lambda peer, _: peer.done.wait(),
        lambda peer, connection: connection.sendall(ABORT) or peer.done.wait(),
        lambda peer, connection: connection.sendall(RELEASE_RESPONSE[:7]) or peer.done.wait(),
    ],
    ids=["closes", "silent", "aborts", "half an answer"],
)
def test_a_bad_end_of_the_release_changes_nothing(world, scripted, last):
    scripted(echo_then(last))
    before = data_plane_threads()
    began = time.monotonic()
    outcome = wait_for(world, world.network.echo("scanner", "peer", timeout=TIMEOUT))
    assert outcome.ok
    assert time.monotonic() - began < BOUND
    assert_threads_end(before)


def test_a_host_without_an_address(world):
    world.network.directory.update([Peer("nowhere", "NOWHERE", "no-such-host.invalid", 104)])
    outcome = wait_for(world, world.network.echo("scanner", "nowhere", timeout=TIMEOUT))
    assert outcome.trouble is Trouble.UNREACHABLE


def test_a_peer_that_stops_reading(world, scripted, tmp_path):
    def deaf(peer, connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        accept(connection)
        peer.done.wait()

    scripted(deaf)
    study = make_study(1)
    large = tmp_path / "large"
    large.write_bytes(bytes(20_000_000))
    (reference,) = study.references
    world.servers["scanner"].kept[reference] = KeptInstance(reference, "1.2.840.10008.1.2.1", large, 0)
    before = data_plane_threads()
    began = time.monotonic()
    stored = wait_for(world, world.network.store("scanner", "peer", study, timeout=TIMEOUT))
    assert time.monotonic() - began < BOUND + 4
    assert stored.trouble is Trouble.TIMEOUT
    assert stored.rows.status == [NO_STATUS]
    assert_threads_end(before)


def test_a_train_that_loses_its_peer_half_way(world, scripted):
    scripted(stores_then([0, 0], read_one_more))
    study = make_at_scanner(world)
    stored = wait_for(world, world.network.store("scanner", "peer", study, timeout=TIMEOUT))
    assert stored.trouble is Trouble.ABORTED
    assert stored.rows.status == [0, 0, NO_STATUS]
    assert stored.acknowledged == {reference.sop_instance for reference in study.references[:2]}
    records, _ = world.recorder.drain()
    assert [(record.operation, record.instances, record.failures) for record in records] == [("C-STORE", 3, 3)]


def test_a_status_that_nobody_knows_is_a_failure(world, scripted):
    scripted(stores_then([0, 0x1234, 0xB007], released))
    study = make_at_scanner(world, 3)
    stored = wait_for(world, world.network.store("scanner", "peer", study, timeout=TIMEOUT))
    assert (stored.status, stored.trouble) == (0x1234, Trouble.NONE)
    assert stored.rows.status == [0, 0x1234, 0xB007]
    assert len(stored.acknowledged) == 2


def test_an_answer_to_something_else_ends_the_train(world, scripted):
    def script(peer, connection):
        accept(connection)
        context, message = read_store(connection)
        answer = {0x0100: number(C_ECHO_RESPONSE), 0x0120: message, 0x0800: number(NO_DATA_SET), 0x0900: number(0)}
        connection.sendall(command_pdu(context, answer))
        peer.done.wait()

    scripted(script)
    study = make_at_scanner(world, 2)
    stored = wait_for(world, world.network.store("scanner", "peer", study, timeout=TIMEOUT))
    assert (stored.trouble, stored.acknowledged) == (Trouble.ABORTED, frozenset())


def test_one_of_several_associations_fails(world, scripted):
    """What went over the others counts, and what was never tried is a failure without a row."""
    first = threading.Lock()

    def script(peer, connection):
        if first.acquire(blocking=False):
            return
        stores_then([0, 0, 0], released)(peer, connection)

    scripted(script)
    study = make_at_scanner(world, 6)
    stored = wait_for(world, world.network.store("scanner", "peer", study, StoreOptions(2), timeout=2))
    assert not stored.ok
    assert stored.trouble is Trouble.ABORTED
    assert len(stored.acknowledged) == 3
    (record,) = world.recorder.drain()[0]
    assert (record.instances, record.failures) == (3, 3)


# ---- those who call us


@pytest.fixture
def connect(world):
    opened = []

    def open_connection(node="archive"):
        opened.append(socket.create_connection(("127.0.0.1", world.network._acceptors[node].port)))
        return opened[-1]

    yield open_connection
    for connection in opened:
        connection.close()


def request_of(world, node="archive"):
    """An A-ASSOCIATE-RQ for verification as our own requestor writes it."""
    caught = []

    def script(_, connection):
        caught.append(read_pdu(connection)[1])

    peer = ScriptedPeer(script)
    with contextlib.closing(peer):
        target = Peer("caught", world.network._acceptors[node].listening.ae_title, *peer.listener.getsockname())
        world.network.directory.update([target])
        wait_for(world, world.network.echo("scanner", "caught", timeout=1))
    return pdu(0x01, caught[0])


def test_closing_with_associations_in_every_state_is_bounded(world, connect):
    before = data_plane_threads()
    request = request_of(world)
    for _ in range(3):
        connect()
    for _ in range(3):
        connect().sendall(request[:30])
    for _ in range(3):
        established = connect()
        established.sendall(request)
        assert read_pdu(established)[0] == 0x02
    established.sendall(HALF_A_MESSAGE)
    time.sleep(0.1)
    began = time.monotonic()
    world.network.close()
    assert time.monotonic() - began < BOUND
    assert_threads_end(before)


def test_callers_who_stop_in_the_middle_are_let_go(tmp_path, monkeypatch):
    monkeypatch.setattr(acceptor_module, "IDLE_TIMEOUT", 0.5)
    (tmp_path / "world").mkdir()
    world = LiveWorld(tmp_path / "world")
    try:
        before = data_plane_threads()
        request = request_of(world)
        port = world.network._acceptors["archive"].port
        with contextlib.ExitStack() as stack:
            callers = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(3)]
            callers[1].sendall(request[:30])
            callers[2].sendall(request)
            assert read_pdu(callers[2])[0] == 0x02
            callers[2].sendall(HALF_A_MESSAGE)
            assert_threads_end(before)
    finally:
        world.close()


def test_callers_who_hang_up_take_nobodys_place(world, connect):
    before = data_plane_threads()
    for _ in range(30):  # more than the maximum number of associations
        connect().close()
    assert_threads_end(before)
    assert wait_for(world, world.network.echo("scanner", "archive")).ok


@pytest.mark.parametrize("behind", [ABORT, pdu(0x09, bytes(4))], ids=["abort", "nonsense"])
@pytest.mark.parametrize("associations", [1, 2])
def test_a_peer_that_accepts_and_ends_it_in_the_same_breath(world, scripted, behind, associations):
    def script(peer, connection):
        _, request = read_pdu(connection)
        connection.sendall(accept_pdu(request) + behind)
        peer.done.wait()

    scripted(script)
    before = data_plane_threads()
    options = StoreOptions(associations)
    outcome = wait_for(world, world.network.store("scanner", "peer", make_at_scanner(world), options, timeout=TIMEOUT))
    assert outcome.trouble is Trouble.ABORTED
    assert outcome.acknowledged == outcome.in_doubt == frozenset()
    assert wait_for(world, world.network.echo("scanner", "peer", timeout=TIMEOUT)).trouble is Trouble.ABORTED
    assert_threads_end(before)
