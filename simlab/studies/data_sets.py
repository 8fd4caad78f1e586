"""Data sets as bytes and back, in every transfer syntax (PS3.5 annex A); pixels are neither encoded nor decoded here.

In memory, values that are arrays of words are little endian, wherever they came from.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from simlab.errors import CodecError
from simlab.studies.transfer_syntaxes import TransferSyntax

_WORDS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
"""Bytes of a word, of which pydicom hands over whole arrays as they are in the file."""

_EMPTY_BLOCK = b"\0\0\0\xff\xff"
"""A stored block of no bytes that is not the last one (RFC 1951 section 3.2.4), begun at the edge of a byte."""

_UNDEFINED = 0xFFFFFFFF
"""Stands for a length that only a delimiter tells."""

LARGEST_INFLATED = 1 << 31
"""Bytes of a data set that is deflated; more is taken for an attack."""


def write_data_set(instance: Dataset, syntax: TransferSyntax) -> bytes:
    """The data set in a transfer syntax, without file meta information.

    Raises ValueError if its Pixel Data are compressed and the transfer syntax is for such that are not, or the other
    way round.
    """
    pixels = instance.get_item("PixelData")
    if pixels is not None and is_encapsulated(instance) != syntax.encapsulated:
        state = "not compressed" if syntax.encapsulated else "compressed"
        raise ValueError(f"cannot encode in {syntax}: Pixel Data are {state}")
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax.implicit, syntax.little_endian
    write_dataset(buffer, instance if syntax.little_endian else swap_words(instance))
    encoded = buffer.getvalue()
    if not syntax.deflated:
        return encoded
    start = len(encoded) if pixels is None else len(encoded) - len(instance.PixelData)
    return deflate_header(encoded[:start]) + deflate_rest(encoded[start:])


def read_data_set(encoded: bytes, syntax: TransferSyntax) -> Dataset:
    """The data set that was encoded. Raises CodecError for bytes that are none."""
    if syntax.deflated:
        encoded = inflate(encoded)
    try:
        instance = read_dataset(BytesIO(encoded), syntax.implicit, syntax.little_endian)
        instance.set_original_encoding(syntax.implicit, syntax.little_endian, instance._character_set)  # noqa: SLF001
        _expect_whole(instance, len(encoded))
        return instance if syntax.little_endian else swap_words(instance)
    except (ValueError, TypeError, KeyError, AttributeError, OSError, NotImplementedError, struct.error) as error:
        raise CodecError(f"not a data set in {syntax}: {error}") from error


def _expect_whole(instance: Dataset, size: int) -> None:
    """Raise ValueError if the last element does not end where the data set does: pydicom lets go what is cut short."""
    last = instance.get_item(max(instance.keys(), default=0))
    if isinstance(last, RawDataElement):
        assert last.value is not None
        end = last.value_tell + (len(last.value) + 8 if last.length == _UNDEFINED else last.length)
        if end == size:
            return
    elif last is not None:  # a sequence whose length is undefined has been read to its end
        return
    if size:
        raise ValueError("it is cut short")


def is_encapsulated(instance: Dataset) -> bool:
    """Whether Pixel Data are in items (PS3.5 section A.4)."""
    element = instance.get_item("PixelData")
    if element is None:
        return False
    if isinstance(element, DataElement):
        return bool(element.is_undefined_length)
    return element.length == _UNDEFINED


def swap_words(instance: Dataset) -> Dataset:
    """The data set with the bytes of each word the other way round, for big endian and back; a new one."""
    swapped = Dataset()
    for element in instance:
        value = element.value
        if element.VR == "SQ":
            value = Sequence(list(map(swap_words, value)))
        elif element.VR in _WORDS and value:
            if len(value) % _WORDS[element.VR]:
                raise ValueError(f"{element.name}: {len(value)} bytes are not whole words of {element.VR}")
            value = np.frombuffer(value, f"<u{_WORDS[element.VR]}").byteswap().tobytes()
        swapped[element.tag] = DataElement(element.tag, element.VR, value)
    return swapped


# ---- deflate (PS3.5 section A.5): one stream, in two parts so that pixels are compressed once for many headers


def deflate_header(header: bytes) -> bytes:
    """The beginning of a stream that ends at the edge of a byte, even in length; nothing after it refers to it."""
    encoder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    beginning = encoder.compress(header) + encoder.flush(zlib.Z_FULL_FLUSH)
    return beginning + _EMPTY_BLOCK if len(beginning) % 2 else beginning


def deflate_rest(rest: bytes | memoryview) -> bytes:
    """The end of a stream, padded to even length."""
    encoder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    end = encoder.compress(rest) + encoder.flush()
    return end + bytes(len(end) % 2)


def inflate(encoded: bytes) -> bytes:
    """What was deflated. Raises CodecError if it is damaged, cut short, or out of proportion."""
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = decoder.decompress(encoded, LARGEST_INFLATED)
    except zlib.error as error:
        raise CodecError(f"not a deflated data set: {error}") from error
    if not decoder.eof:
        raise CodecError(f"not a deflated data set: it does not end within {len(inflated)} bytes")
    return inflated
