"""What the archive reads of an instance: the attributes in front of the pixels, as identifiers by level.

What all instances of a series have in common is read once: nearly every instance brings the same bytes again. What is
an image's own stays as it came until somebody asks for it, since most of it nobody ever does.
"""

from __future__ import annotations

import json
import pickle
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias, cast

from simlab.network.live.server import ReceivedInstance
from simlab.network.live.wire.attributes import UnreadableError, attributes_of, encoding_of, read_elements, refusing
from simlab.network.live.wire.elements import Elements, Places, read_again, read_items, wanted
from simlab.network.live.wire.layouts import Layouts
from simlab.network.matching import value_representation
from simlab.network.query import Identifier, Level, Value
from simlab.network.seam import Status
from simlab.nodes.archive.hierarchy import STORED, UNIQUE_KEY, WRONG_IDENTIFIER
from simlab.studies.study import InstanceReference

CANNOT_UNDERSTAND = 0xC000
"""A storage status (PS3.4 table B.2-1)."""

_UID = re.compile(r"[0-9.]{1,64}")
_CHARACTER_SET = "SpecificCharacterSet"
_COMMON = frozenset(keyword for level in (Level.PATIENT, Level.STUDY, Level.SERIES) for keyword in STORED[level])
_ABOVE = _COMMON | {_CHARACTER_SET}
_REFERENCE = ("SOPClassUID", "SOPInstanceUID")
_WANTED = wanted([*_ABOVE, *STORED[Level.IMAGE]])
_SEQUENCES = frozenset(each for each in _ABOVE if value_representation(each) == "SQ")

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
    """The attributes of the image itself, for :func:`image_attributes` to read."""

    @property
    def levels(self) -> Mapping[Level, Identifier]:
        """The attributes of patient, study and series, unpacked."""
        return cast("Mapping[Level, Identifier]", pickle.loads(self.common))  # noqa: S301 -- packed by us


def text(attributes: Identifier, keyword: str) -> str:
    """The first value of an attribute, or ""."""
    value = attributes.get(keyword, "")
    return value if isinstance(value, str) else next((each for each in value if each and isinstance(each, str)), "")


def image_attributes(kept: str, transfer_syntax: str) -> Identifier:
    """The attributes of an image itself, as they were kept."""
    if kept.startswith("{"):
        return {keyword: thawed(value) for keyword, value in json.loads(kept).items()}
    encoding = encoding_of(transfer_syntax)
    found = attributes_of(read_again(b64decode(kept), implicit=encoding.implicit), encoding.little_endian)
    return {keyword: value for keyword, value in found.items() if keyword != _CHARACTER_SET}


def thawed(value: Any) -> Value:
    """A value as it was before JSON made lists of its tuples."""
    if isinstance(value, list):
        items = (
            {keyword: thawed(part) for keyword, part in item.items()} if isinstance(item, dict) else item
            for item in value
        )
        return tuple(items)
    return str(value)


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
        if places is not None:
            return layouts.learn(head, places).header(head)
        common = _pack(
            _frozen({keyword: raw for keyword, raw in elements.items() if keyword in _ABOVE}), encoding.little_endian
        )
        own = {keyword: raw for keyword, raw in elements.items() if keyword not in _ABOVE}
        image = attributes_of(own, encoding.little_endian, common.character_set)
        reference = _reference(text(image, "SOPClassUID"), text(image, "SOPInstanceUID"))
        return reference, Header(common.study, common.series, common.packed, json.dumps(image))


class _Common(NamedTuple):
    """What the instances of a series have in common."""

    study: str
    series: str
    packed: bytes
    character_set: bytes


class _Known:
    """How to read data sets of a layout that was seen before."""

    def __init__(self, places: Places, *, implicit: bool) -> None:
        """Raises UnreadableError if a UID is missing."""
        self._implicit = implicit
        self._above = tuple(keyword for keyword in places.values if keyword in _ABOVE)
        own = (keyword for keyword in places.elements if keyword == _CHARACTER_SET or keyword not in _ABOVE)
        self._own = _joined(places.elements[keyword] for keyword in own)
        needed = [UNIQUE_KEY[Level.STUDY], UNIQUE_KEY[Level.SERIES], *_REFERENCE]
        if missing := [keyword for keyword in needed if keyword not in places.values]:
            raise UnreadableError(f"{missing[0]} is missing")
        self._values_above = itemgetter(*(places.values[keyword] for keyword in self._above))
        self._reference = itemgetter(*(places.values[keyword] for keyword in _REFERENCE))

    def header(self, head: bytes) -> tuple[InstanceReference, Header]:
        """The header of a data set that begins with ``head``, and its reference. Raises UnreadableError."""
        study, series, packed, _ = _pack_again(self._above, self._values_above(head), self._implicit)
        image = b64encode(b"".join([head[place] for place in self._own])).decode()
        return _reference(*map(_first_text, self._reference(head))), Header(study, series, packed, image)


_LAYOUTS = {implicit: Layouts(partial(_Known, implicit=implicit)) for implicit in (False, True)}


def _joined(places: Iterable[slice]) -> list[slice]:
    """The same bytes in as few pieces as possible."""
    pieces: list[slice] = []
    for place in sorted(places, key=lambda each: each.start):
        if pieces and pieces[-1].stop == place.start:
            pieces[-1] = slice(pieces[-1].start, place.stop)
        else:
            pieces.append(place)
    return pieces


def _reference(sop_class: str, sop_instance: str) -> InstanceReference:
    """Raises UnreadableError if one of them is none."""
    if not _UID.fullmatch(sop_instance):
        raise UnreadableError("SOPInstanceUID is missing or no UID")
    if not sop_class:
        raise UnreadableError("SOPClassUID is missing")
    return InstanceReference(sop_class, sop_instance)


def _first_text(raw: bytes) -> str:
    """The first value of a UID."""
    texts = (each.strip(" \0") for each in raw.decode("latin-1").split("\\"))
    return next((each for each in texts if each), "")


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
