"""Codecs for pixels: which there are, which images they take, and what they do to a frame.

The libraries behind them are imported when they are first used: they take longer to load than all of simlab.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simlab.studies.codecs import jpeg2000, others
from simlab.studies.codecs.options import LossyOptions
from simlab.studies.codecs.pixels import Frame, PixelFormat


@dataclass(frozen=True)
class Codec:
    """How the frames of one transfer syntax are encoded and decoded."""

    library: str
    """Whose code encodes."""
    encode: Callable[[Frame, PixelFormat, LossyOptions], bytes]
    decode: Callable[[bytes, PixelFormat], Frame]
    stored: tuple[int, int] = (1, 16)
    """Fewest and most Bits Stored."""
    allocated: tuple[int, ...] = (8, 16)
    signed: bool = True
    colour: str = "RGB"
    """Photometric Interpretation that RGB gets; empty if colour is not taken."""
    other_colours: bool = True
    """Whether samples of any meaning are kept as they are: YBR_FULL, PALETTE COLOR and others."""
    raw: bool = False
    """Whether all bits survive, also those beyond Bits Stored."""
    method: str = ""
    """Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1); empty if nothing is lost."""
    loss: Callable[[LossyOptions], str] = lambda _options: ""
    """What was asked of a lossy codec, in words."""

    def why_not(self, form: PixelFormat) -> str:
        """Why images of this format are not encoded; empty if they are."""
        least, most = self.stored
        if form.allocated not in self.allocated:
            return f"takes {_either(self.allocated)} Bits Allocated, not {form.allocated}"
        if not least <= form.stored <= most:
            return f"takes {least} to {most} Bits Stored, not {form.stored}"
        if form.signed and not self.signed:
            return "takes no signed pixels"
        if form.samples not in (1, 3):
            return f"takes 1 or 3 Samples per Pixel, not {form.samples}"
        if form.photometric.startswith("MONOCHROME") and form.samples == 1:
            return ""
        if form.photometric == "RGB" and form.samples == 3 and self.colour:
            return ""
        if self.other_colours and form.photometric in _KEPT:
            return ""
        return f"takes no Photometric Interpretation {form.photometric}"


_KEPT = ("PALETTE COLOR", "YBR_FULL")


def _either(numbers: tuple[int, ...]) -> str:
    return " or ".join(map(str, numbers))


_TURBO, _OPENJPEG, _OPENJPH, _LIBJXL = (
    f"{library} (imagecodecs)" for library in ("libjpeg-turbo", "OpenJPEG", "OpenJPH", "libjxl")
)

CODECS = {
    "rle": Codec(
        "simlab, PackBits of imagecodecs", others.encode_rle, others.decode_rle, (1, 32), (8, 16, 32), raw=True
    ),
    "jpeg": Codec(
        _TURBO, others.encode_jpeg, others.decode_jpeg, (8, 8), (8,), signed=False, colour="YBR_FULL_422",
        other_colours=False, method="ISO_10918_1", loss=lambda options: f"JPEG baseline, quality {options.quality}",
    ),
    "jpeg12": Codec(
        _TURBO, others.encode_jpeg12, others.decode_jpeg, (9, 12), (16,), signed=False, colour="",
        other_colours=False, method="ISO_10918_1",
        loss=lambda options: f"JPEG extended, 12 bits, quality {options.quality}",
    ),
    "jpeg-lossless": Codec(_TURBO, others.encode_jpeg_lossless, others.decode_process_14, (2, 16)),
    "sv1": Codec(_TURBO, others.encode_sv1, others.decode_process_14, (2, 16)),
    "jpegls": Codec("CharLS (pyjpegls)", others.encode_jpegls, others.decode_jpegls, (2, 16)),
    "jpegls-near": Codec(
        "CharLS (pyjpegls)", others.encode_jpegls_near, others.decode_jpegls, (2, 16), signed=False,
        other_colours=False, method="ISO_14495_1",
        loss=lambda options: f"JPEG-LS near-lossless, NEAR {options.near}",
    ),
    "j2k": Codec(_OPENJPEG, jpeg2000.encode_j2k, jpeg2000.decode_j2k, (2, 16), colour="YBR_RCT"),
    "j2k-lossy": Codec(
        _OPENJPEG, jpeg2000.encode_j2k_lossy, jpeg2000.decode_j2k, (8, 16), colour="YBR_ICT", other_colours=False,
        method="ISO_15444_1", loss=lambda options: f"JPEG 2000, RMS error {options.error:g} asked for",
    ),
    "htj2k": Codec(_OPENJPH, jpeg2000.encode_htj2k, jpeg2000.decode_j2k, colour="YBR_RCT"),
    "htj2k-rpcl": Codec(_OPENJPH, jpeg2000.encode_htj2k_rpcl, jpeg2000.decode_j2k, colour="YBR_RCT"),
    "htj2k-lossy": Codec(
        _OPENJPH, jpeg2000.encode_htj2k_lossy, jpeg2000.decode_j2k, (8, 16), colour="YBR_ICT", other_colours=False,
        method="ISO_15444_15", loss=lambda options: f"HTJ2K, quantisation step {options.step:g}",
    ),
    "jxl": Codec(_LIBJXL, others.encode_jxl, others.decode_jxl, signed=False, other_colours=False),
    "jxl-jpeg": Codec(
        _LIBJXL, others.encode_jxl_jpeg, others.decode_jxl_jpeg, (8, 8), (8,), signed=False, colour="YBR_FULL_422",
        other_colours=False, method="ISO_10918_1", loss=lambda options: f"JPEG baseline, quality {options.quality}",
    ),
    "jxl-lossy": Codec(
        _LIBJXL, others.encode_jxl_lossy, others.decode_jxl, (8, 16), signed=False, colour="XYB", other_colours=False,
        method="ISO_18181_1", loss=lambda options: f"JPEG XL, distance {options.distance:g}",
    ),
    "deflated-frame": Codec(
        "zlib", others.encode_deflated, others.decode_deflated, (1, 32), (8, 16, 32), raw=True
    ),
}  # fmt: skip
"""By the alias of the transfer syntax."""
