"""A train of C-STOREs straight on the socket of an association that pynetdicom has negotiated.

Requests are gathered writes of buffers that are ready; responses are read here too, until the train ends and the
connection is handed back, with what was read and not understood. What makes the train go is in ``drive.py``.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from math import inf
from typing import NoReturn

from pydicom.uid import UID

from simlab.network.live.wire.commands import StoreRequests
from simlab.network.live.wire.gather import MOST_BUFFERS, Buffer, Gatherer, gathered_send
from simlab.network.live.wire.pdus import ABORT, RELEASE_RQ, ProtocolError, Reason
from simlab.network.live.wire.responses import OtherPDUError, Responses
from simlab.network.seam import NO_STATUS, Trouble, is_success
from simlab.records import InstanceRows
from simlab.studies.study import InstanceReference

MOST_OUTSTANDING = 65535
"""Requests that can be told apart: a window of 0 means no limit (PS3.7 section D.3.3.3), and there is this one."""

_RECEIVE_BYTES = 16384
"""No less than a TLS record: what would be left of one inside the TLS layer, no selector would tell of."""

_LONGEST_REST = 0.25
"""Seconds after which a sender that has nothing due is asked again whether to proceed."""

_SLOW = 0.0005
"""Seconds from which on it matters that nobody looks at the responses while the next instance is made or read."""

_LOOK = 0.0001
"""Seconds for which responses are looked for before that."""

_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An instance, ready to be sent."""

    reference: InstanceReference
    transfer_syntax: str
    parts: tuple[Buffer, ...]
    """Its data set, one part behind the other. A part that comes again is best given as the same memoryview."""
    due: float | None = None
    """Time of the clock before which it is not sent; None: as soon as the window allows."""


class Ending(Enum):
    """Why a train ended."""

    COMPLETE = ""
    """Nothing is left to be sent, and every request was answered."""
    STOPPED = "stopped"
    """The sender did not want to proceed; every request was answered."""
    ABORTED = "the peer aborted"
    RELEASED = "the peer released"
    DISCONNECTED = "the peer disconnected"
    TIMED_OUT = "the peer neither read nor answered"
    PROTOCOL_ERROR = "the peer broke the protocol"

    @property
    def trouble(self) -> Trouble:
        """The same in terms of the seam."""
        if self is Ending.TIMED_OUT:
            return Trouble.TIMEOUT
        return Trouble.NONE if self in (Ending.COMPLETE, Ending.STOPPED) else Trouble.ABORTED


@dataclass(eq=False)
class Train:
    """What goes over one association, and what came of it. Times are those of ``clock``, in seconds."""

    connection: socket.socket
    contexts: Mapping[tuple[str, str], int]
    """Context IDs by SOP class and transfer syntax, as accepted."""
    max_pdu: int
    """The peer's maximum length (PS3.8 section D.1); 0 if it has none."""
    window: int
    """Requests that may be outstanding, as negotiated (PS3.7 section D.3.3.3); 0 for no limit."""
    timeout: float
    """Bounds each wait for the peer: for a response, or for it to read on."""
    clock: Callable[[], float]
    outgoing: Iterator[Outgoing]
    """What is to be sent; after the train what was not begun."""
    proceed: Callable[[InstanceRows], bool] = lambda _: True
    """Called after each row, and now and then while nothing is due; False ends the train, once what is outstanding
    has been answered."""
    originator: tuple[str, int] | None = None
    """Move originator AE title and message ID."""
    first_message_id: int = 1
    ahead: bool = True
    """Whether the next instance is taken out of ``outgoing`` while the peer is busy, or only when it can be begun.

    Where that takes long, so that responses would be read late, it is only when nothing is outstanding, or after a look
    for responses.
    """
    ready: Callable[[], bool] = lambda: True
    """Whether ``outgoing`` has the next one already, where somebody else makes it."""
    other: Callable[[int, bytes], object] | None = None
    """Takes context ID and command set of what comes between responses and is none, such as a C-CANCEL. Without it,
    and with any message that has a data set, that is a breach of the protocol."""

    rows: InstanceRows = field(init=False, default_factory=InstanceRows)
    """In the order of the responses, then those without response: begun, and in doubt."""
    ending: Ending = field(init=False, default=Ending.COMPLETE)
    trouble: Trouble = field(init=False, default=Trouble.NONE)
    comment: str = field(init=False, default="")
    """On the trouble; without any, the first failure's Error Comment (0000,0902)."""
    leftover: bytes = field(init=False, default=b"")
    """What was read and belongs to no response, such as an A-RELEASE-RQ."""
    message_id: int = field(init=False)
    """The last one used."""

    def __post_init__(self) -> None:
        self.message_id = self.first_message_id - 1


class _EndedError(Exception):
    """The train has ended; the arguments are the Ending and the comment."""


