"""What the archive reads of an instance: the attributes in front of the pixels, as identifiers by level.

Bytes of strangers are read leniently: values are taken as they are, never validated, since an odd date is no reason to
refuse an image.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian
from pydicom.valuerep import TEXT_VR_DELIMS

from simlab.network.matching import value_representation, values_of
from simlab.network.query import Identifier, Level, Value
from simlab.nodes.archive.hierarchy import STORED, UNIQUE_KEY
from simlab.studies.study import InstanceReference

_UID = re.compile(r"[0-9.]{1,64}")
_PIXEL_GROUP = 0x7FE0
_CODED_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Value representations that Specific Character Set applies to (PS3.5 section 6.1.2.2)."""
_SINGLE_VALUE = frozenset({"LT", "ST", "UR", "UT"})
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}


class UnreadableError(Exception):
    """The data set cannot be understood. ``str(error)`` says why, in few enough words for an Error Comment."""


@dataclass(frozen=True, slots=True)
class Header:
    """The queryable attributes of one instance, by level."""

    levels: dict[Level, Identifier]

    def text(self, level: Level, keyword: str) -> str:
        """The first value of an attribute, or ""."""
        return next(iter(values_of(keyword, self.levels[level].get(keyword, ""))), "")

    def unique(self, level: Level) -> str:
        """The value of a level's unique key."""
        return self.text(level, UNIQUE_KEY[level])

    @property
    def reference(self) -> InstanceReference:
        """SOP Class and Instance UID as the data set states them."""
        return InstanceReference(self.text(Level.IMAGE, "SOPClassUID"), self.unique(Level.IMAGE))


def read_header(data_set: bytes, transfer_syntax: str) -> Header:
    """Read what stands in front of the pixels. Raises UnreadableError if that cannot be parsed or lacks a UID."""
    syntax = UID(transfer_syntax)
    try:
        if syntax == DeflatedExplicitVRLittleEndian:
            data_set = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data_set)
        little_endian = syntax.is_little_endian
        parsed = read_dataset(BytesIO(data_set), syntax.is_implicit_VR, little_endian, stop_when=_at_pixels)
        encodings = _encodings(parsed)
        levels: dict[Level, Identifier] = {
            level: {keyword: value for keyword in sorted(keywords) if (value := _value(parsed, keyword, encodings))}
            for level, keywords in STORED.items()
        }
    except Exception as error:  # a stranger's bytes make a parser raise whatever it may, and all of it means the same
        raise UnreadableError(f"data set cannot be parsed: {type(error).__name__}") from error
    header = Header(levels)
    for level in (Level.STUDY, Level.SERIES, Level.IMAGE):
        if not _UID.fullmatch(header.unique(level)):
            raise UnreadableError(f"{UNIQUE_KEY[level]} is missing or no UID")
    if not header.reference.sop_class:
        raise UnreadableError("SOPClassUID is missing")
    return header


def _at_pixels(tag: Any, _representation: str | None, _length: int) -> bool:
    return bool(tag.group >= _PIXEL_GROUP)


def _encodings(data_set: Dataset) -> list[str]:
    """Python's names of the data set's Specific Character Set; one that is unknown counts as the default one."""
    named = _value(data_set, "SpecificCharacterSet", ["iso8859"])
    terms = [named] if isinstance(named, str) else list(named)
    return list(convert_encodings([term if term in python_encoding else "" for term in terms]))


def _value(data_set: Dataset, keyword: str, encodings: list[str]) -> Value:
    """One attribute as an identifier's value, "" if it is absent or empty.

    pydicom's own conversion is passed by: it validates, and warns of each odd value. Only sequences need it.
    """
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in data_set:
        return ""
    representation = value_representation(keyword)
    if representation == "SQ":
        return tuple(_item(item, encodings) for item in data_set[tag].value)
    element = data_set.get_item(tag)
    raw = element.value if isinstance(element, RawDataElement) else None
    if raw is None:
        return ""
    if representation in _BINARY:
        return _binary(raw, representation, little_endian=element.is_little_endian)
    text = _text(raw, encodings if representation in _CODED_TEXT else ["iso8859"])
    if representation in _SINGLE_VALUE or "\\" not in text:
        return text.strip(" \0")
    return tuple(part.strip(" \0") for part in text.split("\\"))


def _item(item: Dataset, encodings: list[str]) -> Identifier:
    values = ((keyword, _value(item, keyword, encodings)) for keyword in item.dir())
    return {keyword: value for keyword, value in values if value}


def _text(raw: bytes, encodings: list[str]) -> str:
    if b"\x1b" in raw:  # code extensions (PS3.5 section 6.1.2.5)
        return str(decode_bytes(raw, encodings, TEXT_VR_DELIMS))
    return raw.decode(encodings[0], errors="replace")


def _binary(raw: bytes, representation: str, *, little_endian: bool) -> Value:
    form = _BINARY[representation]
    values = struct.unpack(f"{'<' if little_endian else '>'}{len(raw) // struct.calcsize(form)}{form}", raw)
    return str(values[0]) if len(values) == 1 else tuple(map(str, values))
