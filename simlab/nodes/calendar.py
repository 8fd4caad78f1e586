"""Hours, days and weekly profiles as people write them in a topology file.

Shipped profiles, each relative to itself only:

==================  ==================================================================================================
hours: emergency    By day (8-20 h) 4.2 times as many an hour as by night. Out of hours, a third of the requests come
                    on working days from 16 to 20 h and a third from 20 to 8 h (Peters et al., Radiologe 37:124, 1997):
                    that is 1/20 and 1/84 of a third for each hour of a week. From 8 to 16 h as from 16 to 20 h:
                    assumption.
hours: inpatients   From 8 to 16 h ten times as many an hour as from 20 to 7 h, half of that in between: assumption.
hours: office       From 8 to 17 h only: assumption.
weekdays: emergency Saturdays and Sundays 0.83 of a working day: the last third of the above, which comes by day at
                    weekends (and on holidays, which are left out here).
weekdays: hospital  Saturdays and Sundays 0.3 of a working day: assumption.
weekdays: workdays  From Monday to Friday only: assumption.
==================  ==================================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from simlab.wording import advice, shown

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60
"""Minutes."""

HOURS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "emergency": (*(1.0,) * 8, *(4.2,) * 12, *(1.0,) * 4),
        "inpatients": (*(1.0,) * 7, 5.0, *(10.0,) * 8, *(5.0,) * 4, *(1.0,) * 4),
        "office": (*(0.0,) * 8, *(1.0,) * 9, *(0.0,) * 7),
    }
)
"""Relative intensities for each hour of a day."""

WEEKDAYS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "emergency": (*(1.0,) * 5, 0.83, 0.83),
        "hospital": (*(1.0,) * 5, 0.3, 0.3),
        "workdays": (*(1.0,) * 5, 0.0, 0.0),
    }
)
"""Relative intensities for each day of a week, from Monday."""

_SPAN = re.compile(r"(\d{1,2})(?::([0-5]\d))?-(\d{1,2})(?::([0-5]\d))?", re.ASCII)


def parse_span(text: str) -> tuple[int, int]:
    """Return the minutes of the day of "08:00-17:30" or "8-17".

    Raises
    ------
    ValueError
        It is written otherwise, is empty, or names a time after 24:00.
    """
    match = _SPAN.fullmatch(text.strip())
    start, end = (int(match[i]) * 60 + int(match[i + 1] or 0) for i in (1, 3)) if match else (0, 0)
    if start == end or max(start, end) > DAY:
        raise ValueError(f'expected a time of day such as "08:00-17:00", not {shown(text)}')
    return start, end


@lru_cache
def parse_opening(text: str) -> tuple[int, int]:
    """Return the minutes of the day at which opening hours begin and end. Raises ValueError."""
    start, end = parse_span(text)
    if end < start:
        raise ValueError(f"{shown(text)} goes over midnight; expected the end after the start")
    return start, end


@lru_cache
def parse_days(text: str) -> tuple[int, ...]:
    """Return the days of "mon-fri, sun", from 0 for Monday, each once and in the order of the week.

    Raises
    ------
    ValueError
        A day is unknown.
    """
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = (word.strip().lower() for word in part.partition("-"))
        for word in (first, last) if dash else (first,):
            if word not in DAYS:
                raise ValueError(f'unknown day {shown(word)} in {shown(text)}; expected days such as "mon-fri, sun"')
        start = DAYS.index(first)
        days.update((start + i) % 7 for i in range((DAYS.index(last or first) - start) % 7 + 1))
    return tuple(sorted(days))


def seconds_until_open(moment: datetime, opening: str, days: str) -> float:
    """Return the seconds from a moment until the doors are open, on days and at times as text: 0 if they are."""
    start, end = (60.0 * minutes for minutes in parse_opening(opening))
    working = parse_days(days)
    passed = (moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
    ahead = next(day for day in range(8) if (moment.weekday() + day) % 7 in working and day * 60.0 * DAY + end > passed)
    return max(0.0, ahead * 60.0 * DAY + start - passed)


def _hours_of(text: str) -> tuple[int, ...]:
    start, end = parse_span(text)
    if start % 60 or end % 60:
        raise ValueError(f'{shown(text)} is not in whole hours; expected them as in "08-20"')
    return tuple(range(start // 60, end // 60)) if start < end else (*range(start // 60, 24), *range(end // 60))


def _intensities(
    value: object, shipped: Mapping[str, tuple[float, ...]], size: int, parts: Callable[[str], Iterable[int]], like: str
) -> tuple[float, ...]:
    """Return relative intensities given by name, one by one, or for spans; what no span names has none."""
    if isinstance(value, str):
        if value not in shipped:
            raise ValueError(f"unknown profile {shown(value)}; {advice(value, shipped)}")
        return shipped[value]
    if isinstance(value, dict):
        spread: dict[int, object] = {}
        for key, intensity in value.items():
            indices = parts(str(key))
            if not spread.keys().isdisjoint(indices):
                raise ValueError(f"{shown(str(key))} is there already, at least in part; expected each time once")
            spread.update(dict.fromkeys(indices, intensity))
        value = [spread.get(index, 0) for index in range(size)]
    if not isinstance(value, list | tuple) or len(value) != size:
        what = f"{len(value)} values" if isinstance(value, list | tuple) else shown(value)
        raise ValueError(f"{what}; expected a profile ({', '.join(shipped)}), {size} values, or a mapping like {like}")
    numbers = [float(v) for v in value if isinstance(v, int | float) and not isinstance(v, bool) and 0 <= v < 1e9]
    if len(numbers) != size:
        raise ValueError("expected relative intensities, as numbers from 0")
    if not any(numbers):
        raise ValueError("nothing ever arrives; expected an intensity above 0")
    return tuple(numbers)


def read_hours(value: object) -> tuple[float, ...]:
    """Return 24 relative intensities: a shipped profile, 24 numbers, or spans as in ``{08-20: 4, 20-08: 1}``.

    Raises
    ------
    ValueError
        It is none of these.
    """
    return _intensities(value, HOURS, 24, _hours_of, "{08-20: 4, 20-08: 1}")


def read_weekdays(value: object) -> tuple[float, ...]:
    """Return 7 relative intensities from Monday: a shipped profile, 7 numbers, or as in ``{mon-fri: 1, sat: 0.5}``.

    Raises
    ------
    ValueError
        It is none of these.
    """
    return _intensities(value, WEEKDAYS, 7, parse_days, "{mon-fri: 1, sat: 0.5}")


def _kept(parse: Callable[[str], object]) -> AfterValidator:
    """Check text, and keep it as it was written."""

    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


def _schema(shipped: Iterable[str], size: int) -> WithJsonSchema:
    number = {"type": "number", "minimum": 0}
    values = {"type": "array", "items": number, "minItems": size, "maxItems": size}
    spans = {"type": "object", "additionalProperties": number}
    return WithJsonSchema({"anyOf": [{"enum": list(shipped)}, values, spans]})


Hours = Annotated[tuple[float, ...], BeforeValidator(read_hours), _schema(HOURS, 24)]
"""Relative intensities for each hour of a day."""
Weekdays = Annotated[tuple[float, ...], BeforeValidator(read_weekdays), _schema(WEEKDAYS, 7)]
"""Relative intensities for each day of a week, from Monday."""
OpeningText = Annotated[str, _kept(parse_opening), WithJsonSchema({"type": "string", "examples": ["08:00-17:00"]})]
"""Text for :func:`parse_opening`."""
DaysText = Annotated[str, _kept(parse_days), WithJsonSchema({"type": "string", "examples": ["mon-fri", "sat, sun"]})]
"""Text for :func:`parse_days`."""