class _Request:
    """A C-STORE-RQ that was begun."""

    __slots__ = ("begun", "instance", "sent", "size")

    def __init__(self, instance: Outgoing, size: int, begun: float) -> None:
        self.instance = instance
        self.size = size
        self.begun = begun
        self.sent: float | None = None


class Journey:
    """A train on its way. Whether the socket waits or not makes no difference here."""

    def __init__(self, train: Train) -> None:
        self.connection = train.connection
        self.clock = train.clock
        self.unwritten = 0
        """Bytes of the message that was begun last."""
        self._train = train
        self._timeout = train.timeout
        self._rows = train.rows
        self._proceed = train.proceed
        self._window = min(train.window or MOST_OUTSTANDING, MOST_OUTSTANDING)
        self._routes: dict[tuple[str, str], tuple[StoreRequests, Gatherer]] = {}
        self._send = gathered_send(train.connection)
        self._receive = train.connection.recv_into
        self._buffers: list[Buffer] = []
        self._place = 0
        """The first of them that is not written altogether."""
        self._last: _Request
        """The request that is being written."""
        self._outstanding: dict[int, _Request] = {}
        self._deadline = inf
        self._held: Outgoing | None = None
        """Taken out of the train, but not begun."""
        self._making = 0.0
        """Seconds that it takes to get the next one, about."""
        self._looked = False
        """Whether responses were looked for since the last one was begun."""
        self._rest = inf
        """Until when to leave it alone, if there is room for it."""
        self._stopped = False
        self._buffer = bytearray(_RECEIVE_BYTES)
        self._responses = Responses(self._outstanding, self._answered, train.other)
        self._now = 0.0

    @property
    def waits(self) -> bool:
        """Whether there is nothing to do before the peer does something."""
        return bool(self._outstanding or self.unwritten)

    @property
    def wake(self) -> float:
        """When to go on, should nothing happen before."""
        wake = self._deadline if self._outstanding or self.unwritten else inf
        full = self.unwritten or len(self._outstanding) >= self._window  # what is overdue waits for the peer then
        return wake if full or self._stopped else min(wake, self._rest)

    def step(self, *, readable: bool) -> bool:
        """Do what can be done; False once the train has ended."""
        try:
            if readable:
                self._read()
            else:
                self._check(self.clock())
            if self.unwritten:
                self._write()
            self._fill()
        except _EndedError as end:
            self._end(*end.args)
        except OtherPDUError as other:
            self._end({RELEASE_RQ: Ending.RELEASED, ABORT: Ending.ABORTED}.get(other.args[0], Ending.PROTOCOL_ERROR))
        except ProtocolError as error:
            self._end(Ending.PROTOCOL_ERROR, str(error))
        else:
            return True
        return False

    def lose(self) -> None:
        """End: somebody has hung up."""
        self._end(Ending.DISCONNECTED)

    # ---- sending

    def _fill(self) -> None:
        """Begin as many messages as the window allows."""
        self._rest = inf
        while not self.unwritten and len(self._outstanding) < self._window:
            if self._outstanding and not (self._stopped or self._is_at_hand()):
                self._rest = self.clock() + _LOOK
                return
            instance = None if self._stopped else self._hold()
            if instance is None:
                break
            if instance.due is not None and (now := self.clock()) < instance.due:
                if self._proceed(self._rows):
                    self._rest = min(instance.due, now + _LONGEST_REST)
                    return
                self._stopped = True
                break
            self._begin(instance)
        if not (self._outstanding or self.unwritten):
            raise _EndedError(Ending.STOPPED if self._stopped else Ending.COMPLETE)
        takes = self._train.ahead and self._making < _SLOW and self._train.ready()
        if takes and self._held is None and not (self._stopped or self.unwritten):
            # While the peer is busy with what it has, the next one is made or read.
            self._take()

    def _is_at_hand(self) -> bool:
        """Whether the next one can be begun before another look for responses."""
        if self._held is not None or not self._train.ready():
            return self._held is not None
        self._looked = self._making >= _SLOW and not self._looked
        return not self._looked

    def _take(self) -> None:
        """Take the next instance out of the train."""
        began = self.clock()
        self._held = next(self._train.outgoing, None)
        self._making += (self.clock() - began - self._making) / 8

    def _hold(self) -> Outgoing | None:
        """The next instance, taken out of the train but not begun."""
        if self._held is None:
            self._take()
        if self._held is not None and self._responses.leftover:
            self._responses.examine()
        return self._held

    def _begin(self, instance: Outgoing) -> None:
        reference = instance.reference
        route = self._route(reference.sop_class, instance.transfer_syntax)
        self._held = None
        if route is None:
            self._not_sent(instance)
            return
        requests, gatherer = route
        message_id = self._next_message_id()
        command = requests.encode(message_id, reference.sop_instance)
        self._buffers, size, self.unwritten = gatherer.message(command, instance.parts)
        self._place = 0
        now = self.clock()
        self._deadline = now + self._timeout
        self._last = self._outstanding[message_id] = _Request(instance, size, now)
        self._write()

    def _route(self, sop_class: str, transfer_syntax: str) -> tuple[StoreRequests, Gatherer] | None:
        """What makes the messages for a SOP class and transfer syntax; None if no context was accepted for them."""
        key = sop_class, transfer_syntax
        route = self._routes.get(key)
        if route is None and key in self._train.contexts:
            try:
                gatherer = Gatherer(self._train.contexts[key], self._train.max_pdu)
            except ValueError as error:
                raise ProtocolError(Reason.INVALID_PARAMETER, str(error)) from error
            route = self._routes[key] = StoreRequests(sop_class, self._train.originator), gatherer
        return route

    def _not_sent(self, instance: Outgoing) -> None:
        train, reference, now = self._train, instance.reference, self.clock()
        if train.trouble is Trouble.NONE:
            names = UID(reference.sop_class).name, UID(instance.transfer_syntax).name
            train.trouble, train.comment = Trouble.NO_CONTEXT, f"none for {names[0]} in {names[1]}"
        train.rows.append(reference.sop_instance, reference.sop_class, "", 0, now, now, NO_STATUS)
        self._stopped = not train.proceed(train.rows)

    def _next_message_id(self) -> int:
        message_id = self._train.message_id % 0xFFFF + 1
        while message_id in self._outstanding:
            message_id = message_id % 0xFFFF + 1
        self._train.message_id = message_id
        return message_id

    def _write(self) -> None:
        """Write what the connection takes; all of it, if it waits."""
        buffers, place = self._buffers, self._place
        while self.unwritten:
            try:
                written = self._send(buffers[place : place + MOST_BUFFERS])
            except _WOULD_BLOCK:
                self._check(self.clock())
                return
            except TimeoutError:
                raise _EndedError(Ending.TIMED_OUT) from None
            except OSError:
                self._hear_out()
            now = self.clock()
            self._deadline = now + self._timeout
            self.unwritten -= written
            if not self.unwritten:
                self._last.sent = now
                return
            while written >= len(buffers[place]):
                written -= len(buffers[place])
                place += 1
            buffers[place] = memoryview(buffers[place])[written:]
            self._place = place

    # ---- receiving

    def _read(self) -> bool:
        """Take what has come; False if nothing has. If the connection waits, something has."""
        try:
            size = self._receive(self._buffer)
        except _WOULD_BLOCK:
            self._check(self.clock())
            return False
        except TimeoutError:
            raise _EndedError(Ending.TIMED_OUT) from None
        except OSError:
            raise _EndedError(Ending.DISCONNECTED) from None
        self._now = self.clock()
        if not size:
            raise _EndedError(Ending.DISCONNECTED)
        self._responses.feed(self._buffer, size)
        self._check(self._now)
        return True

    def _hear_out(self) -> NoReturn:
        """A connection that takes no more may still hold responses, and why that is."""
        with suppress(OSError):  # somebody has hung up
            self.connection.settimeout(0)
        while self._read():
            if self._responses.leftover:
                self._responses.examine()
        raise _EndedError(Ending.DISCONNECTED)

    def _answered(self, message_id: int, status: int, comment: str) -> None:
        request = self._outstanding.pop(message_id, None)
        if request is None:
            if 0 < message_id <= self._train.message_id:
                return  # a second response, which says nothing of any other request
            raise ProtocolError(Reason.UNEXPECTED_PDU, "a response to nothing")
        self._deadline = self._now + self._timeout
        self._add(request, status, self._now)
        if comment and not is_success(status):
            self._train.comment = self._train.comment or comment
        if not self._proceed(self._rows):
            self._stopped = True

    # ---- the end

    def _add(self, request: _Request, status: int, now: float) -> None:
        instance = request.instance
        sop_class, sop_instance = instance.reference
        started = request.begun if instance.due is None else instance.due
        sent = now if request.sent is None else request.sent
        self._rows.append(sop_instance, sop_class, instance.transfer_syntax, request.size, started, now, status, sent)

    def _check(self, now: float) -> None:
        """Whether the peer has been given enough time."""
        if now >= self._deadline and self.waits:
            raise _EndedError(Ending.TIMED_OUT)

    def _end(self, ending: Ending, comment: str = "") -> None:
        train, now = self._train, self.clock()
        for request in self._outstanding.values():
            self._add(request, NO_STATUS, now)
        train.ending, train.leftover = ending, self._responses.leftover
        if ending.trouble is not Trouble.NONE:
            told = f"{ending.value} within {train.timeout:g} s" if ending is Ending.TIMED_OUT else ending.value
            train.trouble, train.comment = ending.trouble, comment or told
        if self._held is not None:
            train.outgoing = chain((self._held,), train.outgoing)
