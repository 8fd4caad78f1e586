"""Many links in one process: listeners, changes while running, and counters."""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from selectors import EVENT_READ
from typing import Any

from simlab.network.link.lane import Lane
from simlab.network.link.link import Link
from simlab.network.link.settings import LinkSettings
from simlab.network.live.relay.connection import BUFFER, Relayed
from simlab.network.live.relay.loop import Loop
from simlab.network.live.relay.tun import TunUnavailableError
from simlab.network.live.relay.tun_link import TunLink

BACKLOG = 1024
PAUSE = 0.1
"""Seconds without taking connections in, after the system had no descriptor left for one."""


class RelayError(Exception):
    """Something that was asked of the relay cannot be done; one line says why."""


class Relay:
    """Links and their listeners, on one loop."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._links: dict[str, Link] = {}
        self._listeners: list[socket.socket] = []
        self._started = loop.now()

    def link(self, name: str) -> Link:
        """The link of a name; with one link only, an empty name means that one. Raises RelayError."""
        if not name and len(self._links) == 1:
            return next(iter(self._links.values()))
        if name not in self._links:
            raise RelayError(f'no link "{name}"; there are {", ".join(self._links) or "none"}')
        return self._links[name]

    def add_link(self, name: str, settings: LinkSettings) -> None:
        """Add a link. Raises RelayError if the name is taken, or this machine has no such links."""
        if name in self._links:
            raise RelayError(f'a second link "{name}"')
        if settings.backend == "relay":
            self._links[name] = Link(self._loop, name, settings)
            return
        try:
            self._links[name] = TunLink(self._loop, name, settings)
        except TunUnavailableError as error:
            raise RelayError(f"link {name}: {error}") from error

    def listen(self, name: str, at: tuple[str, int], to: tuple[str, int], *, reverse: bool = False) -> tuple[str, int]:
        """Take connections at an address, and relay them to another; return where it listens.

        ``reverse``: callers are at the link's second site. Raises RelayError.
        """
        link = self.link(name)
        target = _resolve(*to)
        family, address = _resolve(*at)
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows would share the port with others
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if not link.clear:  # accepted sockets inherit it, and offer no more from the start
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise RelayError(f"cannot listen at {at[0]}:{at[1]}: {error.strerror or error}") from error
        if isinstance(link, TunLink):
            here, there = (1, 0) if reverse else (0, 1)
            try:
                far = link.listen(there)
            except OSError as error:
                listener.close()
                raise RelayError(f"cannot listen on the bridge of link {name}: {error.strerror or error}") from error
            self._serve(far, partial(link.give, there, target))
            self._serve(listener, partial(link.take, here, far.getsockname()))
        else:
            self._serve(listener, partial(Relayed, self._loop, link, target=target, reverse=reverse))
        return str(listener.getsockname()[0]), int(listener.getsockname()[1])

    def _serve(self, listener: socket.socket, take: Callable[[socket.socket], object]) -> None:
        listener.setblocking(False)
        self._listeners.append(listener)
        self._take_in(listener, partial(self._accept, listener, take))

    def _take_in(self, listener: socket.socket, accept: Any) -> None:
        if listener in self._listeners:
            self._loop.watch(listener, EVENT_READ, accept)

    def _accept(self, listener: socket.socket, take: Callable[[socket.socket], object], _: int) -> None:
        while True:
            try:
                sock, _address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError:
                self._loop.watch(listener, 0, self._pass)
                again = partial(self._accept, listener, take)
                self._loop.at(self._loop.now() + PAUSE, self._take_in, listener, again)
                return
            try:
                take(sock)
            except OSError:  # gone before we looked at it; not every system still lets us set its options
                sock.close()

    def _pass(self, _: int) -> None:
        """Nothing to do."""

    def begin(self, after: float) -> None:
        """Count the outages of all links from so many seconds after now (negative: before)."""
        for link in self._links.values():
            link.begin(self._loop.now() + after)

    def counters(self) -> dict[str, Any]:
        """What passed so far: by link and direction, and how late the relay itself was. Seconds and bytes.

        Lateness is that of the latest timers, or a bridge's if that was later. Links over one have a ``kept_up``.
        """
        elapsed = self._loop.now() - self._started
        ordered = sorted(self._loop.lateness)
        late = {name: _quantile(ordered, share) for name, share in (("p50", 0.5), ("p99", 0.99))}
        try:
            bridges = {name: link.told() for name, link in self._links.items() if isinstance(link, TunLink)}
        except TunUnavailableError as error:
            raise RelayError(str(error)) from error
        for told in bridges.values():
            late = {name: max(seconds, told["late"][name]) for name, seconds in late.items()}
        return {
            "elapsed": elapsed,
            "cpu": time.process_time(),
            "lateness": late,
            "links": {
                name: {
                    "forth": _counted(link.forth),
                    "back": _counted(link.back),
                    "open": len(link.connections),
                    "outages": link.outages,
                    "resets": link.resets,
                    "down": link.down,
                    "settings": link.settings.as_json(),
                    **bridges.get(name, {}),
                }
                for name, link in self._links.items()
            },
        }

    def close(self) -> None:
        """Stop listening, and end every connection."""
        for listener in self._listeners:
            self._loop.watch(listener, 0, self._pass)
            listener.close()
        self._listeners = []
        for link in self._links.values():
            for connection in list(link.connections):
                connection.reset()
            if isinstance(link, TunLink):
                link.close()

    # ---- what others ask for

    def obey(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a message says; return the answer. Raises RelayError, or KeyError and so on for nonsense."""
        name = str(message.get("link", ""))
        match message.get("do"):
            case "link":
                self.add_link(name, LinkSettings.of_json(message["settings"]))
            case "listen":
                at, to = message["at"], message["to"]
                host, port = self.listen(name, (at[0], at[1]), (to[0], to[1]), reverse=bool(message.get("reverse")))
                return {"host": host, "port": port}
            case "change":
                self._change(self.link(name), message)
            case "begin":
                self.begin(float(message.get("after", 0.0)))
            case "counters":
                return self.counters()
            case unknown:
                raise RelayError(f"nobody knows how to {unknown}")
        return {}

    def _change(self, link: Link, message: Mapping[str, Any]) -> None:
        if message.get("settings", {}).get("backend", link.settings.backend) != link.settings.backend:
            raise RelayError("backend: a link keeps the one it began with")
        try:
            if message.get("settings"):
                link.change(message["settings"])
            if message.get("up"):
                link.up()
            if "outage" in message:
                outage = message["outage"]
                link.interrupt(outage["how"], math.inf if outage["duration"] is None else float(outage["duration"]))
        except (ValueError, TunUnavailableError) as error:
            raise RelayError(str(error)) from error


def _counted(lane: Lane) -> dict[str, float]:
    return {
        "payload": lane.delivered,
        "wire": lane.wire,
        "dropped": lane.dropped,
        "cuts": lane.cuts,
        "connections": lane.connections,
        "busy": lane.busy,
    }


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """Family and address. Raises RelayError for a host that nobody knows."""
    with contextlib.suppress(OSError, UnicodeError):
        for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            return family, address
    raise RelayError(f"nobody knows the host {host}")
