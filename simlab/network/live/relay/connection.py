"""One relayed connection: two sockets, and a flow each way."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from simlab.network.link.flow import Flow
from simlab.network.link.link import Link
from simlab.network.live.relay.loop import Loop

BUFFER = 65536
"""Bytes of each socket's own buffers: what they hold is beyond the link's control, so they are small.

Where the link costs nothing there is nothing to control, and the system's own choice is faster.
"""

DIAL_TIMEOUT = 20.0
"""Seconds within which whom we call must have taken the connection."""


def hang_up(sock: socket.socket, *, reset: bool) -> None:
    """Close a socket, if need be with a reset."""
    if reset:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def prepare(sock: socket.socket, *, small: bool) -> None:
    """Set what every socket of the relay has. ``small``: it buffers little."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if small:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)


class End:
    """One socket of a connection: the source of one flow, and the sink of the other."""

    def __init__(
        self, loop: Loop, sock: socket.socket, broken: Callable[[End], object], told_end: Callable[[], object]
    ) -> None:
        self._loop = loop
        self.sock = sock
        self._broken = broken
        self._told_end = told_end
        self._events = 0
        self._pieces: deque[memoryview] = deque()
        self._finish = False
        self.held = 0
        self.finished = False
        """The peer has been told the end."""
        self.outgoing: Flow | None = None
        """Reads from here."""
        self.incoming: Flow | None = None
        """Writes to here."""
        self.closed = False

    # ---- a source

    def read(self, most: int) -> bytes | None:
        """Return what the peer sent; empty at the end, None if there is nothing now."""
        if self.closed:
            return None
        try:
            return self.sock.recv(most)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            self._broken(self)
            return None

    def want(self, *, more: bool) -> None:
        """Whether the flow reads when there is something."""
        self._watch(self._events | EVENT_READ if more else self._events & ~EVENT_READ)

    # ---- a sink

    def write(self, data: Any) -> None:
        """Send to the peer, or keep until it takes more."""
        if self.closed:
            return
        if not self._pieces:
            try:
                sent = self.sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self._broken(self)
                return
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
        self._pieces.append(memoryview(data))
        self.held += len(data)
        self._watch(self._events | EVENT_WRITE)

    def end(self) -> None:
        """Tell the peer the end, after what is kept."""
        self._finish = True
        if not self._pieces and not self.closed:
            self._tell_end()

    def _tell_end(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        self.finished = True
        self._told_end()

    # ---- the loop

    def _watch(self, events: int) -> None:
        if events != self._events and not self.closed:
            self._events = events
            self._loop.watch(self.sock, events, self._ready)

    def _ready(self, events: int) -> None:
        if events & EVENT_WRITE and not self.closed:
            self._flush()
        if events & EVENT_READ and not self.closed and self._events & EVENT_READ and self.outgoing is not None:
            self.outgoing.pump()

    def _flush(self) -> None:
        try:
            while self._pieces:
                piece = self._pieces[0]
                sent = self.sock.send(piece)
                self.held -= sent
                if sent < len(piece):
                    self._pieces[0] = piece[sent:]
                else:
                    self._pieces.popleft()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._broken(self)
            return
        if not self._pieces:
            self._watch(self._events & ~EVENT_WRITE)
            if self._finish and not self.finished:
                self._tell_end()
                return
        if self.incoming is not None:
            self.incoming.pump()

    def close(self, *, reset: bool) -> None:
        """Close the socket."""
        if not self.closed:
            self._loop.watch(self.sock, 0, self._ready)
            self.closed = True
            hang_up(self.sock, reset=reset)
            self._pieces.clear()
            self.held = 0


class Relayed:
    """A connection through a link, from its acceptance to its end.

    The kernel lets a caller believe at once that it is connected. The relay makes up for that: what the caller sends
    first waits for the round trip that connecting takes, and if nobody listens at the other end, a reset comes instead.
    """

    dial_timeout = DIAL_TIMEOUT

    def __init__(self, loop: Loop, link: Link, sock: socket.socket, target: Any, *, reverse: bool) -> None:
        self._loop = loop
        self._link = link
        self._target = target
        self._reverse = reverse
        self._admit(sock)
        self._caller = End(loop, sock, self._broken, self._half_done)
        self._called: End | None = None
        self._flows: tuple[Flow, ...] = ()
        self._answered = 0.0
        self._closed = False
        link.connections.add(self)
        link.set_up(self._request)

    def _admit(self, sock: socket.socket) -> None:
        """Prepare the caller's socket."""
        prepare(sock, small=not self._link.clear)

    def _open(self, family: socket.AddressFamily) -> socket.socket:
        """Return a socket to call with."""
        sock = socket.socket(family, socket.SOCK_STREAM)
        prepare(sock, small=not self._link.clear)
        return sock

    def _request(self) -> None:
        """The request for a connection goes out."""
        if self._closed:
            return
        now = self._loop.now()
        there, back = self._link.one_way(reverse=self._reverse), self._link.one_way(reverse=not self._reverse)
        self._answered = now + there + back
        if self._link.refusing:
            self._loop.at(self._answered, self.reset)
        elif there:
            self._loop.at(now + there, self._dial)
        else:
            self._dial()

    def _dial(self) -> None:
        if self._closed:
            return
        family, address = self._target
        try:
            sock = self._open(family)
        except OSError:
            self._fail()
            return
        self._called = End(self._loop, sock, self._broken, self._half_done)
        try:
            sock.connect(address)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._fail()
            return
        self._loop.watch(sock, EVENT_WRITE, self._dialled)
        self._loop.at(self._loop.now() + self.dial_timeout, self._give_up)

    def _give_up(self) -> None:
        if not self._flows:
            self.reset()

    def _fail(self) -> None:
        """Nobody took the connection: the caller hears of it when an answer would have come."""
        self._loop.at(max(self._answered, self._loop.now()), self.reset)

    def _dialled(self, _: int) -> None:
        called = self._called
        if self._closed or called is None:
            return
        self._loop.watch(called.sock, 0, self._dialled)
        if called.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._fail()
            return
        caller = self._caller
        out, back = self._link.flows((caller, caller), (called, called), reverse=self._reverse)
        caller.incoming = called.outgoing = back
        called.incoming = out
        self._flows = (out, back)
        called.want(more=True)
        if self._loop.now() < self._answered:
            self._loop.at(self._answered, self._begin, out)
        else:
            self._begin(out)

    def _begin(self, out: Flow) -> None:
        """The caller knows that it is connected."""
        if not self._closed:
            self._caller.outgoing = out
            self._caller.want(more=True)

    def _half_done(self) -> None:
        """One side has heard the end of the other; once both have, that was all."""
        if self._called is not None and self._caller.finished and self._called.finished:
            self._close(reset=False)

    def _broken(self, end: End) -> None:
        """A socket failed, most likely because its peer has reset the connection."""
        if self._closed or end.closed:
            return
        # A reset crosses the link behind what was sent before it.
        end.close(reset=True)
        from_caller = end is self._caller
        self._loop.at(self._loop.now() + self._link.one_way(reverse=from_caller == self._reverse), self.reset)

    def reset(self) -> None:
        """End at once, with a reset at both ends."""
        self._close(reset=True)

    def _close(self, *, reset: bool) -> None:
        if self._closed:
            return
        self._closed = True
        self._link.connections.discard(self)
        for flow in self._flows:
            flow.close()
        for end in (self._caller, self._called):
            if end is not None:
                end.close(reset=reset)
