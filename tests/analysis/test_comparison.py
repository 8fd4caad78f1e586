"""What measurements say about cells and transfer syntaxes, on measurements made by hand."""

from math import inf, isnan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.fake_wan import DESIGN, MEGABIT, fake_table, larger
from simlab.analysis.comparison import Interval, best_syntaxes, cell_table, speed_ups, t_interval


def test_an_interval_by_hand():
    """1, 2, 3: standard deviation 1, and t of two degrees of freedom is 4.303."""
    interval = t_interval([1, 2, 3])
    assert (interval.mean, interval.low) == pytest.approx((2, 2 - 4.303 / sqrt(3)))
    assert t_interval([5.0]) == Interval(5.0, -inf, inf)
    assert isnan(t_interval([]).mean)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=80))
def test_an_interval_lies_around_the_mean(values):
    interval = t_interval(values)
    assert interval.low <= interval.mean <= interval.high


def test_beyond_the_table_the_quantile_goes_on_falling():
    """Against 2.0395 for 31 and 1.9840 for 100 degrees of freedom (Student's t, 97.5 %)."""
    for count, quantile in ((32, 2.0395), (101, 1.9840)):
        values = [(-1.0) ** number for number in range(count)]
        interval = t_interval(values)
        deviation = sqrt(sum((value - interval.mean) ** 2 for value in values) / (count - 1))
        assert (interval.high - interval.mean) * sqrt(count) / deviation == pytest.approx(quantile, rel=0.001)


def test_cells():
    cells = cell_table(fake_table())
    assert len(cells) == len(DESIGN.cells)
    assert (cells["repetitions"] == 3).all()
    assert (cells["study_low_s"] < cells["study_s"]).all()
    assert cells["measured_over_predicted"].between(0.98, 1.02).all()


def test_the_best_for_a_link():
    best = best_syntaxes(fake_table(noise=0.001), "explicit").set_index(["rtt", "bandwidth"])
    assert best.loc[(0.0, 10 * MEGABIT), "best"] == "jpegls"
    assert best.loc[(0.0, 10 * MEGABIT), "speed_up"] == pytest.approx(526 / 132, rel=0.1)
    assert best.loc[(0.0, 1000 * MEGABIT), "best"] == "explicit"
    assert best.loc[(0.0, 1000 * MEGABIT), "speed_up"] == 1
    assert (best["ties"] == "").all()


def test_what_cannot_be_told_apart_is_a_tie():
    best = best_syntaxes(fake_table(noise=0.2), "explicit").set_index(["rtt", "bandwidth"])
    assert "jpegls" in best.loc[(0.05, 1000 * MEGABIT), ["best", "ties"]].str.cat(sep=", ")
    assert best.loc[(0.05, 1000 * MEGABIT), "ties"] != ""


def test_speed_ups_are_paired():
    """Whatever slows a whole repetition down, both alike, does not widen the interval."""
    table = fake_table(noise=0)
    table["study_s"] *= 1 + table["repetition"]
    told = speed_ups(table, "explicit")
    assert (told["speed_up_high"] / told["speed_up_low"]).max() == pytest.approx(1)
    assert (told[told["syntax"] == "explicit"]["speed_up"] == 1).all()


def test_one_repetition_tells_no_ties_and_no_interval():
    table = fake_table(larger(repetitions=1))
    assert (best_syntaxes(table, "explicit")["ties"] == "").all()
    assert (speed_ups(table, "explicit")["speed_up_high"] > 1e300).all()
