"""What the archive reads of an instance: the attributes in front of the pixels, as identifiers by level.

What all instances of a series have in common is read once: nearly every instance brings the same bytes again.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from operator import itemgetter
from typing import NamedTuple, TypeAlias, cast

from simlab.network.live.server import ReceivedInstance
from simlab.network.live.wire.attributes import UnreadableError, attributes_of, encoding_of, read_elements, refusing
from simlab.network.live.wire.elements import Elements, Places, read_items, wanted
from simlab.network.live.wire.layouts import Layouts
from simlab.network.matching import value_representation
from simlab.network.query import Identifier, Level
from simlab.network.seam import Status
from simlab.nodes.archive.hierarchy import STORED, UNIQUE_KEY, WRONG_IDENTIFIER
from simlab.studies.study import InstanceReference

CANNOT_UNDERSTAND = 0xC000
"""A storage status (PS3.4 table B.2-1)."""

_UID = re.compile(r"[0-9.]{1,64}")
_CHARACTER_SET = "SpecificCharacterSet"
_COMMON = frozenset(keyword for level in (Level.PATIENT, Level.STUDY, Level.SERIES) for keyword in STORED[level])
_ABOVE = _COMMON | {_CHARACTER_SET}
_WANTED = wanted([*_ABOVE, *STORED[Level.IMAGE]])
_SEQUENCES = frozenset(each for each in _ABOVE | STORED[Level.IMAGE] if value_representation(each) == "SQ")

_Frozen: TypeAlias = "tuple[tuple[str, bytes | tuple[_Frozen, ...]], ...]"
"""Elements in a form that can be looked up."""


class Header(NamedTuple):
    """The queryable attributes of one instance; small, since it may have to cross to another process."""

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
        reference, header = read_header(instance, head)
    except UnreadableError as error:
        return Status(CANNOT_UNDERSTAND, str(error)[:64])
    if reference != instance.reference:
        return Status(WRONG_IDENTIFIER, "SOP class or instance UID differs from the command's")
    return header


def read_header(instance: ReceivedInstance, head: bytes) -> tuple[InstanceReference, Header]:
    """Read what stands in front of the pixels, and what the data set calls itself.

    Raises UnreadableError if it cannot be parsed or lacks a UID.
    """
    encoding = encoding_of(instance.transfer_syntax)
    layouts = _LAYOUTS[encoding.implicit]
    with refusing():
        if encoding.can_be_walked and (known := layouts.find(head)) is not None:
            return known.header(head)
        elements, places = read_elements(instance, head, _WANTED)
        common = _pack(
            _frozen({keyword: raw for keyword, raw in elements.items() if keyword in _ABOVE}), encoding.little_endian
        )
        own = {keyword: raw for keyword, raw in elements.items() if keyword not in _ABOVE}
        read = _header(common, own, encoding.little_endian)
        if places is not None:
            layouts.learn(head, places)
    return read


class _Common(NamedTuple):
    """What the instances of a series have in common."""

    study: str
    series: str
    packed: bytes
    character_set: bytes


class _Known:
    """How to read data sets of a layout that was seen before."""

    def __init__(self, places: Places, *, implicit: bool) -> None:
        above = {keyword: place for keyword, place in places.values.items() if keyword in _ABOVE}
        own = {keyword: place for keyword, place in places.values.items() if keyword not in _ABOVE}
        self._implicit = implicit
        self._above, self._own = tuple(above), tuple(own)
        # At least two UIDs each: without them it would not have been read.
        self._values_above = itemgetter(*above.values())
        self._own_values = itemgetter(*own.values())

    def header(self, head: bytes) -> tuple[InstanceReference, Header]:
        """The header of a data set that begins with ``head``, and its reference. Raises UnreadableError."""
        common = _pack_again(self._above, self._values_above(head), self._implicit)
        return _header(common, _elements(self._own, self._own_values(head), self._implicit), little_endian=True)


_LAYOUTS = {implicit: Layouts(partial(_Known, implicit=implicit)) for implicit in (False, True)}


def _header(common: _Common, own: Elements, little_endian: bool) -> tuple[InstanceReference, Header]:
    image = attributes_of(own, little_endian, common.character_set)
    reference = InstanceReference(text(image, "SOPClassUID"), _unique(image, Level.IMAGE))
    if not reference.sop_class:
        raise UnreadableError("SOPClassUID is missing")
    return reference, Header(common.study, common.series, common.packed, json.dumps(image))


@lru_cache(maxsize=1024)
def _pack_again(keywords: tuple[str, ...], values: tuple[bytes, ...], implicit: bool) -> _Common:
    """The same as :func:`_pack`, for little-endian values as they stand."""
    return _pack(_frozen(_elements(keywords, values, implicit)), little_endian=True)


def _elements(keywords: Iterable[str], values: Iterable[bytes], implicit: bool) -> Elements:
    return {
        keyword: read_items(raw, implicit=implicit) if keyword in _SEQUENCES else raw
        for keyword, raw in zip(keywords, values, strict=True)
    }


@lru_cache(maxsize=1024)
def _pack(elements: _Frozen, little_endian: bool) -> _Common:
    """Study and Series Instance UID, and the levels above the image."""
    thawed = _thawed(elements)
    character_set = cast("bytes", thawed.get(_CHARACTER_SET, b""))
    attributes = attributes_of(thawed, little_endian)
    levels = {
        level: {keyword: value for keyword, value in attributes.items() if keyword in STORED[level]}
        for level in (Level.PATIENT, Level.STUDY, Level.SERIES)
    }
    packed = pickle.dumps(levels, pickle.HIGHEST_PROTOCOL)
    study, series = _unique(levels[Level.STUDY], Level.STUDY), _unique(levels[Level.SERIES], Level.SERIES)
    return _Common(study, series, packed, character_set)


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
