"""Telling a running relay what to do: JSON lines over a loopback connection, one answer for each."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from simlab.network.live.relay.connection import hang_up
from simlab.network.live.relay.loop import Loop
from simlab.network.live.relay.relay import RelayError

LONGEST_LINE = 2**20
"""Bytes of a message; whoever sends more is hung up on."""

ANSWER_TIMEOUT = 10.0
"""Seconds within which a relay must answer."""

Obey = Callable[[dict[str, Any]], dict[str, Any]]


class ControlListener:
    """Takes messages for the relay. Listens on the loopback interface only: whoever can connect may do anything."""

    def __init__(self, loop: Loop, at: tuple[str, int], obey: Obey) -> None:
        self._loop = loop
        self._obey = obey
        self._talks: set[_Talk] = set()
        self._listener = socket.create_server(at, family=socket.AF_INET6 if ":" in at[0] else socket.AF_INET)
        self._listener.setblocking(False)
        self.address = (str(self._listener.getsockname()[0]), int(self._listener.getsockname()[1]))
        loop.watch(self._listener, EVENT_READ, self._accept)

    def _accept(self, _: int) -> None:
        try:
            sock, _address = self._listener.accept()
        except OSError:
            return
        try:
            self._talks.add(_Talk(self._loop, sock, self._obey, self._talks.discard))
        except OSError:  # gone before we looked at it; not every system still lets us set its options
            sock.close()

    def close(self) -> None:
        """Hang up on everybody."""
        self._loop.watch(self._listener, 0, self._accept)
        self._listener.close()
        for talk in list(self._talks):
            talk.close()


class _Talk:
    """A connection of somebody who tells the relay what to do."""

    def __init__(self, loop: Loop, sock: socket.socket, obey: Obey, gone: Callable[[_Talk], object]) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop, self._sock, self._obey, self._gone = loop, sock, obey, gone
        self._read = b""
        self._unsent = b""
        loop.watch(sock, EVENT_READ, self._ready)

    def _ready(self, events: int) -> None:
        try:
            if events & EVENT_READ:
                data = self._sock.recv(65536)
                self._read += data
                *lines, self._read = self._read.split(b"\n")
                for line in lines:
                    self._unsent += json.dumps(self._answer(line)).encode() + b"\n"
                if not data or len(self._read) > LONGEST_LINE:
                    self.close()
                    return
            self._unsent = self._unsent[self._sock.send(self._unsent) :] if self._unsent else b""
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._loop.watch(self._sock, EVENT_READ | EVENT_WRITE if self._unsent else EVENT_READ, self._ready)

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, **self._obey(json.loads(line))}
        except RelayError as error:
            return {"ok": False, "error": str(error)}
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
            return {"ok": False, "error": f"that message makes no sense: {type(error).__name__}: {error}"}

    def close(self) -> None:
        """Hang up."""
        self._loop.watch(self._sock, 0, self._ready)
        hang_up(self._sock, reset=False)
        self._gone(self)


class Control:
    """A connection to a running relay. Every method raises RelayError if it cannot do its work."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        try:
            self._sock = socket.create_connection(address, timeout=ANSWER_TIMEOUT)
        except (OSError, UnicodeError) as error:
            raise RelayError(f"no relay takes commands at {address[0]}:{address[1]}: {error}") from error
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self._sock.makefile("rb")

    def ask(self, do: str, **message: Any) -> dict[str, Any]:
        """Send a message, and wait for the answer."""
        try:
            self._sock.sendall(json.dumps({"do": do, **message}).encode() + b"\n")
            answer = json.loads(self._lines.readline(16 * LONGEST_LINE))
        except (OSError, ValueError) as error:
            raise RelayError(f"the relay at {self.address[0]}:{self.address[1]} does not answer") from error
        if not (isinstance(answer, dict) and answer.get("ok")):
            told = answer.get("error") if isinstance(answer, dict) else None
            raise RelayError(str(told or f"what answers at {self.address[0]}:{self.address[1]} is no relay"))
        return answer

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._sock.close()
