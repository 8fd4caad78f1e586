"""Pixel Data as arrays: what a data set says about them, and how frames come out of and go back into bytes."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from simlab.errors import CodecError

Frame = NDArray[Any]
"""One frame, shape (rows, columns), or (rows, columns, 3) in colour; of integers of Bits Allocated."""


class PixelFormat(NamedTuple):
    """What the Image Pixel module says (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    signed: bool
    photometric: str
    frames: int = 1
    by_plane: bool = False
    """Planar Configuration 1: all red, all green, all blue."""

    @classmethod
    def of(cls, instance: Dataset) -> Self:
        """The format of an instance. Raises CodecError if it has none, or one that nobody could decode."""
        missing = [keyword for keyword in _REQUIRED if instance.get(keyword) in (None, "")]
        if missing:
            raise CodecError(f"no image to encode: {', '.join(missing)} missing")
        found = cls(
            rows=int(instance.Rows),
            columns=int(instance.Columns),
            samples=int(instance.SamplesPerPixel),
            allocated=int(instance.BitsAllocated),
            stored=int(instance.BitsStored),
            signed=bool(instance.PixelRepresentation),
            photometric=str(instance.PhotometricInterpretation),
            frames=int(instance.get("NumberOfFrames") or 1),
            by_plane=bool(instance.get("PlanarConfiguration") or 0),
        )
        if not 0 < found.stored <= found.allocated or int(instance.HighBit) != found.stored - 1:
            raise CodecError(
                f"Bits Allocated {found.allocated}, Bits Stored {found.stored} and High Bit {instance.HighBit} "
                "do not go together; expected High Bit to be Bits Stored less 1"
            )
        return found

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of an array of stored values."""
        return np.dtype(f"<{'i' if self.signed else 'u'}{self.allocated // 8}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an array of one frame."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)

    @property
    def frame_bytes(self) -> int:
        """Of one frame that is not compressed."""
        return self.rows * self.columns * self.samples * self.allocated // 8

    def split(self, pixels: bytes | memoryview) -> list[Frame]:
        """The frames of native Pixel Data (PS3.5 section 8.1).

        Raises CodecError if they are not as many bytes as the format says.
        """
        size = self.frame_bytes * self.frames
        if self.allocated not in (8, 16, 32) or not size <= len(pixels) <= size + size % 2:
            raise CodecError(
                f"{len(pixels)} bytes of Pixel Data; expected {size} for {self.frames} frames of "
                f"{self.columns} x {self.rows}, {self.samples} samples of {self.allocated} bits"
            )
        flat = np.frombuffer(pixels, self.dtype, size // self.dtype.itemsize)
        if not self.by_plane:
            return list(flat.reshape(self.frames, *self.shape))
        planes = flat.reshape(self.frames, self.samples, self.rows, self.columns)
        return list(np.ascontiguousarray(np.moveaxis(planes, 1, -1)))

    def expect_stored_values(self, frame: Frame, keyword: str) -> None:
        """Raise CodecError for a value that Bits Stored has no room for: some codecs would change it silently."""
        room = 1 << self.stored
        least, greatest = (-room // 2, room // 2 - 1) if self.signed else (0, room - 1)
        for value in (int(frame.min()), int(frame.max())):
            if not least <= value <= greatest:
                raise CodecError(
                    f"{keyword} cannot encode a pixel of {value}: Bits Stored {self.stored} has room for "
                    f"{least} to {greatest}"
                )


_REQUIRED = (
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PhotometricInterpretation",
)  # fmt: skip


def to_unsigned(frame: Frame, stored: int) -> Frame:
    """Two's complement of ``stored`` bits, for codecs that know no sign; what is not negative stays as it is."""
    if frame.dtype.kind == "u":
        return frame
    unsigned: Frame = frame.view(frame.dtype.str.replace("i", "u")) & ((1 << stored) - 1)
    return unsigned


def narrowed(frame: Frame, form: PixelFormat) -> tuple[Frame, PixelFormat]:
    """A frame of no wider a type than Bits Stored needs; several codecs take 8 bits in 8 only."""
    if form.stored > 8 or form.allocated == 8:
        return frame, form
    form = form._replace(allocated=8)
    return frame.astype(form.dtype), form


def to_stored(decoded: Frame, form: PixelFormat) -> Frame:
    """What a codec decoded, as values of the format: of its type, signs extended."""
    if form.signed and decoded.dtype.kind == "u":
        unsigned = decoded.astype(f"<u{form.allocated // 8}")
        room = form.allocated - form.stored
        values: Frame = (unsigned << room).view(form.dtype) >> room
        return values
    return decoded.astype(form.dtype, copy=False)
