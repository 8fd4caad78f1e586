"""How long a study takes over a link, in theory: formulas, no measurements. Seconds, bytes, and bytes per second.

A C-STORE is synchronous: one instance waits for its response (PS3.7 section 9.1.1), unless an asynchronous operations
window was negotiated (PS3.7 section D.3.3.3). With n instances of S bytes as encoded, k associations of w outstanding
requests each, a round trip R, a server that needs s for an instance, and an encoder that needs e:

    r      = bandwidth x 1448/1500              bytes of TCP payload per second
    send   = S/r                                if the TCP window W >= rR, or W >= S
           = (m - 1) R + (S - (m - 1) W)/r      else, with m = ceil(S/W): a window a round trip
    one    = e + R + s + send                   an instance, from the end of the one before to its response
    study  = a + 3 R + slow start + ceil(n/k) x one
    study >= a + 3 R + R + s + e + n S/r        the link is shared: it is never faster than full
    study >= a + 3 R + R + s + n e/threads      nor is who encodes

TCP's set-up, the association's and its release take a round trip each, and a of work. Slow start (RFC 5681 section 3.1)
doubles the congestion window from 10 segments (RFC 6928) every round trip until it no longer holds anything up. With
w > 1 the instances of an association are one stream of bytes, of which at most min(W, w S) are on their way.

*Stored* instances were encoded before: e = 0. *Per instance* each is encoded right before it is sent. *Pipelined*,
others encode ahead, from the study's start on; it takes as long as the slower of the two, and nothing is sent before
the first instance is encoded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from math import ceil, inf, sqrt

SEGMENT = 1448
"""Bytes of payload in a full TCP segment: an MTU of 1500, less 20 for IP, 20 for TCP, 12 for timestamps (RFC 7323)."""

WIRE = 1500 / SEGMENT
"""Bytes of IP for each byte of payload."""

INITIAL_WINDOW = 10 * SEGMENT
"""Of a TCP connection, in bytes (RFC 6928)."""

ROUND_TRIPS = 3
"""Of a study besides its instances: TCP's set-up, the association's (PS3.8 section 7.1), its release (7.2)."""

MESSAGE_BYTES = 250
"""About what a C-STORE-RQ has besides its data set: command set and PDV headers (PS3.7 section 9.3.1)."""


class EncodeMode(Enum):
    """When instances are encoded."""

    STORED = "stored"
    """Before: they lie there as they are sent."""
    PER_INSTANCE = "per-instance"
    """Each right before it is sent, by the thread that sends."""
    PIPELINED = "pipelined"
    """Ahead, by others than who sends."""


@dataclass(frozen=True, slots=True)
class Path:
    """A link as TCP sees it, alike both ways."""

    rtt: float
    """Round trip in seconds, of an empty packet on an empty link."""
    bandwidth: float = inf
    """Bytes per second on the wire."""
    window: float = inf
    """The largest TCP window in bytes: what may be on its way without being acknowledged."""

    @property
    def rate(self) -> float:
        """Bytes of payload per second."""
        return self.bandwidth / WIRE

    @property
    def full(self) -> float:
        """Bytes on their way that fill the link: the bandwidth-delay product."""
        return self.rate * self.rtt if self.rtt else 0.0


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a transfer syntax makes of an instance."""

    size: float
    """Mean bytes as encoded."""
    encode: float = 0.0
    """Seconds that one thread needs for it."""
    together: float | None = None
    """The same while all threads encode that can; None: they do not get in each other's way."""

    @property
    def beside(self) -> float:
        """Seconds that a thread needs beside the others."""
        return self.encode if self.together is None else self.together


@dataclass(frozen=True, slots=True)
class Work:
    """A study as it is sent: how much, and what it costs at both ends."""

    instances: int
    encoding: Encoding
    server: float = 0.0
    """Seconds that both ends together need for an instance, whatever its size."""
    setup: float = 0.0
    """Seconds of work to associate and to release."""


@dataclass(frozen=True, slots=True)
class Way:
    """How it is sent."""

    associations: int = 1
    outstanding: int = 1
    mode: EncodeMode = EncodeMode.STORED
    encoders: int = 1
    """That encode ahead, side by side (pipelined); per instance, each association has its own."""


@dataclass(frozen=True, slots=True)
class StudyTime:
    """Seconds of a study, by what they are spent on; they add up."""

    setup: float
    """Association, release, and slow start."""
    round_trips: float
    """Waiting for responses, and for a TCP window that is too small."""
    wire: float
    """Bytes going over the link."""
    codec: float
    """Encoding that holds up the sending."""
    server: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.setup + self.round_trips + self.wire + self.codec + self.server


def send_time(path: Path, size: float, congestion_window: float = inf) -> float:
    """From the first byte's start to the last byte's: ``size`` bytes at line rate, or a window a round trip.

    ``congestion_window`` is TCP's at the start, in bytes; it doubles every round trip (RFC 5681 section 3.1).
    """
    window = min(congestion_window, path.window)
    rounds, left = 0, size
    while left > window and window < path.full:
        if window >= path.window:
            full_windows = ceil(left / window) - 1
            return (rounds + full_windows) * path.rtt + (left - full_windows * window) / path.rate
        left -= window
        window = min(2 * window, path.window)
        rounds += 1
    return rounds * path.rtt + left / path.rate


