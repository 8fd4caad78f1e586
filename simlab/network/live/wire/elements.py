"""Elements of a data set as raw bytes, without a look at the pixels.

Two ways that come to the same: a lean walk through what is encoded as nearly everything is, and pydicom for the rest.
The walk gives up on whatever is unusual, so what strangers may send is judged in one place, by pydicom.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence as Items
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from simlab.network.matching import value_representation

Elements: TypeAlias = "Mapping[str, bytes | tuple[Elements, ...]]"
"""By keyword: the bytes of a value, or the items of a sequence. What has no value may be left out."""

Wanted: TypeAlias = Callable[[int], str | None]
"""The keyword of an element that is wanted, by its tag as it stands in little-endian bytes; else None or ""."""

_PIXEL_GROUP = 0x7FE0
_UNDEFINED = 0xFFFFFFFF
_SHORT = frozenset(each.encode() for each in EXPLICIT_VR_LENGTH_16)
_LONG = frozenset(each.encode() for each in EXPLICIT_VR_LENGTH_32)
_explicit = struct.Struct("<I2sH").unpack_from
_implicit = struct.Struct("<II").unpack_from
_length = struct.Struct("<I").unpack_from

# As one little-endian number, a tag has its group in the lower half.
_ITEM, _ITEM_DELIMITER, _SEQUENCE_DELIMITER = 0xE000FFFE, 0xE00DFFFE, 0xE0DDFFFE


class UnusualError(Exception):
    """The lean walk cannot go through this data set, or is not sure that it read it right."""


def wanted(keywords: Iterable[str]) -> Wanted:
    """The elements with these keywords."""
    tags = ((keyword, tag_for_keyword(keyword)) for keyword in keywords)
    return {_turned(tag): keyword for keyword, tag in tags if tag is not None}.get


class Places(NamedTuple):
    """Where everything stands in a data set, up to its pixels."""

    structure: Sequence[slice]
    """Whatever is no value: tags, value representations, lengths, delimiters, and the tag of the pixels at last.

    Bytes that are the same here, and at least as long, are read in the same way.
    """
    values: Mapping[str, slice]
    """The wanted values by keyword; a sequence's items as :func:`read_items` reads them."""
    elements: Mapping[str, slice]
    """The same with all that belongs to them, as :func:`read_again` reads them, one behind the other."""


def walk(data: bytes, wanted: Wanted, *, implicit: bool, whole: bool = True) -> tuple[Elements, Places | None]:
    """The wanted elements in front of the pixels, out of a little-endian data set (PS3.5 section 7.1).

    Where everything stands comes with them, if there are pixels. If ``data`` is not the whole data set, the pixels must
    begin in it. Raises UnusualError.
    """
    if implicit and data[4:6].isalpha() and data[4:6].isupper():
        raise UnusualError  # a value representation, so it seems
    on_foot = _Walk(data, implicit=implicit)
    try:
        elements, position = on_foot.elements(0, len(data), wanted, nested=False)
    except (struct.error, RecursionError):
        raise UnusualError from None
    if position < len(data):
        structure = [*on_foot.structure, slice(position, position + 4)]
        return elements, Places(structure, on_foot.values, on_foot.whole)
    if not whole:
        raise UnusualError
    return elements, None


def read_items(data: bytes, *, implicit: bool) -> tuple[Elements, ...]:
    """The items of a sequence that was walked through before."""
    return _Walk(data, implicit=implicit).items(0, len(data), known)[0]


def read_again(data: bytes, *, implicit: bool) -> Elements:
    """Elements that were walked through before."""
    return _Walk(data, implicit=implicit).elements(0, len(data), known)[0]


def read(stream: BinaryIO, wanted: Wanted, *, implicit: bool, little_endian: bool) -> Elements:
    """The same by pydicom, whatever the data set is like. Raises whatever that does."""
    return _raw(read_dataset(stream, implicit, little_endian, stop_when=_at_pixels), wanted)


