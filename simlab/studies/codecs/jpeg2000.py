"""JPEG 2000 and its high-throughput block coder (ISO 15444-1 and 15444-15), through OpenJPEG and OpenJPH.

imagecodecs lets OpenJPH encode whole bytes only: 12 bits in 16 would be declared as 16, and contradict Bits Stored. So
values of other depths go in as signed ones, which are not shifted, and what the codestream says of them is set right.
"""

from __future__ import annotations

from math import ceil, log2, log10
from typing import Any

import numpy as np

from simlab.errors import CodecError
from simlab.studies.codecs.options import LossyOptions
from simlab.studies.codecs.pixels import Frame, PixelFormat

_SIZ, _QCD = b"\xff\x51", b"\xff\x5c"
_CARRIER = 16
"""Bits of what OpenJPH is given if Bits Stored is not 8 or 16."""

_LARGEST_BASE = 64
"""Pixels of the lowest resolution of HTJ2K RPCL, along each side at most (PS3.5 section 10.18)."""

_DECOMPOSITIONS = 5

_MOST_GUARD_BITS = 7
"""Three bits hold their number (ISO 15444-1 table A.28)."""


def encode_j2k(frame: Frame, form: PixelFormat, _options: LossyOptions) -> bytes:
    """Reversible wavelet, and reversible colour transform if it is RGB."""
    import imagecodecs  # noqa: PLC0415

    return bytes(
        imagecodecs.jpeg2k_encode(
            frame, level=0, codecformat="j2k", reversible=True, bitspersample=form.stored,
            mct=form.photometric == "RGB", numthreads=1,
        )
    )  # fmt: skip


def encode_j2k_lossy(frame: Frame, form: PixelFormat, options: LossyOptions) -> bytes:
    """Irreversible wavelet, quantised for a peak signal-to-noise ratio that follows from the wanted error."""
    import imagecodecs  # noqa: PLC0415

    decibels: Any = 20 * log10(((1 << form.stored) - 1) / options.error)  # a float, whatever the stubs say
    return bytes(
        imagecodecs.jpeg2k_encode(
            frame, level=decibels, codecformat="j2k", reversible=False, bitspersample=form.stored,
            mct=form.photometric == "RGB", numthreads=1,
        )
    )  # fmt: skip


def decode_j2k(data: bytes, _form: PixelFormat) -> Frame:
    """What OpenJPEG decodes: JPEG 2000, and HTJ2K too. OpenJPH wraps where lossy values go beyond their range."""
    import imagecodecs  # noqa: PLC0415

    decoded: Frame = imagecodecs.jpeg2k_decode(data, numthreads=1)
    return decoded


def encode_htj2k(frame: Frame, form: PixelFormat, _options: LossyOptions) -> bytes:
    """Reversible."""
    return _encode_ht(frame, form, reversible=True)


def encode_htj2k_rpcl(frame: Frame, form: PixelFormat, _options: LossyOptions) -> bytes:
    """Reversible, a tile-part for each resolution, with tile-part lengths; small enough a lowest resolution."""
    import imagecodecs  # noqa: PLC0415

    needed = ceil(log2(max(form.rows, form.columns) / _LARGEST_BASE)) if max(form.rows, form.columns) > 0 else 0
    return _encode_ht(
        frame, form, reversible=True, tlm=True, tilepart=imagecodecs.HTJ2K.TILEPART.RESOLUTIONS,
        resolutions=max(_DECOMPOSITIONS, needed),
    )  # fmt: skip


def encode_htj2k_lossy(frame: Frame, form: PixelFormat, options: LossyOptions) -> bytes:
    """Irreversible. The step is a share of the range of values."""
    bits = form.stored if _is_whole(form) else _CARRIER
    return _encode_ht(frame, form, reversible=False, level=options.step / (1 << bits))


def _is_whole(form: PixelFormat) -> bool:
    return form.stored == form.allocated


def _encode_ht(frame: Frame, form: PixelFormat, **how: Any) -> bytes:
    from simlab.studies.codecs import openjph  # noqa: PLC0415

    if form.samples == 3:
        how["rgb"] = form.photometric == "RGB"
    if _is_whole(form):
        return openjph.encode(frame, **how)
    middle = 0 if form.signed else 1 << form.stored - 1  # the level shift of ISO 15444-1 annex G.1
    carried = (frame.astype(np.int32) - middle).astype(np.int16)
    codestream = bytearray(openjph.encode(carried, **how))
    _declare_depth(codestream, form, reversible=bool(how["reversible"]))
    return bytes(codestream)


def _declare_depth(codestream: bytearray, form: PixelFormat, *, reversible: bool) -> None:
    """Say in the main header that samples have Bits Stored bits, and change nothing of what they decode to.

    A quantisation step is relative to the range of samples (ISO 15444-1 equation E-3): its exponents become as much
    smaller as the range does. That would take bit-planes away (E-2), which as many guard bits give back.
    """
    size = codestream.index(_SIZ, 2)
    depth = form.stored - 1 | (0x80 if form.signed else 0)
    for component in range(form.samples):
        codestream[size + 40 + 3 * component] = depth
    if reversible:
        return  # exponents are free here
    quantisation = codestream.index(_QCD, size)
    end = quantisation + 2 + int.from_bytes(codestream[quantisation + 2 : quantisation + 4], "big")
    fewer = _CARRIER - form.stored
    guard = (codestream[quantisation + 4] >> 5) + fewer
    if guard > _MOST_GUARD_BITS:
        raise CodecError(f"HTJ2K with loss takes 8 or 10 to 16 Bits Stored, not {form.stored}")
    codestream[quantisation + 4] = guard << 5 | codestream[quantisation + 4] & 0x1F
    for position in range(quantisation + 5, end, 2):
        codestream[position] -= fewer << 3
