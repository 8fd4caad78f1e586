"""Ways from simlab's sender to simlab's receiver: over a bridge of packets, through the relay, or straight.

Sender and receiver are the same programs on every way, and stay up from one cell to the next.
"""

from __future__ import annotations

import json
import math
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Protocol, Self

from benchmarks.peers import LOOPBACK, SIMLAB, STOP_BOUND, FailedError, UnavailableError, free_ports, start, stop
from simlab.network.link.settings import LinkSettings
from simlab.network.live.relay.tun import TunBridge, TunUnavailableError
from simlab.units import BANDWIDTH, DURATION

START_BOUND = 60.0
TRANSFER_BOUND = 300.0
"""Seconds."""

PYTHON = sys.executable
EVERYWHERE = "0.0.0.0"
STANDARD_ERROR = 2


@dataclass(frozen=True)
class Transfer:
    """A study that was sent. Seconds, and bytes."""

    study: float
    """From the first connection to the last association's release."""
    latencies: tuple[float, ...] = field(repr=False)
    """Of each instance, from its request to its response."""
    bytes: int
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the link had to say."""

    @property
    def p50(self) -> float:
        """The median instance's latency."""
        return median(self.latencies)

    @property
    def outside(self) -> float:
        """Seconds spent on anything but instances; of one association."""
        return self.study - sum(self.latencies)


class Lines:
    """A program that is told a line at a time, and says one."""

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        self._process = process
        self._name = name
        self._said: queue.Queue[bytes] = queue.Queue()
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line)
        self._said.put(b"")

    def close(self) -> None:
        """Say no more, which ends it, and close what is between us."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        self._listening.join(STOP_BOUND)
        self._process.stdout.close()

    def ask(self, question: str) -> str:
        """Tell it something; what it answers. Raises FailedError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question.encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise FailedError(f"{self._name} has ended: {error}") from error
        return self.hear(TRANSFER_BOUND)

    def ask_json(self, question: str) -> dict[str, Any]:
        """The same, with an answer in JSON. Raises FailedError."""
        answer: dict[str, Any] = json.loads(self.ask(question))
        return answer

    def hear(self, seconds: float = START_BOUND) -> str:
        """What it says next. Raises FailedError."""
        try:
            line = self._said.get(timeout=seconds)
        except queue.Empty:
            raise FailedError(f"{self._name} said nothing within {seconds:g} s") from None
        if not line:
            raise FailedError(f"{self._name} has ended")
        return line.decode().strip()


class Route(Protocol):
    """A way that can be set to be like a link."""

    name: str

    def change(self, settings: LinkSettings) -> None:
        """Be like this link from now on."""

    def transfer(self, template: Path, count: int, associations: int = 1) -> Transfer:
        """Send so many instances. Raises FailedError."""


class _Ends:
    """A sender and a receiver that stay up."""

    def __init__(self, sender: Lines, host: str) -> None:
        self._sender = sender
        self._host = host

    def send(self, port: int, template: Path, count: int, associations: int, interval: float = 0.0) -> dict[str, Any]:
        job = {"template": str(template), "host": self._host, "port": port, "count": count, "interval": interval}
        said = self._sender.ask_json(json.dumps({**job, "associations": associations}))
        if said["trouble"]:
            raise FailedError(said["trouble"])
        return said


def _as_transfer(said: Mapping[str, Any], notes: Mapping[str, Any]) -> Transfer:
    return Transfer(said["seconds"], tuple(said["latencies"]), said["bytes"], notes)


