"""One study over the link: associations, instances encoded when the mode says so, and what all of that took."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import TypeVar

from simlab.analysis.closed_form import EncodeMode
from simlab.errors import GroupError
from simlab.lab.sender import STORED
from simlab.lab.wan.corpus import Corpus, Parts
from simlab.lab.wan.encoders import Encoders, result
from simlab.network.live.directory import Peer
from simlab.network.live.sending.association import Requestor, contexts_for
from simlab.network.live.sending.drive import run
from simlab.network.live.sending.train import Outgoing, Train
from simlab.network.live.wire.upper_layer import AssociationError
from simlab.network.seam import StoreStatus, Trouble
from simlab.studies.transfer_syntaxes import EXPLICIT, named
from simlab.studies.uids import derive_uid

T = TypeVar("T")

CALLING = "SIMLAB_WAN"

LOOK_AHEAD = 4
"""Instances for each association that may be encoded, or be waiting for it, ahead of their sending (pipelined)."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """A study, and how it is to be sent."""

    peer: Peer
    corpus: Corpus
    syntax: str
    """Short name of the transfer syntax."""
    associations: int = 1
    outstanding: int = 1
    mode: EncodeMode = EncodeMode.STORED
    encoders: Encoders | None = None
    """Processes that encode ahead: needed for pipelined."""
    timeout: float = 30.0
    """Bounds each wait for the peer, in seconds."""
    run: str = ""
    """Enters the SOP Instance UIDs, for a peer that knows instances again; empty: they are the same every time."""
    calling: str = CALLING


@dataclass(slots=True)
class Shipped:
    """What came of it. Seconds and bytes."""

    study: float
    """From the first association's request to the last one's release."""
    cpu: float
    """Processor time of this process meanwhile."""
    latencies: list[float] = field(default_factory=list)
    """From each instance's request to its response."""
    stored: int = 0
    sent_bytes: int = 0
    encode: list[float] = field(default_factory=list)
    """Wall time of each encoding."""
    encode_cpu: float = 0.0
    troubles: list[str] = field(default_factory=list)


def alike_uid(uid: str, run: str) -> str:
    """Another UID of the same length, so that it can take its place in bytes."""
    made = (derive_uid(uid, run, number) for number in count())
    return next(other for other in made if len(other) == len(uid))


class _Encoder:
    """Encodes instances of a corpus, by their places in it, and keeps the time. Called from any thread."""

    def __init__(self, shipment: Shipment) -> None:
        self._corpus, self._syntax = shipment.corpus, shipment.syntax
        self._encoded = shipment.corpus.encoded(shipment.syntax)
        self._run = shipment.run
        self._encoders = shipment.encoders
        self.seconds: list[float] = []
        self.cpu: list[float] = []

    def stored(self, place: int) -> Outgoing:
        """An instance that was encoded before."""
        return self._outgoing(place, (self._encoded.stored[place],))

    def encode(self, place: int) -> Outgoing:
        """Encode an instance."""
        began, cpu = time.perf_counter(), time.thread_time()
        parts = self._encoded.encode(place)
        self.cpu.append(time.thread_time() - cpu)
        self.seconds.append(time.perf_counter() - began)
        return self._outgoing(place, parts)

    def begin(self, place: int) -> Callable[[], Outgoing]:
        """Have an instance encoded elsewhere. What is returned waits for it."""
        if self._encoded.syntax is EXPLICIT:
            return lambda: self.encode(place)
        assert self._encoders is not None
        future = self._encoders.submit(self._corpus, self._syntax, place)

        def take() -> Outgoing:
            done = result(future)
            self.cpu.append(done.cpu)
            self.seconds.append(done.wall)
            return self._outgoing(place, self._encoded.parts(place, done.encoded))

        return take

    def _outgoing(self, place: int, parts: Parts) -> Outgoing:
        reference = self._corpus.instances[place].reference
        if self._run:
            fresh = alike_uid(reference.sop_instance, self._run)
            parts = (parts[0].replace(reference.sop_instance.encode(), fresh.encode()), *parts[1:])
            reference = reference._replace(sop_instance=fresh)
        return Outgoing(reference, self._encoded.syntax.uid, parts)


