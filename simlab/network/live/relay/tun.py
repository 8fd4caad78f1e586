"""A link of packets: two network namespaces, joined by a bridge in user space, in which the kernel's own TCP runs.

Optional: it needs Linux, root, ``/dev/net/tun`` and the program ``ip``. Slow start, congestion control and recovery
from loss are the kernel's, so that this is also what the relay of streams is held against. Delay, bandwidth, loss and a
drop-tail queue are the bridge's, for each direction and each packet.

The bridge is a process of its own: ``python -m simlab.network.live.relay.tun SETTINGS``, where
``SETTINGS`` is ``{"link": as of LinkSettings.as_json(), "segments": 0}``. It says
``{"namespaces": [...], "addresses": [...]}`` once it carries packets, takes a line of JSON at a time
(``{"settings": SETTINGS}``, ``{"down": true}``, or ``{"report": true}``, which also begins the next report) and answers
each with one. It ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from types import TracebackType
from typing import Any, Self

from simlab.network.link.settings import LinkSettings
from simlab.network.live.relay.namespaces import NAMESPACES

ADDRESSES = ("10.99.83.1", "10.99.83.2")
"""Of the two ends. Every bridge has the same: its namespaces see nothing else."""

DEVICE = Path("/dev/net/tun")

START_BOUND, ANSWER_BOUND, STOP_BOUND = 20.0, 5.0, 5.0
"""Seconds."""

LATE = 0.5e-3
"""Seconds: a bridge that delivers more than one packet in ten later than this has not kept up."""

CONGESTIONS = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")

_OURS = re.compile(r"simlab-(?P<pid>\d+)-[ab]")


class TunUnavailableError(Exception):
    """There can be no bridge here; the message is one line that says why."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What one direction has carried since the last report."""

    packets: int
    bytes: int
    """Of whole packets."""
    dropped: int
    """Packets that found the queue full."""
    lost: int
    """Packets lost at random."""
    queued: int
    """The most bytes that waited for the line."""
    late_p50: float
    """Seconds by which packets were delivered too late: half of them by less than this, and so on."""
    late_p90: float
    late_p99: float


