"""Attribute matching of queries (PS3.4 C.2.2.2): which holdings match an identifier, and what of them to return.

Pure functions over identifiers (see :mod:`simlab.network.query`); the value representation of a key comes from the
data dictionary. Where the standard leaves a choice, or implementations differ:

- Person names match without regard to case and to trailing ``^``; a key with one component group matches any group of
  the name (PS3.5 section 6.2.1.2). All other text matches with regard to case. Leading and trailing spaces never count.
- An attribute without a value matches only a universal key ("", and ``*`` where wild cards are allowed).
- A date or time of lesser precision stands for all that it covers: the time ``10`` matches ``103000``, and the range
  ``10-12`` ends at 12:59:59.999999.
- Study Date and Study Time match independently of one another, as the standard has it unless combined date-time
  matching is negotiated (PS3.4 C.2.2.2.5), which simlab does not. The worklist differs: if both Scheduled Procedure
  Step Start Date and Time are ranges, they are the two ends of one period (PS3.4 table K.6-1).
- A key of several values matches if one of them does: what UID list matching says for UIDs (C.2.2.2.2), for all.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeGuard

from pydicom.datadict import dictionary_VR

from simlab.network.query import Identifier, Value

WILDCARD_REPRESENTATIONS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
"""Value representations in which ``*`` and ``?`` are wild cards (PS3.4 C.2.2.2.4)."""

NEVER_MATCHED = frozenset({"SpecificCharacterSet", "TimezoneOffsetFromUTC", "QueryRetrieveLevel"})
"""These describe the identifier itself (PS3.4 C.2.2.2): not matched, and the one who encodes a response adds them."""

COMBINED_PAIRS = (("ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"),)

_SINGLE_TEXT = frozenset({"LT", "ST", "UR", "UT"})
_NUMBERS = frozenset({"DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})
_END_OF_DAY = "235959.999999"
_MOMENT_PARTS = {"year": 1, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0}
"""The parts of a DT value, and the least that each can be."""
_DATE_TIME = re.compile(
    r"(?P<year>\d{4})(?P<month>\d\d)?(?P<day>\d\d)?(?P<hour>\d\d)?(?P<minute>\d\d)?(?P<second>\d\d)?"
    r"(?:\.(?P<fraction>\d{1,6}))?(?P<offset>[+-](?:0\d|1[0-4])[0-5]\d)?"
)


def matches(keys: Identifier, attributes: Identifier) -> bool:
    """Whether attributes match every key. An attribute that is absent counts as one without a value."""
    combined: set[str] = set()
    for date_keyword, time_keyword in COMBINED_PAIRS:
        if not keys.get(date_keyword):
            continue
        date_key, time_key = (_first(keys.get(keyword, "")) for keyword in (date_keyword, time_keyword))
        if "-" in date_key and "-" in time_key:
            combined |= {date_keyword, time_keyword}
            if not _in_period(
                date_key, time_key, _first(attributes.get(date_keyword, "")), _first(attributes.get(time_keyword, ""))
            ):
                return False
    for keyword, key in keys.items():
        if not key or keyword in combined or keyword in NEVER_MATCHED:  # nearly all keys of a query are universal
            continue
        if not _key_matches(keyword, key, attributes.get(keyword, "")):
            return False
    return True


def return_keys(keys: Identifier, attributes: Identifier) -> Identifier:
    """The response to matching attributes: the requested ones only, "" for those that are absent (PS3.4 C.4.1.1.3.2).

    The items of a sequence are restricted to the requested sub-keys; a sequence that is requested empty comes whole.
    """
    response: dict[str, Value] = {}
    for keyword, key in keys.items():
        if keyword in NEVER_MATCHED:
            continue
        value = attributes.get(keyword, "")
        if value and isinstance(value, str):
            response[keyword] = value
        elif value_representation(keyword) == "SQ":
            items = _items(value)
            sub_keys = next(iter(_items(key)), None)
            response[keyword] = tuple(return_keys(sub_keys, item) for item in items) if sub_keys else items
        else:
            response[keyword] = value
    return response


def supported_keys(keys: Identifier, supported: Identifier) -> Identifier:
    """The keys that a server matches on: an optional key that it does not support must not narrow (PS3.4 C.2.2.1.3).

    ``supported`` is an example of what the server holds; an item in one of its sequences tells the supported sub-keys.
    """
    kept: dict[str, Value] = {}
    for keyword, key in keys.items():
        if keyword not in supported:
            continue
        example = next(iter(_items(supported[keyword])), None)
        kept[keyword] = tuple(supported_keys(item, example) for item in _items(key)) if example else key
    return kept


def narrowing_keys(keys: Identifier, supported: Identifier) -> Identifier:
    """Of the supported keys those that can narrow: nearly all keys of a query are universal, and match anything."""
    return _without_universal(supported_keys(keys, supported))


def _without_universal(keys: Identifier) -> Identifier:
    kept: dict[str, Value] = {}
    for keyword, key in keys.items():
        items = _items(key)
        narrowing = tuple(filter(None, map(_without_universal, items))) if items else key
        if narrowing:
            kept[keyword] = narrowing
    return kept


def values_of(keyword: str, value: Value) -> tuple[str, ...]:
    """The values of a key or an attribute that are not empty: lists split at backslashes, insignificant spaces gone."""
    if isinstance(value, str):
        texts: Iterable[str] = (value,) if value_representation(keyword) in _SINGLE_TEXT else value.split("\\")
    else:
        texts = (part for text in value if isinstance(text, str) for part in text.split("\\"))
    return tuple(text for text in (raw.strip(" \0") for raw in texts) if text)


def has_wildcard(key: str) -> bool:
    """Whether a key holds ``*`` or ``?``; they are wild cards only in some value representations."""
    return "*" in key or "?" in key


def date_bounds(key: str) -> tuple[str, str]:
    """First and last date (YYYYMMDD) of a DA key, a single date or a range; an open end is "00000000" or "99999999"."""
    low, high = _ends(_plain_date(key))
    return low.ljust(8, "0"), high.ljust(8, "9")


@lru_cache(maxsize=4096)
def value_representation(keyword: str) -> str:
    """The value representation of a keyword in the data dictionary; UN for one that it does not know."""
    try:
        # Some attributes have a choice (US or SS): the first will do, as all numbers match alike.
        return dictionary_VR(keyword).split(" or ")[0]
    except (KeyError, ValueError):
        return "UN"


def _key_matches(keyword: str, key: Value, value: Value) -> bool:
    if isinstance(key, str) and key == value:
        return True
    representation = value_representation(keyword)
    if representation == "SQ":
        return _sequence_matches(_items(key), _items(value))
    key_values = values_of(keyword, key)
    if not key_values:
        return True
    if representation in WILDCARD_REPRESENTATIONS and any(not text.strip("*") for text in key_values):
        return True
    values = values_of(keyword, value)
    return any(_value_matches(representation, one, other) for one in key_values for other in values)


def _sequence_matches(keys: tuple[Identifier, ...], items: tuple[Identifier, ...]) -> bool:
    """Sequence matching (PS3.4 C.2.2.2.6): each key item (there should be one) matches at least one item."""
    # No items at all match as one without attributes: universal sub-keys match, others do not.
    return all(any(matches(key, item) for item in items or ({},)) for key in keys)


def _value_matches(representation: str, key: str, value: str) -> bool:
    if representation == "PN":
        return _name_matches(key, value)
    if representation in WILDCARD_REPRESENTATIONS:
        return _text_matches(key, value)
    if representation == "DA":
        low, high = date_bounds(key)
        return low <= _plain_date(value).ljust(8, "0") <= high
    if representation == "TM":
        return _time_matches(key, value)
    if representation == "DT":
        return _date_time_matches(key, value)
    if representation in _NUMBERS:
        return _number(key) == _number(value)
    return key == value


def _text_matches(key: str, value: str) -> bool:
    return _pattern(key).fullmatch(value) is not None if has_wildcard(key) else key == value


@lru_cache(maxsize=1024)
def _pattern(key: str) -> re.Pattern[str]:
    """A key as a regular expression in which nothing but ``*`` and ``?`` is special."""
    # Several stars in a row mean one, and would backtrack without end.
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(char) or re.escape(char) for char in re.sub(r"\*+", "*", key)), re.DOTALL)


def _name_matches(key: str, name: str) -> bool:
    """Match a person name by component groups: alphabetic = ideographic = phonetic (PS3.5 section 6.2)."""
    key_groups = key.casefold().split("=")
    groups = name.casefold().split("=")
    if len(key_groups) == 1:
        return any(_group_matches(key_groups[0], group) for group in groups)
    groups += [""] * (len(key_groups) - len(groups))
    return all(_group_matches(one, group) for one, group in zip(key_groups, groups, strict=False))


def _group_matches(key: str, group: str) -> bool:
    key, group = key.rstrip("^ "), group.rstrip("^ ")
    # "doe^*" asks for any Doe, also for one whose given name is not known: "doe" is short for "doe^^^^".
    padding = "^" * max(0, key.count("^") - group.count("^"))
    return not key or _text_matches(key, group) or _text_matches(key, group + padding)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _ends(key: str) -> tuple[str, str]:
    """The two ends of a DA or TM key; a single value is both. An open end is empty."""
    low, hyphen, high = key.partition("-")
    return (low.strip(), high.strip()) if hyphen else (key, key)


def _plain_date(text: str) -> str:
    return text.replace(".", "")  # YYYY.MM.DD is how ACR-NEMA wrote a date (PS3.5 section 6.2)


def _earliest(time: str) -> str:
    """A time as HHMMSS.FFFFFF, what it leaves open being zero."""
    return time + "000000.000000"[len(time) :]


def _latest(time: str) -> str:
    """A time as HHMMSS.FFFFFF, what it leaves open being as late as can be."""
    return time + _END_OF_DAY[len(time) :]


def _time_matches(key: str, value: str) -> bool:
    low, high = _ends(key.replace(":", ""))
    return _earliest(low) <= _earliest(value.replace(":", "")) <= _latest(high)


def _in_period(date_key: str, time_key: str, date: str, time: str) -> bool:
    """Whether a date and time lie in the one period that two ranges describe together (PS3.4 table K.6-1)."""
    if not date:
        return date_key.strip() == "-" and time_key.strip() == "-"
    first_day, last_day = _ends(_plain_date(date_key))
    first_time, last_time = _ends(time_key.replace(":", ""))
    moment = (_plain_date(date).ljust(8, "0"), _earliest(time.replace(":", "")))
    after_start = not first_day or (first_day.ljust(8, "0"), _earliest(first_time)) <= moment
    before_end = not last_day or moment <= (last_day.ljust(8, "9"), _latest(last_time))
    return after_start and before_end


def _date_time_matches(key: str, value: str) -> bool:
    """Match a DT. An offset from UTC counts; a value without one is taken as UTC, so plain local times compare well."""
    moment = _span(value)
    if single := _span(key):
        low, high = single
    else:
        # A hyphen may belong to an offset, so the ends are tried at each of them.
        ends = ((key[:place], key[place + 1 :]) for place, char in enumerate(key) if char == "-")
        bounds = ((_open_span(start), _open_span(end)) for start, end in ends)
        found = next(((start, end) for start, end in bounds if start and end), None)
        if found is None:
            return key == value
        low, high = found[0][0], found[1][1]
    return moment is not None and low <= moment[0] <= high


def _open_span(text: str) -> tuple[datetime, datetime] | None:
    return _span(text.strip()) if text.strip() else (datetime.min, datetime.max)


def _span(text: str) -> tuple[datetime, datetime] | None:
    """First and last moment (UTC) that a DT value of whatever precision covers; None if it is no DT value."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return None
    given = {name: int(digits) for name, digits in found.groupdict().items() if digits and name in _MOMENT_PARTS}
    fraction = found["fraction"] or ""
    try:
        year, month = given["year"], given.get("month", 12)
        first = datetime(*(given.get(name, least) for name, least in _MOMENT_PARTS.items()))  # type: ignore[arg-type] # a tzinfo could follow
        last_day = monthrange(year, month)[1]
        most = dict(_MOMENT_PARTS, month=month, day=last_day, hour=23, minute=59, second=59)
        last = datetime(*(given.get(name, greatest) for name, greatest in most.items()))  # type: ignore[arg-type] # a tzinfo could follow
        first = first.replace(microsecond=int(fraction.ljust(6, "0")))
        last = last.replace(microsecond=int(fraction.ljust(6, "9")))
        sign = -1 if (found["offset"] or "+").startswith("-") else 1
        digits = (found["offset"] or "+0000")[1:]
        offset = sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        return first - offset, last - offset
    except (ValueError, OverflowError):
        return None


def _first(value: Value) -> str:
    """A value as one text: keys and attributes of dates and times have only one."""
    if isinstance(value, str):
        return value.strip(" \0")
    return next((text.strip(" \0") for text in value if isinstance(text, str)), "")


def _items(value: Value) -> tuple[Identifier, ...]:
    return value if _is_sequence(value) else ()


def _is_sequence(value: Value) -> TypeGuard[tuple[Identifier, ...]]:
    return isinstance(value, tuple) and not (value and isinstance(value[0], str))  # it holds either, never both
