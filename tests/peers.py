"""Programs that are not ours: found, started, waited for, and always stopped."""

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

LOOPBACK = "127.0.0.1"

OURS = Path(sys.executable).parent
"""pynetdicom brings programs that are called findscu and storescu as well; they are not the ones that are meant."""

SEARCH_PATH = os.pathsep.join(
    [place for place in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(place) != OURS] + ["/usr/sbin"]
)
"""Debian puts Orthanc where only root's PATH leads."""

# DCMTK and Orthanc leave Nagle's algorithm on unless they are told: every small message would stall for 40 ms.
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}

SIMLAB = (sys.executable, "-m", "simlab")
"""simlab as a user starts it, in a process of its own."""

START_BOUND = 30.0
STOP_BOUND = 20.0
"""Seconds."""


def require(program):
    """The path of a program; without it the test is skipped, or fails if SIMLAB_REQUIRE_PEERS=1."""
    path = shutil.which(program, path=SEARCH_PATH)
    if path is None:
        do_without(f"{program} is not installed")
    return path


def require_free(*ports):
    """Ports that a file names and that cannot be chosen; skips or fails like ``require``."""
    for port in ports:
        if listens(port):
            do_without(f"port {port} is in use")


def do_without(reason):
    if os.environ.get("SIMLAB_REQUIRE_PEERS") == "1":
        pytest.fail(f"{reason}, and SIMLAB_REQUIRE_PEERS=1", pytrace=False)
    pytest.skip(reason)


CHOSEN_PORTS = range(20000, 32000)
"""Below those that systems give to whoever asks for any (ephemeral ones)."""


def free_ports(count):
    """Ports that nobody listens at now, and nobody will be given who asks for any; all of them differ."""
    ports = []
    for port in random.sample(CHOSEN_PORTS, len(CHOSEN_PORTS)):
        if len(ports) == count:
            break
        with suppress(OSError), socket.create_server((LOOPBACK, port)):
            ports.append(port)
    return ports


def listens(port):
    try:
        socket.create_connection((LOOPBACK, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def wait_until(condition, what, seconds=START_BOUND):
    """The first true value of ``condition()``; fails the test if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)
    return value


class Finished(NamedTuple):
    """A program that has run to its end."""

    code: int
    output: str
    """Standard output and standard error."""


def call(program, *arguments, folder=None, seconds=60.0):
    """Run a program to its end, within a bound."""
    return call_command([require(program), *map(str, arguments)], folder, seconds)


def call_simlab(*arguments, folder=None, seconds=60.0):
    """Run simlab's command line to its end, within a bound."""
    return call_command([*SIMLAB, *map(str, arguments)], folder, seconds)


def call_command(command, folder, seconds):
    done = subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        timeout=seconds,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return Finished(done.returncode, done.stdout)


@contextmanager
def running(command, log: Path, ready, folder=None):
    """A program in the background, from the moment ``ready()`` is true until the block is left.

    What it says goes to the file ``log``, which is shown if it ends too early.
    """
    with log.open("w") as output:
        process = subprocess.Popen(
            list(map(str, command)), cwd=folder, env=ENVIRONMENT, stdout=output, stderr=subprocess.STDOUT
        )
        try:

            def up():
                if process.poll() is not None:
                    pytest.fail(f"{command[0]} ended with exit code {process.returncode}:\n{log.read_text()}")
                return ready()

            wait_until(up, f"start of {Path(command[0]).name}")
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_BOUND)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
