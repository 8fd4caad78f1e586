"""What associations cost a server: how many it makes in a second, and what it takes to hold them open."""

from __future__ import annotations

import resource
import selectors
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.archive import Archive
from benchmarks.bench import Bench
from benchmarks.peers import FailedError, UnavailableError, call, start, stop
from benchmarks.results import Figures, Key
from benchmarks.servers import Orthanc, Pynetdicom, Server, ServerKind, Storescp

CLIENTS = 4
"""Threads of the client."""

COUNTS = (1, 100, 1000)
"""Idle associations."""

OPENING_BOUND = 60.0
"""Seconds."""

ASSOCIATIONS, IDLE = "associations", "idle"


def entered() -> list[ServerKind]:
    """The contestants."""
    return [Archive("write"), Storescp(), Orthanc(), Pynetdicom()]


def associations(bench: Bench) -> None:
    """Associations with one C-ECHO each, per second."""
    bench.contest(
        {Key(ASSOCIATIONS, "C-ECHO", "4 clients", one.name): partial(measure_rate, bench, one) for one in entered()}
    )


def measure_rate(bench: Bench, server: ServerKind) -> Figures:
    """Let the client open, use and release associations for a while. Raises FailedError or UnavailableError."""
    seconds = 1.0 if bench.quick else 4.0
    with server.up() as at:
        before = at.usage().cpu
        command = [bench.native.client, "echo", str(at.port), at.title, str(CLIENTS), str(seconds)]
        code, said = call(command, seconds + 60.0)
        if code:
            raise FailedError(f"exit code {code}: {said}")
        done, failed, took = map(float, said.split())
        if failed:
            raise FailedError(f"{failed:g} of {done + failed:g} associations")
        return {"rate": done / took, "server_cpu_ms": (at.usage().cpu - before) / done * 1e3}


def idle(bench: Bench) -> None:
    """Memory and CPU of open associations on which nothing happens."""
    # For a thousand of them, here and in the servers that we start.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for count in COUNTS:
        label = f"{count} open"
        bench.contest(
            {Key(IDLE, label, "", server.name): partial(measure_idle, bench, server, count) for server in entered()}
        )


def measure_idle(bench: Bench, server: ServerKind, count: int) -> Figures:
    """Open associations, and look at the server while they are open. Raises FailedError or UnavailableError."""
    if isinstance(server, Pynetdicom) and count > 100:
        raise UnavailableError("two polling threads each: 50 of them take more than a core, and 1000 are never opened")
    seconds = 1.0 if bench.quick else 4.0
    with server.up() as at, held_open(bench, at, count) as opening_seconds:
        time.sleep(2.0)  # what a server still does to start is not what associations cost
        before, started = at.usage().cpu, time.monotonic()
        time.sleep(seconds)
        after = at.usage(memory=True)
        core = (after.cpu - before) / (time.monotonic() - started)
        return {
            "open_s": opening_seconds,
            "core_percent": 100 * core,
            "rss_mb": after.rss / 1e6,
            "pss_mb": after.pss / 1e6,
        }


@contextmanager
def held_open(bench: Bench, server: Server, count: int) -> Iterator[float]:
    """Associations that stay open; how many seconds it took to open them."""
    command = [bench.native.client, "hold", str(server.port), server.title, str(CLIENTS), str(count)]
    process = start(command, subprocess.PIPE, stdin=subprocess.PIPE, errors=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        try:
            _, failed, took = map(float, _first_line(process).split())
            if failed:
                raise FailedError(f"{failed:g} of {count} associations were not opened")
            yield took
        finally:
            stop(process)


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    """What the client says once its associations are open: its waits are bounded, but their sum is not."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(OPENING_BOUND):
            raise FailedError(f"not open within {OPENING_BOUND:g} s")
    return process.stdout.readline()
