"""How much a sender of TCP has under way: slow start, Reno (RFC 5681) and CUBIC (RFC 9438), in bytes and seconds.

As Linux does it: ten segments to begin with (RFC 6928), appropriate byte counting (RFC 3465), growth only while the
window is what limits the sender (RFC 7661), a smaller window after idling (RFC 2861), and with CUBIC HyStart.
"""

from __future__ import annotations

import math

from simlab.network.link.hystart import HyStart
from simlab.network.link.settings import MSS, Congestion

INITIAL_WINDOW = 10 * MSS
LEAST_WINDOW = 2 * MSS
LEAST_TIMEOUT = 0.2
"""Seconds that a retransmission time-out exceeds the round trip by, at least (Linux's TCP_RTO_MIN)."""

_BETA = {"reno": 0.5, "cubic": 0.7, "ideal": 1.0}
_C = 0.4
"""CUBIC's constant, in segments per cubic second (RFC 9438 section 5)."""
_FRIENDLY = 3 * (1 - _BETA["cubic"]) / (1 + _BETA["cubic"])
"""Segments a round trip by which the Reno-friendly estimate grows (RFC 9438 section 4.3)."""

_UNKNOWN = 0.05
"""By which share CUBIC grows in a round trip at least, while nothing was lost and nobody knows how much there is room
for (Linux)."""


class Window:
    """The congestion window of one sender.

    ``ideal`` begins as slowly as the others, and then knows nothing but back-pressure: it never reduces its window.
    """

    def __init__(self, congestion: Congestion) -> None:
        self.congestion = congestion
        self.size: float = INITIAL_WINDOW
        """Bytes that may be under way."""
        self.threshold = math.inf
        """Where slow start ends."""
        self.smoothed = 0.0
        """Smoothed round trip in seconds (RFC 6298); 0.0 before the first."""
        self._most = 0.0
        self._epoch: float | None = None
        """When this phase of congestion avoidance began; None before it does."""
        self._peak = 0.0
        """CUBIC's W_max, in segments; 0.0 before anything was lost."""
        self._origin = 0.0
        """Segments at which CUBIC's curve is flat: W_max, or more if the window had grown beyond it."""
        self._to_peak = 0.0
        """CUBIC's K, in seconds."""
        self._estimate = 0.0
        """CUBIC's W_est, in segments."""
        self._limited = False
        self._judged_until = 0
        self._hystart = HyStart() if congestion == "cubic" else None

    @property
    def timeout(self) -> float:
        """Seconds after which a sender that hears nothing sends again."""
        return self.smoothed + LEAST_TIMEOUT

    @property
    def _slow_start(self) -> bool:
        return self.size < self.threshold

    def measured(self, round_trip: float, size: int, now: float, sent: int, acknowledged: int) -> None:
        """Take in how long an acknowledgement of ``size`` bytes took, in seconds; of so many sent and acknowledged."""
        self.smoothed = self.smoothed + (round_trip - self.smoothed) / 8 if self.smoothed else round_trip
        if self._hystart is not None:
            self._hystart.measured(round_trip)
            if math.isinf(self.threshold) and self._hystart.is_full(
                round_trip, now, size, window=self.size, sent=sent, acknowledged=acknowledged
            ):
                self.threshold = self.size

    def used(self, under_way: float, sent: int, acknowledged: int, *, limited: bool) -> None:
        """Note how much of the window was used, after sending; it is judged once a window."""
        if acknowledged >= self._judged_until or limited or (not self._limited and under_way > self._most):
            self._limited = limited
            self._most = under_way
            self._judged_until = sent

    def acknowledged(self, size: int, now: float) -> None:
        """Grow by what was acknowledged."""
        if self._slow_start:
            if self._limited or self.size < 2 * self._most:
                self.size += size
        elif self._limited:
            if self.congestion == "cubic":
                self._grow_cubic(size / MSS, now)
            else:
                self.size += size * MSS / self.size

    def _grow_cubic(self, segments: float, now: float) -> None:
        """RFC 9438 sections 4.2 to 4.5."""
        window = self.size / MSS
        if self._epoch is None:
            self._epoch = now
            self._estimate = window
            self._origin = max(window, self._peak)
            self._to_peak = ((self._origin - window) / _C) ** (1 / 3)
        target = _C * (now - self._epoch + self.smoothed - self._to_peak) ** 3 + self._origin
        target = min(max(target, window), 1.5 * window)
        self._estimate += (_FRIENDLY if self._estimate < self._origin else 1.0) * segments / window
        grown = max(window + (target - window) * segments / window, self._estimate)
        if not self._peak:
            grown = max(grown, window + _UNKNOWN * segments)
        self.size = MSS * grown

    def reduce(self) -> None:
        """A loss was noticed by what came after it (fast recovery)."""
        if self.congestion == "ideal":
            return
        window = self.size / MSS
        self._peak = window * (1 + _BETA["cubic"]) / 2 if window < self._peak else window  # fast convergence
        self.threshold = max(self.size * _BETA[self.congestion], LEAST_WINDOW)
        self.size = self.threshold
        self._epoch = None

    def collapse(self) -> None:
        """A retransmission timed out: begin again with one segment."""
        self.reduce()
        self.size = MSS

    def idled(self, seconds: float) -> None:
        """Nothing was sent for a while: CUBIC's clock stands meanwhile, and the window halves every time-out."""
        if self._epoch is not None:
            self._epoch += seconds
        while seconds > self.timeout and self.size > INITIAL_WINDOW:
            self.threshold = max(self.threshold, 0.75 * self.size)
            self.size = max(self.size / 2, INITIAL_WINDOW)
            seconds -= self.timeout
