"""A link whose TCP is the kernel's: connections cross two network namespaces and the bridge of packets between them.

AEs stay where they are. At the caller's site, what it sends goes into a connection over the bridge; at the other site,
out of that into a connection to whom it calls::

    caller -> half -> namespace ==bridge==> namespace -> half -> called

A half shapes nothing. It passes on bytes, the end, a reset, and back-pressure: its outer socket buffers little, and its
inner one is as large as the kernel's TCP makes it, with the link's window as its limit.
"""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from simlab.network.link.link import Link
from simlab.network.link.settings import LinkSettings
from simlab.network.live.relay.connection import BUFFER, Relayed, prepare
from simlab.network.live.relay.loop import Loop
from simlab.network.live.relay.namespaces import inside
from simlab.network.live.relay.tun import Carried, TunBridge, TunReport, TunUnavailableError

CONNECT_BOUND = 150.0
"""Seconds within which the kernel has given up connecting over the bridge (tcp_syn_retries: 127 s)."""

BEAT = 0.02
"""Seconds between two looks whether the bridge is there. How late they are tells how late the halves are."""

_SO_RCVBUFFORCE = 33  # <asm-generic/socket.h>

_RECOVERIES = ("TCPSackRecovery", "TCPRenoRecovery", "TCPTimeouts")
"""What makes a sender reduce its window (``/proc/net/netstat``)."""


class Counted(NamedTuple):
    """What one line has carried so far."""

    bytes: int = 0
    """Of whole packets."""
    dropped: int = 0
    """Packets that the queue had no room for, or that were lost."""
    busy: float = 0.0
    """Seconds of line time."""

    def and_then(self, carried: Carried, bandwidth: float) -> Counted:
        """With what it has carried since, at this bandwidth."""
        return Counted(
            self.bytes + carried.bytes,
            self.dropped + carried.dropped + carried.lost,
            self.busy + carried.bytes / bandwidth,
        )


class TunLink(Link):
    """A link over a bridge of packets. Its own lanes carry nothing; those of its two sites do, at no cost.

    ``sites[n].forth`` leads from site n onto the bridge, and ``sites[n].back`` comes from there.
    """

    def __init__(self, loop: Loop, name: str, settings: LinkSettings) -> None:
        """Bring the bridge up. Raises TunUnavailableError."""
        super().__init__(loop, name, settings)
        self.loop = loop
        at_no_cost = LinkSettings(window=BUFFER)
        self.sites = Link(loop, name, at_no_cost), Link(loop, name, at_no_cost)
        self._stack = ExitStack()
        self._bridge = self._stack.enter_context(TunBridge(_of_a_bridge(settings)))
        self._closed = False
        self._unplugged = False
        self._listeners: list[socket.socket] = []
        self._before = Counted(), Counted()
        """Up to the last change, which began another of the bridge's reports."""
        self._kept_up = True
        self._beat()

    @property
    def clear(self) -> bool:
        """It always costs something."""
        return False

    # ---- connections

    def listen(self, site: int) -> socket.socket:
        """Return a socket that listens at the bridge's end in a site. Raises OSError."""
        with inside(self._bridge.namespaces[site]):
            listener = socket.create_server((self._bridge.addresses[site], 0), backlog=1024)
        self._limit(listener)
        self._listeners.append(listener)
        return listener

    def open(self, site: int, family: socket.AddressFamily) -> socket.socket:
        """Return a socket to call from a site over the bridge. Raises OSError."""
        with inside(self._bridge.namespaces[site]):
            sock = socket.socket(family, socket.SOCK_STREAM)
        self._limit(sock)
        return sock

    def _limit(self, sock: socket.socket, *, resized: bool = False) -> None:
        """Have a receiver offer the link's window and no more; what a listener takes in inherits that.

        A new socket has room for it already, one from before the window was changed has not.
        """
        if resized:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, self.settings.window)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, self.settings.window)

    def take(self, site: int, far: Any, sock: socket.socket) -> None:
        """Lead the connection of a caller at a site onto the bridge, to who listens at its ``far`` end."""
        _Near(self, site, sock, (socket.AF_INET, far))

    def give(self, site: int, target: Any, sock: socket.socket) -> None:
        """Lead a connection from the bridge to whom it calls at a site."""
        _Far(self.loop, self.sites[site], sock, target, reverse=True)

    # ---- changes

    def change(self, changes: Mapping[str, Any]) -> None:
        """Change settings. Raises ValueError, or TunUnavailableError for what a bridge cannot be."""
        settings = self.settings.changed(changes)
        report = self._bridge.report()
        self._before, self._kept_up = self._so_far(report), self._kept_up and report.kept_up
        self._bridge.change(_of_a_bridge(settings))
        resized = settings.window != self.settings.window
        super().change(changes)
        for listener in self._listeners if resized else ():
            self._limit(listener, resized=True)

    def interrupt(self, how: str, duration: float) -> None:
        """Begin an outage now. Raises ValueError for one of an unknown kind."""
        super().interrupt(how, duration)
        if how == "reset":
            for site in self.sites:
                for connection in list(site.connections):
                    connection.reset()
        self._plug()
        if how == "stall" and math.isfinite(duration):
            self.loop.at(self.loop.now() + duration, self._plug)

    def up(self) -> None:
        """End any outage."""
        super().up()
        self._plug()

    def _plug(self) -> None:
        """Have the bridge do as the link does."""
        if self.down != self._unplugged and not self._closed:
            self._unplugged = self.down
            self._bridge.plug(down=self._unplugged)

    # ---- what passed

    def told(self) -> dict[str, Any]:
        """What passed, as :meth:`Relay.counters` tells it, and whether the bridge kept up. Seconds and bytes.

        ``payload`` is what reached the other end. ``wire`` is all that crossed the bridge, acknowledgements included,
        which the relay of streams does not count. ``cuts`` are the recoveries and time-outs of the kernel's senders.
        ``late`` is since the last change.
        """
        report = self._bridge.report(begin=False)
        first, second = self.sites
        return {
            side: {
                "payload": there.back.delivered,
                "wire": counted.bytes,
                "dropped": counted.dropped,
                "cuts": _recoveries(namespace),
                "connections": here.forth.connections,
                "busy": counted.busy,
            }
            for side, here, there, counted, namespace in zip(
                ("forth", "back"),
                (first, second),
                (second, first),
                self._so_far(report),
                self._bridge.namespaces,
                strict=True,
            )
        } | {"kept_up": self._kept_up and report.kept_up, "late": _lateness(report)}

    def _so_far(self, report: TunReport) -> tuple[Counted, Counted]:
        """What the lines have carried before this report and in it."""
        forth, back = self._before
        return (
            forth.and_then(report.forth, self.settings.forth.bandwidth),
            back.and_then(report.back, self.settings.back.bandwidth),
        )

    def _beat(self) -> None:
        if self._closed:
            return
        if not self._bridge.alive:
            raise TunUnavailableError(f"link {self.name}: the bridge of packets has ended")
        self.loop.at(self.loop.now() + BEAT, self._beat)

    def close(self) -> None:
        """End all connections, then the bridge; the namespaces go with it."""
        self._closed = True
        for site in self.sites:
            for connection in list(site.connections):
                connection.reset()
        self._stack.close()


