"""The process behind :mod:`simlab.network.live.relay.tun`: two TUN devices in two namespaces, and packets in between.

Linux only. One loop reads packets from either device, gives each its time, and writes it into the other when that has
come. The kernel runs TCP's receiving side inside that write, so that most of the loop's time is the kernel's.
"""

from __future__ import annotations

import gc
import json
import math
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections import deque
from contextlib import ExitStack, suppress
from dataclasses import asdict
from fcntl import ioctl
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, NoReturn, Self

from simlab.network.link.settings import Direction, LinkSettings
from simlab.network.live.relay.namespaces import inside
from simlab.network.live.relay.promptness import be_prompt
from simlab.network.live.relay.tun import ADDRESSES, DEVICE, Carried, TunReport, remove

MTU = 1500
NAME = "wan0"
_NETWORK = f"{ADDRESSES[0].rpartition('.')[0]}.0/24"

# <linux/if_tun.h>
_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
_TUN_F_CSUM, _TUN_F_TSO4 = 0x01, 0x02

_VNET = struct.Struct("<BBHHHH")
"""Flags, kind of segmentation, and lengths in bytes: of all headers, of a segment; where the checksum is
(``struct virtio_net_hdr``)."""
_LONGEST = 65536 + _VNET.size

_TRANSMIT_QUEUE = 10_000
"""Packets that the kernel keeps for the bridge: more than any window."""

_BATCH = 32
"""Packets read before those that are due are written."""

_FAST = 200e6 / 8
"""Bytes per second above which packets are handed over four at a time."""

