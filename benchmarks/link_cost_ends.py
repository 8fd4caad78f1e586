"""Programs around a relay, without DICOM: ``python -m benchmarks.link_cost_ends ROLE ...``.

    drain               takes bytes on any number of connections; "N" on standard input: how many came in N seconds, as
                        JSON, with a number for each connection
    echo                gives every connection back what it says
    copy PORT           what the relay is held against: carries bytes from one socket to another, a loop of two calls
    blast PORT N        sends on N connections for as long as it is let

They say their port once they listen (``blast``: that it sends), and end when their standard input does. TCP_NODELAY
everywhere.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

from benchmarks.peers import LOOPBACK

BUFFER = 64 * 1024
"""Bytes of each call, for all."""


ASKED = "asked"


def _listen() -> socket.socket:
    listening = socket.create_server((LOOPBACK, 0), backlog=1024)
    print(listening.getsockname()[1], flush=True)
    return listening


def _without_nagle(connection: socket.socket) -> socket.socket:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def drain() -> None:
    """Take bytes, and count them."""
    listening = _listen()
    listening.setblocking(False)
    buffer = bytearray(BUFFER)
    counts: dict[socket.socket, int] = defaultdict(int)
    began, until = 0.0, float("inf")
    with selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ, ASKED)
        while True:
            for key, _ in selector.select(max(0.0, min(until - time.perf_counter(), 1.0))):
                one = key.fileobj
                if key.data == ASKED:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    began = time.perf_counter()
                    until = began + float(line)
                    for connection in counts:
                        counts[connection] = 0
                elif one is listening:
                    connection = _without_nagle(listening.accept()[0])
                    connection.setblocking(False)
                    counts[connection] = 0
                    selector.register(connection, selectors.EVENT_READ)
                else:
                    assert isinstance(one, socket.socket)
                    size = 0
                    with suppress(OSError):
                        size = one.recv_into(buffer)
                    counts[one] += size
                    if not size:
                        selector.unregister(one)
                        del counts[one]
                        one.close()
            if (now := time.perf_counter()) >= until:
                until = float("inf")
                print(json.dumps({"seconds": now - began, "bytes": list(counts.values())}), flush=True)


def echo() -> None:
    """Give back what comes, on a thread for each connection."""
    listening = _listen()

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(BUFFER):
                connection.sendall(data)

    _accept_all(listening, serve)


def copy(port: int) -> None:
    """Carry bytes to another port."""
    listening = _listen()

    def serve(connection: socket.socket) -> None:
        buffer = memoryview(bytearray(BUFFER))
        with connection, _without_nagle(socket.create_connection((LOOPBACK, port))) as other:
            while size := connection.recv_into(buffer):
                other.sendall(buffer[:size])

    _accept_all(listening, serve)


def _accept_all(listening: socket.socket, serve: Callable[[socket.socket], None]) -> None:

    def accept() -> None:
        while True:
            connection = _without_nagle(listening.accept()[0])
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()
    os._exit(0)  # threads that wait for others have nothing to lose


def blast(port: int, number: int) -> None:
    """Send as fast as the connections take it."""
    data = bytes(BUFFER)
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ, ASKED)
        for _ in range(number):
            connection = _without_nagle(socket.create_connection((LOOPBACK, port)))
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_WRITE)
        print("sending", flush=True)
        while True:
            for key, _ in selector.select():
                if key.data == ASKED:
                    return
                assert isinstance(key.fileobj, socket.socket)
                with suppress(BlockingIOError):
                    key.fileobj.send(data)


if __name__ == "__main__":
    role, *numbers = sys.argv[1:]
    match role:
        case "drain":
            drain()
        case "echo":
            echo()
        case "copy":
            copy(int(numbers[0]))
        case "blast":
            blast(*map(int, numbers))
