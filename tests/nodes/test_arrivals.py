"""Arrivals are held to the distributions that they are said to have. Seeds are fixed, so nothing here can flake."""

import math
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice, pairwise, takewhile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simlab.draws import Draws
from simlab.nodes.arrivals import DAY, FLAT, HOUR, YEAR, Grid, Growth, Week, appointments, poisson_arrivals
from simlab.nodes.calendar import HOURS, WEEKDAYS

MONDAY = datetime(2026, 1, 12)
DRAWS = Draws(1)
EMERGENCY = Week.of(HOURS["emergency"], WEEKDAYS["emergency"])
OFFICE = Grid(("mr1", "mr2"), opens=8 * HOUR, closes=17 * HOUR, days=(0, 1, 2, 3, 4), slot=1800.0)


def until(end, arrivals):
    return list(takewhile(lambda arrival: arrival.seconds < end, arrivals))


def poisson(end, rate=1 / 120, draws=DRAWS, epoch=MONDAY, **keywords):
    return until(end, poisson_arrivals(draws, "ris", epoch, rate, **keywords))


def booked(end, grid, draws=DRAWS, epoch=MONDAY):
    return until(end, appointments(draws, "ris grid", epoch, grid))


def seconds(arrivals):
    return np.array([arrival.seconds for arrival in arrivals])


def deviates(observed, expected):
    """How many standard deviations of a Poisson variate lie between what came and what was to come."""
    return (observed - expected) / math.sqrt(expected)


# ---- Poisson processes


def test_a_profile_keeps_its_mean_and_can_be_zero():
    assert math.fsum(EMERGENCY.intensities) / 168 == pytest.approx(1)
    assert set(Week.of().intensities) == set(FLAT.intensities) == {1.0}
    office = Week.of(HOURS["office"], WEEKDAYS["workdays"])
    assert {office.at(MONDAY, hour * HOUR) > 0 for hour in range(8, 17)} == {True}
    assert {office.at(MONDAY, hour * HOUR) for hour in (*range(8), *range(17, 24), 5 * 24 + 12)} == {0.0}


def test_the_week_is_found_from_any_moment():
    half_past_seven_on_friday = MONDAY + timedelta(days=4, hours=7, minutes=30)
    office = Week.of(HOURS["office"], WEEKDAYS["workdays"])
    found = [office.at(half_past_seven_on_friday, minutes * 60) > 0 for minutes in (0, 29, 30, 569, 570, 24 * 60 + 60)]
    assert found == [False, False, True, True, False, False]
    assert office.at(half_past_seven_on_friday, 3 * DAY + HOUR) > 0


def test_without_a_profile_gaps_are_exponential():
    arrivals = seconds(poisson(200 * HOUR))
    gaps = np.diff(arrivals)
    assert arrivals[0] == 0.0
    assert abs(deviates(len(gaps), 200 * 30)) < 3
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(1, abs=0.04)
    # Kolmogorov and Smirnov's distance; 1.63 / sqrt(n) is its 99 % point.
    theory = 1 - np.exp(-np.sort(gaps) / 120)
    distance = np.max(np.abs(theory - (np.arange(len(gaps)) + 0.5) / len(gaps)))
    assert distance < 1.63 / math.sqrt(len(gaps))


