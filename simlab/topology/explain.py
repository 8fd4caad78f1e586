"""Pydantic's errors, said in the words of a topology file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from simlab.topology.frozen import FieldPath, Mistake
from simlab.wording import advice, shown

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "datetime_type": 'a date and time such as "2026-01-15T08:00"',
    "datetime_parsing": 'a date and time such as "2026-01-15T08:00"',
    "datetime_from_date_parsing": 'a date and time such as "2026-01-15T08:00"',
    "timezone_naive": "a date and time without a time zone",
}
"""By pydantic's error type; for the others, pydantic's own words are good."""


MISSING_KEY = "a key is missing"


def explain(error: ValidationError, model: type[BaseModel], *, kinds: bool = True) -> Iterator[Mistake]:
    """Yield a mistake for each error of validating a whole file against ``model``.

    ``kinds`` says whether its nodes are of different kinds, as in a topology file.
    """
    errors = error.errors()
    for details in errors:
        # Pydantic does not count items that are wrong themselves, and so calls the list too short as well.
        depth = len(details["loc"])
        inner = any(other["loc"][:depth] == details["loc"] and len(other["loc"]) > depth for other in errors)
        if not (inner and details["type"] == "too_short"):
            yield _mistake(details, model, kinds=kinds)


def _mistake(error: ErrorDetails, model: type[BaseModel], *, kinds: bool) -> Mistake:
    location, value, context = error["loc"], error["input"], error.get("ctx", {})
    path = _written(location, kinds=kinds)
    match error["type"]:
        case "value_error":
            return Mistake(path, str(context["error"]))
        case "extra_forbidden":
            key, known = str(path[-1]), _keys(model, location[:-1])
            return Mistake(path, f"unknown key {shown(key)}; {advice(key, known)}")
        case "missing" if isinstance(path[-1], str):
            return Mistake(path[:-1], f"{MISSING_KEY}; expected {shown(path[-1])}")
        case "missing":
            return Mistake(path[:-1], "too few items; expected one more")
        case "union_tag_not_found":
            return Mistake(path, f"the kind is missing; expected one of {', '.join(_tags(model))}")
        case "union_tag_invalid":
            tag = context["tag"]
            return Mistake((*path, "kind"), f"unknown kind {shown(tag)}; {advice(tag, _tags(model))}")
        case "literal_error":
            options = re.findall(r"'([^']*)'", context["expected"])
            if options and isinstance(value, str):
                return Mistake(path, f"{shown(value)}; {advice(value, options)}")
            expected = context["expected"].replace("'", '"')
            return Mistake(path, f"{shown(value)}; expected {expected}")
        case "too_short":
            return Mistake(path, f"{context['actual_length']} items; expected at least {context['min_length']}")
        case "too_long":
            return Mistake(path, f"{context['actual_length']} items; expected at most {context['max_length']}")
        case "string_type" if isinstance(value, bool | int | float):
            written = shown(value)
            return Mistake(path, f'{written} is not text; expected it in quotes: "{written}"')
        case "string_pattern_mismatch":
            expected = 'letters, digits, "-" and "_", a letter first'
            return Mistake(path, f"{shown(value)} is no name for a node; expected {expected}")
    words = _EXPECTED.get(error["type"]) or error["msg"].removeprefix("Input should be ")
    return Mistake(path, f"{shown(value)}; expected {words}")


def _written(location: tuple[str | int, ...], *, kinds: bool) -> FieldPath:
    """Return the path as it is written in the file: pydantic adds a node's kind, and marks errors about keys."""
    path = tuple(step for step in location if step != "[key]")
    return (*path[:2], *path[3:]) if kinds and path[:1] == ("nodes",) and len(path) > 2 else path


def _tags(model: type[BaseModel]) -> list[str]:
    """Return the kinds of node that ``model`` knows."""
    node = get_args(model.model_fields["nodes"].annotation)[1]
    return [str(_kind(member)) for member in _members(node)]


def _kind(spec: type[BaseModel]) -> str:
    return str(get_args(spec.model_fields["kind"].annotation)[0])


def _keys(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Return the keys that may stand at a location."""
    annotation: Any = model
    for step in location:
        annotation = _inside(annotation, step)
    fields = (field for member in _members(annotation) for field in getattr(member, "model_fields", {}).items())
    return [info.alias or name for name, info in fields]


def _inside(annotation: Any, step: str | int) -> Any:
    """Return what is declared for one step into ``annotation``: a field, an item, or the kind that a union is of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_fields[str(step)].annotation
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0]
    return next(member for member in _members(annotation) if _kind(member) == step)


def _members(annotation: Any) -> list[Any]:
    """Return the members of a union, and anything else as it is."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [member for member in get_args(annotation) if member is not type(None)]
    return [annotation]
