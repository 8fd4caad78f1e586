"""The lab's hold on a group, be it on a thread of this process or in a process of its own."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection, Listener
from typing import Any, Protocol, TypeVar

from simlab.errors import GroupError, UserError
from simlab.lab.group import Group, GroupPlan, GroupUsage
from simlab.network.live.directory import Peer
from simlab.network.seam import Outcome
from simlab.records import InstanceBatch, Record, Recorder

T = TypeVar("T")

START_TIMEOUT = 60.0
"""Seconds within which a group must listen: a cold start imports a lot."""

STOP_TIMEOUT = 15.0
"""Seconds within which a group must have stopped; then it is killed."""


class Hold(Protocol):
    """The lab's hold on a group."""

    nodes: tuple[str, ...]

    def listen(self) -> list[Peer]:
        """Start the services. Raises UserError for a taken port, GroupError if the group does not come up."""

    def meet(self, peers: Sequence[Peer]) -> None:
        """Tell the group where everybody is."""

    def run(self, origin: float) -> None:
        """Let the workflows go; run second 0 is ``origin`` on the lab's ``perf_counter``."""

    def call(self, operation: str, *arguments: Any, **keywords: Any) -> Future[Outcome]:
        """Start an operation of the group's network."""

    def drain(self) -> tuple[list[Record], list[InstanceBatch]]:
        """Records since the last call. Raises GroupError if the group has crashed."""

    def ask_to_stop(self) -> None:
        """Let the group begin to stop, without waiting for it."""

    def stop(self) -> tuple[list[Record], list[InstanceBatch], GroupUsage]:
        """Stop within a bound; returns the last records. Never raises."""


