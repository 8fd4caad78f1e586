"""A receiver: a process that has only to receive, for a node whose own process would be kept busy by it.

Python runs one thread at a time, so one process receives no faster than one core can. The node's process takes in and
negotiates associations, and hands those on which C-STOREs may come to its receivers, which write the instances and read
what the node must know of them. The node gets every instance. What the storage's ``must_ask`` lets it, a receiver
acknowledges by itself, once the system has the message to the node: nothing of that is lost when a process is killed.
On all the rest the node decides, and responds itself, as it has kept the connection too. Whatever is no C-STORE, be it
a C-ECHO or the end of the association, goes back to the node.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from simlab.network.live.receiving.channel import Channel
from simlab.network.live.receiving.descriptors import raise_descriptor_limit
from simlab.network.live.receiving.handover import GiveBack, Instances, Received, Setup, TakeOver, flat
from simlab.network.live.receiving.reception import BUFFER_BYTES, Receiving, Reception
from simlab.network.live.server import MustAsk, ReceivedInstance
from simlab.network.live.wire.commands import NO_DATA_SET, Command, read_command
from simlab.network.live.wire.pdus import DataSink, Gathering, PDUParser, ProtocolError
from simlab.network.seam import SUCCESS, Status

MOST_AT_ONCE = 16
"""Times that one connection is received from before the others have their turn."""

RARELY = 50_000
"""Objects after which garbage is collected: nothing that comes with every instance refers to itself."""


class Receiver:
    """The process's loop, its associations, and the instances that the node is to get."""

    def __init__(self, end: socket.socket) -> None:
        self._thread = threading.get_ident()
        self.loop = asyncio.SelectorEventLoop()
        self.loop.set_exception_handler(self._exception)
        self.channel = Channel(self.loop, end, self._received, self.loop.stop)
        self.buffer = memoryview(bytearray(BUFFER_BYTES))
        self.receiving: Receiving | None = None
        self._must_ask: MustAsk = _always
        self._idle_timeout = 0.0
        self._is_reading = False
        self._associations: set[_Association] = set()
        self._asked: list[tuple[_Association, Received]] = []
        self._acknowledged: list[tuple[_Association, Received]] = []
        """What the node is to get, on which it decides and on which it does not."""

    def run(self) -> None:
        """Receive until the node's process closes the channel."""
        self.loop.run_forever()
        for association in self._associations:
            association.give_up()
        if self.receiving is not None:
            self.receiving.close()

    def _exception(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A bug: say so, and end, which the node's process notices."""
        error = context.get("exception")
        print("".join(traceback.format_exception(error)) if error else context.get("message"), file=sys.stderr)
        os._exit(1)

    def call(self, function: Callable[[], None]) -> None:
        """Have something done on the loop's thread."""
        if threading.get_ident() == self._thread:
            function()
        else:
            self.loop.call_soon_threadsafe(function)

    def leave(self, association: _Association) -> None:
        """Forget an association that has been given back."""
        self._associations.discard(association)

    def _received(self, message: Any, connection: socket.socket | None) -> None:
        match message:
            case TakeOver():
                assert connection is not None
                assert self.receiving is not None
                self._associations.add(_Association(self, self.receiving, message, connection))
            case Setup(storage, idle_timeout):
                self.receiving = Receiving(storage, self.loop)
                if storage.must_ask is not None:
                    self._must_ask = storage.must_ask()
                self._idle_timeout = idle_timeout
                self._look_for_silence()

    def read(self, receive: Callable[[], object]) -> None:
        """Read a connection; what has come whole goes to the node after that."""
        self._is_reading = True
        try:
            receive()
        finally:
            self._is_reading = False
            self.hand_over_all()

    def hand_over(self, association: _Association, received: Received) -> None:
        """Let the node have an instance, once what came with it has been taken in."""
        if not (self._is_reading or self._asked or self._acknowledged):
            self.loop.call_soon(self.hand_over_all)
        asks = received.request is None or self._must_ask(received.instance, received.examined)
        (self._asked if asks else self._acknowledged).append((association, received))

    def hand_over_all(self) -> None:
        """Let the node have what there is for it."""
        asked, self._asked = self._asked, []
        acknowledged, self._acknowledged = self._acknowledged, []
        if asked or acknowledged:
            message = Instances(
                [received for _, received in asked],
                [flat(received.instance, received.examined) for _, received in acknowledged],
            )
            self.channel.send(message, then=partial(_acknowledge, acknowledged))
        for association, received in asked:
            if received.request is not None:
                association.leave_response_to_node()

    def _look_for_silence(self) -> None:
        heard_before = time.perf_counter() - self._idle_timeout
        for association in tuple(self._associations):
            if association.heard < heard_before and not association.waits:
                association.give_back_silent()
        self.loop.call_later(min(1.0, self._idle_timeout / 4), self._look_for_silence)


class _Association:
    """An association that has been taken over, until it is given back."""

    def __init__(self, receiver: Receiver, receiving: Receiving, request: TakeOver, connection: socket.socket) -> None:
        self.number = request.association
        self.heard = time.perf_counter()
        self.reception = Reception(
            receiving, request.contexts, request.calling, request.window, self._send, self._deliver
        )
        self._receiver = receiver
        self._connection = connection
        self._parser = PDUParser(self, request.maximum_length)
        self._reads = True
        self._result: GiveBack | None = None
        connection.setblocking(False)
        receiver.loop.add_reader(connection, receiver.read, self._receive)

    @property
    def waits(self) -> bool:
        """Whether something is still to be done here before anything else can come."""
        return self._result is not None or (self.reception.outstanding > 0 and self._parser.between_messages)

    def _receive(self) -> None:
        self.heard = time.perf_counter()
        for _ in range(MOST_AT_ONCE):
            if not self._receive_once():
                break

    def _receive_once(self) -> bool:
        """Take in what is there. Returns whether more may be there already."""
        buffer = self._receiver.buffer
        try:
            size = self._connection.recv_into(buffer)
        except BlockingIOError:
            return False
        except OSError:
            size = 0
        if size:
            self._take_in(buffer[:size])
        else:
            self.give_back(GiveBack(self.number, closed=True))
        return self._reads and size == len(buffer)

    def _take_in(self, data: memoryview) -> None:
        try:
            used = self._parser.feed(data)
        except ProtocolError as error:
            self.give_back(GiveBack(self.number, broken=str(error)))
        else:
            if self._result is not None:
                self.give_back(replace(self._result, rest=bytes(data[used:])))

    def command(self, context_id: int, command: bytes) -> DataSink | None:
        """A command set came. One that is no C-STORE-RQ goes to the node, with its data set."""
        if (sink := self.reception.begin(context_id, command)) is not None:
            return sink
        if read_command(command).data_set_type != NO_DATA_SET:
            return Gathering(lambda data: self._end(message=(context_id, command, data)))
        self._end(message=(context_id, command, None))
        return None

    def control(self, kind: int, content: bytes) -> None:
        """Any other PDU goes to the node."""
        self._end(control=(kind, content))

    def _end(self, **came: Any) -> None:
        self._result = GiveBack(self.number, **came)
        self._parser.paused = True

    def give_back(self, result: GiveBack) -> None:
        """Let the node have the association, once everything that came on it has been answered or handed over."""
        self._result = result
        self._reads = False
        self._parser.give_up()
        self._receiver.loop.remove_reader(self._connection)
        self._leave()

    def give_back_silent(self) -> None:
        """Nothing has come for too long: perhaps the peer waits for the node's response, but not within a message."""
        silent = self._parser.between_messages
        self.give_back(GiveBack(self.number, silent=silent, broken="" if silent else "the rest of a message"))

    def give_up(self) -> None:
        """Leave nothing half-written behind."""
        self._parser.give_up()

    def _leave(self) -> None:
        if self._result is not None and not self.reception.outstanding:
            self._receiver.hand_over_all()
            self._receiver.channel.send(self._result)
            self._result = None
            self._receiver.leave(self)
            self._connection.close()  # the node has its own duplicate

    def _deliver(self, context_id: int, request: Command | None, instance: ReceivedInstance, examined: Any) -> None:
        received = Received(self.number, context_id, request, instance, examined)
        self._receiver.call(partial(self._receiver.hand_over, self, received))

    def leave_response_to_node(self) -> None:
        """A request is no longer outstanding, as far as we are concerned."""
        self.reception.outstanding -= 1
        self._leave()

    def _send(self, pdu: bytes) -> None:
        """Send a response; a peer that reads so little that it does not fit is cut off."""
        try:
            whole = self._connection.send(pdu) == len(pdu)
        except OSError:
            whole = False
        if not whole:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
        if self._result is not None:
            self._receiver.call(self._leave)


def _always(_instance: ReceivedInstance, _examined: Any) -> bool:
    """Nothing is known here."""
    return True


def _acknowledge(instances: Sequence[tuple[_Association, Received]]) -> None:
    for association, received in instances:
        if received.request is not None:
            association.reception.respond(received.context_id, received.request, Status(SUCCESS))


def main() -> None:
    """Run in a process of its own: ``python -m simlab.network.live.receiving.receiver DESCRIPTOR``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the node tells us to end
    raise_descriptor_limit()
    gc.freeze()
    gc.set_threshold(RARELY)
    Receiver(socket.socket(fileno=int(sys.argv[1]))).run()
    os._exit(0)  # files that are being synced are nobody's any more


if __name__ == "__main__":
    main()