class _Near(Relayed):
    """The half at the caller's site: from the caller onto the bridge."""

    dial_timeout = CONNECT_BOUND

    def __init__(self, link: TunLink, site: int, sock: socket.socket, target: Any) -> None:
        self._tun = link
        self._site = site
        link.connections.add(self)
        super().__init__(link.loop, link.sites[site], sock, target, reverse=False)

    def _admit(self, sock: socket.socket) -> None:
        prepare(sock, small=True)

    def _open(self, family: socket.AddressFamily) -> socket.socket:
        sock = self._tun.open(self._site, family)
        prepare(sock, small=False)
        return sock

    def _request(self) -> None:
        if self._tun.refusing:
            round_trip = self._tun.one_way(reverse=False) + self._tun.one_way(reverse=True)
            self._loop.at(self._loop.now() + round_trip, self.reset)
        else:
            super()._request()

    def _close(self, *, reset: bool) -> None:
        super()._close(reset=reset)
        self._tun.connections.discard(self)


class _Far(Relayed):
    """The half at the other site: from the bridge to whom is called."""

    def _admit(self, sock: socket.socket) -> None:
        prepare(sock, small=False)

    def _open(self, family: socket.AddressFamily) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        prepare(sock, small=True)
        return sock


def _of_a_bridge(settings: LinkSettings) -> LinkSettings:
    """The bridge itself knows no outages: the link has them."""
    return replace(settings, outages=())


def _lateness(report: TunReport) -> dict[str, float]:
    ways: tuple[Carried, Carried] = (report.forth, report.back)
    return {"p50": max(way.late_p50 for way in ways), "p99": max(way.late_p99 for way in ways)}


def _recoveries(namespace: str) -> int:
    """How often a sender of a namespace reduced its window."""
    with contextlib.suppress(OSError), inside(namespace):
        names, values = (
            line.split()
            for line in Path("/proc/thread-self/net/netstat").read_text(encoding="ascii").splitlines()
            if line.startswith("TcpExt:")
        )
        told = dict(zip(names[1:], map(int, values[1:]), strict=True))
        return sum(told.get(name, 0) for name in _RECOVERIES)
    return 0
