"""One direction of one connection: TCP's sender, the line, and TCP's receiver, chunk by chunk.

What is lost (by chance, by a full queue, by an outage) is sent again: a round trip later if something sent after it
arrives (RFC 6675, RACK as in RFC 8985), else after a probe time-out, then after retransmission time-outs that double
(RFC 6298). Meanwhile the receiver holds back what it has beyond the gap, as TCP does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from simlab.network.link.congestion import Window
from simlab.network.link.lane import LARGEST_CHUNK, Clock, Lane
from simlab.network.link.losses import Losses
from simlab.network.link.settings import MSS

FEWEST_TO_RECOVER = 4 * MSS
"""Bytes of window below which a full queue makes a sender wait instead of losing a chunk. In real TCP chance decides
here who times out; the link lets everybody have a turn."""

MOST_PATIENCE = 120.0
"""Seconds between two attempts to send something again, at most (Linux's TCP_RTO_MAX)."""

CHUNKS_AT_ONCE = 32
"""Chunks that one sender moves before others get their turn, where the link costs nothing."""


class Source(Protocol):
    """Where a flow's bytes come from."""

    def read(self, most: int) -> Sequence[int] | None:
        """Return some bytes, at most so many; empty at the end, None if there are none now."""

    def want(self, *, more: bool) -> None:
        """Whether to call :meth:`Flow.pump` when there are bytes."""


class Sink(Protocol):
    """Where a flow's bytes go."""

    held: int
    """Bytes that nobody has taken yet."""

    def write(self, data: Sequence[int]) -> None:
        """Take bytes; call :meth:`Flow.pump` when they have gone."""

    def end(self) -> None:
        """No more bytes will come."""


class Plug(Protocol):
    """Whether the link is there at all."""

    @property
    def down(self) -> bool:
        """Everything is lost now."""

    @property
    def clear(self) -> bool:
        """The link costs nothing: no latency, no limit, no loss, either way."""


class _Chunk:
    """Some payload on its way."""

    __slots__ = ("arrived", "data", "first", "order", "sent", "size", "twice")

    def __init__(self, first: int, data: Sequence[int], *, arrived: bool = False) -> None:
        self.first = first
        """Payload bytes before it."""
        self.data = data
        self.size = len(data)
        self.arrived = arrived
        self.twice = False
        """Sent more than once: its round trip tells nothing."""
        self.sent = 0.0
        self.order = 0


class Flow:
    """Moves the bytes of one source to one sink over a lane; acknowledgements come back over the other one."""

    def __init__(
        self, clock: Clock, plug: Plug, lane: Lane, back: Lane, source: Source, sink: Sink, window: Window,
        receive_window: int, losses: Losses,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._plug = plug
        self._lane = lane
        self._back = back
        self._source = source
        self._sink = sink
        self._window = window
        self._receive_window = receive_window
        self._losses = losses
        self._chunks = 0
        # The sender.
        self._next = 0
        self._under_way = 0
        self._acknowledged = 0
        self._again: deque[_Chunk] = deque()
        self._again_size = 0
        self._missing: deque[_Chunk] = deque()
        self._reduced_until = 0
        """What was lost of the payload before this has reduced the window already."""
        self._recovering_until = 0
        """The window does not grow before this is acknowledged (fast recovery)."""
        self._last_sent = 0.0
        self._last_heard = 0.0
        self._timeouts = 0
        self._timer = False
        self._waiting = False
        self._read_all = False
        # The receiver.
        self._expected = 0
        self._early: dict[int, _Chunk] = {}
        self._early_size = 0
        self._last_arrival = 0.0
        self.closed = False
        """Nothing more is done; see :meth:`close`."""
        self.ended = False
        """The sink has heard of the end."""

    @property
    def outstanding(self) -> int:
        """Bytes that were read from the source, and not yet acknowledged or taken from the sink."""
        return self._under_way + self._again_size + self._early_size + self._sink.held

    # ---- the sender

    def pump(self) -> None:
        """Send what may be sent: the source may have more, or the sink may have room again."""
        if self.closed or self._waiting:
            return
        if self._plug.clear and not self.outstanding:
            self._pass_through()
            return
        sent_any = False
        while True:
            now = self._clock.now()
            room = self._room()
            if room < 0:
                limited = self._window.size - self._under_way < MSS
                self._source.want(more=False)
                break
            if not self._lane.has_room(now) and self._waits():
                limited = False
                self._waiting = True
                self._source.want(more=False)
                self._lane.stand_in_line(self)
                break
            if not self._send_next(now, room):
                limited = False
                break
            sent_any = True
        if sent_any:
            self._window.used(self._under_way, self._next, self._acknowledged, limited=limited)

    def turn(self) -> bool:
        """Send one chunk, now that the queue has room; True if there is more to send."""
        self._waiting = False
        room = self._room()
        if self.closed or room < 0:
            return False  # an acknowledgement will pump
        if not self._send_next(self._clock.now(), room):
            return False  # the source will pump
        self._window.used(self._under_way, self._next, self._acknowledged, limited=False)
        self._waiting = not self._read_all or bool(self._again)
        return self._waiting

    def _pass_through(self) -> None:
        """Hand bytes straight on, where the link costs nothing and nothing is under way."""
        for _ in range(CHUNKS_AT_ONCE):
            if self._read_all or self._sink.held:
                self._source.want(more=False)
                return
            data = self._source.read(LARGEST_CHUNK)
            if data is None:
                self._source.want(more=True)
                return
            size = len(data)
            if not size:
                self._read_all = True
                self.ended = True
                self._source.want(more=False)
                self._sink.end()
                return
            self._lane.payload += size
            self._lane.delivered += size
            self._next += size
            self._expected += size
            self._acknowledged += size
            self._sink.write(data)
            if self.closed:
                return
        self._source.want(more=True)

    def _room(self) -> int:
        """Return how many bytes may be sent now; less than 0 if nothing may.

        TCP sends no less than a segment while more is to come (RFC 1122 section 4.2.3.4). What is sent again has its
        place in the receiver's window already.
        """
        room = int(self._window.size) - self._under_way
        if self._again:
            return room if room >= min(MSS, self._again[0].size) else -1
        if self._read_all:
            return -1
        room = min(room, self._receive_window - self._under_way - self._early_size - self._sink.held)
        return room if room >= min(MSS, self._receive_window) else -1

    def _waits(self) -> bool:
        """Whether a full queue makes this sender wait, rather than lose what it sends.

        Of several senders those that have less under way than the average are spared. In real TCP chance decides, and
        makes up for it only over minutes.
        """
        return (
            bool(self._again)
            or self._window.congestion == "ideal"
            or self._window.size <= FEWEST_TO_RECOVER
            or self._under_way < self._lane.equal_share
        )

    def _set_under_way(self, size: int) -> None:
        self._lane.account(self._under_way, size)
        self._under_way = size

    def close(self) -> None:
        """Do nothing more."""
        if not self.closed:
            self.closed = True
            self._set_under_way(0)

    def _send_next(self, now: float, room: int) -> bool:
        """Send one chunk, again or for the first time; False if there is none."""
        most = min(room, self._lane.chunk)
        if self._again:
            chunk = self._again.popleft()
            if chunk.size > most:
                rest = _Chunk(chunk.first + most, chunk.data[most:], arrived=chunk.arrived)
                # What has arrived, and was not acknowledged, is the receiver's, and stays as it is.
                chunk = _Chunk(chunk.first, chunk.data[:most], arrived=chunk.arrived)
                chunk.twice = rest.twice = True
                self._again.appendleft(rest)
            self._again_size -= chunk.size
            self._transmit(chunk, now)
            return True
        data = self._source.read(most)
        if data is None:
            self._source.want(more=True)
            return False
        if not len(data):
            self._read_all = True
            self._source.want(more=False)
        for part, lost in self._losses.split(data, self._lane.direction.loss):
            chunk = _Chunk(self._next, part)
            self._next += chunk.size
            self._transmit(chunk, now, lost=lost)
        return True

    def _transmit(self, chunk: _Chunk, now: float, *, lost: bool = False) -> None:
        if not self._under_way and self._last_sent:
            self._window.idled(now - self._last_sent)
        self._chunks += 1
        chunk.order, chunk.sent = self._chunks, now
        self._set_under_way(self._under_way + chunk.size)
        self._last_sent = now
        lane = self._lane
        if chunk.twice:
            lost = self._losses.again(chunk.size, lane.direction.loss)
        elif chunk.size and not lane.has_room(now) and not self._waits():
            self._lose(chunk)
            return
        left = lane.enter(chunk.size, now)
        if lost:
            self._lose(chunk)
            return
        arrival = left + lane.latency + self._losses.jitter(lane.direction.jitter, chunk.order)
        if not chunk.twice:
            arrival = self._last_arrival = max(arrival, self._last_arrival)
        self._clock.at(arrival, self._arrive, chunk, chunk.order)

    def _lose(self, chunk: _Chunk) -> None:
        self._lane.dropped += -(-chunk.size // MSS) or 1
        self._missing.append(chunk)
        self._arm()

    def _acknowledge(self, chunk: _Chunk, order: int) -> None:
        """An acknowledgement arrives at the sender."""
        if self.closed:
            return
        if self._plug.down:
            self._lose(chunk)
            return
        now = self._last_heard = self._clock.now()
        self._timeouts = 0
        self._set_under_way(self._under_way - chunk.size)
        self._acknowledged += chunk.size
        if not chunk.twice:
            self._window.measured(now - chunk.sent, chunk.size, now, self._next, self._acknowledged)
        if self._missing and self._missing[0].order < order:
            late = []
            while self._missing and self._missing[0].order < order:
                late.append(self._missing.popleft())
            self._notice(late)
        if chunk.first >= self._recovering_until:
            self._window.acknowledged(chunk.size, now)
        self.pump()

    def _notice(self, lost: list[_Chunk]) -> None:
        """Something was lost: send it again, and reduce the window once for all that was then under way."""
        if any(chunk.first >= self._reduced_until for chunk in lost):
            self._window.reduce()
            self._lane.cuts += 1
            self._reduced_until = self._recovering_until = self._next
        self._put_back(lost)

    def _put_back(self, lost: list[_Chunk]) -> None:
        for chunk in lost:
            chunk.twice = True
            self._set_under_way(self._under_way - chunk.size)
            self._again_size += chunk.size
        self._again.extend(lost)
        if len(self._again) > len(lost) and self._again[-len(lost) - 1].first > lost[0].first:
            self._again = deque(sorted(self._again, key=lambda chunk: chunk.first))

    # ---- time-outs, which matter only while something is missing

    def _patience(self) -> float:
        """Seconds of silence after which the sender tries again: first a probe (RFC 8985 section 7.2)."""
        window = self._window
        if self._timeouts or not window.smoothed:
            return min(window.timeout * 2.0 ** max(0, self._timeouts - 1), MOST_PATIENCE)
        several = len(self._missing) > 1 or self._under_way > MSS
        return min(2 * window.smoothed + (0.002 if several else 0.2), window.timeout)

    def _arm(self) -> None:
        if not self._timer:
            self._timer = True
            self._clock.at(max(self._last_sent, self._last_heard) + self._patience(), self._time_out)

    def _time_out(self) -> None:
        self._timer = False
        if self.closed or not self._missing:
            return
        due = max(self._last_sent, self._last_heard) + self._patience()
        if due > self._clock.now() + 1e-9:
            self._timer = True
            self._clock.at(due, self._time_out)
            return
        lost = list(self._missing)
        self._missing.clear()
        if self._timeouts == 0:
            self._notice(lost)
        else:
            if self._timeouts == 1:
                self._window.collapse()
                self._lane.cuts += 1
            self._reduced_until, self._recovering_until = self._next, 0
            self._put_back(lost)
        self._timeouts += 1
        self.pump()

    # ---- the receiver

    def _arrive(self, chunk: _Chunk, order: int) -> None:
        if self.closed:
            return
        if self._plug.down:
            self._lose(chunk)
            return
        if not chunk.arrived:
            chunk.arrived = True
            if chunk.first == self._expected:
                self._deliver(chunk)
            else:
                self._early[chunk.first] = chunk
                self._early_size += chunk.size
        if self.closed:  # the sink found its reader gone
            return
        now = self._clock.now()
        self._clock.at(now + self._back.latency + self._back.delay(now), self._acknowledge, chunk, order)

    def _deliver(self, chunk: _Chunk | None) -> None:
        while chunk is not None:
            self._expected += chunk.size
            self._lane.delivered += chunk.size
            if chunk.size:
                self._sink.write(chunk.data)
            else:
                self.ended = True
                self._sink.end()
            if self.closed:
                return
            chunk = self._early.pop(self._expected, None)
            if chunk is not None:
                self._early_size -= chunk.size