@dataclass(frozen=True, slots=True)
class TunReport:
    """What a bridge has done since the last report."""

    forth: Carried
    """From the first namespace to the second."""
    back: Carried
    seconds: float
    busy: float
    """Share of them in which the bridge was at work."""
    overrun: int
    """Packets that the kernel threw away because the bridge did not read them in time."""

    @property
    def kept_up(self) -> bool:
        """Whether it was in time: what a bridge that is late has shown is not worth anything."""
        return max(self.forth.late_p90, self.back.late_p90) <= LATE and not self.overrun

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What :func:`dataclasses.asdict` has taken apart."""
        return cls(**{**values, "forth": Carried(**values["forth"]), "back": Carried(**values["back"])})


def missing() -> str | None:
    """Why there can be no bridge here, in one line; None if there can."""
    if sys.platform != "linux":
        return "a bridge of packets (backend: tun) needs Linux"
    if os.geteuid() != 0:
        return "a bridge of packets (backend: tun) needs root"
    if not DEVICE.exists():
        return f"a bridge of packets (backend: tun) needs {DEVICE}; try: modprobe tun"
    if shutil.which("ip") is None:
        return "a bridge of packets (backend: tun) needs the program ip (package iproute2)"
    return None


def unable(settings: LinkSettings) -> str | None:
    """Why a bridge cannot be such a link, in one line; None if it can."""
    kernel = CONGESTIONS.read_text(encoding="ascii").split()
    if settings.congestion not in kernel:
        return f"congestion {settings.congestion}: with backend: tun it is the kernel's, one of {', '.join(kernel)}"
    if settings.outages:
        return "outages: a bridge of packets schedules none; expected a link over it to do so"
    return None


def sweep() -> list[str]:
    """Remove namespaces whose bridge is gone, however it ended; their names."""
    stale = [
        path.name
        for path in (NAMESPACES.iterdir() if NAMESPACES.is_dir() else ())
        if (match := _OURS.fullmatch(path.name)) and not _is_bridge(int(match["pid"]))
    ]
    remove(stale)
    return stale


def remove(namespaces: Sequence[str]) -> None:
    """Remove namespaces, those that are there."""
    for name in namespaces:
        if (NAMESPACES / name).exists():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True, timeout=STOP_BOUND)  # noqa: S603, S607


def _is_bridge(pid: int) -> bool:
    """Whether a process is a bridge; numbers of processes come again."""
    try:
        return b"simlab.network.live.relay.tun" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@dataclass
class TunBridge:
    """A bridge that is up for as long as the block lasts."""

    settings: LinkSettings = field(default_factory=LinkSettings)
    segments: int = 0
    """Packets that the kernel may hand over and be handed at once, as a network card does (TSO, GRO). 0 chooses: one,
    but four where the bandwidth asks for it and no packet is to be lost for itself."""
    namespaces: tuple[str, str] = field(init=False, default=("", ""))
    addresses: tuple[str, str] = field(init=False, default=ADDRESSES)

    def __enter__(self) -> Self:
        """Raise TunUnavailableError where there can be no bridge, or none of such a link."""
        if (reason := missing() or unable(self.settings)) is not None:
            raise TunUnavailableError(reason)
        sweep()
        self._inside: list[subprocess.Popen[Any]] = []
        self._said: Queue[str] = Queue()
        self._process = subprocess.Popen(  # noqa: S603 -- our own module
            [sys.executable, "-m", "simlab.network.live.relay.tun", self._settings_as_json(self.settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,  # Ctrl-C is the parent's to handle
        )
        first, second = (f"simlab-{self._process.pid}-{end}" for end in "ab")
        self.namespaces = first, second
        self._listening = threading.Thread(target=self._listen, name="tun bridge", daemon=True)
        self._listening.start()
        try:
            self._hear(START_BOUND)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._inside:
            if process.poll() is None:
                process.terminate()
        for process in self._inside:
            _end(process)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        _end(self._process)
        self._listening.join(STOP_BOUND)
        self._process.stdout.close()
        remove(self.namespaces)

    def run_in(self, namespace: str, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program in one of the namespaces; it ends with the bridge. ``options`` are those of Popen."""
        process = subprocess.Popen(["ip", "netns", "exec", namespace, *command], **options)  # noqa: S603, S607
        self._inside.append(process)
        return process

    def change(self, settings: LinkSettings) -> None:
        """Go on with other settings; what is on its way arrives as it would have. Raises TunUnavailableError."""
        if (reason := unable(settings)) is not None:
            raise TunUnavailableError(reason)
        self._ask(f'{{"settings": {self._settings_as_json(settings)}}}')
        self.settings = settings

    def plug(self, *, down: bool) -> None:
        """Lose everything, both ways, what is on its way included; or stop that. Raises TunUnavailableError."""
        self._ask(json.dumps({"down": down}))

    def report(self, *, begin: bool = True) -> TunReport:
        """What has been carried since this report began; ``begin`` the next one. Raises TunUnavailableError."""
        return TunReport.from_json(self._ask(json.dumps({"report": begin})))

    @property
    def alive(self) -> bool:
        """Whether it carries packets at all."""
        return self._process.poll() is None

    def _settings_as_json(self, settings: LinkSettings) -> str:
        return json.dumps({"link": settings.as_json(), "segments": self.segments})

    def _ask(self, request: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        return self._hear(ANSWER_BOUND)

    def _hear(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._said.get(timeout=seconds)
        except Empty:
            raise TunUnavailableError(f"the bridge of packets said nothing within {seconds:g} s") from None
        if not line:
            self._said.put("")
            raise TunUnavailableError("the bridge of packets has ended; see above")
        answer: dict[str, Any] = json.loads(line)
        if "trouble" in answer:
            raise TunUnavailableError(answer["trouble"])
        return answer

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line)
        self._said.put("")


def _end(process: subprocess.Popen[Any]) -> None:
    """Wait for a process that has been told to end; kill it if it does not."""
    try:
        process.wait(STOP_BOUND)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> int:
    """Be a bridge: see the top."""
    if (reason := missing()) is not None:
        print(json.dumps({"trouble": reason}), flush=True)
        return 2
    try:
        told = json.loads(sys.argv[1])
        settings = LinkSettings.of_json(told["link"])
        segments = int(told["segments"])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        print(json.dumps({"trouble": f"settings of a bridge: {error}; expected link and segments as JSON"}), flush=True)
        return 2
    from simlab.network.live.relay.tun_bridge import Bridge  # noqa: PLC0415 -- can only be imported on Linux

    try:
        with Bridge(settings, segments) as bridge:
            print(json.dumps({"namespaces": bridge.names, "addresses": ADDRESSES}), flush=True)
            bridge.run()
    except (OSError, subprocess.SubprocessError) as error:
        print(json.dumps({"trouble": f"a bridge of packets: {error}"}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
