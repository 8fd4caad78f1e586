"""Peers that fall silent, go away or talk nonsense: every wait has a bound, and every thread ends."""

import contextlib
import socket
import threading
import time

import pytest

from network.peers import (
    ABORT,
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
from simlab.network.live import acceptor as acceptor_module
from simlab.network.live import network as network_module
from simlab.network.live.directory import Peer
from simlab.network.live.server import KeptInstance
from simlab.network.query import Query
from simlab.network.seam import (
    DEFAULT_TIMEOUT,
    NO_STATUS,
    CommitmentReport,
    Located,
    Status,
    StoreOptions,
    Trouble,
)

TIMEOUT = 0.5
BOUND = 6.0
"""Seconds: the time-out, what closing may take, and a slow machine."""
C_ECHO_RESPONSE, C_STORE_RESPONSE = 0x8030, 0x8001
NO_DATA_SET = 0x0101
CT = b"1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def world(tmp_path):
    made = LiveWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture
def scripted(world):
    peers = []

    def start(script):
        peers.append(ScriptedPeer(script))
        world.network.directory.update([peers[-1].peer()])

    yield start
    for peer in peers:
        peer.close()


def wait_for(world, event):
    def workflow():
        return (yield event)

    return world.env.run(until=world.env.process(workflow()))


def data_plane_threads():
    return [t for t in threading.enumerate() if t.name != "scripted" and t is not threading.main_thread()]


def assert_threads_end(before):
    deadline = time.monotonic() + BOUND
    while (left := [t for t in data_plane_threads() if t not in before]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


def silent(peer, connection):
    del connection
    peer.done.wait()


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
    connection.sendall(pdu(0x04, bytes(100))[:30])
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


def closes_at_once(_, connection):
    read_pdu(connection)


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


def make_at_scanner(world, count=5):
    study = make_study(count)
    assert wait_for(world, world.network.make("scanner", study)).ok
    world.recorder.drain()
    return study


def read_store(connection):
    """Read one C-STORE request; its context ID and message ID."""
    command, last, context = b"", False, 0
    while not last:
        kind, content = read_pdu(connection)
        if kind != 0x04:
            raise ConnectionError
        place = 0
        while place < len(content):
            length = int.from_bytes(content[place : place + 4], "big")
            context, control = content[place + 4], content[place + 5]
            if control & 1:
                command += content[place + 6 : place + 4 + length]
            last = control == 0x02
            place += 4 + length
    place = command.index(b"\0\0\x10\x01\2\0\0\0") + 8
    return context, command[place : place + 2]


def store_answer(context, message, status):
    return command_pdu(
        context,
        {0x0002: CT + b"\0", 0x0100: number(C_STORE_RESPONSE), 0x0120: message, 0x0800: number(NO_DATA_SET)}
        | {0x0900: number(status)},
    )


def stores_then(statuses, last):
    def script(peer, connection):
        accept(connection)
        for status in statuses:
            connection.sendall(store_answer(*read_store(connection), status))
        last(peer, connection)

    return script


def read_one_more(_, connection):
    read_store(connection)


def released(_, connection):
    read_pdu(connection)
    connection.sendall(RELEASE_RESPONSE)


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
        target = Peer("caught", world.network._acceptors[node]._server.ae_title, *peer.listener.getsockname())
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
    established.sendall(pdu(0x04, bytes(100))[:50])
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
            callers[2].sendall(pdu(0x04, bytes(100))[:50])
            assert_threads_end(before)
    finally:
        world.close()


def test_callers_who_hang_up_take_nobodys_place(world, connect):
    before = data_plane_threads()
    for _ in range(30):  # more than the maximum number of associations
        connect().close()
    assert_threads_end(before)
    assert wait_for(world, world.network.echo("scanner", "archive")).ok


# ---- C-MOVE


def store_at_archive(world, count=4):
    study = make_at_scanner(world, count)
    assert wait_for(world, world.network.store("scanner", "archive", study)).ok
    world.servers["archive"].kept = dict(world.servers["scanner"].kept)
    world.recorder.drain()
    return study


def move(world, study, destination="peer"):
    query = Query({"StudyInstanceUID": study.uid})
    return wait_for(world, world.network.move("scanner", "archive", query, destination, study=study.uid, timeout=20))


def rejects(_, connection):
    read_pdu(connection)
    connection.sendall(pdu(0x03, b"\0\1\1\7"))


@pytest.mark.parametrize(
    ("script", "completed", "status"),
    [
        (rejects, 0, 0xA702),
        (closes_at_once, 0, 0xA702),
        (stores_then([0, 0], read_one_more), 2, 0xB000),
        (stores_then([0, 0xA700, 0, 0], released), 3, 0xB000),
    ],
    ids=["rejects", "closes", "dies half-way", "refuses one"],
)
def test_move_to_a_bad_destination(world, scripted, script, completed, status):
    scripted(script)
    study = store_at_archive(world)
    moved = move(world, study)
    assert (moved.status, moved.completed, moved.failed, moved.remaining) == (status, completed, 4 - completed, 0)


def test_move_to_an_unreachable_destination(world):
    study = store_at_archive(world)
    world.network._acceptors["reader"].close()
    moved = move(world, study, "reader")
    assert (moved.status, moved.completed, moved.failed) == (0xA702, 0, 4)


def test_move_to_a_silent_destination_is_answered_before_the_mover_gives_up(world, scripted, monkeypatch):
    assert network_module.FORWARD_TIMEOUT < DEFAULT_TIMEOUT
    monkeypatch.setattr(network_module, "FORWARD_TIMEOUT", 0.5)
    scripted(silent)
    study = store_at_archive(world)
    moved = move(world, study)
    assert (moved.status, moved.failed) == (0xA702, 4)


def test_move_of_files_that_are_gone(world):
    study = store_at_archive(world)
    gone = list(world.servers["archive"].kept.values())
    gone[1].path.unlink()
    moved = move(world, study, "reader")
    assert (moved.status, moved.completed, moved.failed) == (0xB000, 3, 1)
    got = wait_for(world, world.network.get("scanner", "archive", Query({"StudyInstanceUID": study.uid}), timeout=5))
    assert (got.status, got.completed, got.failed) == (0xB000, 3, 1)


def test_move_of_the_same_instance_twice(world):
    study = store_at_archive(world)
    archive = world.servers["archive"]
    archive.locate = lambda _: Located(tuple(archive.stored) * 2)
    moved = move(world, study, "reader")
    assert (moved.status, moved.completed, moved.failed) == (0, 4, 0)


def test_the_mover_goes_away(world):
    study = store_at_archive(world)
    reader = world.servers["reader"]
    take, arrived = reader.take, threading.Event()

    def slow(instance):
        arrived.set()
        time.sleep(0.2)
        return take(instance)

    reader.take = slow
    before = data_plane_threads()
    query = Query({"StudyInstanceUID": study.uid})
    moved = wait_for(world, world.network.move("scanner", "archive", query, "reader", timeout=0.1))
    assert moved.trouble is Trouble.TIMEOUT
    assert_threads_end(before)
    assert len(reader.stored) < 4


# ---- commitment


def test_the_association_dies_during_hold(world, scripted):
    def script(_, connection):
        accept(connection)
        kind, content = read_pdu(connection)
        while content[5] != 0x02:
            kind, content = read_pdu(connection)
        assert kind == 0x04
        answer = {0x0002: b"1.2.840.10008.1.20.1", 0x0100: number(0x8130), 0x0120: number(1)}
        connection.sendall(command_pdu(1, answer | {0x0800: number(NO_DATA_SET), 0x0900: number(0)}))

    scripted(script)
    before = data_plane_threads()
    event = world.network.request_commitment("scanner", "peer", "2.25.9", make_study(1), hold=30, timeout=TIMEOUT)
    outcome = wait_for(world, event)
    assert outcome.ok, outcome
    assert_threads_end(before)


def test_a_report_meets_the_release(world):
    """Whichever is first, the report arrives exactly once and nobody waits for a time-out."""
    archive, scanner = world.servers["archive"], world.servers["scanner"]
    study = make_study(2)
    handles = []
    archive.on_request = lambda request: handles.append(request.association)
    for round_ in range(8):
        outcomes = []

        def ask(transaction=f"2.25.{100 + round_}", outcomes=outcomes):
            outcomes.append(
                (yield world.network.request_commitment("scanner", "archive", transaction, study, hold=0.05 * round_))
            )

        def report(transaction=f"2.25.{100 + round_}", outcomes=outcomes):
            while not handles:
                yield world.env.timeout(0.001)
            yield world.env.timeout(0.15)
            answer = CommitmentReport(transaction, study.references)
            outcomes.append(
                (yield world.network.report_commitment("archive", "scanner", answer, on=handles.pop(), timeout=10))
            )

        began = time.monotonic()
        world.env.run(until=world.env.process(ask()) & world.env.process(report()))
        assert time.monotonic() - began < 5
        assert all(outcome.ok for outcome in outcomes), outcomes
    assert [report.transaction for report in scanner.reports] == [f"2.25.{100 + k}" for k in range(8)]


def test_a_status_of_a_server_reaches_the_peer_as_it_is(world):
    world.servers["archive"].store_status = Status(0xA900, "x" * 80)
    study = make_at_scanner(world, 1)
    stored = wait_for(world, world.network.store("scanner", "archive", study))
    assert (stored.status, stored.comment) == (0xA900, "x" * 64)
