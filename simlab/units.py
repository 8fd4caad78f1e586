"""Quantities as people write them, and as simlab computes with them.

Outside, a quantity is text with a unit: "20 ms", "100 Mbit/s", "512 KiB", "12 /h". Inside it is a number in base
units: seconds, bytes per second, bytes, per second, parts of one. A number without a unit is never guessed at.

``Duration``, ``Bandwidth``, ``Size``, ``Rate`` and ``Share`` are field types for pydantic models. Python code may give
them text or a number in base units; JSON, and so a topology file, must give text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from simlab.errors import UnitError
from simlab.wording import advice, shown

_NUMBER = r"\d{1,40}(?:\.\d{1,40})?(?:[eE][-+]?\d{1,3})?"
"""Bounded, so that no text makes the exact arithmetic below slow."""
LEAST_PER_CENT = 1e-4
"""The smallest share that is told in per cent."""

_BIT = re.compile(r"b(/s|ps)?$")
_BARE = re.compile(rf"\s*{_NUMBER}\s*", re.ASCII)
_QUANTITY = re.compile(rf"\s*(?P<sign>[-+]?)(?P<number>{_NUMBER})\s*(?P<unit>[^\s\d.+-]\S*)\s*", re.ASCII)
_THRESHOLD = re.compile(r"\s*(?P<operator><=|>=|<|>)\s*(?P<quantity>.*)", re.DOTALL)


# Compared by identity: typing hashes what it finds in an Annotated, and a mapping cannot be hashed.
@dataclass(frozen=True, eq=False)
class Quantity:
    """One kind of quantity: its units, and how it is read and written. Used in ``Annotated``, it is a field type."""

    name: str
    """With its article: "a duration"."""
    example: str
    base: str
    """The unit that simlab computes in."""
    units: Mapping[str, Fraction]
    """Every unit that is understood, in base units."""
    display: tuple[str, ...]
    """Units to write with, largest first."""
    whole: bool = False
    """Whether only whole numbers of the base unit make sense."""
    _expected: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "_expected", f'expected {self.name} such as "{self.example}"')

    def parse(self, text: str) -> float:
        """Return the quantity in base units.

        Raises
        ------
        UnitError
            No number, no unit, an unknown unit, a negative number, or more than a float holds.
        """
        match = _QUANTITY.fullmatch(text)
        if match is None:
            raise UnitError(f"{self._expected}, not {shown(text)}")
        if match["sign"] == "-":
            raise UnitError(f"{shown(text)} is negative; {self._expected}")
        unit = self.units.get(match["unit"])
        if unit is None:
            # "Mb" and "Mbps" are bits, though they look more like "MB/s".
            bits = _BIT.sub("bit/s", match["unit"])
            meant = bits if bits in self.units else match["unit"]
            problem = f"unknown unit {shown(match['unit'])} in {shown(text)}"
            raise UnitError(f"{problem}; {advice(meant, self.units)}")
        # Fractions round once, at the end: "20 ms" is 0.02 and nothing beside it.
        exact = Fraction(match["number"]) * unit
        if self.whole and exact.denominator != 1:
            raise UnitError(f"{shown(text)} is not a whole number of {self.base}; {self._expected}")
        try:
            return float(exact)
        except OverflowError:
            raise UnitError(f"{shown(text)} is too large; {self._expected}") from None

    def parse_list(self, text: str) -> tuple[float, ...]:
        """Return the quantities of a list such as "0,10,50 ms": items without a unit have that of the last one.

        Raises
        ------
        UnitError
            As for :meth:`parse`; the last item needs a unit.
        """
        *items, last = text.split(",")
        end, unit = self.parse(last), last.strip().lstrip("+-0123456789.eE")
        return (*(self.parse(f"{item} {unit}" if _BARE.fullmatch(item) else item) for item in items), end)

    def format(self, value: float) -> str:
        """Return ``value`` (base units) for people: three significant digits, in the largest unit that fits."""
        if not math.isfinite(value):
            return f"{value} {self.base}"
        # The unit is chosen by the rounded value, so that 999.9 ms becomes "1 s" and not "1000 ms".
        rounded = Fraction(f"{value:.3g}")
        unit = next((u for u in self.display if rounded >= self.units[u]), self.display[-1])
        if value == 0:
            unit = self.base
        amount = float(f"{float(Fraction(value) / self.units[unit]):.3g}")
        return f"{amount:.15g} {unit}"

    def exact(self, value: float) -> str:
        """Return ``value`` (base units) as text that reads back as exactly this value."""
        if value == 0:
            return f"0 {self.base}"
        amounts = {unit: Fraction(value) / self.units[unit] for unit in dict.fromkeys((*self.display, *self.units))}
        texts = [f"{float(amount):.12g} {unit}" for unit, amount in amounts.items() if 1 <= amount < 10**12]
        faithful = [text for text in texts if self._reads_as(text, value)]
        # The fewest digits: "512 KiB" rather than "524.288 kB", "4 min" rather than "240 s".
        return min(faithful, key=lambda text: text.index(" "), default=f"{value!r} {self.base}")

    def _reads_as(self, text: str, value: float) -> bool:
        try:
            return self.parse(text) == value
        except UnitError:  # rounding made it overflow, or no whole number
            return False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate text with a unit (or, from Python, a number in base units); serialise to text in JSON."""
        return core_schema.with_info_before_validator_function(
            self._read,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(
                self.exact, return_schema=core_schema.str_schema(), when_used="json"
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the text form, whichever number stands behind it."""
        units = ", ".join(self.units)
        return {"type": "string", "description": f"{self.name} with its unit: {units}", "examples": [self.example]}

    def _read(self, value: object, info: ValidationInfo) -> float:
        """Pydantic's way in. ValueError, because that is what pydantic collects."""
        if isinstance(value, str):
            try:
                number = self.parse(value)
            except UnitError as error:
                raise ValueError(str(error)) from None
            return int(number) if self.whole else number
        if info.mode == "json" or isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{self._expected}, not {shown(value)}")
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{value} is negative or not finite; {self._expected}")
        return value


def _units(**units: float | Fraction) -> Mapping[str, Fraction]:
    return MappingProxyType({name: Fraction(size) for name, size in units.items()})


_TIMES = _units(us=Fraction(1, 10**6), ms=Fraction(1, 1000), s=1, min=60, h=3600, d=86400)
_WORDS = {"second": "s", "minute": "min", "hour": "h", "day": "d"}
_SIZES = _units(B=1, kB=10**3, KiB=2**10, MB=10**6, MiB=2**20, GB=10**9, GiB=2**30, TB=10**12, TiB=2**40)
_BITS = _units(bit=Fraction(1, 8), kbit=125, Mbit=125_000, Gbit=125_000_000)

DURATION = Quantity(
    name="a duration",
    example="20 ms",
    base="s",
    units={**_TIMES, **{word + plural: _TIMES[unit] for word, unit in _WORDS.items() for plural in ("", "s")}},
    display=("d", "h", "min", "s", "ms", "us"),
)
BANDWIDTH = Quantity(
    name="a bandwidth",
    example="100 Mbit/s",
    base="B/s",
    units={
        **{f"{unit}/s": size for unit, size in _BITS.items()},
        **{f"{unit}/s": _SIZES[unit] for unit in ("B", "kB", "MB")},
    },
    display=("Gbit/s", "Mbit/s", "kbit/s", "bit/s"),
)
SIZE = Quantity(
    name="a size",
    example="512 KiB",
    base="B",
    units=_SIZES,
    display=("TB", "GB", "MB", "kB", "B"),
    whole=True,
)
RATE = Quantity(
    name="a rate",
    example="12 /h",
    base="/s",
    units={f"/{unit}": 1 / _TIMES[unit] for unit in ("s", "min", "h", "d")},
    display=("/s", "/min", "/h", "/d"),
)
SHARE = Quantity(
    name="a share",
    example="0.1 %",
    base="%",
    units=_units(**{"%": Fraction(1, 100), "ppm": Fraction(1, 10**6), "ppb": Fraction(1, 10**9)}),
    display=("%", "ppm", "ppb"),
)

Duration = Annotated[float, DURATION]
"""Seconds."""
Bandwidth = Annotated[float, BANDWIDTH]
"""Bytes per second."""
Size = Annotated[int, SIZE]
"""Bytes."""
Rate = Annotated[float, RATE]
"""Per second."""
Share = Annotated[float, SHARE]
"""Of one."""


def parse_duration(text: str) -> float:
    """Return seconds for "20 ms". Raises UnitError."""
    return DURATION.parse(text)


def parse_bandwidth(text: str) -> float:
    """Return bytes per second for "100 Mbit/s". Raises UnitError."""
    return BANDWIDTH.parse(text)


def parse_size(text: str) -> int:
    """Return bytes for "512 KiB". Raises UnitError."""
    return int(SIZE.parse(text))


def parse_rate(text: str) -> float:
    """Return events per second for "12 /h". Raises UnitError."""
    return RATE.parse(text)


def parse_share(text: str) -> float:
    """Return 0.001 for "0.1 %". Raises UnitError."""
    return SHARE.parse(text)


def format_duration(seconds: float) -> str:
    """Return "20 ms" for 0.02."""
    return DURATION.format(seconds)


def format_bandwidth(bytes_per_second: float) -> str:
    """Return "100 Mbit/s" for 12.5e6."""
    return BANDWIDTH.format(bytes_per_second)


def format_size(size: float) -> str:
    """Return "524 kB" for 524288 bytes."""
    return SIZE.format(size)


def format_rate(per_second: float) -> str:
    """Return "12 /h" for 1/300."""
    return RATE.format(per_second)


def format_share(share: float) -> str:
    """Return "1.5 %" for 0.015, and "0.15 %" for a tenth of that; ppm only for what is a hundredth of a per cent."""
    if LEAST_PER_CENT <= abs(share) < 0.01:
        return f"{float(f'{100 * share:.3g}'):.15g} %"
    return SHARE.format(share)


class Threshold(NamedTuple):
    """What a measured duration is held against."""

    operator: str
    """One of ``<``, ``<=``, ``>``, ``>=``."""
    value: float
    """Seconds."""

    def holds(self, seconds: float) -> bool:
        """Whether a measured duration keeps to the threshold. NaN, where nothing was measured, never does."""
        match self.operator:
            case "<":
                return seconds < self.value
            case "<=":
                return seconds <= self.value
            case ">":
                return seconds > self.value
            case _:
                return seconds >= self.value


def parse_threshold(text: str) -> Threshold:
    """Return the operator and the seconds of "< 2 s".

    Raises
    ------
    UnitError
        No operator, or no duration after it.
    """
    match = _THRESHOLD.fullmatch(text)
    if match is None:
        raise UnitError(f'expected a threshold such as "< 2 s", not {shown(text)}')
    return Threshold(match["operator"], parse_duration(match["quantity"]))
