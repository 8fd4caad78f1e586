"""Congestion windows by themselves: when slow start ends, and how CUBIC goes on."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlab.network.link.congestion import Window
from simlab.network.link.hystart import LOW_WINDOW, HyStart
from simlab.network.link.settings import MSS

RTT = 0.1


def acknowledge_round(hystart, round_trips, *, began=1.0, window=100 * MSS, gap=0.001):
    """Whether a round of acknowledgements, each for two segments, ends slow start; a new one with each call."""
    found = False
    for number, round_trip in enumerate(round_trips):
        hystart.measured(round_trip)
        acknowledged = int(began * 1e9) + 2 * MSS * (number + 1)
        sent = int(began * 1e9) + 10**8
        found |= hystart.is_full(
            round_trip, began + gap * number, 2 * MSS, window=window, sent=sent, acknowledged=acknowledged
        )
    return found


@pytest.fixture
def hystart():
    """One that has seen a round trip of an idle line."""
    watching = HyStart()
    assert not acknowledge_round(watching, [RTT])
    return watching


@given(st.lists(st.floats(RTT, RTT + 0.012), min_size=9, max_size=40))
def test_small_delays_tell_nothing(delays):
    watching = HyStart()
    acknowledge_round(watching, [RTT])
    assert not acknowledge_round(watching, delays, began=2.0), "an eighth of 100 ms is 12.5 ms"


@given(st.lists(st.floats(RTT + 0.013, 1.0), min_size=9, max_size=40))
def test_a_round_that_is_late_from_its_beginning_ends_slow_start(delays):
    watching = HyStart()
    acknowledge_round(watching, [RTT])
    assert acknowledge_round(watching, delays, began=2.0)


def test_a_single_acknowledgement_in_time_is_enough_to_go_on(hystart):
    assert not acknowledge_round(hystart, [RTT + 0.05] * 7 + [RTT] + [RTT + 0.05] * 20, began=2.0)
    assert acknowledge_round(hystart, [RTT + 0.05] * 9, began=3.0), "the next round is judged anew"


def test_eight_acknowledgements_are_too_few(hystart):
    assert not acknowledge_round(hystart, [RTT + 0.05] * 8, began=2.0)


def test_small_windows_are_left_alone(hystart):
    assert not acknowledge_round(hystart, [RTT + 0.05] * 20, began=2.0, window=LOW_WINDOW - 1)


def test_acknowledgements_in_a_row_for_half_a_round_trip_end_slow_start(hystart):
    assert not acknowledge_round(hystart, [RTT] * 50, began=2.0)
    assert acknowledge_round(hystart, [RTT] * 53, began=3.0)
    assert not acknowledge_round(hystart, [RTT] * 53, began=4.0, gap=0.0021), "these do not follow each other"


@pytest.mark.parametrize(("congestion", "ends"), [("cubic", True), ("reno", False), ("ideal", False)])
def test_only_cubic_ends_slow_start_by_itself(congestion, ends):
    window = Window(congestion)
    window.size = 100.0 * MSS
    window.measured(RTT, 2 * MSS, 0.5, 2 * MSS, 2 * MSS)
    for number in range(20):
        window.measured(2 * RTT, 2 * MSS, 1.0 + number / 1000, 10**9, 2 * MSS * (number + 2))
    assert math.isfinite(window.threshold) == ends


def grow(window, rounds):
    """Segments that the window has after each round of which everything was used, of ten acknowledgements."""
    sent, now, sizes = 0, 0.0, []
    for _ in range(rounds):
        sent += int(window.size)
        window.used(window.size, sent, sent, limited=True)
        for _ in range(10):
            window.acknowledged(int(window.size / 10), now)
        now += RTT
        sizes.append(window.size / MSS)
    return sizes


def test_while_nothing_was_lost_cubic_grows_by_a_twentieth_at_least():
    window = Window("cubic")
    window.size = window.threshold = 1000.0 * MSS
    window.smoothed = RTT
    sizes = [1000.0, *grow(window, 10)]
    assert all(later >= 1.049 * earlier for earlier, later in itertools.pairwise(sizes))
    lossy = Window("cubic")
    lossy.size, lossy.threshold, lossy.smoothed = 1429 * MSS, 1.0, RTT
    lossy.reduce()
    assert grow(lossy, 10)[-1] < 1.2 * 1000, "who has lost something knows how much there is room for"
