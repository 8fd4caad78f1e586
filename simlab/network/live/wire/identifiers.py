"""Identifiers as plain values to data sets and back.

What strangers send is taken as it is: values are never validated, an odd one stays text (or is left empty where only a
number will do), and spoils none of the others. pydicom would warn of each, or refuse.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import cast

from pydicom import Dataset, Sequence
from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.config import IGNORE
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.valuerep import TEXT_VR_DELIMS

from simlab.network.matching import value_representation
from simlab.network.query import Identifier, Level, Model, Query, Value

UNICODE = "ISO_IR 192"

_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""Value representations without a meaning as a key: such an attribute is asked for, but never matched on."""
_CODED_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Value representations that Specific Character Set applies to (PS3.5 section 6.1.2.2)."""
_SINGLE_VALUE = frozenset({"LT", "ST", "UR", "UT"})
_ABOUT_THE_IDENTIFIER = frozenset({"SpecificCharacterSet", "QueryRetrieveLevel"})


def to_data_set(identifier: Identifier) -> Dataset:
    """A data set with these attributes. Non-ASCII text is encoded as UTF-8 (ISO_IR 192)."""
    data_set = Dataset()
    for keyword, value in identifier.items():
        tag = BaseTag(cast("int", tag_for_keyword(keyword)))
        representation = value_representation(keyword)
        if representation == "SQ":
            items = cast("tuple[Identifier, ...]", value or ())
            data_set[tag] = DataElement(tag, "SQ", Sequence([to_data_set(item) for item in items]))
        else:
            texts = (value,) if isinstance(value, str) else cast("tuple[str, ...]", value)
            data_set[tag] = _element(tag, representation, texts)
    if any(not _is_ascii(value) for value in identifier.values()):
        data_set.SpecificCharacterSet = UNICODE
    return data_set


def _element(tag: BaseTag, representation: str, texts: tuple[str, ...]) -> DataElement:
    value: object
    if representation in _NUMBERS or representation == "AT":
        numbers = [number for text in texts if (number := _number(representation, text)) is not None]
        value = numbers[0] if len(numbers) == 1 else numbers or None
    elif representation in _BINARY:
        value = None
    else:
        value = (texts[0] if len(texts) == 1 else list(texts)) or None
    try:
        return DataElement(tag, representation, value, validation_mode=IGNORE)
    except (ValueError, TypeError, OverflowError):  # a decimal or integer string that is none: sent as it is
        element = DataElement(tag, representation, None)
        element._value = value
        return element


def _number(representation: str, text: str) -> float | int | None:
    """The number that a text stands for, None if it does not fit into the value representation."""
    try:
        if representation == "AT":
            return int(text, 16) if len(text) == len("ggggeeee") else None
        number = float(text) if representation in ("FL", "FD") else int(text)
        struct.pack(_NUMBERS[representation], number)
    except (ValueError, OverflowError, struct.error):
        return None
    return number


def _is_ascii(value: Value) -> bool:
    if isinstance(value, str):
        return value.isascii()
    return all(_is_ascii(item) if isinstance(item, str) else all(map(_is_ascii, item.values())) for item in value)


def from_data_set(data_set: Dataset, encodings: Iterable[str] = ("iso8859",)) -> dict[str, Value]:
    """The attributes of a data set as plain values. Private and group-length elements are left out.

    ``encodings`` are Python's names of the character set, where the data set itself does not say.
    """
    encodings = _encodings(data_set) or list(encodings)
    identifier: dict[str, Value] = {}
    for tag in sorted(data_set.keys()):
        keyword = keyword_for_tag(tag)
        if keyword and keyword not in _ABOUT_THE_IDENTIFIER:
            identifier[keyword] = _value(data_set, tag, keyword, encodings)
    return identifier


def _encodings(data_set: Dataset) -> list[str]:
    """Python's names of the data set's Specific Character Set; none if it does not say."""
    tag = BaseTag(0x00080005)
    if tag not in data_set:
        return []
    named = _value(data_set, tag, "SpecificCharacterSet", ["iso8859"])
    return encodings_of([named] if isinstance(named, str) else cast("tuple[str, ...]", named))


def encodings_of(terms: Iterable[str]) -> list[str]:
    """Python's names of the values of Specific Character Set; one that is unknown counts as the default one."""
    return list(convert_encodings([term if term in python_encoding else "" for term in terms]))


def _value(data_set: Dataset, tag: BaseTag, keyword: str, encodings: list[str]) -> Value:
    element = data_set.get_item(tag)
    representation = (element.VR if element is not None else None) or value_representation(keyword)
    if representation == "UN":
        representation = value_representation(keyword)
    if representation == "SQ":
        try:
            return tuple(from_data_set(item, encodings) for item in data_set[tag].value or ())
        except Exception:  # noqa: BLE001 -- whatever pydicom makes of a sequence that is none
            return ()
    if element is None or element.value is None or representation in _BINARY:
        return ""
    if not isinstance(element, RawDataElement):
        values = element.value if isinstance(element.value, MultiValue | list) else [element.value]
        texts = [f"{value:08x}" if isinstance(value, BaseTag) else str(value) for value in values]
    else:
        texts = texts_of(element.value, representation, encodings, "<" if element.is_little_endian else ">")
    texts = [text.strip("\0").rstrip(" \0") for text in texts]
    return texts[0] if len(texts) == 1 else tuple(texts) if texts else ""


def texts_of(raw: bytes, representation: str, encodings: list[str], order: str = "<") -> list[str]:
    """The values of an element, out of its bytes; ``order`` is that of its numbers, as in ``struct``."""
    if representation in _BINARY:
        return []
    if representation in _NUMBERS or representation == "AT":
        return _numbers(raw, representation, order)
    text = _text(raw, encodings) if representation in _CODED_TEXT else raw.decode("latin-1")
    return [text] if representation in _SINGLE_VALUE else text.split("\\")


def _numbers(raw: bytes, representation: str, order: str) -> list[str]:
    form = f"{order}HH" if representation == "AT" else order + _NUMBERS[representation]
    try:
        numbers = list(struct.iter_unpack(form, raw))
    except struct.error:  # not a whole number of them
        return []
    if representation == "AT":
        return [f"{group:04x}{element:04x}" for group, element in numbers]
    return [str(number) for (number,) in numbers]


def _text(raw: bytes, encodings: list[str]) -> str:
    if b"\x1b" in raw:  # code extensions (PS3.5 section 6.1.2.5)
        return str(decode_bytes(raw, encodings, TEXT_VR_DELIMS))
    return raw.decode(encodings[0], errors="replace")


def query_to_data_set(query: Query) -> Dataset:
    """The identifier of a C-FIND, C-MOVE or C-GET request."""
    data_set = to_data_set(query.keys)
    if query.level is not None and query.model is not Model.WORKLIST:
        data_set.QueryRetrieveLevel = query.level.value
    return data_set


def query_from_data_set(data_set: Dataset, model: Model) -> Query:
    """A request's identifier as a query; an unknown level becomes None."""
    level: Value = ""
    if "QueryRetrieveLevel" in data_set:
        level = _value(data_set, BaseTag(0x00080052), "QueryRetrieveLevel", ["iso8859"])
    return Query(from_data_set(data_set), model, next((each for each in Level if each.value == level), None))
