"""What a link is: plain values, in seconds and bytes, that can travel to another process as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias

MSS = 1448
"""Payload bytes of a full TCP segment on Ethernet: 1500, less 20 (IPv4), 20 (TCP) and 12 (time stamps, RFC 7323)."""

WIRE = 1500 / MSS
"""IP bytes for a byte of payload."""

LEAST_QUEUE = 256 * 1024
"""Bytes of queue that a direction has at least, unless told otherwise."""

Congestion: TypeAlias = Literal["ideal", "reno", "cubic"]
Backend: TypeAlias = Literal["relay", "tun"]
How: TypeAlias = Literal["stall", "reset", "refuse"]


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a link."""

    latency: float = 0.0
    """One way, in seconds."""
    jitter: float = 0.0
    """Up to so many seconds more, drawn uniformly. Nothing overtakes within a connection."""
    bandwidth: float = math.inf
    """IP bytes per second."""
    loss: float = 0.0
    """Probability that a segment is lost."""
    queue: int | None = None
    """Bytes that may wait for the line; None: one bandwidth-delay product, and :data:`LEAST_QUEUE` at least."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A time without the link."""

    start: float
    """Seconds since the link began."""
    duration: float
    how: How = "stall"
    """``stall``: everything on the link is lost, and TCP tries again. ``reset``: connections are reset, and new ones
    refused while it lasts. ``refuse``: new connections are refused, the others live on."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """A link: two directions, and how TCP behaves on it."""

    forth: Direction = field(default_factory=Direction)
    """From the first site to the second."""
    back: Direction = field(default_factory=Direction)
    """From the second site to the first."""
    window: int = 4 * 2**20
    """Bytes that a receiver of TCP lets be under way: its receive buffer."""
    congestion: Congestion = "cubic"
    outages: tuple[Outage, ...] = ()
    seed: int = 1
    backend: Backend = "relay"
    """``relay`` models TCP, everywhere. ``tun``: the kernel's TCP, over a bridge of packets (Linux, root)."""

    def __post_init__(self) -> None:
        """Raise ValueError for what no kernel's TCP can be."""
        if self.backend == "tun" and self.congestion == "ideal":
            raise ValueError('congestion: "ideal"; expected cubic or reno with backend tun')

    def queue(self, direction: Direction) -> float:
        """Bytes that may wait for the line of a direction; infinite where the line takes no time."""
        if direction.queue is not None or math.isinf(direction.bandwidth):
            return math.inf if direction.queue is None else direction.queue
        return max(direction.bandwidth * (self.forth.latency + self.back.latency), LEAST_QUEUE)

    def changed(self, changes: Mapping[str, Any]) -> LinkSettings:
        """Return the settings with some of them changed.

        A key of :class:`Direction` changes both directions; ``forth`` and ``back`` hold what is for one of them.
        Raises ValueError for a key that nobody knows.
        """
        own = {name: value for name, value in changes.items() if name in _OF_A_LINK}
        both = {name: value for name, value in changes.items() if name in _OF_A_DIRECTION}
        unknown = changes.keys() - own.keys() - both.keys() - {"forth", "back"}
        sides = {side: {**both, **changes.get(side, {})} for side in ("forth", "back")}
        unknown |= {name for side in sides.values() for name in side.keys() - _OF_A_DIRECTION}
        if unknown:
            raise ValueError(f"unknown setting {min(unknown)} of a link")
        return replace(
            self, forth=_direction(self.forth, sides["forth"]), back=_direction(self.back, sides["back"]), **own
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain values; an unlimited bandwidth is None."""
        told = asdict(self)
        for side in ("forth", "back"):
            if math.isinf(told[side]["bandwidth"]):
                told[side]["bandwidth"] = None
        return told

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> LinkSettings:
        """Return the settings from what :meth:`as_json` gave."""
        outages = tuple(Outage(**outage) for outage in told.get("outages", ()))
        return cls().changed({**told, "outages": outages})


_OF_A_DIRECTION = {entry.name for entry in fields(Direction)}
_OF_A_LINK = {"window", "congestion", "outages", "seed", "backend"}


def _direction(before: Direction, changes: Mapping[str, Any]) -> Direction:
    bandwidth = changes.get("bandwidth", before.bandwidth)
    return replace(before, **{**changes, "bandwidth": math.inf if bandwidth is None else bandwidth})
