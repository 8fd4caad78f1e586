"""The lab's hold on a group, be it on a thread of this process or in a process of its own."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from functools import partial
from itertools import count
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from typing import Any, Protocol, TypeVar

from simlab.errors import GroupError, UserError
from simlab.lab.channel import without_nagle
from simlab.lab.group import Group, GroupPlan, GroupUsage
from simlab.network.live.directory import Peer, Ways
from simlab.network.seam import Outcome
from simlab.records import InstanceBatch, Record, Recorder

T = TypeVar("T")

START_TIMEOUT = 60.0
"""Seconds within which a group must listen: a cold start imports a lot."""

ANSWER_TIMEOUT = 60.0
"""Seconds within which a group must say what it has recorded; a machine may be very busy."""

CLOCK_QUESTIONS = 8
"""How often a worker is asked what time it has."""

STOP_TIMEOUT = 10.0
"""Seconds within which a group must have stopped, from when it was asked to."""

EXIT_TIMEOUT = 3.0
"""Seconds that the process of a group that has stopped gets for its last threads; then it is killed."""


class Hold(Protocol):
    """The lab's hold on a group."""

    nodes: tuple[str, ...]

    def listen(self) -> list[Peer]:
        """Start the services. Raises UserError for a taken port, GroupError if the group does not come up."""

    def meet(self, peers: Sequence[Peer], ways: Ways) -> None:
        """Tell the group where everybody is, and which ways lead over links."""

    def run(self, origin: float) -> None:
        """Let the workflows go; run second 0 is ``origin`` on the lab's ``perf_counter``."""

    def call(self, operation: str, *arguments: Any, **keywords: Any) -> Future[Outcome]:
        """Start an operation of the group's network."""

    def drain(self) -> tuple[Sequence[Record], list[InstanceBatch]]:
        """Records since the last call. Raises GroupError if the group has crashed."""

    def end_faults(self) -> None:
        """Let no node do wrong any more, at the latest when the group is drained next."""

    def ask_to_stop(self) -> None:
        """Let the group begin to stop, without waiting for it."""

    def stop(self) -> tuple[Sequence[Record], list[InstanceBatch], GroupUsage]:
        """Stop within a bound; returns the last records. Never raises."""


class _Calls:
    """Calls that wait for their outcomes. Once closed, all of them fail, those to come as well."""

    def __init__(self) -> None:
        self._numbers = count()
        self._waiting: dict[int, Future[Outcome]] = {}
        self._closed: BaseException | None = None

    def open(self) -> tuple[int, Future[Outcome]]:
        """Return a new call, and the number by which it is known."""
        future: Future[Outcome] = Future()
        number = next(self._numbers)
        self._waiting[number] = future
        if self._closed is not None:
            self.close(self._closed)
        return number, future

    def answer(self, number: int, outcome: Outcome) -> None:
        """Let a call have its outcome; one that was closed meanwhile stays so."""
        future = self._waiting.pop(number, None)
        if future is not None:
            _settle(future, outcome)

    def close(self, reason: BaseException) -> None:
        """Let all calls fail."""
        self._closed = reason
        while self._waiting:
            _, future = self._waiting.popitem()
            _fail(future, reason)


