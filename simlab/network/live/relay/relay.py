"""Many links in one process: listeners, changes while running, and counters."""

from __future__ import annotations

import contextlib
import math
import socket
import time
from collections.abc import Mapping
from functools import partial
from selectors import EVENT_READ
from typing import Any

from simlab.network.link.lane import Lane
from simlab.network.link.link import Link
from simlab.network.link.settings import LinkSettings
from simlab.network.live.relay.connection import BUFFER, Relayed
from simlab.network.live.relay.loop import Loop

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
        """Add a link. Raises RelayError if the name is taken."""
        if name in self._links:
            raise RelayError(f'a second link "{name}"')
        self._links[name] = Link(self._loop, name, settings)

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
        listener.setblocking(False)
        self._listeners.append(listener)
        self._take_in(listener, partial(self._accept, listener, link, target, reverse))
        return str(listener.getsockname()[0]), int(listener.getsockname()[1])

    def _take_in(self, listener: socket.socket, accept: Any) -> None:
        if listener in self._listeners:
            self._loop.watch(listener, EVENT_READ, accept)

    def _accept(self, listener: socket.socket, link: Link, target: Any, reverse: bool, _: int) -> None:
        while True:
            try:
                sock, _address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError:
                self._loop.watch(listener, 0, self._pass)
                again = partial(self._accept, listener, link, target, reverse)
                self._loop.at(self._loop.now() + PAUSE, self._take_in, listener, again)
                return
            Relayed(self._loop, link, sock, target, reverse=reverse)

    def _pass(self, _: int) -> None:
        """Nothing to do."""

    def begin(self, after: float) -> None:
        """Count the outages of all links from so many seconds after now (negative: before)."""
        for link in self._links.values():
            link.begin(self._loop.now() + after)

    def counters(self) -> dict[str, Any]:
        """What passed so far: by link and direction, and how late the relay itself was. Seconds and bytes."""
        elapsed = self._loop.now() - self._started
        late = sorted(self._loop.lateness)
        return {
            "elapsed": elapsed,
            "cpu": time.process_time(),
            "lateness": {name: _quantile(late, share) for name, share in (("p50", 0.5), ("p99", 0.99))},
            "links": {
                name: {
                    "forth": _counted(link.forth),
                    "back": _counted(link.back),
                    "open": len(link.connections),
                    "outages": link.outages,
                    "resets": link.resets,
                    "down": link.down,
                    "settings": link.settings.as_json(),
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
        try:
            link.change(message.get("settings", {}))
        except ValueError as error:
            raise RelayError(str(error)) from error
        if message.get("up"):
            link.up()
        if "outage" in message:
            outage = message["outage"]
            link.interrupt(outage["how"], math.inf if outage["duration"] is None else float(outage["duration"]))


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