class _Walk:
    """Goes through bytes by position. All methods return what they found, and the position behind it."""

    def __init__(self, data: bytes, *, implicit: bool) -> None:
        self._data = data
        self._implicit = implicit
        self.structure: list[slice] = []
        self.values: dict[str, slice] = {}
        self.whole: dict[str, slice] = {}
        """The elements that have these values."""

    def elements(
        self, position: int, end: int, wanted: Wanted, *, nested: bool = True, delimited: bool = False
    ) -> tuple[Elements, int]:
        """Elements up to ``end``, or to the pixels (unless nested), or to the delimiter of an item that has one."""
        data, implicit = self._data, self._implicit
        found: dict[str, bytes | tuple[Elements, ...]] = {}
        while position < end:
            if implicit:
                tag, length = _implicit(data, position)
                representation = b""
            else:
                tag, representation, length = _explicit(data, position)
            begin, start = position, position + 8
            if start > end:
                raise UnusualError
            if tag & 0xFFFF >= _PIXEL_GROUP:
                if not nested:
                    if start + 4 > end:
                        raise UnusualError  # not even its length is there
                    return found, position
                if tag == _ITEM_DELIMITER and delimited:
                    self.structure.append(slice(position, start))
                    return found, start
            if not implicit and representation not in _SHORT:
                if representation not in _LONG:
                    raise UnusualError
                (length,) = _length(data, start)
                start += 4
            self.structure.append(slice(position, start))
            keyword = wanted(tag)
            if length == _UNDEFINED:
                if not _may_be_sequence(known(tag), representation):
                    raise UnusualError
                items, position = self.items(start, end, known if keyword else _none, delimited=True)
                if keyword:
                    found[keyword] = items
                    if not nested:
                        self.values[keyword], self.whole[keyword] = slice(start, position - 8), slice(begin, position)
                continue
            position = start + length
            if position > end:
                raise UnusualError
            if keyword:
                if not nested:
                    self.values[keyword], self.whole[keyword] = slice(start, position), slice(begin, position)
                if representation == b"SQ" or value_representation(keyword) == "SQ":
                    if not _may_be_sequence(keyword, representation):
                        raise UnusualError
                    found[keyword], _ = self.items(start, position, known)
                else:
                    found[keyword] = data[start:position]
        if delimited:
            raise UnusualError
        return found, position

    def items(
        self, position: int, end: int, wanted: Wanted, *, delimited: bool = False
    ) -> tuple[tuple[Elements, ...], int]:
        """The items of a sequence up to ``end``, or to its delimiter (PS3.5 section 7.5)."""
        items: list[Elements] = []
        while position < end:
            tag, length = _implicit(self._data, position)
            self.structure.append(slice(position, position + 8))
            position += 8
            if position > end:
                raise UnusualError
            if tag == _SEQUENCE_DELIMITER and delimited:
                return tuple(items), position
            undefined = length == _UNDEFINED
            item_end = end if undefined else position + length
            if tag != _ITEM or item_end > end:
                raise UnusualError
            item, position = self.elements(position, item_end, wanted, delimited=undefined)
            items.append(item)
        if delimited:
            raise UnusualError
        return tuple(items), position


def _may_be_sequence(keyword: str, representation: bytes) -> bool:
    """Whether neither the data dictionary nor an explicit value representation says otherwise."""
    return representation in {b"", b"SQ"} and (not keyword or value_representation(keyword) == "SQ")


def _none(_tag: int) -> None:
    """No element is wanted."""


@lru_cache(maxsize=4096)
def known(tag: int) -> str:
    """The keyword of any element that the data dictionary knows by one."""
    keyword = keyword_for_tag(_turned(tag))
    # Elements of repeating groups share one, and it stands for none of them.
    return keyword if keyword and tag_for_keyword(keyword) == _turned(tag) else ""


def _turned(tag: int) -> int:
    """A tag with its group first, if it came with its group last, and the other way round."""
    return tag >> 16 | (tag & 0xFFFF) << 16


# ---- pydicom's way


def _raw(data_set: Dataset, wanted: Wanted) -> Elements:
    found: dict[str, bytes | tuple[Elements, ...]] = {}
    for tag in list(data_set.keys()):
        keyword = wanted(_turned(tag))
        if not keyword:
            continue
        if value_representation(keyword) == "SQ":
            items = data_set[tag].value
            found[keyword] = tuple(_raw(item, known) for item in items) if isinstance(items, Items) else ()
        elif isinstance(element := data_set.get_item(tag), RawDataElement):
            found[keyword] = element.value or b""
    return found


def _at_pixels(tag: Any, _representation: str | None, _length: int) -> bool:
    return bool(tag.group >= _PIXEL_GROUP)
