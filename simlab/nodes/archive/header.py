"""What the archive reads of an instance: the attributes in front of the pixels, as identifiers by level.

What all instances of a series have in common is read once: nearly every instance brings the same bytes again.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple, TypeAlias, cast

from simlab.network.live.server import ReceivedInstance
from simlab.network.live.wire.attributes import (
    UnreadableError,
    attributes_of,
    is_little_endian,
    read_elements,
    refusing,
)
from simlab.network.live.wire.elements import Elements, wanted
from simlab.network.query import Identifier, Level
from simlab.network.seam import Status
from simlab.nodes.archive.hierarchy import STORED, UNIQUE_KEY, WRONG_IDENTIFIER
from simlab.studies.study import InstanceReference

CANNOT_UNDERSTAND = 0xC000
"""A storage status (PS3.4 table B.2-1)."""

_UID = re.compile(r"[0-9.]{1,64}")
_CHARACTER_SET = "SpecificCharacterSet"
_COMMON = frozenset(keyword for level in (Level.PATIENT, Level.STUDY, Level.SERIES) for keyword in STORED[level])
_WANTED = wanted([*_COMMON, *STORED[Level.IMAGE], _CHARACTER_SET])

_Frozen: TypeAlias = "tuple[tuple[str, bytes | tuple[_Frozen, ...]], ...]"
"""Elements in a form that can be looked up."""


class Header(NamedTuple):
    """The queryable attributes of one instance; small, since it may have to cross to another process."""

    reference: InstanceReference
    """SOP Class and Instance UID as the data set states them."""
    study: str
    """Study Instance UID."""
    series: str
    common: bytes
    """The levels above the image, packed."""
    image: str
    """The attributes of the image itself, as JSON."""

    @property
    def levels(self) -> Mapping[Level, Identifier]:
        """The attributes by level, unpacked."""
        return {**pickle.loads(self.common), Level.IMAGE: json.loads(self.image)}  # noqa: S301 -- packed by us


def text(attributes: Identifier, keyword: str) -> str:
    """The first value of an attribute, or ""."""
    value = attributes.get(keyword, "")
    return value if isinstance(value, str) else next((each for each in value if each and isinstance(each, str)), "")


def examine(instance: ReceivedInstance, head: bytes) -> Header | Status:
    """Read an instance's header, or refuse it: it cannot be understood, or is not what the command calls it."""
    try:
        header = read_header(instance, head)
    except UnreadableError as error:
        return Status(CANNOT_UNDERSTAND, str(error)[:64])
    if header.reference != instance.reference:
        return Status(WRONG_IDENTIFIER, "SOP class or instance UID differs from the command's")
    return header


def read_header(instance: ReceivedInstance, head: bytes) -> Header:
    """Read what stands in front of the pixels. Raises UnreadableError if that cannot be parsed or lacks a UID."""
    little_endian = is_little_endian(instance.transfer_syntax)
    with refusing():
        elements = read_elements(instance, head, _WANTED)
        character_set = cast("bytes", elements.get(_CHARACTER_SET, b""))
        common = _frozen({keyword: raw for keyword, raw in elements.items() if keyword in _COMMON})
        study, series, packed = _pack(common, character_set, little_endian)
        own = {
            keyword: raw for keyword, raw in elements.items() if keyword not in _COMMON and keyword != _CHARACTER_SET
        }
        image = attributes_of(own, little_endian, character_set)
        reference = InstanceReference(text(image, "SOPClassUID"), _unique(image, Level.IMAGE))
    if not reference.sop_class:
        raise UnreadableError("SOPClassUID is missing")
    return Header(reference, study, series, packed, json.dumps(image))


@lru_cache(maxsize=1024)
def _pack(common: _Frozen, character_set: bytes, little_endian: bool) -> tuple[str, str, bytes]:
    """Study and Series Instance UID, and the levels above the image."""
    attributes = attributes_of(_thawed(common), little_endian, character_set)
    levels = {
        level: {keyword: value for keyword, value in attributes.items() if keyword in STORED[level]}
        for level in (Level.PATIENT, Level.STUDY, Level.SERIES)
    }
    packed = pickle.dumps(levels, pickle.HIGHEST_PROTOCOL)
    return _unique(levels[Level.STUDY], Level.STUDY), _unique(levels[Level.SERIES], Level.SERIES), packed


def _unique(attributes: Identifier, level: Level) -> str:
    """The value of a level's unique key. Raises UnreadableError if it is no UID."""
    uid = text(attributes, UNIQUE_KEY[level])
    if not _UID.fullmatch(uid):
        raise UnreadableError(f"{UNIQUE_KEY[level]} is missing or no UID")
    return uid


def _frozen(elements: Elements) -> _Frozen:
    return tuple(
        (keyword, tuple(_frozen(item) for item in raw) if isinstance(raw, tuple) else raw)
        for keyword, raw in elements.items()
    )


def _thawed(frozen: _Frozen) -> Elements:
    return {keyword: tuple(_thawed(item) for item in raw) if isinstance(raw, tuple) else raw for keyword, raw in frozen}