class LocalGroup:
    """A group on a thread of this process: a trace can be stepped through it."""

    def __init__(self, plan: GroupPlan) -> None:
        self.nodes = plan.nodes
        self._group = Group(plan)
        self._calls = _Calls()
        self._crash: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="+".join(plan.nodes), daemon=True)
        self._origin = 0.0

    def listen(self) -> list[Peer]:
        """Start the services."""
        return self._group.listen()

    def meet(self, peers: Sequence[Peer], ways: Ways) -> None:
        """Tell the group where everybody is, and which ways lead over links."""
        self._group.meet(peers, ways)

    def run(self, origin: float) -> None:
        """Let the workflows go."""
        self._origin = origin
        self._thread.start()

    def _live(self) -> None:
        try:
            self._group.run(self._origin)
        except BaseException as error:  # noqa: BLE001 -- kept for the lab's own thread, which raises it
            self._crash = error
        self._calls.close(self._crash or GroupError(f"the group of {', '.join(self.nodes)} has stopped"))

    def call(self, operation: str, *arguments: Any, **keywords: Any) -> Future[Outcome]:
        """Start an operation of the group's network."""
        number, future = self._calls.open()
        self._group.call(operation, arguments, keywords, partial(self._calls.answer, number))
        return future

    def drain(self) -> tuple[Sequence[Record], list[InstanceBatch]]:
        """Records since the last call."""
        if self._crash is not None:
            raise self._crash
        return self._group.drain()

    def end_faults(self) -> None:
        """Let no node do wrong any more."""
        self._group.end_faults()

    def ask_to_stop(self) -> None:
        """Let the environment come to its end."""
        if self._thread.is_alive():
            self._group.stop()

    def stop(self) -> tuple[Sequence[Record], list[InstanceBatch], GroupUsage]:
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
        self._calls = _Calls()
        self._clock: Future[float] = Future()
        self._peers: Future[list[Peer]] = Future()
        self._usage: Future[GroupUsage] = Future()
        self._records_came = threading.Event()
        self._crash: Exception | None = None
        self._sending = threading.Lock()
        self._channel: Connection | None = None
        self._stop_by: float | None = None
        key = secrets.token_bytes(32)
        self._listener = Listener(("127.0.0.1", 0), authkey=key)
        self._address = self._listener.address  # once it is closed it says no longer
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simlab.lab.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            process_group=0,  # signals that are meant for all of us are the parent's to handle
        )
        self._attending = threading.Thread(target=self._attend, args=(plan,), daemon=True, name="+".join(plan.nodes))
        self._attending.start()
        threading.Thread(target=self._watch, daemon=True, name="watch").start()
        where = json.dumps({"host_port": self._address, "key": key.hex()})
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:  # if it is gone, _watch says so
            pipe.write(where.encode() + b"\n")

    @property
    def _name(self) -> str:
        return ", ".join(self.nodes)

    # ---- channel

    def _attend(self, plan: GroupPlan) -> None:
        """Take in what the worker says, until it says no more."""
        try:
            with self._listener:
                channel = without_nagle(self._listener.accept())
            with channel:
                channel.send(plan)
                self._channel = channel
                while True:
                    self._hear(*channel.recv())
        except (EOFError, OSError, AuthenticationError):
            if self._usage.done():
                self._calls.close(GroupError(f"the group of {self._name} has stopped"))
            else:
                self._fail(GroupError(f"the process of {self._name} ended unexpectedly"))

    def _watch(self) -> None:
        """A worker that dies before it connects would be waited for in vain: connect in its place, and say nothing."""
        code = self._process.wait()
        if self._channel is None:
            self._fail(GroupError(f"the process of {self._name} did not start (exit code {code})"))
            with contextlib.suppress(OSError):
                socket.create_connection(self._address).close()

    def _hear(self, message: str, *values: Any) -> None:
        if message == "listening":
            _settle(self._peers, *values)
        elif message == "mistake":
            self._fail(UserError(*values))
        elif message == "clock":
            _settle(self._clock, *values)
        elif message == "outcome":
            self._calls.answer(*values)
        elif message == "records":
            records, batches = values
            for record in records:
                self._recorder.add(record)
            for batch in batches:
                self._recorder.add_instances(batch)
            self._records_came.set()
        elif message == "stopped":
            _settle(self._usage, *values)
        elif message == "crashed":
            (trace,) = values
            self._fail(GroupError(f"the group of {self._name} crashed:\n{trace}"))

    def _fail(self, error: Exception) -> None:
        """Let everybody who waits for this group know that it is gone."""
        self._crash = self._crash or error
        _fail(self._peers, self._crash)
        _fail(self._clock, self._crash)
        _fail(self._usage, self._crash)
        self._calls.close(self._crash)
        self._records_came.set()

    def _tell(self, *message: Any) -> None:
        with self._sending, contextlib.suppress(OSError):
            if self._channel is not None:
                self._channel.send(message)

    # ---- hold

    def listen(self) -> list[Peer]:
        """Wait until the services are up."""
        return _within(self._peers, START_TIMEOUT, f"{self._name} did not start")

    def meet(self, peers: Sequence[Peer], ways: Ways) -> None:
        """Tell the group where everybody is, and which ways lead over links."""
        self._tell("meet", list(peers), dict(ways))

    def run(self, origin: float) -> None:
        """Let the workflows go, after finding out how the worker's clock relates to ours.

        The quickest of some answers tells it best (Cristian, "Probabilistic clock synchronization", Distributed
        Computing 3:146, 1989): the clock was read while the question was on its way.
        """
        asked = [self._ask_for_clock() for _ in range(CLOCK_QUESTIONS)]
        _, ahead = min(asked)
        self._tell("run", origin + ahead)

    def _ask_for_clock(self) -> tuple[float, float]:
        """The seconds that the answer took, and by how many the worker's clock is ahead of ours."""
        self._clock = Future()
        if self._crash is not None:  # nobody would let this one fail
            raise self._crash
        asked = time.perf_counter()
        self._tell("clock")
        theirs = _within(self._clock, START_TIMEOUT, f"{self._name} did not answer")
        answered = time.perf_counter()
        return answered - asked, theirs - (asked + answered) / 2

    def call(self, operation: str, *arguments: Any, **keywords: Any) -> Future[Outcome]:
        """Start an operation of the group's network."""
        number, future = self._calls.open()
        self._tell("call", number, operation, arguments, keywords)
        return future

    def drain(self) -> tuple[Sequence[Record], list[InstanceBatch]]:
        """Records since the last call."""
        self._records_came.clear()
        self._tell("drain")
        if self._crash is None and not self._records_came.wait(ANSWER_TIMEOUT):
            raise GroupError(f"{self._name} did not answer within {ANSWER_TIMEOUT:g} s")
        if self._crash is not None:
            raise self._crash
        return self._recorder.drain()

    def end_faults(self) -> None:
        """Let no node do wrong any more, at the latest when the group is drained next."""
        self._tell("end faults")

    def ask_to_stop(self) -> None:
        """Tell the worker; one that is not up, or no longer, has nothing to say and is killed."""
        if self._stop_by is None:
            self._stop_by = time.perf_counter() + STOP_TIMEOUT
            if self._peers.done() and self._crash is None:
                self._tell("stop")
            else:
                self._process.kill()

    def stop(self) -> tuple[Sequence[Record], list[InstanceBatch], GroupUsage]:
        """Stop within a bound; a group that does not is killed."""
        self.ask_to_stop()
        usage = GroupUsage(0.0, 0.0)
        patience = max(0.0, (self._stop_by or 0.0) - time.perf_counter())
        with contextlib.suppress(GroupError, UserError, subprocess.TimeoutExpired):
            usage = _within(self._usage, patience, f"{self._name} did not stop")
            self._process.wait(EXIT_TIMEOUT)
        self._process.kill()
        self._process.wait()
        self._attending.join(EXIT_TIMEOUT)
        return *self._recorder.drain(), usage


def _settle(future: Future[T], value: T) -> None:
    """Give a future its value, unless it has failed already."""
    with contextlib.suppress(InvalidStateError):
        future.set_result(value)


def _fail(future: Future[Any], error: BaseException) -> None:
    """Let a future fail, unless it has its value already."""
    with contextlib.suppress(InvalidStateError):
        future.set_exception(error)


def _within(future: Future[T], timeout: float, otherwise: str) -> T:
    try:
        return future.result(timeout)
    except TimeoutError:
        raise GroupError(f"{otherwise} within {timeout:g} s") from None
