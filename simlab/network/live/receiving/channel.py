"""Messages and open sockets between a node's process and its receivers, over a pair of Unix sockets."""

from __future__ import annotations

import asyncio
import pickle
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

AVAILABLE = hasattr(socket, "send_fds")
"""Whether this system can pass an open socket to another process in this way. Windows cannot."""

_LENGTH = 4
_CHUNK = 1 << 18
_MOST_DESCRIPTORS = 32

Then = Callable[[], None]


def _nothing() -> None:
    """Nobody has to know."""


class Channel:
    """One end. Used on the thread of its event loop alone; sending never waits."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        end: socket.socket,
        received: Callable[[Any, socket.socket | None], None],
        closed: Callable[[], None],
    ) -> None:
        """``received`` gets each message, and the socket that came with it; ``closed`` hears of the other end's end."""
        self._loop = loop
        self._end = end
        self._received = received
        self._closed = closed
        self._unread = bytearray()
        self._descriptors: deque[int] = deque()
        self._unsent: deque[tuple[memoryview, socket.socket | None, Then]] = deque()
        end.setblocking(False)
        loop.add_reader(end, self._read)

    def send(self, message: Any, passed: socket.socket | None = None, then: Then = _nothing) -> None:
        """Send a message, and a duplicate of an open socket with it. Messages arrive in order, unless it is closed.

        A message with a socket that has been closed is about nothing any more, and is not sent.
        ``then`` is called once the system has all of the message: from then on it arrives even if this process ends.
        """
        if self._end.fileno() < 0:
            return
        try:  # its owner may close it before its message goes
            duplicate = None if passed is None else passed.dup()
        except OSError:
            return
        content = pickle.dumps((message, passed is not None), pickle.HIGHEST_PROTOCOL)
        waiting = bool(self._unsent)
        self._unsent.append((memoryview(len(content).to_bytes(_LENGTH, "big") + content), duplicate, then))
        if not waiting:
            self._write()

    def close(self) -> None:
        """Close this end; the other one hears of it. A second call does nothing."""
        if self._end.fileno() < 0:
            return
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._end.close()
        self._forget()
        while self._descriptors:
            socket.close(self._descriptors.popleft())

    def _write(self) -> None:
        try:
            while self._unsent:
                content, passed, then = self._unsent[0]
                if passed is None:
                    sent = self._end.send(content)
                else:  # a descriptor travels with the first byte of its message
                    sent = socket.send_fds(self._end, [content], [passed.fileno()])
                    passed.close()
                if sent == len(content):
                    self._unsent.popleft()
                    then()
                else:
                    self._unsent[0] = (content[sent:], None, then)
        except BlockingIOError:
            self._loop.add_writer(self._end, self._write)
            return
        except OSError:  # the other end is gone: reading tells
            self._forget()
        self._loop.remove_writer(self._end)

    def _forget(self) -> None:
        """Nothing more can be sent."""
        for _, passed, _ in self._unsent:
            if passed is not None:
                passed.close()
        self._unsent.clear()

    def hear(self) -> None:
        """Take in all that the other end has sent so far."""
        while self._read():
            pass

    def _read(self) -> bool:
        """Take in what is there. False if nothing is, or ever will be."""
        data = b""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._end, _CHUNK, _MOST_DESCRIPTORS)
            self._descriptors += descriptors
        except BlockingIOError:
            return False
        except OSError:  # the other end is gone
            pass
        if not data:
            if self._end.fileno() >= 0:
                self.close()
                self._closed()
            return False
        self._unread += data
        while (end := _LENGTH + int.from_bytes(self._unread[:_LENGTH], "big")) <= len(self._unread) > _LENGTH:
            message, has_socket = pickle.loads(memoryview(self._unread)[_LENGTH:end])  # noqa: S301 -- our own process
            del self._unread[:end]
            self._received(message, socket.socket(fileno=self._descriptors.popleft()) if has_socket else None)
        return True
