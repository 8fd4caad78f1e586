"""Identifiers as plain values to DICOM data sets and back."""

from __future__ import annotations

from typing import cast

from pydicom import Dataset, Sequence
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from simlab.network.query import Identifier, Level, Model, Query, Value

UNICODE = "ISO_IR 192"


def to_data_set(identifier: Identifier) -> Dataset:
    """A data set with these attributes. Non-ASCII text is encoded as UTF-8 (ISO_IR 192)."""
    data_set = Dataset()
    for keyword, value in identifier.items():
        if dictionary_VR(keyword) == "SQ":
            items = cast("tuple[Identifier, ...]", value or ())
            setattr(data_set, keyword, Sequence([to_data_set(item) for item in items]))
        else:
            setattr(data_set, keyword, _element_value(keyword, value))
    if any(not _is_ascii(value) for value in identifier.values()):
        data_set.SpecificCharacterSet = UNICODE
    return data_set


def _element_value(keyword: str, value: Value) -> object:
    if isinstance(value, tuple):
        return list(value)
    if value and dictionary_VR(keyword) in ("US", "UL", "SS", "SL"):
        return int(value)
    return value or None


def _is_ascii(value: Value) -> bool:
    if isinstance(value, str):
        return value.isascii()
    return all(_is_ascii(item) if isinstance(item, str) else all(map(_is_ascii, item.values())) for item in value)


def from_data_set(data_set: Dataset) -> dict[str, Value]:
    """The attributes of a data set as plain values. Private and group-length elements are left out."""
    identifier: dict[str, Value] = {}
    for element in data_set:
        keyword = element.keyword
        if not keyword or keyword in ("SpecificCharacterSet", "QueryRetrieveLevel"):
            continue
        if element.VR == "SQ":
            identifier[keyword] = tuple(from_data_set(item) for item in element.value)
        elif isinstance(element.value, MultiValue):
            identifier[keyword] = tuple(_text(value) for value in element.value)
        else:
            identifier[keyword] = _text(element.value)
    return identifier


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, PersonName):
        return str(value).rstrip()
    return str(value).rstrip(" \0")


def query_to_data_set(query: Query) -> Dataset:
    """The identifier of a C-FIND, C-MOVE or C-GET request."""
    data_set = to_data_set(query.keys)
    if query.level is not None and query.model is not Model.WORKLIST:
        data_set.QueryRetrieveLevel = query.level.value
    return data_set


def query_from_data_set(data_set: Dataset, model: Model) -> Query:
    """A request's identifier as a query; an unknown level becomes None."""
    try:
        level = Level(str(data_set.get("QueryRetrieveLevel", "")).strip())
    except ValueError:
        level = None
    return Query(from_data_set(data_set), model, level)