class LocalGroup:
    """A group on a thread of this process: a trace can be stepped through it."""

    def __init__(self, plan: GroupPlan) -> None:
        self.nodes = plan.nodes
        self._group = Group(plan)
        self._crash: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="+".join(plan.nodes), daemon=True)
        self._origin = 0.0

    def listen(self) -> list[Peer]:
        """Start the services."""
        return self._group.listen()

    def meet(self, peers: Sequence[Peer]) -> None:
        """Tell the group where everybody is."""
        self._group.meet(peers)

    def run(self, origin: float) -> None:
        """Let the workflows go."""
        self._origin = origin
        self._thread.start()

    def _live(self) -> None:
        try:
            self._group.run(self._origin)
        except BaseException as error:  # noqa: BLE001 -- kept for the lab's own thread, which raises it
            self._crash = error

    def call(self, operation: str, *arguments: Any, **keywords: Any) -> Future[Outcome]:
        """Start an operation of the group's network."""
        future: Future[Outcome] = Future()
        self._group.call(operation, arguments, keywords, future.set_result)
        return future

    def drain(self) -> tuple[list[Record], list[InstanceBatch]]:
        """Records since the last call."""
        if self._crash is not None:
            raise self._crash
        return self._group.drain()

    def ask_to_stop(self) -> None:
        """Let the environment come to its end."""
        if self._thread.is_alive():
            self._group.stop()

    def stop(self) -> tuple[list[Record], list[InstanceBatch], GroupUsage]:
        """Stop within a bound."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT)
        self._group.close()
        return *self._group.drain(), self._group.usage()


class RemoteGroup:
    """A group in a process of its own."""

    def __init__(self, plan: GroupPlan) -> None:
        self.nodes = plan.nodes
        self._recorder = Recorder()
        self._calls: dict[int, Future[Outcome]] = {}
        self._clock: Future[float] = Future()
        self._peers: Future[list[Peer]] = Future()
        self._usage: Future[GroupUsage] = Future()
        self._records_came = threading.Event()
        self._crash: Exception | None = None
        self._sending = threading.Lock()
        self._channel: Connection | None = None
        key = secrets.token_bytes(32)
        self._listener = Listener(("127.0.0.1", 0), authkey=key)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simlab.lab.worker"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"host_port": self._listener.address, "key": key.hex()}).encode() + b"\n")
        self._process.stdin.close()
        threading.Thread(target=self._attend, args=(plan,), daemon=True, name="+".join(plan.nodes)).start()
        threading.Thread(target=self._watch, daemon=True).start()

    # ---- channel

    def _attend(self, plan: GroupPlan) -> None:
        """Take in what the worker says, until it says no more."""
        try:
            with self._listener.accept() as self._channel:
                self._channel.send(plan)
                while True:
                    self._hear(*self._channel.recv())
        except (EOFError, OSError):
            self._fail(GroupError(f"the process of {', '.join(self.nodes)} ended unexpectedly"))

    def _watch(self) -> None:
        """A worker that dies before it connects would be waited for in vain: wake the listener by closing it."""
        self._process.wait()
        if self._channel is None:
            self._fail(GroupError(f"the process of {', '.join(self.nodes)} did not start"))
            with contextlib.suppress(OSError):
                self._listener.close()

    def _hear(self, message: str, *values: Any) -> None:
        if message == "listening":
            self._peers.set_result(*values)
        elif message == "mistake":
            self._fail(UserError(*values))
        elif message == "clock":
            self._clock.set_result(*values)
        elif message == "outcome":
            identifier, outcome = values
            self._calls.pop(identifier).set_result(outcome)
        elif message == "records":
            records, batches = values
            for record in records:
                self._recorder.add(record)
            for batch in batches:
                self._recorder.add_instances(batch)
            self._records_came.set()
        elif message == "stopped":
            self._usage.set_result(*values)
        elif message == "crashed":
            (trace,) = values
            self._fail(GroupError(f"the group of {', '.join(self.nodes)} crashed:\n{trace}"))

    def _fail(self, error: Exception) -> None:
        """Let everybody who waits for this group know that it is gone."""
        self._crash = self._crash or error
        futures: list[Future[Any]] = [self._peers, self._clock, self._usage, *self._calls.values()]
        for future in futures:
            if not future.done():
                future.set_exception(self._crash)
        self._records_came.set()

    def _tell(self, *message: Any) -> None:
        with self._sending, contextlib.suppress(OSError):
            if self._channel is not None:
                self._channel.send(message)

    # ---- hold

    def listen(self) -> list[Peer]:
        """Wait until the services are up."""
        return _within(self._peers, START_TIMEOUT, f"{', '.join(self.nodes)} did not start")

    def meet(self, peers: Sequence[Peer]) -> None:
        """Tell the group where everybody is."""
        self._tell("meet", list(peers))

    def run(self, origin: float) -> None:
        """Let the workflows go, after finding out how the worker's clock relates to ours."""
        asked = time.perf_counter()
        self._tell("clock")
        theirs = _within(self._clock, START_TIMEOUT, f"{', '.join(self.nodes)} does not answer")
        ours = (asked + time.perf_counter()) / 2
        self._tell("run", origin + theirs - ours)

    def call(self, operation: str, *arguments: Any, **keywords: Any) -> Future[Outcome]:
        """Start an operation of the group's network."""
        future: Future[Outcome] = Future()
        if self._crash is not None:
            future.set_exception(self._crash)
            return future
        self._calls[id(future)] = future
        self._tell("call", id(future), operation, arguments, keywords)
        return future

    def drain(self) -> tuple[list[Record], list[InstanceBatch]]:
        """Records since the last call."""
        if self._crash is not None:
            raise self._crash
        self._records_came.clear()
        self._tell("drain")
        self._records_came.wait(STOP_TIMEOUT)
        return self._recorder.drain()

    def ask_to_stop(self) -> None:
        """Tell the worker."""
        self._tell("stop")

    def stop(self) -> tuple[list[Record], list[InstanceBatch], GroupUsage]:
        """Stop within a bound; a group that does not is killed."""
        self.ask_to_stop()
        usage = GroupUsage(0.0, 0.0)
        with contextlib.suppress(GroupError, UserError):
            usage = _within(self._usage, STOP_TIMEOUT, "")
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(OSError):
            self._listener.close()
        return *self._recorder.drain(), usage


def _within(future: Future[T], timeout: float, otherwise: str) -> T:
    try:
        return future.result(timeout)
    except TimeoutError:
        raise GroupError(f"{otherwise} within {timeout:g} s") from None
