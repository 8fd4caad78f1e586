"""Servers that are sent to: every one fresh and empty, on a free port of 127.0.0.1."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import psutil  # type: ignore[import-untyped]

from benchmarks.native import Native
from benchmarks.peers import HERE, LOOPBACK, FailedError, find, free_ports, listens, running, start, stop

BIG_PDU = 131072
"""The largest PDU that DCMTK sends or takes."""

MANY = 2000
"""Associations that a server may have at the same time, where that can be set."""


class Usage(NamedTuple):
    """What a server and its children use."""

    cpu: float
    """Seconds so far."""
    rss: int
    """Bytes; what processes share counts in each of them."""
    pss: int
    """Bytes; what processes share is split between them."""


@dataclass(frozen=True)
class Server:
    """A server that is up."""

    title: str
    port: int
    process: subprocess.Popen[bytes]
    count: Callable[[], int] | None = None
    """How many instances it holds, or has taken; None if nobody can tell."""

    def usage(self, *, memory: bool = False) -> Usage:
        """What it uses now."""
        root = psutil.Process(self.process.pid)
        cpu, rss, pss = 0.0, 0, 0
        for process in (root, *root.children(recursive=True)):
            try:
                # Of children that are gone, their parent has the seconds.
                cpu += sum(process.cpu_times()[:4])
                if memory:
                    info = process.memory_full_info()
                    rss, pss = rss + info.rss, pss + info.pss
            except psutil.NoSuchProcess:
                continue
        return Usage(cpu, rss, pss)


class ServerKind(Protocol):
    """A contestant among servers."""

    @property
    def name(self) -> str:
        """For tables."""

    def up(self) -> AbstractContextManager[Server]:
        """Bring one up. Raises UnavailableError or FailedError."""


@contextmanager
def a_folder() -> Iterator[Path]:
    """An empty folder on disk, for what a server stores.

    Its files are emptied afterwards, and deleted only when this process ends: for minutes after it has lost many files,
    ext4 is slow to make new ones, and the next contestant would pay for that. Nor has it to wait for what the disk has
    still to do.
    """
    folder = Path(tempfile.mkdtemp(prefix="simlab-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        yield folder
    finally:
        for path in folder.rglob("*"):
            if path.is_file():
                with suppress(OSError):
                    os.truncate(path, 0)
        os.sync()


@dataclass(frozen=True)
class Sink:
    """The one of sink.c: takes everything and keeps nothing."""

    native: Native
    raw: bool = False

    @property
    def name(self) -> str:
        """For tables."""
        return "raw sockets" if self.raw else "discarding sink"

    @contextmanager
    def up(self) -> Iterator[Server]:
        """Bring it up. It announces the largest PDU that DCMTK sends."""
        mode = ["raw"] if self.raw else ["discard", str(BIG_PDU)]
        process = start([self.native.sink, *mode], subprocess.PIPE, errors=subprocess.DEVNULL)
        said = process.stdout
        assert said is not None

        def count() -> int:
            os.kill(process.pid, signal.SIGUSR1)
            return int(said.readline())

        with said:
            try:
                yield Server("SINK", int(said.readline()), process, count)
            finally:
                stop(process)


@dataclass(frozen=True)
class Storescp:
    """DCMTK's, with a process for each association."""

    ignore: bool = False
    bit_preserving: bool = False
    """Whether it writes what comes without looking into it."""

    @property
    def name(self) -> str:
        """For tables."""
        return " ".join(["storescp", *(["--ignore"] if self.ignore else []), "--fork", *self._options])

    @property
    def _options(self) -> list[str]:
        return ["+B"] if self.bit_preserving else []

    @contextmanager
    def up(self) -> Iterator[Server]:
        """Bring it up."""
        [port] = free_ports(1)
        program = find("storescp")
        with a_folder() as folder:
            stored = folder / "stored"
            stored.mkdir()
            what = ["--ignore"] if self.ignore else [*self._options, "-od", str(stored)]
            command = [program, "--fork", "-pdu", str(BIG_PDU), *what, str(port)]
            with running(command, lambda: listens(port), folder) as process:
                count = None if self.ignore else lambda: count_files(stored)
                yield Server("STORESCP", port, process, count)


class Orthanc:
    """With an SQLite index, as it comes; more associations at a time than its default of 4."""

    name = "Orthanc"

    @contextmanager
    def up(self) -> Iterator[Server]:
        """Bring it up."""
        program = find("Orthanc")
        port, http_port = free_ports(2)
        with a_folder() as folder:
            configuration = {
                "Name": "simlab benchmarks",
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "DicomAet": "ORTHANC",
                "DicomPort": port,
                "DicomCheckCalledAet": False,
                "DicomThreadsCount": 16,
                "MaximumPduLength": BIG_PDU,
                "HttpPort": http_port,
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
            }
            path = folder / "orthanc.json"
            path.write_text(json.dumps(configuration, indent=2))

            def count() -> int:
                with urllib.request.urlopen(f"http://{LOOPBACK}:{http_port}/statistics", timeout=10.0) as answer:
                    return int(json.load(answer)["CountInstances"])

            def ready() -> bool:
                try:
                    return count() == 0
                except OSError:
                    return False

            with running([program, str(path)], ready, folder) as process:
                yield Server("ORTHANC", port, process, count)


class Pynetdicom:
    """Its AE with a handler that writes what came, as its documentation does for speed."""

    name = "pynetdicom"

    @contextmanager
    def up(self) -> Iterator[Server]:
        """Bring it up."""
        [port] = free_ports(1)
        with a_folder() as folder:
            stored = folder / "stored"
            stored.mkdir()
            command = [sys.executable, str(HERE / "pynetdicom_receive.py"), str(port), str(stored), str(MANY)]
            with running(command, lambda: listens(port), folder) as process:
                yield Server("PYNETDICOM", port, process, lambda: count_files(stored))


def count_files(folder: Path) -> int:
    """How many files are in a folder."""
    return sum(1 for _ in folder.iterdir())


def settle(server: Server, held: int, seconds: float = 30.0) -> None:
    """Wait until a server says that it holds so many instances. Raises FailedError if it does not in time."""
    if server.count is None:
        return
    deadline = time.monotonic() + seconds
    while (count := server.count()) < held and time.monotonic() < deadline:
        time.sleep(0.01)
    if count != held:
        raise FailedError(f"it holds {count} instances of {held}")
