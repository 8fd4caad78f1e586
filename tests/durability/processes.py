"""The archive's processes: started on the same folder and port again and again, and killed all at once."""

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import yaml
from peers import LOOPBACK, free_ports, wait_until

from simlab.network.live.directory import Peer

PROGRAM = Path(__file__).parent / "archive.py"
SCANNER = "SCANNER"
"""AE title of whoever stores, and gets the reports."""

BOUND = 30.0
"""Seconds that anything may take."""


class Site:
    """Where an archive is, life after life: its topology, folder and port; and where it reports to."""

    def __init__(self, folder, durability, **settings):
        archive_port, self.scanner_port = free_ports(2)
        self.workspace = folder / "nodes"
        self.workspace.mkdir(parents=True)
        self.root = self.workspace / "archive"
        self.peer = Peer("archive", "ARCHIVE", LOOPBACK, archive_port)
        archive = {"kind": "archive", "ae_title": "ARCHIVE", "port": archive_port, "durability": durability}
        scanner = {"kind": "external", "ae_title": SCANNER, "host": LOOPBACK, "port": self.scanner_port}
        nodes = {"archive": {**archive, "receivers": 2, "outstanding": 4, **settings}, "scanner": scanner}
        self.topology = folder / "topology.yaml"
        self.topology.write_text(yaml.safe_dump({"simlab": 1, "name": "durability", "nodes": nodes}))

    def half_written(self):
        return list((self.root / ".incoming").rglob("*.part"))


class Life:
    """An archive from its start to its end. A context manager: leaving it kills what is left."""

    def __init__(self, site, tracer=()):
        command = [*tracer, sys.executable, PROGRAM, site.topology, site.workspace]
        self._process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end(signal.SIGKILL)
        self._process.stdin.close()
        self._process.stdout.close()

    def begin(self):
        """Let it start, without waiting for it."""
        self._process.stdin.write("begin\n")
        self._process.stdin.flush()

    def await_listening(self):
        readable, _, _ = select.select([self._process.stdout], [], [], BOUND)
        assert readable, f"the archive does not listen within {BOUND:g} s"
        assert self._process.stdout.readline() == "listening\n", "the archive has ended"

    def leave(self):
        """Let it end by itself, without any good order, and wait for that."""
        self._process.stdin.close()
        self._process.wait(BOUND)

    def kill(self):
        """Kill all of its processes at once, and wait until they are gone."""
        assert self._process.poll() is None, "the archive has ended by itself"
        self._end(signal.SIGKILL)

    def _end(self, number):
        if self._process.poll() is not None:
            return
        leader = psutil.Process(self._process.pid)
        family = [leader, *leader.children(recursive=True)]
        os.killpg(self._process.pid, number)
        self._process.wait(BOUND)
        # A process may be in the middle of a call of the system when it is killed, and that is finished first.
        wait_until(lambda: all(map(has_ended, family)), "the end of the archive's processes", BOUND)


def has_ended(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True
