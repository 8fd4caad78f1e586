"""The receiver of the experiment, in a process of its own."""

from __future__ import annotations

import json
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import NamedTuple, Self

from simlab.errors import GroupError, UserError
from simlab.lab.addresses import parse_address
from simlab.lab.lab import Lab
from simlab.lab.wan.receiver_process import AE_TITLE, LOOPBACK
from simlab.network.live.directory import Peer
from simlab.network.live.sending.association import CONNECTION_TIMEOUT

_BOUND = 60.0
"""Seconds that it gets to start, and to answer: a cold start imports a lot."""


DISCARD, ARCHIVE = "discard", "archive"

_ARCHIVE = """\
simlab: 1
name: wan-archive
duration: 1 s
nodes:
  archive: {kind: archive, ae_title: ARCHIVE, outstanding: 0, maximum_associations: 1000, idle_timeout: 10 min}
"""


@contextmanager
def receiver(to: str) -> Iterator[Peer]:
    """Whoever is to receive, for as long as the block lasts: started here, or an AE that is there (AET@HOST:PORT).

    Raises UserError for one that is not.
    """
    if to == DISCARD:
        with ReceiverProcess() as process:
            yield process.peer
    elif to == ARCHIVE:
        # Windows keeps a file from going away while anybody has it open.
        with TemporaryDirectory(prefix="simlab-wan-", ignore_cleanup_errors=True) as folder:
            file = Path(folder) / "archive.yaml"
            file.write_text(_ARCHIVE, encoding="utf-8")
            with Lab.load(file).up() as network:
                yield network.peers[ARCHIVE]
    else:
        peer = parse_address(to)
        try:  # behind a relay it would only seem to hang up
            socket.create_connection((peer.host, peer.port), CONNECTION_TIMEOUT).close()
        except TimeoutError:
            raise UserError(f"{to} takes no connection in {CONNECTION_TIMEOUT:g} s") from None
        except OSError as error:
            raise UserError(f"{to} takes no connection: {error.strerror or error}") from error
        yield peer


class Counted(NamedTuple):
    """What a receiver has had so far."""

    instances: int
    bytes: int
    """Of data sets."""
    cpu: float
    """Seconds of processor time."""


class ReceiverProcess:
    """Starts a receiver; a context manager that ends it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simlab.lab.wan.receiver_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,  # signals that are meant for all of us are the parent's to handle
        )
        self._said: queue.Queue[str] = queue.Queue()
        self._listening = threading.Thread(target=self._listen, name="receiver", daemon=True)
        self._listening.start()
        try:
            self.peer = Peer("receiver", AE_TITLE, LOOPBACK, int(self._hear()))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def counted(self) -> Counted:
        """Ask what it has had. Raises GroupError if it does not answer."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        return Counted(**json.loads(self._hear()))

    def close(self) -> None:
        """End it. A second call does nothing."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listening.join()
        self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line)
        self._said.put("")

    def _hear(self) -> str:
        try:
            said = self._said.get(timeout=_BOUND)
        except queue.Empty:
            raise GroupError(f"the receiver has not answered within {_BOUND:g} s") from None
        if not said:
            raise GroupError("the receiver has ended; see above")
        return said
