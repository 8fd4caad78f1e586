"""The asynchronous operations window over a long line: small objects, a round trip of 50 ms, 100 Mbit/s."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.archive import OUTSTANDING, Archive
from benchmarks.bench import Bench
from benchmarks.corpus import Kind
from benchmarks.peers import LOOPBACK
from benchmarks.results import Key
from benchmarks.senders import Dcmtk, Sender, Simlab
from benchmarks.servers import Server, ServerKind
from benchmarks.transfers import measure

ONE_WAY = 0.025
"""Seconds."""

BANDWIDTH = 100e6 / 8
"""Bytes per second, each way."""

CHUNK = 16 * 1024
QUEUED = 64
"""Chunks that may be on their way: more than a round trip's worth at full bandwidth."""

JOIN_BOUND = 5.0
"""Seconds."""

LINE = "50 ms, 100 Mbit/s"
WINDOW = "window"

# Instances of a small and of a large run: about five seconds of slope for each.
ONE_BY_ONE, WINDOWED = (16, 112), (160, 1600)


@dataclass(frozen=True)
class FarAway:
    """A server behind a long line."""

    near: ServerKind

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.near.name}, far away"

    @contextmanager
    def up(self) -> Iterator[Server]:
        """Bring it up; its port is the near end of the line."""
        with self.near.up() as server, relay(server.port) as port:
            yield replace(server, port=port)


def window(bench: Bench) -> None:
    """One operation at a time, and many."""
    far = FarAway(Archive("write"))
    senders: list[tuple[Sender, tuple[int, int]]] = [
        (Simlab(), ONE_BY_ONE),
        (Simlab(outstanding=OUTSTANDING), WINDOWED),
        (Dcmtk(), ONE_BY_ONE),
    ]
    bench.contest(
        {
            Key(WINDOW, Kind.TINY.label, LINE, sender.name): partial(
                measure, bench, Kind.TINY, sender, far, *(sizes if not bench.quick else (sizes[0], sizes[1] // 2))
            )
            for sender, sizes in senders
        }
    )


@contextmanager
def relay(target: int) -> Iterator[int]:
    """A port that leads to another one over a line with delay and bandwidth; connections do not share the line."""
    with ExitStack() as ends, socket.create_server((LOOPBACK, 0)) as listening:
        workers: list[threading.Thread] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    near = ends.enter_context(listening.accept()[0])
                    far = ends.enter_context(socket.create_connection((LOOPBACK, target), timeout=10.0))
                    far.settimeout(None)
                    for one in (near, far):
                        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        ends.callback(_shut, one)
                    workers.extend((*_pump(near, far), *_pump(far, near)))

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            _shut(listening)
            accepting.join(JOIN_BOUND)
    # All sockets are shut down and closed now, so that nobody waits for them any more.
    for worker in workers:
        worker.join(JOIN_BOUND)


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


def _pump(source: socket.socket, sink: socket.socket) -> list[threading.Thread]:
    """Carry bytes one way: each chunk is due when it has been put on the line, and the line's delay has passed."""
    carried: queue.Queue[tuple[float, bytes]] = queue.Queue(QUEUED)

    def read() -> None:
        line_free = 0.0
        chunk = b"-"
        while chunk:
            try:
                chunk = source.recv(CHUNK)
            except OSError:
                chunk = b""
            line_free = max(line_free, time.monotonic()) + len(chunk) / BANDWIDTH
            carried.put((line_free + ONE_WAY, chunk))

    def write() -> None:
        broken = False
        while True:
            due, chunk = carried.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not chunk:
                break
            try:
                if not broken:
                    sink.sendall(chunk)
            except OSError:
                broken = True  # but go on taking, or the reader would wait for ever
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    workers = [threading.Thread(target=work, daemon=True) for work in (read, write)]
    for worker in workers:
        worker.start()
    return workers
