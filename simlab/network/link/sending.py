"""What TCP's window and its slow start cost on an idle link, in theory. Seconds, bytes, and bytes per second."""

from __future__ import annotations

from math import ceil, inf

from simlab.network.link.congestion import INITIAL_WINDOW
from simlab.network.link.settings import WIRE


def send_time(size: float, bandwidth: float, round_trip: float, window: float = inf, start: float = inf) -> float:
    """Seconds from the first byte's start to the last byte's end, for ``size`` bytes of payload.

    At line rate, or a window a round trip where that is less. ``window`` is the receiver's. The congestion window is
    ``start`` at the beginning, and doubles every round trip (RFC 5681 section 3.1).
    """
    rate = bandwidth / WIRE
    full = rate * round_trip if round_trip else 0.0
    now = min(start, window)
    rounds, left = 0, size
    while left > now and now < full:
        if now >= window:
            windows = ceil(left / window) - 1
            return (rounds + windows) * round_trip + (left - windows * window) / rate
        left -= now
        now = min(2 * now, window)
        rounds += 1
    return rounds * round_trip + left / rate


def slow_start(size: float, count: int, bandwidth: float, round_trip: float, window: float = inf) -> float:
    """Seconds by which a new connection's slow start holds up ``count`` messages of ``size`` bytes.

    Each is sent after the response to the one before it, and its acknowledgement lets as many bytes more be under way.
    """
    enough = min(size, bandwidth / WIRE * round_trip, window) if round_trip else 0.0
    steady = send_time(size, bandwidth, round_trip, window)
    congestion, held_up = float(INITIAL_WINDOW), 0.0
    for _ in range(count):
        if congestion >= enough:
            break
        held_up += send_time(size, bandwidth, round_trip, window, congestion) - steady
        congestion += size
    return held_up
