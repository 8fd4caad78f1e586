"""What goes on by the clock: in each hour of the week, and in the busiest of all."""

from datetime import datetime

import numpy as np
import pytest

from analysis.fake_run import Modality, Workstation, clinic, fake_run
from simlab.analysis.hours import HOUR, SCANNERS, TO_READ, WAITING, WIRE, Hours, directions, scanners, series
from simlab.analysis.profile import Profile, mean_profile
from simlab.analysis.stationarity import Window
from simlab.analysis.storage import stocks

DAY = 24 * HOUR


def hours(start=0.0, end=DAY, epoch=datetime(2026, 1, 15), compress=1.0):
    """The 15th of January 2026 is a Thursday."""
    return Hours(clinic(epoch=epoch, compress=compress), Window(start, end))


def test_an_interval_is_shared_out_among_the_hours_that_it_covers():
    spread = hours().spread([1.5 * HOUR, 5 * HOUR], [3.25 * HOUR, 5.5 * HOUR])
    assert spread[:7] == pytest.approx([0, 1800, 3600, 900, 0, 1800, 0])
    assert len(spread) == 24


@pytest.mark.parametrize("compress", [1.0, 60.0])
def test_as_it_would_be_second_by_second(compress):
    """Intervals of all lengths, with rates, against a sum over a fine grid."""
    draws = np.random.default_rng(3)
    started = draws.uniform(-2 * HOUR, 26 * HOUR, 300)
    finished = started + draws.exponential(3 * HOUR, 300)
    rates = draws.uniform(0, 5, 300)
    clock = hours(start=1.2 * HOUR, end=20.7 * HOUR, epoch=datetime(2026, 1, 15, 7, 20), compress=compress)
    found = clock.spread(started, finished, rates)
    step = 1.0
    grid = np.arange(1.2 * HOUR, 20.7 * HOUR, step) + step / 2
    present = ((started[:, None] <= grid) & (grid < finished[:, None])) * rates[:, None]
    place = ((grid * compress + 7 * HOUR + 1200) // HOUR).astype(int)
    summed = np.bincount(place - place.min(), present.sum(axis=0) * step)
    assert found == pytest.approx(summed, rel=0.02, abs=step * 30)
    assert found.sum() == pytest.approx(summed.sum(), rel=1e-3)


def test_what_has_not_ended_lasts_to_the_end_and_what_never_began_does_not_count():
    spread = hours(end=4 * HOUR).spread([2 * HOUR, np.nan], [np.inf, 3 * HOUR])
    assert spread == pytest.approx([0, 0, HOUR, HOUR])


def test_the_week_is_that_of_the_epoch():
    clock = hours(end=8 * DAY, epoch=datetime(2026, 1, 15, 22))
    assert clock.of_week[0] == 3 * 24 + 22
    # Every Thursday from 23 to 24 h, of which there are two.
    week = clock.week(clock.spread([HOUR, 7 * DAY + HOUR], [2 * HOUR, 7 * DAY + 1.5 * HOUR]))
    assert week[3 * 24 + 23] == pytest.approx(0.75)
    assert week.sum() == pytest.approx(0.75)


def test_hours_that_a_window_has_nothing_of_are_unknown():
    week = hours(end=3 * HOUR).week(np.ones(3))
    assert np.isfinite(week).sum() == 3


def test_the_busiest_hour_is_a_whole_one():
    clock = hours(start=0.5 * HOUR, end=3 * HOUR)
    assert clock.most(np.array([9.0, 1.0, 2.0])) == 2.0
    assert np.isnan(hours(end=0.5 * HOUR).most(np.array([1.0])))


def test_a_run_by_the_clock():
    """An hour of the department is two minutes of this run, whose first is 8 h on a Thursday."""
    run = fake_run()
    clock = Hours(run.topology, Window(0.0, 120.0))
    found, studies = series(run, clock), run.studies
    begun = studies[studies["node"] == "ct1"]
    acquired = (begun["acquired"].clip(upper=120) - begun["started"]).sum()
    assert found["utilisation ct1"].sum() == pytest.approx(acquired)
    assert found[SCANNERS] == pytest.approx((found["utilisation ct1"] + found["utilisation mr1"]) / 2)
    assert found[WAITING].sum() == pytest.approx((studies["started"].clip(upper=120) - studies["ordered"]).sum())
    stored = studies[studies["stored"].notna()]
    assert found[TO_READ].sum() == pytest.approx((stored["reconstructed"].clip(upper=120) - stored["stored"]).sum())
    nobody = fake_run(topology=clinic(nodes={**run.topology.nodes, "reader": Workstation(ae_title="R", reads=())}))
    assert series(nobody, clock)[TO_READ].sum() == 0
    sent = run.records.query("operation == 'C-STORE' and peer == 'archive' and finished < 120")["bytes"].sum()
    assert found["line north>main"].sum() == pytest.approx(sent * WIRE / 12.5e6, rel=0.1)
    assert found["line main>north"].sum() == 0


def test_replicas_are_one_group_with_their_mean():
    nodes = {**clinic().nodes, "ct1": Modality(ae_title="CT1"), "ct1-2": Modality(ae_title="CT1_2")}
    assert scanners(clinic(nodes=nodes)) == {name: (name,) for name in ("ct1", "mr1", "ct1-2")}


def test_each_direction_has_its_own_bandwidth():
    assert list(directions(clinic())) == [("north", "main", 12.5e6), ("main", "north", 12.5e6)]


# ---- profiles


def profile(run=None):
    run = run or fake_run()
    clock = Hours(run.topology, Window(0.0, 120.0))
    return Profile.of(clock, series(run, clock), stocks(run))


def test_a_profile_is_text_and_back():
    kept = profile()
    read = Profile.read(kept.text)
    assert read.text == kept.text
    assert read.weeks[SCANNERS] == pytest.approx(kept.weeks[SCANNERS], abs=1e-4, nan_ok=True)
    assert [stock.name for stock in read.stocks] == ["archive"]
    assert len(kept.text) < 30_000


def test_the_mean_of_profiles_is_hour_by_hour():
    one = profile()
    twice = Profile({name: 3 * week for name, week in one.weeks.items()}, ())
    mean = mean_profile([one, twice])
    assert mean.weeks[WAITING] == pytest.approx(2 * one.weeks[WAITING], nan_ok=True)
    assert mean.stocks == one.stocks


def test_a_profile_as_a_table():
    table = profile().table()
    assert list(table.columns) == ["series", "weekday", "hour", "mean"]
    row = table[(table["series"] == SCANNERS) & table["mean"].notna()].iloc[0]
    assert (row["weekday"], row["hour"]) == ("Thu", 8)
