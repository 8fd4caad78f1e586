"""A node's receivers: processes started, associations handed to them, instances taken from them."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from simlab.network.live.receiving.channel import AVAILABLE, Channel
from simlab.network.live.receiving.handover import GiveBack, Instances, Setup, TakeOver, from_flat
from simlab.network.live.server import ReceivedInstance

if TYPE_CHECKING:
    from simlab.network.live.receiving.accepted import Accepted

Keep = Callable[[Sequence[tuple[ReceivedInstance, Any]]], None]
"""Lets the node have instances that were acknowledged."""

EXIT_TIME = 2.0
"""Seconds that a receiver gets to end; then it is killed."""


class Receivers:
    """The receivers of one acceptor. Used on its thread alone, but for :meth:`wait`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        setup: Setup,
        keep: Keep,
        on_bug: Callable[[BaseException], None],
    ) -> None:
        """Start the processes; none where the system cannot pass open sockets between processes (Windows)."""
        number = setup.storage.receivers if AVAILABLE else 0
        self._receivers = [_Receiver(loop, setup, keep, on_bug) for _ in range(number)]

    def __bool__(self) -> bool:
        return bool(self._alive)

    @property
    def _alive(self) -> list[_Receiver]:
        return [receiver for receiver in self._receivers if not receiver.has_ended]

    def hand_over(self, accepted: Accepted, contexts: Mapping[int, tuple[str, str]], calling: str, window: int) -> None:
        """Let the receiver with the fewest associations receive on this one."""
        min(self._alive, key=lambda receiver: len(receiver.associations)).take_over(accepted, contexts, calling, window)

    def hear(self) -> None:
        """Take in what has been received so far, and so all that has been acknowledged."""
        for receiver in self._alive:
            receiver.hear()

    def close(self) -> None:
        """Let the processes end."""
        for receiver in self._receivers:
            receiver.close()

    def wait(self) -> None:
        """Wait until they have ended, within a bound. Called on any thread."""
        for receiver in self._receivers:
            receiver.wait()


class _Receiver:
    """One process, as the node sees it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        setup: Setup,
        keep: Keep,
        on_bug: Callable[[BaseException], None],
    ) -> None:
        self.associations: dict[int, Accepted] = {}
        self.has_ended = False
        self._keep = keep
        self._on_bug = on_bug
        self._numbers = count()
        self._closing = False
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "simlab.network.live.receiving.receiver", str(theirs.fileno())]
            self._process = subprocess.Popen(  # noqa: S603 -- our own module
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        self._channel = Channel(loop, ours, self._received, self._closed)
        self._channel.send(setup)

    def take_over(self, accepted: Accepted, contexts: Mapping[int, tuple[str, str]], calling: str, window: int) -> None:
        number = next(self._numbers)
        self.associations[number] = accepted
        length = accepted.association.acceptor.maximum_length or 0
        request = TakeOver(number, contexts, calling, window, length)
        self._channel.send(request, accepted.association.dul.connection)

    def _received(self, message: Any, _: socket.socket | None) -> None:
        match message:
            case Instances(asked, acknowledged):
                if acknowledged:
                    self._keep([from_flat(each) for each in acknowledged])
                for received in asked:
                    self.associations[received.association].take_received(received)
            case GiveBack():
                self.associations.pop(message.association).take_back(message)

    def _closed(self) -> None:
        """The process is gone: so is what it was in the middle of."""
        self.has_ended = True
        for accepted in self.associations.values():
            accepted.lose()
        self.associations.clear()
        if not self._closing:
            self._on_bug(RuntimeError(f"a receiver has ended, with exit code {self._process.poll()}"))

    def hear(self) -> None:
        self._channel.hear()

    def close(self) -> None:
        self._closing = True
        self._channel.close()

    def wait(self) -> None:
        try:
            self._process.wait(EXIT_TIME)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