class TunRoute:
    """The kernel's TCP, over a bridge of packets."""

    name = "TUN"

    def __init__(self, bridge: TunBridge, ends: _Ends, port: int) -> None:
        self._bridge = bridge
        self._ends = ends
        self._port = port

    @classmethod
    @contextmanager
    def up(cls, folder: Path) -> Iterator[Self]:
        """Bring it up, with what comes in passing through ``folder``. Raises UnavailableError."""
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        try:
            with TunBridge() as bridge, ExitStack() as stack:
                near, far = bridge.namespaces
                host = bridge.addresses[1]
                command = [PYTHON, "-m", "benchmarks.link_receiver"]
                receiver = Lines(bridge.run_in(far, [*command, EVERYWHERE, str(folder)], **pipes), "receiver")
                stack.callback(receiver.close)
                port = int(receiver.hear())
                sender = Lines(bridge.run_in(near, [PYTHON, "-m", "benchmarks.link_sender"], **pipes), "sender")
                stack.callback(sender.close)
                yield cls(bridge, _Ends(sender, host), port)
        except TunUnavailableError as error:
            raise UnavailableError(str(error)) from error

    def change(self, settings: LinkSettings) -> None:
        """See Route."""
        self._bridge.change(settings)

    def transfer(self, template: Path, count: int, associations: int = 1) -> Transfer:
        """See Route."""
        self._bridge.report()
        said = self._ends.send(self._port, template, count, associations)
        report = self._bridge.report()
        notes = {
            "dropped": report.forth.dropped + report.back.dropped,
            "lost": report.forth.lost + report.back.lost,
            "queued": report.forth.queued,
            "late_p90": max(report.forth.late_p90, report.back.late_p90),
            "late_p99": max(report.forth.late_p99, report.back.late_p99),
            "busy": report.busy,
            "kept_up": report.kept_up,
        }
        return _as_transfer(said, notes)


class DirectRoute:
    """No link at all."""

    name = "direct"

    def __init__(self, ends: _Ends, port: int) -> None:
        self._ends = ends
        self._port = port

    @classmethod
    @contextmanager
    def up(cls, folder: Path) -> Iterator[Self]:
        """Bring it up."""
        with ExitStack() as stack:
            receiver = stack.enter_context(program("-m", "benchmarks.link_receiver", LOOPBACK, str(folder)))
            port = int(receiver.hear())
            sender = stack.enter_context(program("-m", "benchmarks.link_sender"))
            yield cls(_Ends(sender, LOOPBACK), port)

    def change(self, settings: LinkSettings) -> None:
        """See Route; this one cannot be any link."""

    def transfer(self, template: Path, count: int, associations: int = 1, interval: float = 0.0) -> Transfer:
        """See Route. ``interval``: seconds from one instance to the next, at least; 0 as fast as may be."""
        return _as_transfer(self._ends.send(self._port, template, count, associations, interval), {})


class RelayRoute(DirectRoute):
    """The relay, as ``simlab link``; a new one for each link."""

    name = "relay"

    def __init__(self, ends: _Ends, port: int) -> None:
        super().__init__(ends, port)
        self._target = port
        self._relay = ExitStack()

    @classmethod
    @contextmanager
    def up(cls, folder: Path) -> Iterator[Self]:
        """Bring it up."""
        with super().up(folder) as route, route._relay:  # noqa: SLF001 -- our own
            yield route

    def change(self, settings: LinkSettings) -> None:
        """See Route."""
        self._relay.close()
        self._port = self._relay.enter_context(relay(self._target, settings))


@contextmanager
def relay(target: int, settings: LinkSettings) -> Iterator[int]:
    """``simlab link`` before a port of the loopback interface; the port that leads there. Raises FailedError."""
    [port] = free_ports(1)
    command = [*SIMLAB, "link", f"{LOOPBACK}:{port}", "--to", f"{LOOPBACK}:{target}", *options(settings)]
    with _running(command) as said:
        said.hear()
        yield port


def options(settings: LinkSettings) -> list[str]:
    """What ``simlab link`` is told of a link that is alike both ways."""
    one = settings.forth
    given = {
        "--latency": DURATION.exact(one.latency),
        "--bandwidth": None if math.isinf(one.bandwidth) else BANDWIDTH.exact(one.bandwidth),
        "--loss": f"{one.loss * 100:.12g} %" if one.loss else None,
        "--queue": None if one.queue is None else f"{one.queue} B",
        "--window": f"{settings.window} B",
        "--congestion": settings.congestion,
        "--seed": f"{settings.seed}",
    }
    return [word for name, value in given.items() if value is not None for word in (name, value)]


@contextmanager
def program(*words: str) -> Iterator[Lines]:
    """A program of ours in Python that is spoken to."""
    with _running([PYTHON, *words]) as lines:
        yield lines


@contextmanager
def _running(command: list[str]) -> Iterator[Lines]:
    process = start(command, subprocess.PIPE, stdin=subprocess.PIPE, errors=STANDARD_ERROR)
    lines = Lines(process, " ".join(command[1:4]))
    try:
        yield lines
    finally:
        stop(process)
        lines.close()