def test_thinning_gives_every_hour_of_the_week_its_mean():
    weeks, rate = 40, 6 / HOUR
    counts = Counter(int(at // HOUR) % 168 for at in seconds(poisson(weeks * 7 * DAY, rate, week=EMERGENCY)))
    expected = [weeks * 6 * intensity for intensity in EMERGENCY.intensities]
    chi_square = sum(deviates(counts[hour], mean) ** 2 for hour, mean in enumerate(expected))
    # 168 degrees of freedom: mean 168, standard deviation sqrt(336).
    assert abs(chi_square - 168) < 3 * math.sqrt(336)
    assert abs(deviates(sum(counts.values()), weeks * 7 * 24 * 6)) < 3


def test_the_counts_of_separate_weeks_vary_as_a_poisson_process_does():
    counts = Counter(int(at // (7 * DAY)) for at in seconds(poisson(100 * 7 * DAY, 0.5 / HOUR, week=EMERGENCY)))
    dispersion = np.var(list(counts.values()), ddof=1) / np.mean(list(counts.values()))
    assert dispersion == pytest.approx(1, abs=3 * math.sqrt(2 / 99))


def test_nothing_arrives_where_the_profile_is_zero():
    office = Week.of(HOURS["office"], WEEKDAYS["workdays"])
    for arrival in poisson(14 * DAY, week=office):
        moment = MONDAY + timedelta(seconds=arrival.seconds)
        assert moment.weekday() < 5
        assert 8 <= moment.hour < 17


def test_growth_is_by_the_year_and_at_every_moment():
    growth = Growth(0.2)
    assert growth.factor(0) == 1
    assert growth.factor(2 * YEAR) == pytest.approx(1.44)
    assert growth.seconds(growth.expanded(12345.0)) == pytest.approx(12345.0)
    assert growth.expanded(YEAR) == pytest.approx(YEAR * 0.2 / math.log(1.2))
    assert Growth().seconds(Growth().expanded(0.1)) == 0.1
    grown = seconds(poisson(2 * YEAR, 1 / HOUR, growth=0.2))
    first, second = (int(np.sum(grown // YEAR == year)) for year in (0, 1))
    assert abs(deviates(first, 8760 * 0.2 / math.log(1.2))) < 3
    assert second / first == pytest.approx(1.2, abs=3 * 1.2 * math.sqrt(1 / first + 1 / second))


def test_more_growth_brings_the_same_patients_earlier():
    plain, grown = (list(islice(poisson_arrivals(DRAWS, "ris", MONDAY, 1.0, growth=g), 50)) for g in (0.0, 0.5))
    assert [arrival.entity for arrival in plain] == [arrival.entity for arrival in grown]
    assert all(one.seconds >= other.seconds for one, other in zip(plain, grown, strict=True))


def test_the_process_begins_when_it_is_told_to():
    assert poisson(2 * HOUR, first=HOUR)[0].seconds == HOUR
    began = poisson(2 * HOUR, first=HOUR, week=FLAT)
    assert HOUR < began[0].seconds < HOUR + 1200


# ---- appointment grids


def test_a_full_grid_has_all_its_slots():
    arrivals = booked(14 * DAY, OFFICE)
    assert len(arrivals) == 10 * 2 * 18
    assert Counter(arrival.scanner for arrival in arrivals) == {"mr1": 180, "mr2": 180}
    times = {(MONDAY + timedelta(seconds=arrival.scheduled)).time().isoformat() for arrival in arrivals}
    assert (min(times), max(times), len(times)) == ("08:00:00", "16:30:00", 18)
    assert all(arrival.seconds == arrival.scheduled for arrival in arrivals)


@pytest.mark.parametrize(("slot", "slots"), [(20.0, 27), (35.0, 15), (540.0, 1), (541.0, 0), (0.1, 5400)])
def test_slots_end_by_the_closing_time(slot, slots):
    assert replace(OFFICE, slot=slot * 60).slots == slots


def test_slots_before_the_epoch_are_over():
    assert booked(DAY, OFFICE, epoch=MONDAY + timedelta(hours=16))[0].seconds == 0.0
    assert len(booked(8 * HOUR, OFFICE, epoch=MONDAY + timedelta(hours=16))) == 4
    assert booked(2 * DAY, OFFICE, epoch=MONDAY + timedelta(days=5)) == []


def test_shares_and_lateness_are_as_they_were_asked_for():
    grid = replace(OFFICE, booked=0.8, no_shows=0.1, lateness_mean=120.0, lateness_sd=600.0)
    arrivals = booked(100 * 7 * DAY, grid)
    slots = 500 * 36
    assert abs(len(arrivals) - 0.8 * slots) < 3 * math.sqrt(slots * 0.8 * 0.2)
    missed = [arrival for arrival in arrivals if not arrival.shows]
    assert abs(len(missed) - 0.1 * len(arrivals)) < 3 * math.sqrt(len(arrivals) * 0.1 * 0.9)
    assert all(arrival.seconds == arrival.scheduled for arrival in missed)
    late = np.array([arrival.seconds - arrival.scheduled for arrival in arrivals if arrival.shows])
    assert abs(late.mean() - 120) < 3 * 600 / math.sqrt(len(late))
    assert abs(late.std() - 600) < 3 * 600 / math.sqrt(2 * len(late))
    assert np.mean(np.abs(late - 120) < 600) == pytest.approx(0.683, abs=0.015)


def test_a_grid_fills_up_as_demand_grows():
    grid = replace(OFFICE, booked=0.5, growth=0.5)
    by_year = Counter(int(arrival.seconds // YEAR) for arrival in booked(4 * YEAR, replace(grid, slot=2 * HOUR)))
    slots = 261 * 2 * 4
    assert by_year[0] / slots == pytest.approx(0.5 * 0.5 / math.log(1.5), abs=3 * math.sqrt(0.25 / slots))
    assert by_year[2] == pytest.approx(slots, abs=8)
    before = {arrival.entity for arrival in booked(YEAR, replace(grid, growth=0.0))}
    assert before < {arrival.entity for arrival in booked(YEAR, grid)}


# ---- both

SEEDS = st.integers(0, 2**32)
GRIDS = st.builds(
    Grid,
    scanners=st.sampled_from([("a",), ("a", "b", "c")]),
    opens=st.integers(0, 12).map(lambda hour: hour * HOUR),
    closes=st.integers(13, 24).map(lambda hour: hour * HOUR),
    days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    slot=st.floats(600, 3600),
    booked=st.floats(0.1, 1),
    growth=st.floats(0, 1),
    no_shows=st.floats(0, 1),
    lateness_mean=st.floats(0, 1800),
    lateness_sd=st.floats(0, 7200),
)
EPOCHS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1))
PROFILES = st.builds(
    Week.of,
    st.lists(st.sampled_from([0.0, 0.5, 3.0]), min_size=24, max_size=24).filter(any),
    st.lists(st.sampled_from([0.0, 1.0]), min_size=7, max_size=7).filter(any),
)


def check_process(begin):
    """``begin`` starts the process under a seed, anew each time."""
    arrivals = list(islice(begin(1), 30))
    assert arrivals[0].seconds >= 0
    assert all(one.seconds <= other.seconds for one, other in pairwise(arrivals))
    assert len({arrival.entity for arrival in arrivals}) == len(arrivals)
    assert arrivals == list(islice(begin(1), 30))
    assert list(islice(begin(1), 10)) == arrivals[:10]


@settings(max_examples=25)
@given(EPOCHS, GRIDS)
def test_appointments_never_go_backwards_and_longer_only_appends(epoch, grid):
    check_process(lambda seed: appointments(Draws(seed), "ris x", epoch, grid))


@settings(max_examples=15)
@given(EPOCHS, PROFILES, st.floats(0, 1), st.floats(0, 1e5))
def test_poisson_arrivals_never_go_backwards_and_longer_only_appends(epoch, week, growth, first):
    check_process(
        lambda seed: poisson_arrivals(Draws(seed), "x", epoch, 1 / 300, week=week, growth=growth, first=first)
    )


@settings(max_examples=25)
@given(SEEDS, SEEDS)
def test_another_seed_gives_other_arrivals(seed, other):
    late = replace(OFFICE, lateness_sd=60.0)
    for process in (
        lambda seed: poisson_arrivals(Draws(seed), "x", MONDAY, 1.0, week=EMERGENCY),
        lambda seed: appointments(Draws(seed), "x", MONDAY, late),
    ):
        first, second = (list(islice(process(seed), 10)) for seed in (seed, other))
        assert (first == second) == (seed == other)
