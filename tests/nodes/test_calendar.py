"""Hours, days and weekly profiles as people write them."""

from datetime import datetime

import pytest

from simlab.nodes.calendar import (
    HOURS,
    WEEKDAYS,
    parse_days,
    parse_opening,
    parse_span,
    read_hours,
    read_weekdays,
    seconds_until_open,
)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("08:00-17:30", (480, 1050)),
        ("8-17", (480, 1020)),
        ("0-24", (0, 1440)),
        ("20-8", (1200, 480)),
        (" 7:05-24:00 ", (425, 1440)),
    ],
)
def test_spans_of_a_day(text, minutes):
    assert parse_span(text) == minutes


@pytest.mark.parametrize("text", ["", "8", "8-8", "8-25", "24:01-5", "8:60-9", "08:00 to 17:00", "8-9-10", "-1-5"])
def test_what_is_no_span(text):
    with pytest.raises(ValueError, match='expected a time of day such as "08:00-17:00", not '):
        parse_span(text)


def test_nobody_opens_over_midnight():
    with pytest.raises(ValueError, match='"20-08" goes over midnight; expected the end after the start'):
        parse_opening("20-08")


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon-fri", (0, 1, 2, 3, 4)),
        ("sun", (6,)),
        ("sat-mon", (0, 5, 6)),
        ("Wed, mon, wed-thu", (0, 2, 3)),
        ("mon-sun", tuple(range(7))),
    ],
)
def test_days(text, days):
    assert parse_days(text) == days


@pytest.mark.parametrize("text", ["", "mon-", "-mon", "monday", "mon;tue", "mon,,tue"])
def test_what_are_no_days(text):
    with pytest.raises(ValueError, match=r'unknown day .*; expected days such as "mon-fri, sun"'):
        parse_days(text)


def test_a_profile_by_name_by_number_and_by_span():
    assert read_hours("emergency") == HOURS["emergency"]
    assert read_hours(list(range(24))) == tuple(range(24))
    assert read_hours({"08-20": 4.2, "20-08": 1}) == HOURS["emergency"]
    assert read_weekdays({"mon-fri": 1, "sat, sun": 0.3}) == WEEKDAYS["hospital"]
    assert read_weekdays({"mon": 2}) == (2, 0, 0, 0, 0, 0, 0)


def test_shipped_profiles_are_whole():
    assert {len(profile) for profile in HOURS.values()} == {24}
    assert {len(profile) for profile in WEEKDAYS.values()} == {7}


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (read_hours, "emergancy", 'unknown profile "emergancy"; did you mean "emergency"?'),
        (
            read_hours,
            [1] * 23,
            "23 values; expected a profile (emergency, inpatients, office), 24 values, or a mapping",
        ),
        (read_weekdays, 3, "3; expected a profile (emergency, hospital, workdays), 7 values, or a mapping like"),
        (read_hours, {"8-9": 1, "8-10": 2}, '"8-10" is there already, at least in part; expected each time once'),
        (read_hours, {"08:30-10": 1}, '"08:30-10" is not in whole hours; expected them as in "08-20"'),
        (read_hours, {"20 h": 1}, 'expected a time of day such as "08:00-17:00", not "20 h"'),
        (read_weekdays, {"mo": 1}, 'unknown day "mo" in "mo"; expected days such as "mon-fri, sun"'),
        (read_weekdays, [0] * 7, "nothing ever arrives; expected an intensity above 0"),
        (read_weekdays, [1, 1, 1, 1, 1, 1, -1], "expected relative intensities, as numbers from 0"),
        (read_weekdays, [1, 1, 1, 1, 1, 1, True], "expected relative intensities, as numbers from 0"),
        (read_weekdays, {"mon": "many"}, "expected relative intensities, as numbers from 0"),
    ],
)
def test_what_is_no_profile(read, value, message):
    with pytest.raises(ValueError, match=r"^") as refused:
        read(value)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("moment", "minutes"),
    [
        ("2026-01-12T08:00", 0),
        ("2026-01-12T07:59", 1),
        ("2026-01-12T16:59", 0),
        ("2026-01-12T17:00", 15 * 60),
        ("2026-01-16T18:00", (6 + 48 + 8) * 60),
        ("2026-01-18T00:00", 32 * 60),
    ],
)
def test_doors_open_again(moment, minutes):
    assert seconds_until_open(datetime.fromisoformat(moment), "08:00-17:00", "mon-fri") == minutes * 60
    assert seconds_until_open(datetime.fromisoformat(moment), "0-24", "mon-sun") == 0


def test_doors_that_open_once_a_week():
    assert seconds_until_open(datetime(2026, 1, 14, 9), "8-9", "wed") == (7 * 24 - 1) * 3600
