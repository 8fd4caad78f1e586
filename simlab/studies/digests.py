"""The content of instances as digests: the same in every lossless transfer syntax."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from simlab.errors import CodecError
from simlab.studies.codecs.pixels import PixelFormat
from simlab.studies.compression import convert
from simlab.studies.data_sets import read_data_set
from simlab.studies.fingerprint import new_digest
from simlab.studies.transfer_syntaxes import EXPLICIT, named

IDENTIFYING = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")

_CHARACTER_SET = 0x00080005
"""Specific Character Set may change where the text does not."""


def content_digest(instance: Dataset) -> bytes:
    """Digest of the identifying attributes and of the pixels, which are not compressed; without pixels, of the rest.

    The rest are all attributes but Specific Character Set. Raises CodecError where pixels and header do not agree.
    """
    digest = new_digest()
    for keyword in IDENTIFYING:
        digest.update(f"{instance.get(keyword, '')}\n".encode())
    if "PixelData" in instance:
        form = PixelFormat.of(instance)
        digest.update(repr((form.rows, form.columns, form.samples, form.frames, form.signed, form.stored)).encode())
        for frame in form.split(instance.PixelData):
            digest.update(frame.data)
    else:
        for part in _values(instance):
            digest.update(part)
    return digest.digest()


def decoded_digest(data_set: bytes, transfer_syntax: str) -> bytes:
    """The :func:`content_digest` of an encoded data set. Raises CodecError if it cannot be read or decoded."""
    syntax = named(transfer_syntax)
    try:
        instance = read_data_set(data_set, syntax)
        if syntax.encapsulated:
            convert(instance, syntax, EXPLICIT)
        return content_digest(instance)
    except CodecError:
        raise
    except Exception as error:  # whatever pydicom makes of a stranger's bytes
        raise CodecError(f"not an instance that can be read: {error}") from error


def _values(instance: Dataset) -> Iterator[bytes]:
    """All attributes with their values, however they are encoded."""
    for element in instance:
        if element.tag.element == 0 or element.tag == _CHARACTER_SET:
            continue
        yield f"\n{int(element.tag):08X}".encode()
        if isinstance(element.value, Sequence):
            for item in element.value:
                yield b"["
                yield from _values(item)
            yield b"]"
        elif isinstance(element.value, bytes):
            yield element.value
        else:
            yield str(element.value).encode()
