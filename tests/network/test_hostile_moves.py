"""C-MOVE and storage commitment with peers that go away: whoever asked gets a final and truthful answer."""

import threading
import time

import pytest

from network.hostile import (
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
from network.peers import NO_DATA_SET, accept, command_pdu, number, pdu, read_pdu
from network.worlds import make_study
from simlab.network.live import network as network_module
from simlab.network.live.receiving import retrieve as retrieve_module
from simlab.network.live.sending import association as association_module
from simlab.network.query import Query
from simlab.network.seam import DEFAULT_TIMEOUT, CommitmentReport, Located, Status, Trouble

C_MOVE_RESPONSE = 0x8021


@pytest.fixture
def world(live_world):
    return live_world


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

    def slow(instance, examined, respond):
        arrived.set()
        time.sleep(0.2)
        take(instance, examined, respond)

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

        def ask(transaction=f"2.25.{100 + round_}", hold=0.05 * round_, outcomes=outcomes):
            outcomes.append(
                (yield world.network.request_commitment("scanner", "archive", transaction, study, hold=hold))
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


def test_whoever_takes_nothing_but_tiny_pdus_gets_nothing(world, monkeypatch):
    study = store_at_archive(world)
    query = Query({"StudyInstanceUID": study.uid})
    with monkeypatch.context() as patch:
        patch.setattr(association_module, "MAXIMUM_LENGTH", 512)
        got = wait_for(world, world.network.get("reader", "archive", query, study=study.uid, timeout=TIMEOUT))
    assert (got.ok, got.completed) == (False, 0)
    assert wait_for(world, world.network.get("reader", "archive", query, study=study.uid)).completed == study.count


def moves_three(last):
    """A peer that tells how many sub-operations there were on the way, and in the end no more than a status."""

    def response(context, message, status, **counts):
        elements = {0x1020: "remaining", 0x1021: "completed", 0x1022: "failed", 0x1023: "warning"}
        return command_pdu(
            context,
            {0x0002: b"1.2.840.10008.5.1.4.1.2.2.2", 0x0100: number(C_MOVE_RESPONSE), 0x0120: message}
            | {0x0800: number(NO_DATA_SET), 0x0900: number(status)}
            | {element: number(counts[name]) for element, name in elements.items() if name in counts},
        )

    def script(_, connection):
        accept(connection)
        context, message = read_store(connection)
        for completed in (0, 1, 2):
            counts = {"remaining": 3 - completed, "completed": completed, "failed": 0, "warning": 1}
            connection.sendall(response(context, message, 0xFF00, **counts))
        connection.sendall(response(context, message, last))
        released(_, connection)

    return script


@pytest.mark.parametrize(("last", "completed", "remaining"), [(0x0000, 3, 0), (0xB000, 2, 0)])
def test_what_was_told_on_the_way_counts_where_the_last_response_tells_nothing(
    world, scripted, last, completed, remaining
):
    scripted(moves_three(last))
    study = make_study(3)
    query = Query({"StudyInstanceUID": study.uid})
    moved = wait_for(world, world.network.move("scanner", "peer", query, "scanner", study=study.uid))
    assert (moved.status, moved.completed, moved.failed, moved.warning) == (last, completed, 0, 1)
    assert (moved.remaining, moved.pending_responses) == (remaining, 3)


def test_of_more_sub_operations_than_can_be_told_as_many_are(world, monkeypatch):
    monkeypatch.setattr(retrieve_module, "MOST_TOLD", 3)
    study = store_at_archive(world)
    moved = move(world, study, "reader")
    assert (moved.ok, moved.completed, moved.failed) == (True, 3, 0)
    assert len(world.servers["reader"].stored) == study.count == 4
