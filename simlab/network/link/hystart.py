"""When slow start ends before anything is lost: HyStart, as it is in Linux's CUBIC (Ha and Rhee 2011).

Two signs that the line is full: acknowledgements of one round that follow each other for half a round trip, and a round
whose first ones all took longer than the shortest round trip.
"""

from __future__ import annotations

import math

from simlab.network.link.settings import MSS

LOW_WINDOW = 16 * MSS
"""Bytes of window below which nothing is concluded."""

SAMPLES = 8
"""Acknowledgements of a round, each for two segments, that must all have come late."""

TRAIN_GAP = 0.002
"""Seconds within which acknowledgements follow each other."""

LEAST_DELAY, MOST_DELAY = 0.004, 0.016
"""Seconds of delay that tell, between which it is an eighth of the shortest round trip."""


class HyStart:
    """Watches the acknowledgements of one sender while it is in slow start."""

    def __init__(self) -> None:
        self._shortest = math.inf
        self._round_ends = 0
        self._began = self._last = 0.0
        self._least = math.inf
        self._segments = 0.0

    def measured(self, round_trip: float) -> None:
        """Take in a round trip in seconds, be it in slow start or not."""
        self._shortest = min(self._shortest, round_trip)

    def is_full(self, round_trip: float, now: float, size: int, *, window: float, sent: int, acknowledged: int) -> bool:
        """Whether an acknowledgement of ``size`` bytes shows that the line is full.

        ``sent`` and ``acknowledged`` are bytes of the connection so far.
        """
        if acknowledged > self._round_ends:
            self._round_ends, self._began, self._last = sent, now, now
            self._least, self._segments = math.inf, 0.0
        if window < LOW_WINDOW:
            return False
        if now - self._last <= TRAIN_GAP:
            self._last = now
            if now - self._began > self._shortest / 2:
                return True
        self._least = min(self._least, round_trip)
        if self._segments < 2 * SAMPLES:
            self._segments += size / MSS
            return False
        return self._least > self._shortest + min(max(self._shortest / 8, LEAST_DELAY), MOST_DELAY)
