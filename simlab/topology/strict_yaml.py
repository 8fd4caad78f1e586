"""YAML without its surprises.

PyYAML splits the text into events; the values are built here, so that ``no`` is not false, ``8:30`` not 510 and
``0104`` not 68. What YAML 1.1 would turn into something else than it looks like is refused: it should be quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from simlab.errors import TopologyError
from simlab.topology.frozen import FieldPath
from simlab.wording import shown

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
"""What a file is made of, once read."""

DEEPEST = 20
"""Levels of nesting that are read; a topology needs six."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?")
_SURPRISES = (
    (re.compile(r"y|n|yes|no|on|off|true|false", re.IGNORECASE), "YAML 1.1 reads it as true or false"),
    (re.compile(r"~|null", re.IGNORECASE), "YAML reads it as null"),
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"), "YAML 1.1 reads it as a number to base 60"),
    (re.compile(r"[-+]?0[0-9_]+(\.[0-9_]*)?"), "YAML 1.1 reads a leading zero as octal"),
    (re.compile(r"[-+]?0[xob][0-9a-f_]+", re.IGNORECASE), "YAML reads it as a hexadecimal, octal or binary number"),
    (re.compile(r"[-+]?(\.inf|\.nan)", re.IGNORECASE), "YAML reads it as a number that is not finite"),
    (re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(e[-+]?[0-9]+)?", re.IGNORECASE), "a number in disguise"),
    (re.compile(r"<<|="), "YAML 1.1 gives it a meaning of its own"),
)


@dataclass(frozen=True)
class Document:
    """A file's values, and the line on which each stands."""

    source: str
    value: Plain
    lines: dict[FieldPath, int]

    def line(self, path: FieldPath) -> int:
        """Return the line (from 1) of a path, or of the nearest thing around it that is written in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_plain(text: str) -> Plain:
    """Return the value of an unquoted scalar.

    Raises
    ------
    ValueError
        YAML 1.1 would read it as something else than it looks like.
    """
    if text in {"", "null"}:
        return None
    if text in {"true", "false"}:
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    for pattern, why in _SURPRISES:
        if pattern.fullmatch(text):
            raise ValueError(f"{text} is ambiguous ({why}); expected {shown(text)}, quoted, if it is text")
    return text


def needs_quotes(text: str) -> bool:
    """Whether a string would come back as something else, or not at all, if it were written unquoted."""
    try:
        return read_plain(text) != text
    except ValueError:
        return True


def read_yaml(text: str, source: str) -> Document:
    """Read one YAML document.

    Raises
    ------
    TopologyError
        It is not YAML, or it uses what is not allowed here: duplicate keys, anchors, aliases, tags, several documents.
    """
    lines: dict[FieldPath, int] = {}
    try:
        value = _Reader(yaml.parse(text, Loader=yaml.SafeLoader), source, lines).document()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise TopologyError(f"{source}:{line}: character {error.character:#06x}; expected printable text") from None
    except yaml.MarkedYAMLError as error:
        problem = " ".join((error.problem or "syntax error").split())
        raise TopologyError(f"{source}:{_line(error.problem_mark)}: {problem}; expected valid YAML") from None
    except (ValueError, OverflowError):
        # PyYAML trusts numbers in escapes ("\UFFFFFFFF") and directives; they have no mark.
        raise TopologyError(f"{source}:1: a number in an escape or directive is out of range; expected YAML") from None
    return Document(source, value, lines)


def _line(mark: Any) -> int:
    """Return the line of a PyYAML mark (there are two classes of them), from 1."""
    return int(mark.line) + 1 if mark else 1


class _Reader:
    """Builds values from PyYAML's events, and notes the line of each."""

    def __init__(self, events: Iterator[yaml.Event], source: str, lines: dict[FieldPath, int]) -> None:
        self._events = events
        self._source = source
        self._lines = lines

    def document(self) -> Plain:
        value: Plain = None
        seen = False
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if seen:
                    raise self._error(event, "a second document starts here; expected one document a file")
                seen = True
                value = self._value(next(self._events), ())
        return value

    def _value(self, event: yaml.Event, path: FieldPath) -> Plain:
        self._lines.setdefault(path, _line(event.start_mark))
        if len(path) > DEEPEST:
            raise self._error(event, f"nested too deeply; expected at most {DEEPEST} levels")
        self._refuse_marks(event)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(path)
        assert isinstance(event, yaml.ScalarEvent)
        return self._scalar(event)

    def _refuse_marks(self, event: yaml.Event) -> None:
        """Refuse what makes a value depend on another place, or on Python."""
        if isinstance(event, yaml.AliasEvent):
            raise self._error(event, f"alias *{event.anchor}; expected the value itself, or `defaults`")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            if event.anchor is not None:
                raise self._error(event, f"anchor &{event.anchor}; expected the value alone (see `defaults`)")
            if event.tag is not None:
                raise self._error(event, f"tag {event.tag}; expected the value alone")

    def _mapping(self, path: FieldPath) -> dict[str, Plain]:
        mapping: dict[str, Plain] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            self._refuse_marks(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, "a collection as a key; expected text")
            key = self._scalar(event)
            if not isinstance(key, str):
                raise self._error(event, f"key {shown(key)}; expected text: quote it as {shown(event.value)}")
            inner = (*path, key)
            if key in mapping:
                first = self._lines[inner]
                raise self._error(event, f"key {shown(key)} again, as on line {first}; expected each key once")
            self._lines[inner] = _line(event.start_mark)
            mapping[key] = self._value(next(self._events), inner)
        return mapping

    def _list(self, path: FieldPath) -> list[Plain]:
        items: list[Plain] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _scalar(self, event: yaml.ScalarEvent) -> Plain:
        if any("\ud800" <= character <= "\udfff" for character in event.value):
            raise self._error(event, "half of a surrogate pair; expected whole characters")
        if event.style is not None:
            return str(event.value)
        try:
            return read_plain(event.value)
        except ValueError as error:
            raise self._error(event, str(error)) from None

    def _error(self, event: yaml.Event, message: str) -> TopologyError:
        # Keys may hold line breaks of any kind; an error is one line.
        return TopologyError(" ".join(f"{self._source}:{_line(event.start_mark)}: {message}".splitlines()))
