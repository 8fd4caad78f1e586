"""Programs: found, started, waited for, and always stopped, with everything that they started."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

LOOPBACK = "127.0.0.1"

HERE = Path(__file__).parent

OURS = Path(sys.executable).parent
"""pynetdicom brings programs that are called storescu and storescp as well; they are not the ones that are meant."""

SEARCH_PATH = os.pathsep.join(
    [place for place in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(place) != OURS] + ["/usr/sbin"]
)
"""Debian puts Orthanc where only root's PATH leads."""

ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
"""DCMTK and Orthanc leave Nagle's algorithm on unless they are told: every small message would stall for 40 ms."""

SIMLAB = (sys.executable, "-m", "simlab")

START_BOUND, STOP_BOUND = 30.0, 15.0
"""Seconds."""


class UnavailableError(Exception):
    """A contestant cannot take part here; the message says why."""


class FailedError(Exception):
    """A contestant took part, and did not do its job; the message says what was missing."""


def find(program: str) -> str:
    """The path of a program. Raises UnavailableError."""
    path = shutil.which(program, path=SEARCH_PATH)
    if path is None:
        raise UnavailableError(f"{program} is not installed")
    return path


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at now; all are held until the last is known, so that they differ."""
    sockets = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait for a condition. Raises FailedError if it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise FailedError(f"{what}: not within {seconds:g} s")
        time.sleep(0.01)


def start(
    command: Sequence[str],
    output: IO[bytes] | int,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    errors: IO[bytes] | int = subprocess.STDOUT,
) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own, which ``stop`` can end as a whole."""
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=output,
        stderr=errors,
        cwd=folder,
        env={**ENVIRONMENT, **(environment or {})},
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a program: asked first, then with everything that it left behind."""
    if process.returncode is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_BOUND)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        process.wait()


@contextmanager
def running(
    command: Sequence[str],
    ready: Callable[[], bool],
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A program in the background, from the moment ``ready()`` is true until the block is left.

    It works in ``folder``, and what it says goes there. Raises FailedError if it does not start.
    """
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = start(command, output, environment, folder)
        try:

            def up() -> bool:
                if process.poll() is not None:
                    raise FailedError(
                        f"{Path(command[0]).name} ended with exit code {process.returncode}: {last_line(log)}"
                    )
                return ready()

            wait_until(up, f"start of {Path(command[0]).name}", START_BOUND)
            yield process
        finally:
            stop(process)


def call(command: Sequence[str], seconds: float = 30.0) -> tuple[int, str]:
    """Run a short program to its end: exit code, and all that it said. Raises FailedError if it takes too long."""
    try:
        done = subprocess.run(
            command,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FailedError(f"{Path(command[0]).name}: not within {seconds:g} s") from error
    return done.returncode, done.stdout.decode(errors="replace").strip()


def last_line(log: Path) -> str:
    """The last thing a program said, for telling why it failed."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "(it said nothing)"


@cache
def require_simlab(*command: str) -> None:
    """Raises UnavailableError unless simlab knows a command."""
    code, _ = call([*SIMLAB, *command, "--help"])
    if code:
        raise UnavailableError(f"simlab {' '.join(command)}: not available yet")
