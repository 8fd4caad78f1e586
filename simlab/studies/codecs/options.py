"""How much a lossy codec may lose."""

from __future__ import annotations

from dataclasses import dataclass

from simlab.errors import UserError


@dataclass(frozen=True, slots=True)
class LossyOptions:
    """What lossy codecs are asked for; each heeds its own. The defaults lose about as much as each other on CT."""

    near: int = 2
    """JPEG-LS: no pixel is off by more than this many grey values (ISO 14495-1, NEAR)."""
    quality: int = 95
    """JPEG: the customary scale of quantisation tables, 1 to 100."""
    error: float = 1.4
    """JPEG 2000: root mean square error in grey values, about."""
    step: float = 4.0
    """HTJ2K: quantisation step in grey values."""
    distance: float = 0.1
    """JPEG XL: butteraugli distance, 0.01 to 25; 1 is meant to look the same on an 8 bit display."""

    def __post_init__(self) -> None:
        """Raise UserError for what no codec could do."""
        for name, least, greatest in (
            ("near", 1, 255), ("quality", 1, 100), ("error", 0.01, 1e4), ("step", 0.01, 1e4), ("distance", 0.01, 25),
        ):  # fmt: skip
            value = getattr(self, name)
            if not least <= value <= greatest:
                raise UserError(f"{name} {value:g}: expected {least:g} to {greatest:g}")


DEFAULT_OPTIONS = LossyOptions()