def instance_time(path: Path, size: float, server: float = 0.0, congestion_window: float = inf) -> float:
    """From a C-STORE's request to its response: R + s + send."""
    return path.rtt + server + send_time(path, size + MESSAGE_BYTES, congestion_window)


def _one_by_one(path: Path, size: float, count: int) -> tuple[float, float]:
    """Seconds to send ``count`` messages, each after the response to the one before; of these, those of slow start."""
    window, steady = float(INITIAL_WINDOW), send_time(path, size)
    sending = held_up = 0.0
    for sent in range(count):
        if window >= min(size, path.full, path.window):
            return sending + (count - sent) * steady, held_up
        seconds = send_time(path, size, window)
        sending += seconds
        held_up += seconds - steady
        window += size  # every byte acknowledged lets one more go
    return sending, held_up


def _as_a_stream(path: Path, size: float, count: int, outstanding: int) -> tuple[float, float]:
    """The same where many requests are outstanding: one stream, of which the window of requests is on its way."""
    window = min(path.window, outstanding * size) if outstanding else path.window
    narrow = Path(path.rtt, path.bandwidth, window)
    sending = send_time(narrow, count * size, INITIAL_WINDOW)
    return sending, sending - send_time(narrow, count * size)


def study_time(path: Path, work: Work, way: Way) -> StudyTime:
    """Seconds from the association's request to its release, by what they are spent on.

    The longest of three: an association's own instances one behind the other, all bytes over the link they share, and
    all encoding on the threads there are. What the other two exceed the first by counts as wire, and as codec.
    """
    size, count = work.encoding.size + MESSAGE_BYTES, ceil(work.instances / way.associations)
    encode = work.encoding.encode if way.mode is EncodeMode.PER_INSTANCE else 0.0
    beside = 0.0 if way.mode is EncodeMode.STORED else work.encoding.beside
    crossing = size / path.rate
    if way.outstanding == 1:
        sending, slow_start = _one_by_one(path, size, count)
        waits, codec, server = count, count * encode, count * work.server
    else:
        sending, slow_start = _as_a_stream(path, size, count, way.outstanding)
        # While one instance is encoded or dealt with, others are on their way.
        busy = count * max(encode, work.server) + crossing
        waits, codec, server = 1, encode, work.server
        if encode + sending < busy:
            codec, server = (busy - sending, server) if encode > work.server else (codec, busy - sending)
    wire = count * crossing
    round_trips = waits * path.rtt + sending - slow_start - wire
    chain = round_trips + slow_start + wire + codec + server

    once = path.rtt + work.server + crossing
    start = work.setup + ROUND_TRIPS * path.rtt
    # Together, the associations begin with as many windows, and wait for one another once.
    together = Path(path.rtt, path.bandwidth, max(path.window, 1.0) * way.associations)
    link = send_time(together, work.instances * size, way.associations * INITIAL_WINDOW) + once - crossing + encode
    others = min(way.associations, work.instances) - 1  # that have something to send
    chain += others * crossing
    threads = way.encoders if way.mode is EncodeMode.PIPELINED else way.associations
    encoding = work.instances * beside / threads + once
    first = 0.0
    if way.mode is EncodeMode.PIPELINED:  # it begins with the study, not with the association
        associating = work.setup + (ROUND_TRIPS - 1) * path.rtt
        encoding -= associating
        first = max(0.0, work.encoding.encode - associating)
    wire += others * crossing + max(0.0, link - chain)
    codec += max(first, encoding - max(chain, link))
    return StudyTime(start + slow_start, round_trips, wire, codec, server)


def crossover_bandwidth(one: Encoding, other: Encoding, mode: EncodeMode, *, rtt: float, encoders: int = 1) -> float:
    """Below which bandwidth the ``other`` transfer syntax, smaller and slower to encode, is the faster one.

    Bytes per second on the wire; ``inf`` if it is always faster, 0 if never. For one association, one request
    outstanding, and a window that holds nothing up. From equal times for an instance:

        stored         no encoding, so the smaller one always wins
        per instance   (S1 - S2) x WIRE / (e2 - e1): the round trip and the server cancel out
        pipelined      S1 x WIRE / (e2/encoders - R): the other one's encoders just keep up
    """
    saved, spent = one.size - other.size, other.encode - one.encode
    if mode is EncodeMode.PIPELINED:
        if saved <= 0:
            return 0.0
        spent = other.beside / encoders - rtt
        return (one.size + MESSAGE_BYTES) * WIRE / spent if spent > 0 else inf
    if mode is EncodeMode.STORED:
        spent = 0.0
    if spent <= 0:
        return inf if saved >= 0 else 0.0
    return max(saved, 0.0) * WIRE / spent


def find_crossover(
    difference: Callable[[float], float], low: float, high: float, *, precision: float = 1e-4
) -> float | None:
    """Where a difference of study times changes its sign between two bandwidths, by bisection of the logarithm.

    None if it has the same sign at both.
    """
    at_low = difference(low)
    if at_low * difference(high) > 0:
        return None
    while high / low > 1 + precision:
        middle = sqrt(low * high)
        if difference(middle) * at_low > 0:
            low = middle
        else:
            high = middle
    return sqrt(low * high)
