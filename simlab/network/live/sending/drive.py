"""Makes trains of C-STOREs go: one at a time in calls that wait (:func:`run`), or many in one loop (:func:`run_all`).

No threads, no log. What goes wrong between AEs is told by the trains; an exception is one that a train's ``outgoing``
or ``proceed`` has raised.
"""

from __future__ import annotations

import select
import selectors
import socket
import ssl
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import inf
from struct import Struct

from simlab.network.live.sending.train import Journey, Train

_TIMEVAL = Struct("@ll")


def run(train: Train) -> None:
    """Run one train to its end.

    With one request outstanding at a time there is nothing to do but to send, or to wait for the response: two calls of
    the system for each instance. Larger windows need a loop, and so does TLS, whose connections may tell of bytes that
    are not for us.
    """
    if train.window == 1 and not isinstance(train.connection, ssl.SSLSocket):
        _alternate(train)
    else:
        _run_together([train])


def run_all(trains: Sequence[Train]) -> None:
    """Run trains side by side, each to its own end. They go by one clock."""
    if len(trains) == 1:
        run(trains[0])
    else:
        _run_together(trains)


def _alternate(train: Train) -> None:
    journey = Journey(train)
    if train.connection.fileno() < 0:
        journey.lose()
        return
    with _bounded(train.connection, train.timeout), selectors.DefaultSelector() as selector:
        selector.register(train.connection, selectors.EVENT_READ)
        goes_on = journey.step(readable=False)
        while goes_on:
            readable = journey.waits or bool(_ready(selector, journey.wake - train.clock()))
            goes_on = journey.step(readable=readable)


@contextmanager
def _bounded(connection: socket.socket, seconds: float) -> Iterator[None]:
    """Let each call of a connection wait, but only so long.

    Python keeps to a time-out by a poll before every call; the system's own bound, where there is one, spares that: a
    tenth of the time of a small instance.
    """
    before = connection.gettimeout()
    connection.settimeout(None if _bound(connection, max(seconds, 1e-6)) else seconds)
    try:
        yield
    finally:
        _bound(connection, 0.0)
        with suppress(OSError):  # somebody has hung up meanwhile
            connection.settimeout(before)


def _bound(connection: socket.socket, seconds: float) -> bool:
    """Set the system's bound, 0 for none; False if there is no such thing. Windows counts otherwise."""
    if sys.platform == "win32":
        return False
    bound = _TIMEVAL.pack(int(seconds), int(seconds % 1 * 1e6))
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bound)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bound)
    except OSError:
        return False
    return True


def _run_together(trains: Iterable[Train]) -> None:
    journeys = [Journey(train) for train in trains]
    before = [journey.connection.gettimeout() for journey in journeys]
    try:
        with selectors.DefaultSelector() as selector:
            _loop(selector, journeys)
    finally:
        for journey, timeout in zip(journeys, before, strict=True):
            with suppress(OSError):  # somebody has hung up meanwhile
                journey.connection.settimeout(timeout)


def _loop(selector: selectors.BaseSelector, journeys: Sequence[Journey]) -> None:
    for journey in journeys:
        if journey.connection.fileno() < 0:
            journey.lose()
            continue
        journey.connection.settimeout(0)
        selector.register(journey.connection, selectors.EVENT_READ, journey)
        _step(selector, selector.get_key(journey.connection), readable=False)
    wake = -inf
    while keys := selector.get_map():
        now = journeys[0].clock()
        if now >= wake:
            # A deadline only moves away, so that it need not be looked at before its time.
            for key in [key for key in keys.values() if key.data.wake <= now]:
                _step(selector, key, readable=False)
            wake = min((key.data.wake for key in keys.values()), default=inf)
            continue
        for key, events in _ready(selector, wake - now):
            _step(selector, key, readable=bool(events & selectors.EVENT_READ))
            wake = min(wake, key.data.wake)


def _step(selector: selectors.BaseSelector, key: selectors.SelectorKey, *, readable: bool) -> None:
    journey = key.data
    if not journey.step(readable=readable):
        selector.unregister(journey.connection)
        return
    wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if journey.unwritten else 0)
    if wanted != key.events:
        selector.modify(journey.connection, wanted, journey)


def _ready(selector: selectors.BaseSelector, seconds: float) -> list[tuple[selectors.SelectorKey, int]]:
    """What is ready within so many seconds, or shortly before they are over.

    Selectors round up to milliseconds, which is coarse beside a rate of thousands per second; ``select`` does not.
    """
    if seconds > 0.002:
        return selector.select(min(seconds - 0.001, 60.0))
    try:
        # A selector with a descriptor of its own (epoll, kqueue) can be waited for; its type does not say so.
        select.select([selector], [], [], max(seconds, 0.0))  # type: ignore[type-var]
    except (TypeError, ValueError):  # this selector has no descriptor, or too high a one
        return selector.select(seconds)
    return selector.select(0)
