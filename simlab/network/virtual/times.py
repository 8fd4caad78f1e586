"""What the work of an AE takes in the virtual world: means, as a calibration measures them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from simlab.studies.transfer_syntaxes import named


@dataclass(frozen=True, slots=True)
class Serving:
    """What an AE takes for what it is asked. Seconds."""

    servers: int = 1
    """How many instances or messages it works on at a time; the others queue."""
    association: float = 0.003
    """To accept an association."""
    message: float = 0.003
    """To answer a request without pixels."""
    instance: float = 0.0015
    """For a C-STORE, whatever its size."""
    byte: float = 0.0
    """And for each byte of it."""
    cv: float = 0.0
    """Coefficient of variation of what a whole train of C-STOREs takes, from one train to the next."""
    reference: float = 75e-6
    """For each instance that a message names, as a commitment request does."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What an AE takes of its own time for what it asks. Seconds; nobody else waits meanwhile."""

    association: float = 0.004
    """To request an association, and to release it."""
    message: float = 0.002
    """To send a request without pixels, and to take in the response."""
    instance: float = 0.0015
    """Between a response and the next C-STORE, whatever its size."""
    byte: float = 0.0
    """And for each byte of that."""
    reference: float = 75e-6
    """For each instance that a message names."""


@dataclass(frozen=True, slots=True)
class Codec:
    """What a transfer syntax does to pixels. Seconds of processor time per byte of what is not compressed."""

    ratio: float = 1.0
    """Size without compression over size with it."""
    encode: float = 0.0
    decode: float = 0.0


_MEASURED = {
    "rle": (2.22, 1.80, 125, 384),
    "jpeg-lossless": (2.96, 2.98, 86, 376),
    "sv1": (2.96, 2.98, 86, 376),
    "jpegls": (4.00, 3.61, 147, 165),
    "jpegls-near": (6.97, 6.98, 104, 154),
    "j2k": (4.02, 3.82, 26, 29),
    "htj2k": (3.67, 3.54, 304, 487),
    "htj2k-rpcl": (3.67, 3.54, 304, 487),
    "jxl": (4.29, 4.18, 54, 75),
    "deflated": (2.36, 2.09, 22, 200),
}
"""Ratio of CT and of MR, and millions of bytes encoded and decoded in a second of one processor, on the phantoms. What
else there is counts as not compressed, until it is measured."""

CODECS: Mapping[tuple[str, str], Codec] = {
    (modality, named(name).uid): Codec(ratio, 1e-6 / encoded, 1e-6 / decoded)
    for name, (ct, mr, encoded, decoded) in _MEASURED.items()
    for modality, ratio in (("CT", ct), ("MR", mr))
}
"""By modality and transfer syntax UID."""

NO_CODEC = Codec()


@dataclass(frozen=True, slots=True)
class Times:
    """All that the work of an AE takes.

    Unless something else was measured these are orders of magnitude of the live world on a laptop.
    """

    serving: Serving = Serving()
    asking: Asking = Asking()
    make_instance: float = 0.025
    """Seconds to acquire an instance, besides the examination."""
    derive_instance: float = 0.020
    """Seconds to reconstruct one."""
    codecs: Mapping[tuple[str, str], Codec] = field(default_factory=lambda: CODECS)
    """By modality and transfer syntax UID."""
    report: float = 0.0
    """Seconds for which an AE that is not ours lets a commitment request lie before it reports."""

    def codec(self, modality: str, syntax: str) -> Codec:
        """What a transfer syntax does to the images of a modality."""
        return self.codecs.get((modality, syntax), NO_CODEC)


UNCALIBRATED = Times()
