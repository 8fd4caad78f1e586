"""``python -m simlab.lab.worker``: one group in a process of its own, told what to do over a control channel.

The parent passes the channel's address and key on standard input. Messages are tuples of plain values:

    parent:  (GroupPlan)  ("meet", peers, ways)  ("clock",)  ("run", origin)
             ("call", id, operation, arguments, keywords)  ("drain",)  ("end faults",)  ("stop",)
    worker:  ("listening", peers) or ("mistake", text)  ("clock", perf_counter)  ("outcome", id, Outcome)
             ("records", records, batches)  ("stopped", GroupUsage)  ("crashed", traceback)

A worker ends when its parent does: the channel is then closed.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import traceback
from functools import partial
from multiprocessing.connection import Client, Connection
from typing import Any

from simlab.errors import UserError
from simlab.lab.channel import without_nagle
from simlab.lab.group import Group
from simlab.network.live.receiving.descriptors import raise_descriptor_limit


class Worker:
    """Serves the channel on a thread beside the group's environment."""

    def __init__(self, channel: Connection) -> None:
        self._channel = channel
        self._sending = threading.Lock()
        self._begin = threading.Event()
        self._origin: float | None = None

    def send(self, *message: Any) -> None:
        """Send a message; the parent may have gone already."""
        with self._sending:
            try:
                self._channel.send(message)
            except OSError:
                self._origin = None
                self._begin.set()

    def serve(self) -> None:
        """Live through one group's life."""
        group = Group(self._channel.recv())
        try:
            self.send("listening", group.listen())
            threading.Thread(target=self._obey, args=(group,), daemon=True, name="control").start()
            self._begin.wait()
            if self._origin is not None:
                group.run(self._origin)
            self.send("records", *group.drain())
            self.send("stopped", group.usage())
        except UserError as error:
            self.send("mistake", str(error))
        finally:
            group.close()

    def _obey(self, group: Group) -> None:
        """Do as the parent says, until it says no more."""
        while True:
            try:
                command, *arguments = self._channel.recv()
            except (EOFError, OSError):
                command, arguments = "stop", []
            if command == "meet":
                group.meet(*arguments)
            elif command == "clock":
                self.send("clock", time.perf_counter())
            elif command == "run":
                (self._origin,) = arguments
                self._begin.set()
            elif command == "call":
                identifier, operation, positional, keywords = arguments
                group.call(operation, positional, keywords, partial(self.send, "outcome", identifier))
            elif command == "drain":
                self.send("records", *group.drain())
            elif command == "end faults":
                group.end_faults()
            elif command == "stop":
                group.stop()
                self._begin.set()
                return


def main() -> int:
    """Connect, serve, and tell the parent of a crash."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it stops us in good order
    raise_descriptor_limit()
    address = json.loads(sys.stdin.readline())
    channel = without_nagle(Client(tuple(address["host_port"]), authkey=bytes.fromhex(address["key"])))
    worker = Worker(channel)
    try:
        worker.serve()
    except Exception:  # noqa: BLE001 -- a bug: the parent raises it where the user sees it
        worker.send("crashed", traceback.format_exc())
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
