"""The closed form keeps to what a network can do, and to figures that can be worked out by hand."""

from math import inf, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlab.analysis.closed_form import (
    INITIAL_WINDOW,
    MESSAGE_BYTES,
    WIRE,
    EncodeMode,
    Encoding,
    Path,
    Way,
    Work,
    crossover_bandwidth,
    find_crossover,
    instance_time,
    send_time,
    study_time,
)
from simlab.network.link.settings import WIRE as WIRE_OF_THE_RELAY

MEGABIT = 1e6 / 8

paths = st.builds(
    Path, st.floats(0, 0.5), st.floats(MEGABIT, 1e4 * MEGABIT), st.one_of(st.just(inf), st.floats(2e4, 1e7))
)
sizes = st.floats(1e3, 1e7)
encodings = st.builds(Encoding, sizes, st.floats(0, 0.2))
works = st.builds(Work, st.integers(1, 300), encodings, st.floats(0, 0.01), st.floats(0, 0.05))
ways = st.builds(
    Way, st.integers(1, 8), st.sampled_from([0, 1, 4, 16]), st.sampled_from(list(EncodeMode)), st.integers(1, 4)
)


def test_bytes_on_the_wire_are_those_of_the_relay():
    assert WIRE == WIRE_OF_THE_RELAY


def test_a_link_without_delay_is_never_idle():
    path = Path(0.0, 100 * MEGABIT)
    assert send_time(path, 1e6) == pytest.approx(1e6 * WIRE / (100 * MEGABIT))
    assert instance_time(path, 1e6 - MESSAGE_BYTES, 0.001) == pytest.approx(0.001 + 1e6 * WIRE / (100 * MEGABIT))


def test_a_window_a_round_trip():
    """64 KiB over 100 ms: 10 windows take nine round trips, and the time of what the last one holds."""
    path = Path(0.1, inf, 65536)
    assert send_time(path, 10 * 65536) == pytest.approx(0.9)
    assert send_time(path, 10 * 65536 + 1) == pytest.approx(1.0)


def test_slow_start_doubles():
    """10 + 20 + 40 segments: what is more than 30 has to wait for two round trips."""
    path = Path(0.1, inf)
    assert [send_time(path, n * INITIAL_WINDOW, INITIAL_WINDOW) for n in (1, 3, 7, 8)] == pytest.approx(
        [0.0, 0.1, 0.2, 0.3]
    )


def test_one_association_by_hand():
    path = Path(0.05, 100 * MEGABIT)
    work = Work(10, Encoding(100_000 - MESSAGE_BYTES, 0.02), 0.001, 0.004)
    crossing = 100_000 * WIRE / (100 * MEGABIT)
    told = study_time(path, work, Way(mode=EncodeMode.PER_INSTANCE))
    assert told.round_trips == pytest.approx(10 * 0.05)
    assert told.wire == pytest.approx(10 * crossing)
    assert told.codec == pytest.approx(0.2)
    assert told.server == pytest.approx(0.01)
    # 14480 bytes, 28960, and the rest, each a round trip after the one before; all later ones go at once.
    slow_start = 2 * 0.05 - (14480 + 28960) * WIRE / (100 * MEGABIT)
    assert told.setup == pytest.approx(0.004 + 3 * 0.05 + slow_start)


def test_associations_without_instances_take_no_time():
    path, work = Path(0.05, 1 * MEGABIT), Work(10, Encoding(100_000, 0.0), 0.001, 0.004)
    totals = [study_time(path, work, Way(associations=number)).total for number in (10, 11, 32)]
    assert totals[1:] == pytest.approx(totals[:1] * 2)


@given(paths, sizes, st.floats(1e4, 1e8))
def test_nothing_is_faster_than_the_line(path, size, window):
    assert send_time(path, size, window) >= size / path.rate * (1 - 1e-9)


@given(paths, sizes, st.floats(1, 3))
def test_larger_windows_never_take_longer(path, size, factor):
    assert send_time(path, size, INITIAL_WINDOW * factor) <= send_time(path, size, INITIAL_WINDOW) * (1 + 1e-9)


@given(paths, works, ways)
def test_parts_are_what_there_is(path, work, way):
    told = study_time(path, work, way)
    parts = (told.setup, told.round_trips, told.wire, told.codec, told.server)
    assert all(part >= -1e-9 for part in parts)
    assert isclose(sum(parts), told.total)


@given(paths, works, ways)
def test_a_study_obeys_its_bounds(path, work, way):
    total = study_time(path, work, way).total
    assert total >= 3 * path.rtt + work.instances * work.encoding.size / path.rate * (1 - 1e-9)
    assert total >= 4 * path.rtt + work.server
    if way.mode is EncodeMode.PER_INSTANCE:
        assert total >= work.instances * work.encoding.encode / way.associations