_STEP = 10e-6
"""Seconds: the resolution of lateness in reports."""
_STEPS = 2000

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Way:
    """Packets from one device to the other: one line, on which each waits for those before it."""

    def __init__(self, source: int, sink: int, direction: Direction, queue: float, draws: Random) -> None:
        self.source = source
        self.sink = sink
        self.waiting: deque[tuple[float, bytes]] = deque()
        """Packets with the time at which each is due; times only grow."""
        self._free = 0.0
        """When the line has sent all that was given to it."""
        self._last = 0.0
        self._down = False
        self.change(direction, queue, draws)
        self.clear()

    def change(self, direction: Direction, queue: float, draws: Random) -> None:
        """Go on with other settings."""
        self._latency = direction.latency
        self._jitter = direction.jitter
        self._seconds = 1 / direction.bandwidth
        self._patience = math.inf if math.isinf(queue) else queue * self._seconds
        self._loss = direction.loss
        self._draw = draws.random

    def plug(self, *, down: bool) -> None:
        """Lose everything from now on, and what is on its way; or stop that."""
        self._down = down
        if down:
            self.lost += len(self.waiting)
            self.waiting.clear()

    def clear(self) -> None:
        """Begin a report."""
        self.packets = self.bytes = self.dropped = self.lost = 0
        self.late = [0] * (_STEPS + 1)
        self._longest = 0.0

    def read(self, now: float) -> int:
        """Take what the device has, up to a batch; how many packets that were."""
        waiting, source, seconds, loss = self.waiting, self.source, self._seconds, 1.0 if self._down else self._loss
        for number in range(_BATCH):
            try:
                packet = os.read(source, _LONGEST)
            except BlockingIOError:
                return number
            size, segments = len(packet) - _VNET.size, 1
            if packet[1]:
                _, _, headers, segment, _, _ = _VNET.unpack_from(packet)
                segments = -(-(size - headers) // segment)
                size += (segments - 1) * headers
            if loss and self._draw() < loss:
                self.lost += segments
                continue
            free = max(self._free, now)
            if free - now > self._patience:
                self.dropped += segments
                continue
            self._longest = max(self._longest, free - now)
            self._free = free = free + size * seconds
            self.packets += segments
            self.bytes += size
            due = free + self._latency
            if self._jitter:
                due += self._jitter * self._draw()
            self._last = max(due, self._last)  # nothing overtakes
            waiting.append((self._last, packet))
        return _BATCH

    def deliver(self, now: float) -> None:
        """Write what is due."""
        waiting, sink, late = self.waiting, self.sink, self.late
        while waiting and (due := waiting[0][0]) <= now:
            packet = waiting.popleft()[1]
            late[min(int((now - due) / _STEP), _STEPS)] += 1
            with suppress(OSError):  # the device is full or down: lost, as on any wire
                os.write(sink, packet)
            now = time.monotonic()

    def carried(self) -> Carried:
        """What has been carried since the last :meth:`clear`."""
        queued = round(self._longest / self._seconds) if self._seconds else 0
        late = [self._quantile(share) for share in (0.5, 0.9, 0.99)]
        return Carried(self.packets, self.bytes, self.dropped, self.lost, queued, *late)

    def _quantile(self, share: float) -> float:
        rest = share * sum(self.late)
        for step, count in enumerate(self.late):
            rest -= count
            if rest <= 0:
                return step * _STEP
        return _STEPS * _STEP


class Bridge:
    """Two namespaces, a device in each, and the directions between them. They go away with the block."""

    def __init__(self, settings: LinkSettings, segments: int) -> None:
        self.settings = settings
        self._segments = segments
        self.names = [f"simlab-{os.getpid()}-{end}" for end in "ab"]
        self._stack = ExitStack()
        self._devices: list[int] = []
        self._ways: list[Way] = []
        self._heard = b""
        self._configured: tuple[int, str, int] | None = None

    def __enter__(self) -> Self:
        for number in _ENDING:
            signal.signal(number, _stop)
        self._stack.callback(remove, self.names)
        try:
            for name, address in zip(self.names, ADDRESSES, strict=True):
                _ip("netns", "add", name)
                self._devices.append(_make_device(name))
                self._stack.callback(os.close, self._devices[-1])
                _ip("-n", name, "address", "add", f"{address}/24", "dev", NAME, "noprefixroute")
                _ip("-n", name, "link", "set", "lo", "up")
                _ip("-n", name, "link", "set", NAME, "mtu", f"{MTU}", "txqueuelen", f"{_TRANSMIT_QUEUE}", "up")
        except BaseException:
            self._stack.close()
            raise
        first, second = self._devices
        forth, back = self._plans()
        self._ways = [Way(first, second, *forth), Way(second, first, *back)]
        self._configure()
        be_prompt()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)  # we are at it
        self._stack.close()

    def run(self) -> None:
        """Carry packets until told to end, or until standard input does."""
        clock, ways = time.monotonic, self._ways
        watched = [*self._devices, sys.stdin.fileno()]
        sources = {way.source: way for way in ways}
        self._begin_report()
        gc.disable()  # nothing refers to itself here
        while True:
            began = clock()
            for way in ways:
                if way.waiting:
                    way.deliver(clock())
            due = min((one.waiting[0][0] for one in ways if one.waiting), default=began + 1.0)
            now = clock()
            self._busy += now - began
            ready = select.select(watched, (), (), max(0.0, due - now))[0]
            began = clock()
            for source in ready:
                if source in sources:
                    sources[source].read(began)
                elif not self._heed():
                    return
            self._busy += clock() - began

    # ---- what the parent says

    def _heed(self) -> bool:
        """Do what the parent asks; False once it is gone."""
        read = os.read(sys.stdin.fileno(), 65536)
        self._heard += read
        *lines, self._heard = self._heard.split(b"\n")
        for line in lines:
            request = json.loads(line)
            if "settings" in request:
                self.settings = LinkSettings.of_json(request["settings"]["link"])
                self._segments = request["settings"]["segments"]
                for way, plan in zip(self._ways, self._plans(), strict=True):
                    way.change(*plan)
                try:
                    self._configure()
                except OSError as error:
                    _say({"trouble": f"a bridge of packets: {error}"})
                else:
                    _say({})
            elif "down" in request:
                for way in self._ways:
                    way.plug(down=request["down"])
                _say({})
            else:
                report = asdict(self._report())
                if request["report"]:
                    self._begin_report()
                _say(report)
        return bool(read)

    def _plans(self) -> list[tuple[Direction, float, Random]]:
        """How each direction is, how much it queues, and where its draws come from: packets have no names to key."""
        settings = self.settings
        return [
            (direction, settings.queue(direction), Random(f"{settings.seed} {way}"))
            for way, direction in (("forth", settings.forth), ("back", settings.back))
        ]

    def _report(self) -> TunReport:
        overrun = sum(map(_overrun, self.names))
        seconds = time.monotonic() - self._began
        forth, back = (way.carried() for way in self._ways)
        return TunReport(forth, back, seconds, self._busy / seconds, overrun - self._overrun)

    def _begin_report(self) -> None:
        self._began, self._busy = time.monotonic(), 0.0
        self._overrun = sum(map(_overrun, self.names))
        for way in self._ways:
            way.clear()

    # ---- namespaces

    def _configure(self) -> None:
        """Set the kernel's TCP: what it has learnt from one connection must not help the next."""
        settings = self.settings
        segments = self._segments or (4 if self._is_fast() else 1)
        if (wanted := (settings.window, settings.congestion, segments)) == self._configured:
            return  # packets wait while this is done
        self._configured = None
        room = 2 * settings.window  # the kernel counts what it needs for itself, about as much
        # Buffers are as large from the start. Linux would enlarge a sender's only once it is full, and a receiver's
        # once a round trip: an instance or two would take a round trip longer, which is neither link's nor window's.
        sending = max(room, 256 * 1024)
        values = {
            "ipv4/tcp_no_metrics_save": "1",
            "ipv4/tcp_rmem": f"4096 {room} {room}",
            "ipv4/tcp_wmem": f"4096 {sending} {sending}",
        }
        for name, address in zip(self.names, ADDRESSES, strict=True):
            with inside(name):
                for key, value in values.items():
                    Path("/proc/sys/net", key).write_text(value)
            _ip("-n", name, "link", "set", NAME, "gso_max_segs", f"{segments}")
            # By the route, since a namespace's default may only be one that the machine allows to everybody.
            _ip("-n", name, "route", "replace", _NETWORK, "dev", NAME, "src", address, "congctl", settings.congestion)
        self._configured = wanted

    def _is_fast(self) -> bool:
        directions = self.settings.forth, self.settings.back
        return all(not one.loss for one in directions) and any(one.bandwidth > _FAST for one in directions)


def _stop(*_: object) -> NoReturn:
    """End in good order. Python would wait on in ``select`` if this returned."""
    raise SystemExit(0)


def _say(what: Any) -> None:
    print(json.dumps(what), flush=True)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)  # noqa: S603, S607
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip() or f'exit code {done.returncode}'}")


def _make_device(namespace: str) -> int:
    """A TUN device in a namespace: packets with what the kernel would tell a network card of them, checksums undone."""
    with inside(namespace):
        device = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        ioctl(device, _TUNSETIFF, struct.pack("16sH22x", NAME.encode(), _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR))
        ioctl(device, _TUNSETOFFLOAD, _TUN_F_CSUM | _TUN_F_TSO4)
        with suppress(OSError):  # a kernel without IPv6
            Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
    return device


def _overrun(namespace: str) -> int:
    """Packets that a device had no room for (``/proc/net/dev``, the twelfth number)."""
    with inside(namespace):
        for line in Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines():
            name, _, numbers = line.partition(":")
            if name.strip() == NAME:
                return int(numbers.split()[11])
    return 0
