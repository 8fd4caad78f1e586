"""What holds on every link: nothing is faster than the line, nothing is lost for good, doubled or overtaken."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.virtual_links import Sharing, jain
from simlab.network.link.congestion import INITIAL_WINDOW, Window
from simlab.network.link.settings import MSS, WIRE, Direction, LinkSettings, Outage

MBIT = 125_000.0

DIRECTIONS = st.builds(
    Direction,
    latency=st.sampled_from([0.0, 0.001, 0.05, 0.3]),
    jitter=st.sampled_from([0.0, 0.002, 0.1]),
    bandwidth=st.sampled_from([0.05 * MBIT, 1 * MBIT, 100 * MBIT, 1000 * MBIT, math.inf]),
    loss=st.sampled_from([0.0, 0.001, 0.05]),
    queue=st.sampled_from([None, 0, 3000, 100_000]),
)
OUTAGES = st.lists(st.builds(Outage, st.floats(0, 3), st.floats(0.01, 3), st.just("stall")), max_size=2)
LINKS = st.builds(
    LinkSettings,
    forth=DIRECTIONS,
    back=DIRECTIONS,
    window=st.sampled_from([1448, 20_000, 4 * 2**20]),
    congestion=st.sampled_from(["ideal", "reno", "cubic"]),
    outages=OUTAGES.map(tuple),
    seed=st.integers(1, 5),
)
SENDERS = st.lists(st.tuples(st.integers(0, 200_000), st.floats(0, 2)), min_size=1, max_size=4)


@given(LINKS, SENDERS)
@settings(max_examples=150, deadline=None)
def test_all_arrives_in_order_and_never_faster_than_the_line(link, senders):
    sharing = Sharing(link)
    sharing.link.begin(0.0)
    lane, direction = sharing.link.forth, link.forth
    queue = max(link.queue(direction), lane.chunk * WIRE)
    for amount, at in senders:
        sharing.send(amount, at)

    def check():
        now = sharing.clock.now()
        if not math.isinf(direction.bandwidth):
            assert sharing.wire <= direction.bandwidth * max(0.0, now - direction.latency) + 1e-3
            assert lane.backlog(now) <= queue * (1 + 1e-9)
        assert all(numbers.given - numbers.received <= link.window for numbers in sharing.sent)

    sharing.clock.run(3e4, check)
    assert [numbers.received for numbers in sharing.sent] == [amount for amount, _ in senders]
    assert all(numbers.ended for numbers in sharing.sent)
    assert lane.delivered == sum(amount for amount, _ in senders)
    assert all(flow.outstanding == 0 for flow in sharing.flows)


@pytest.mark.parametrize("congestion", ["ideal", "reno", "cubic"])
@pytest.mark.parametrize(("bandwidth", "latency"), [(100 * MBIT, 0.0), (20 * MBIT, 0.01), (1000 * MBIT, 0.025)])
def test_greedy_connections_share_a_line_fairly(congestion, bandwidth, latency):
    sharing = Sharing(bandwidth=bandwidth, latency=latency, congestion=congestion)
    senders = [sharing.send(10**9)[0] for _ in range(200)]
    sharing.clock.run(2.0)
    before = [sender.received for sender in senders]
    sharing.clock.run(12.0)
    shares = [sender.received - past for sender, past in zip(senders, before, strict=True)]
    assert jain(shares) >= 0.95
    assert sum(shares) * WIRE >= 0.99 * 10 * bandwidth
    assert sharing.wire <= 12 * bandwidth


@pytest.mark.parametrize("bandwidth", [10 * MBIT, 100 * MBIT, 1000 * MBIT])
@pytest.mark.parametrize("rtt", [0.01, 0.05, 0.2])
def test_a_warm_connection_takes_a_round_trip_and_the_line_time(bandwidth, rtt):
    size = 526_000
    sharing = Sharing(bandwidth=bandwidth, latency=rtt / 2, queue=10**7)
    sender, flow = sharing.send(10 * size, ending=False)
    sender.amount = 0
    for _ in range(10):
        begun = sharing.clock.now()
        sender.amount += size
        flow.pump()
        sharing.clock.run(begun + 100)
        took = sender.arrivals[-1][0] - begun + rtt / 2  # and the response's way back
    assert took == pytest.approx(rtt + size * WIRE / bandwidth, rel=0.001)


@pytest.mark.parametrize("bandwidth", [10 * MBIT, 1000 * MBIT])
def test_an_idle_line_makes_up_for_what_the_link_hears_late(bandwidth):
    rtt, size, reaction = 0.01, 526_000, 40e-6
    sharing = Sharing(bandwidth=bandwidth, latency=rtt / 2, queue=10**7)
    sharing.clock.reaction = reaction
    sender, flow = sharing.send(10 * size, ending=False)
    sender.amount = 0
    for _ in range(10):
        happened = sharing.clock.now()
        sender.amount += size
        sharing.clock.at(happened + reaction, flow.pump)
        sharing.clock.run(happened + 100)
        came = sender.arrivals[-1][0] - happened
    assert came == pytest.approx(rtt / 2 + size * WIRE / bandwidth, rel=1e-6)  # once, however many chunks follow


def test_slow_start_doubles_what_is_under_way():
    rtt, size = 0.1, 526_000
    sharing = Sharing(latency=rtt / 2)
    sender, _ = sharing.send(size)
    sharing.clock.run(10.0)
    rounds = math.ceil(math.log2(size / INITIAL_WINDOW + 1))
    assert sender.arrivals[-1][0] == pytest.approx((rounds - 0.5) * rtt)


def test_a_window_limits_a_long_fat_line():
    rtt, window = 0.1, 65536
    sharing = Sharing(latency=rtt / 2, bandwidth=1000 * MBIT, window=window)
    sender, _ = sharing.send(10**8)
    sharing.clock.run(20.0)
    assert sender.received / 20.0 == pytest.approx(window / rtt, rel=0.03)


def test_a_slow_reader_is_waited_for():
    sharing = Sharing(latency=0.01, window=100_000)
    sender, flow = sharing.send(10**6)
    sender.write = lambda data: setattr(sender, "held", sender.held + len(data))
    sharing.clock.run(5.0)
    assert sender.held == 100_000
    assert sender.given == 100_000
    sender.held = 0
    flow.pump()
    sharing.clock.run(10.0)
    assert sender.held == 100_000


@pytest.mark.parametrize(("loss", "rtt"), [(0.001, 0.05), (0.01, 0.1)])
def test_reno_under_random_loss_follows_the_square_root_law(loss, rtt):
    """Mathis, Semke, Mahdavi and Ott (1997): sqrt(3/2) / sqrt(p) segments a round trip."""
    rates = []
    for seed in range(5):
        sharing = Sharing(latency=rtt / 2, loss=loss, congestion="reno", seed=seed)
        sender, _ = sharing.send(10**9)
        sharing.clock.run(60.0)
        rates.append(sender.received / 60.0)
    assert sum(rates) / 5 == pytest.approx(MSS / rtt * math.sqrt(1.5 / loss), rel=0.2)


def test_a_stall_is_survived_with_timeouts_that_double():
    sharing = Sharing(latency=0.01, bandwidth=10 * MBIT, outages=(Outage(1.0, 3.0),))
    sharing.link.begin(0.0)
    sender, _ = sharing.send(10 * 10**6)
    sharing.clock.run(100.0)
    assert sender.received == 10 * 10**6
    times = [when for when, _ in sender.arrivals]
    silent = max(later - earlier for earlier, later in pairwise(times))
    assert 3.0 < silent < 7.0
    assert sender.arrivals[-1][0] == pytest.approx(10 * 10**6 * WIRE / (10 * MBIT) + silent, rel=0.05)


def test_what_is_under_way_is_not_touched_by_a_change():
    sharing = Sharing(latency=1.0)
    sender, _ = sharing.send(1000)
    sharing.clock.run(0.5)
    sharing.link.change({"latency": 0.01})
    sharing.clock.run(0.9)
    assert sender.received == 0
    sharing.clock.run(1.1)
    assert sender.received == 1000


def test_the_same_seed_loses_the_same():
    def arrivals(seed):
        sharing = Sharing(latency=0.02, jitter=0.01, loss=0.02, seed=seed)
        sender, _ = sharing.send(10**6)
        sharing.clock.run(100.0)
        return sender.arrivals

    assert arrivals(1) == arrivals(1)
    assert arrivals(1) != arrivals(2)


def test_cubic_grows_back_to_where_it_lost():
    """RFC 9438 section 4.2: C (t - K)^3 + W_max, and K is the cube root of W_max (1 - beta) / C."""
    window, rtt = Window("cubic"), 0.2
    window.size, window.threshold = 1000.0 * MSS, 1.0
    window.measured(rtt, MSS, 0.0, MSS, MSS)
    window.reduce()
    assert window.size == pytest.approx(700 * MSS)
    until = (1000 * 0.3 / 0.4) ** (1 / 3)
    now, sent, sizes = 0.0, 0, []
    while now < 1.2 * until:
        sent += int(window.size)
        window.used(window.size, sent, sent, limited=True)
        for _ in range(10):
            window.acknowledged(int(window.size / 10), now)
        now += rtt
        sizes.append((now, window.size / MSS))
    for when, size in sizes[5:]:
        assert size == pytest.approx(0.4 * (when - until) ** 3 + 1000, rel=0.02)


def test_ideal_never_reduces_its_window():
    window = Window("ideal")
    window.reduce()
    assert window.size == INITIAL_WINDOW
    assert math.isinf(window.threshold)


def test_settings_survive_json():
    link = LinkSettings(Direction(0.1, bandwidth=5.0), Direction(queue=3), 7, "reno", (Outage(1.0, 2.0, "reset"),), 9)
    assert LinkSettings.of_json(link.as_json()) == link
    assert link.as_json()["back"]["bandwidth"] is None


def test_a_change_is_for_both_directions_or_for_one():
    link = LinkSettings().changed({"latency": 1.0, "back": {"latency": 2.0}, "congestion": "reno"})
    assert (link.forth.latency, link.back.latency, link.congestion) == (1.0, 2.0, "reno")
    with pytest.raises(ValueError, match="unknown setting lateness of a link"):
        link.changed({"forth": {"lateness": 1.0}})
