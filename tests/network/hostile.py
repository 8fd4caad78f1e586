"""What the tests with bad peers share: a live world, waiting, threads, and scripts for peers."""

import threading
import time

from network.peers import NO_DATA_SET, RELEASE_RESPONSE, accept, command_pdu, number, read_pdu
from network.worlds import make_study

TIMEOUT = 0.5
BOUND = 6.0
"""Seconds: the time-out, what closing may take, and a slow machine."""
C_STORE_RESPONSE = 0x8001
CT = b"1.2.840.10008.5.1.4.1.1.2"


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


def silent(peer, connection):
    del connection
    peer.done.wait()


def closes_at_once(_, connection):
    read_pdu(connection)
