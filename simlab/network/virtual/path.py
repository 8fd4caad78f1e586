"""What lies between two nodes of the virtual world, and what their work takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """Fixed times in seconds: what one association, message or instance costs both ends together.

    Orders of magnitude of the live world on a laptop; nothing here is calibrated.
    """

    association: float = 0.010
    message: float = 0.005
    instance: float = 0.004
    make_instance: float = 0.025
    derive_instance: float = 0.020


@dataclass(frozen=True, slots=True)
class Path:
    """What lies between two nodes, one way."""

    latency: float
    """Seconds."""
    bandwidth: float
    """Bytes per second."""

    @property
    def round_trip(self) -> float:
        """Seconds there and back."""
        return 2 * self.latency

    def sending(self, size: int) -> float:
        """Seconds that it takes to send so many bytes."""
        return size / self.bandwidth
