"""Attributes of a received instance as plain values: those in front of the pixels.

Bytes of strangers are read leniently: values are taken as they are, never validated, since an odd date is no reason to
refuse an image.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from io import BytesIO
from typing import BinaryIO, NamedTuple, cast

from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from simlab.network.live.server import ReceivedInstance
from simlab.network.live.wire.elements import Elements, Places, UnusualError, Wanted, read, walk
from simlab.network.live.wire.identifiers import encodings_of, texts_of
from simlab.network.matching import value_representation
from simlab.network.query import Identifier, Value

DEEPEST = 32
"""Sequences within sequences that are read: what is read is written, and read again, by functions that recurse."""

LARGEST_HEADER = 1 << 24
"""Bytes in front of the pixels that are inflated at most: a few bytes may stand for any number of them."""

_CHUNK = 1 << 16

_SMALL = 64
"""Bytes of a value that is worth remembering."""


class UnreadableError(Exception):
    """A data set cannot be understood. ``str(error)`` says why, in few enough words for an Error Comment."""


def read_attributes(instance: ReceivedInstance, head: bytes, wanted: Wanted) -> Identifier:
    """The wanted attributes that have a value; ``head`` is what the data set begins with, or all of it.

    Values of text are read by Specific Character Set if that is wanted too. Raises UnreadableError if what stands in
    front of the pixels cannot be parsed.
    """
    with refusing():
        elements, _ = read_elements(instance, head, wanted)
        return attributes_of(elements, encoding_of(instance.transfer_syntax).little_endian)


@contextmanager
def refusing() -> Iterator[None]:
    """Whatever a stranger's bytes make a parser raise means the same: UnreadableError."""
    try:
        yield
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError(f"data set cannot be parsed: {type(error).__name__}") from error


def read_elements(instance: ReceivedInstance, head: bytes, wanted: Wanted) -> tuple[Elements, Places | None]:
    """The wanted elements, as they are, and where everything stands, if that was seen.

    Raises whatever comes to a parser's mind.
    """
    implicit, little_endian, deflated = encoding = encoding_of(instance.transfer_syntax)
    whole = len(head) >= instance.size - instance.data_set_offset
    if encoding.can_be_walked:
        with suppress(UnusualError):
            elements, places = walk(head, wanted, implicit=implicit, whole=whole)
            _require_shallow(elements)
            return elements, places
    with BytesIO(head) if whole else instance.path.open("rb") as stream:
        stream.seek(0 if whole else instance.data_set_offset)
        parsed = _inflated(stream) if deflated else stream
        elements = read(parsed, wanted, implicit=implicit, little_endian=little_endian)
        if deflated and parsed.tell() >= LARGEST_HEADER:
            raise UnreadableError("too much in front of the pixels")
    _require_shallow(elements)
    return elements, None


def _inflated(stream: BinaryIO) -> BytesIO:
    """What a deflated data set begins with (PS3.5 annex A.5)."""
    inflated, whole = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    while len(whole) < LARGEST_HEADER and (data := inflated.unconsumed_tail or stream.read(_CHUNK)):
        whole += inflated.decompress(data, LARGEST_HEADER - len(whole))
    return BytesIO(whole)


def _require_shallow(elements: Elements) -> None:
    """Raises UnreadableError if there are too many sequences within each other."""
    within = [elements]
    for _ in range(DEEPEST + 1):
        within = [item for each in within for raw in each.values() if isinstance(raw, tuple) for item in raw]
        if not within:
            return
    raise UnreadableError(f"more than {DEEPEST} sequences within each other")


class Encoding(NamedTuple):
    """What a transfer syntax says of the elements (PS3.5 annex A)."""

    implicit: bool
    little_endian: bool
    deflated: bool

    @property
    def can_be_walked(self) -> bool:
        """Whether elements can be read where they stand."""
        return self.little_endian and not self.deflated


@lru_cache(maxsize=256)
def encoding_of(transfer_syntax: str) -> Encoding:
    """How a transfer syntax encodes elements."""
    syntax = UID(transfer_syntax)
    return Encoding(syntax.is_implicit_VR, syntax.is_little_endian, syntax == DeflatedExplicitVRLittleEndian)


def attributes_of(elements: Elements, little_endian: bool, character_set: bytes = b"") -> Identifier:
    """The attributes that have a value; ``character_set`` is Specific Character Set unless they say it themselves."""
    named = cast("bytes", elements.get("SpecificCharacterSet") or character_set)
    found: dict[str, Value] = {}
    for keyword, raw in elements.items():
        if not raw:
            continue
        if isinstance(raw, tuple):
            found[keyword] = tuple(attributes_of(item, little_endian, named) for item in raw)
            continue
        read = _value_again if len(raw) <= _SMALL else _value
        if value := read(keyword, raw, named, little_endian):
            found[keyword] = value
    return found


def _value(keyword: str, raw: bytes, named: bytes, little_endian: bool) -> Value:
    texts = texts_of(raw, value_representation(keyword), _encodings(named), "<" if little_endian else ">")
    if len(texts) > 1:
        return tuple(text.strip(" \0") for text in texts)
    return texts[0].strip(" \0") if texts else ""


_value_again = lru_cache(maxsize=4096)(_value)
"""Most values are those of the instance before."""


@lru_cache(maxsize=256)
def _encodings(named: bytes) -> list[str]:
    """Python's names of a Specific Character Set; empty for the default one."""
    if not named:
        return ["iso8859"]
    return encodings_of(term.strip(" \0") for term in texts_of(named, "CS", []))