@given(paths, works, ways, st.floats(1.01, 10))
def test_more_bandwidth_never_takes_longer_without_delay(path, work, way, factor):
    """With a delay it may: slow start has to open a larger window."""
    slow, fast = Path(0.0, path.bandwidth, path.window), Path(0.0, path.bandwidth * factor, path.window)
    assert study_time(fast, work, way).total <= study_time(slow, work, way).total * (1 + 1e-9)


@given(paths, works, st.sampled_from([1, 16]))
def test_encoding_ahead_is_never_slower(path, work, outstanding):
    naive = study_time(path, work, Way(1, outstanding, EncodeMode.PER_INSTANCE)).total
    ahead = study_time(path, work, Way(1, outstanding, EncodeMode.PIPELINED)).total
    stored = study_time(path, work, Way(1, outstanding)).total
    first = work.encoding.encode  # without an overlap nothing is gained, and the last one has to be encoded as well
    assert stored * (1 - 1e-9) <= ahead <= naive + first + 1e-9


# ---- crossovers

pairs = st.tuples(st.floats(1e5, 1e6), st.floats(1.2, 8), st.floats(1e-3, 0.1))


@given(pairs, st.floats(0, 0.2), st.floats(0, 0.01))
def test_per_instance_both_take_the_same_time_there(pair, rtt, server):
    size, ratio, encode = pair
    one, other = Encoding(size), Encoding(size / ratio, encode)
    bandwidth = crossover_bandwidth(one, other, EncodeMode.PER_INSTANCE, rtt=rtt)
    path = Path(rtt, bandwidth)
    assert instance_time(path, one.size, server) == pytest.approx(
        encode + instance_time(path, other.size, server), rel=1e-9
    )


@given(pairs, st.floats(0, 0.2), st.integers(1, 4))
def test_pipelined_the_encoders_just_keep_up_there(pair, rtt, encoders):
    size, ratio, encode = pair
    one, other = Encoding(size), Encoding(size / ratio, encode)
    bandwidth = crossover_bandwidth(one, other, EncodeMode.PIPELINED, rtt=rtt, encoders=encoders)
    if bandwidth == inf:
        assert encode / encoders <= rtt
    else:
        assert instance_time(Path(rtt, bandwidth), one.size) == pytest.approx(encode / encoders, rel=1e-6)


def test_what_has_no_crossover():
    small, large = Encoding(1e5, 0.01), Encoding(5e5)
    assert crossover_bandwidth(large, small, EncodeMode.STORED, rtt=0.1) == inf
    assert crossover_bandwidth(small, large, EncodeMode.STORED, rtt=0.1) == 0
    assert crossover_bandwidth(large, Encoding(6e5, 0.01), EncodeMode.PER_INSTANCE, rtt=0.1) == 0
    assert crossover_bandwidth(large, Encoding(6e5, 0.01), EncodeMode.PIPELINED, rtt=0.0) == 0


def test_the_crossover_follows_from_the_encoder_s_speed_and_the_ratio():
    """CT of 526 kB, a codec of 147 MB/s and 4:1: three quarters of its speed, as bytes on the wire."""
    jpegls = Encoding(526e3 / 4, 526e3 / 147e6)
    found = crossover_bandwidth(Encoding(526e3), jpegls, EncodeMode.PER_INSTANCE, rtt=0.05)
    assert found * 8 / 1e6 == pytest.approx(0.75 * 147 * 8 * WIRE)


@given(st.floats(1, 1e6))
def test_bisection_finds_a_change_of_sign(place):
    assert find_crossover(lambda bandwidth: place - bandwidth, place / 50, place * 70) == pytest.approx(place, rel=1e-3)
    assert find_crossover(lambda bandwidth: bandwidth + place, 1.0, 1e6) is None


def test_pipelined_nothing_is_sent_before_the_first_instance_is_encoded():
    """On a slow line the others are encoded meanwhile, and associating hides some of the first."""
    encoding, way = Encoding(5e5, 0.03, 0.04), Way(1, 1, EncodeMode.PIPELINED, 2)
    for rtt, shown in ((0.0, 0.02), (0.004, 0.012), (0.02, 0.0)):
        line = Path(rtt, 10 * MEGABIT)
        stored = study_time(line, Work(10, Encoding(5e5), 0.0, 0.01), Way())
        ahead = study_time(line, Work(10, encoding, 0.0, 0.01), way)
        assert isclose(ahead.total - stored.total, shown, abs_tol=1e-9)
        assert isclose(ahead.codec, shown, abs_tol=1e-9)