class _Shared(Iterator[T]):
    """For several threads: whichever is ready takes the next."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._lock = threading.Lock()

    def __next__(self) -> T:
        with self._lock:
            return next(self._items)


def _raise(error: Exception) -> Outgoing:
    raise error


class _Ahead(Iterator[Outgoing]):
    """Instances that are encoded elsewhere, ahead of their sending: in their order, for whichever thread asks.

    A thread of its own hands them out to be encoded, since that takes long enough to be missed by one that sends.
    """

    def __init__(self, places: Iterator[int], encoder: _Encoder, most: int) -> None:
        self._places = places
        self._encoder = encoder
        self._room = threading.Semaphore(most)
        self._begun: SimpleQueue[Callable[[], Outgoing] | None] = SimpleQueue()
        self._closed = False
        self._handing_out = threading.Thread(target=self._hand_out, name="ahead", daemon=True)
        self._handing_out.start()

    def _hand_out(self) -> None:
        try:
            for place in self._places:
                self._room.acquire()
                if self._closed:
                    break
                self._begun.put(self._encoder.begin(place))
        except GroupError as error:
            self._begun.put(partial(_raise, error))
        finally:
            self._begun.put(None)

    def __next__(self) -> Outgoing:
        take = self._begun.get()
        if take is None:
            self._begun.put(None)  # for the others
            raise StopIteration
        try:
            return take()
        finally:
            self._room.release()

    def close(self) -> None:
        """Begin with nothing more."""
        self._closed = True
        self._room.release()
        self._handing_out.join()


def send_study(shipment: Shipment) -> Shipped:
    """Send every instance of the corpus, and measure. Each association has a thread of its own.

    Raises CodecError for what cannot be encoded.
    """
    stopped = threading.Event()
    corpus, mode = shipment.corpus, shipment.mode
    encoder, places = _Encoder(shipment), iter(range(len(corpus.instances)))
    if mode is EncodeMode.PIPELINED and shipment.encoders is not None:
        shipment.encoders.prepare(corpus, shipment.syntax)
    contexts = [(sop_class, named(shipment.syntax).uid) for sop_class in corpus.sop_classes]

    def send(outgoing: Iterator[Outgoing]) -> Train:
        requestor = Requestor.open(
            shipment.calling,
            shipment.peer,
            contexts_for(contexts),
            timeout=shipment.timeout,
            outstanding=shipment.outstanding,
        )
        train = requestor.train(
            time.perf_counter,
            shipment.timeout,
            lambda _: not stopped.is_set(),
            outgoing=outgoing,
        )
        # A device that encodes each instance right before it sends it does not begin with the next one meanwhile.
        train.ahead = False
        try:
            run(train)
        except BaseException:
            requestor.close(abort=True)
            raise
        requestor.unhitch(train)
        return train

    shipped = Shipped(0.0, 0.0)
    with ThreadPoolExecutor(shipment.associations, "association") as threads, ExitStack() as stack:
        gc.collect()
        gc.disable()  # a collection takes longer than many an instance
        stack.callback(gc.enable)
        began, cpu = time.perf_counter(), time.process_time()
        if mode is EncodeMode.PIPELINED:
            ahead = _Ahead(places, encoder, shipment.associations * LOOK_AHEAD)
            stack.callback(ahead.close)
            sources: list[Iterator[Outgoing]] = [ahead] * shipment.associations
        else:
            make = encoder.stored if mode is EncodeMode.STORED else encoder.encode
            shared = _Shared(places)
            sources = [(make(place) for place in shared) for _ in range(shipment.associations)]
        futures = [threads.submit(send, source) for source in sources]
        try:
            wait(futures)
        except BaseException:
            stopped.set()  # what is under way is answered first, and that is all we wait for
            raise
        shipped.study, shipped.cpu = time.perf_counter() - began, time.process_time() - cpu
    for future in futures:
        try:
            _count(shipped, future.result())
        except AssociationError as error:
            shipped.troubles.append(": ".join(part for part in (error.trouble.value, error.comment) if part))
    shipped.encode, shipped.encode_cpu = encoder.seconds, sum(encoder.cpu)
    return shipped


def _count(shipped: Shipped, train: Train) -> None:
    rows = train.rows
    for size, started, finished, status in zip(rows.bytes, rows.started, rows.finished, rows.status, strict=True):
        if StoreStatus.of(status) in STORED:
            shipped.stored += 1
            shipped.sent_bytes += size
            shipped.latencies.append(finished - started)
    if train.trouble is not Trouble.NONE:
        shipped.troubles.append(": ".join(part for part in (train.trouble.value, train.comment) if part))
