from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from simlab.errors import UnitError
from simlab.units import (
    BANDWIDTH,
    DURATION,
    RATE,
    SIZE,
    Bandwidth,
    Duration,
    Quantity,
    Rate,
    Size,
    format_bandwidth,
    format_duration,
    format_rate,
    format_size,
    parse_bandwidth,
    parse_duration,
    parse_rate,
    parse_size,
    parse_threshold,
)

QUANTITIES = (DURATION, BANDWIDTH, RATE)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20 ms", 0.02),
        ("20ms", 0.02),
        ("  1.5  s ", 1.5),
        ("250 us", 0.00025),
        ("4 min", 240),
        ("8 h", 28800),
        ("1 d", 86400),
        ("1 day", 86400),
        ("2 days", 172800),
        ("3 hours", 10800),
        ("1 minute", 60),
        ("10 seconds", 10),
        ("1e3 s", 1000),
        ("0 s", 0),
    ],
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds


def test_other_quantities_are_read():
    assert parse_bandwidth("100 Mbit/s") == 12.5e6
    assert parse_bandwidth("8 bit/s") == 1
    assert parse_bandwidth("1 Gbit/s") == 125e6
    assert parse_bandwidth("3 MB/s") == 3e6
    assert parse_size("512 KiB") == 524288
    assert parse_size("1.001 kB") == 1001
    assert isinstance(parse_size("1 GB"), int)
    assert parse_rate("12 /h") == 12 / 3600
    assert parse_rate("2/s") == 2


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_duration, "20", 'expected a duration such as "20 ms", not "20"'),
        (parse_duration, "", 'expected a duration such as "20 ms", not ""'),
        (parse_duration, "soon", 'expected a duration such as "20 ms", not "soon"'),
        (parse_duration, "nan s", 'expected a duration such as "20 ms", not "nan s"'),
        (parse_duration, "inf s", 'expected a duration such as "20 ms", not "inf s"'),
        (parse_duration, "-5 ms", '"-5 ms" is negative; expected a duration such as "20 ms"'),
        (parse_duration, "20 parsecs", None),
        (parse_duration, "20 secnds", 'unknown unit "secnds" in "20 secnds"; did you mean "seconds"?'),
        (parse_duration, "20 MS", 'unknown unit "MS" in "20 MS"; did you mean "ms"?'),
        (parse_duration, "1e999 s", '"1e999 s" is too large; expected a duration such as "20 ms"'),
        (parse_bandwidth, "100 Mbits/s", 'unknown unit "Mbits/s" in "100 Mbits/s"; did you mean "Mbit/s"?'),
        (parse_size, "0.5 B", '"0.5 B" is not a whole number of B; expected a size such as "512 KiB"'),
        (parse_rate, "12", 'expected a rate such as "12 /h", not "12"'),
        (parse_rate, "12 per h", 'expected a rate such as "12 /h", not "12 per h"'),
        (parse_threshold, "2 s", 'expected a threshold such as "< 2 s", not "2 s"'),
        (parse_threshold, "< 2", 'expected a duration such as "20 ms", not "2"'),
    ],
)
def test_what_is_no_quantity_is_refused_in_one_line(parse, text, message):
    with pytest.raises(UnitError) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
    if message:
        assert str(caught.value) == message


def test_quantities_are_written_with_three_digits():
    assert format_duration(0.02) == "20 ms"
    assert format_duration(0.9999) == "1 s"
    assert format_duration(12345) == "3.43 h"
    assert format_duration(0) == "0 s"
    assert format_duration(math.nan) == "nan s"
    assert format_duration(1234567 * 86400) == "1230000 d"
    assert format_bandwidth(12.5e6) == "100 Mbit/s"
    assert format_size(524288) == "524 kB"
    assert format_rate(12 / 3600) == "12 /h"


def test_exact_text_is_the_plainest():
    assert DURATION.exact(240) == "4 min"
    assert DURATION.exact(100) == "100 s"
    assert BANDWIDTH.exact(12.5e6) == "100 Mbit/s"
    assert SIZE.exact(524288) == "512 KiB"
    assert RATE.exact(9 / 3600) == "9 /h"


@given(st.sampled_from(QUANTITIES), st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_exact_text_reads_back_as_the_same_number(quantity: Quantity, value: float):
    assert quantity.parse(quantity.exact(value)) == value


@given(st.integers(min_value=0, max_value=2**53))
def test_exact_sizes_read_back_as_the_same_number(size: int):
    assert parse_size(SIZE.exact(size)) == size


@given(st.sampled_from(QUANTITIES), st.floats(min_value=1e-15, max_value=1e15))
def test_written_quantities_read_back_within_three_digits(quantity: Quantity, value: float):
    assert quantity.parse(quantity.format(value)) == pytest.approx(value, rel=0.00501)


@given(st.sampled_from((*QUANTITIES, SIZE)), st.text())
def test_any_text_is_read_or_refused(quantity: Quantity, text: str):
    try:
        told = quantity.format(quantity.parse(text))
    except UnitError as error:
        told = str(error)
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "operator", "holds", "fails"),
    [("< 2 s", "<", 1.9, 2.0), ("<=2s", "<=", 2.0, 2.1), ("> 2 s", ">", 2.1, 2.0), (">= 2 s", ">=", 2.0, 1.9)],
)
def test_thresholds(text, operator, holds, fails):
    threshold = parse_threshold(text)
    assert threshold == (operator, 2.0)
    assert threshold.holds(holds)
    assert not threshold.holds(fails)
    assert not threshold.holds(math.nan)


class Wire(BaseModel):
    model_config = ConfigDict(frozen=True)

    latency: Duration = 0.02
    bandwidth: Bandwidth = 125e6
    buffer: Size = 65536
    rate: Rate | None = None


def test_fields_take_text_anywhere_and_numbers_from_python_only():
    assert Wire(latency="20 ms", buffer="1 KiB") == Wire(latency=0.02, buffer=1024)
    assert Wire.model_validate_json('{"latency": "1 s"}', strict=True).latency == 1
    with pytest.raises(ValidationError, match='expected a duration such as "20 ms", not 1'):
        Wire.model_validate_json('{"latency": 1}')
    for wrong in (-1.0, math.nan, math.inf, True, None, [1]):
        with pytest.raises(ValidationError):
            Wire(latency=wrong)


def test_fields_are_written_to_json_as_text():
    wire = Wire(rate=12 / 3600)
    assert wire.model_dump(mode="json") == {
        "latency": "20 ms",
        "bandwidth": "1 Gbit/s",
        "buffer": "64 KiB",
        "rate": "12 /h",
    }
    assert Wire.model_validate_json(wire.model_dump_json()) == wire
    assert wire.model_dump()["latency"] == 0.02
    assert Wire.model_json_schema()["properties"]["latency"]["type"] == "string"
    assert Wire.model_json_schema()["properties"]["latency"]["examples"] == ["20 ms"]
