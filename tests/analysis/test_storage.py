"""What archives hold, and when they are full."""

from dataclasses import dataclass, field, replace
from math import isnan

import numpy as np
import pandas as pd
import pytest

from analysis.fake_run import Archive, Modality, Worklist, clinic, fake_run
from simlab.analysis.frames import records_frame
from simlab.analysis.planning import measure
from simlab.analysis.storage import growth, kept, limits, stocks
from simlab.nodes.archive.spec import ArchiveSpec
from simlab.records import Record

DAY = 86_400.0


def run(days=56, size=10**9, **settings):
    """A run that stores so many bytes every noon."""
    nodes = {
        "archive": ArchiveSpec(kind="archive", ae_title="ARCHIVE", **settings),
        "ct1": Modality(ae_title="CT1"),
        "ris": Worklist(ae_title="RIS"),
    }
    topology = clinic(nodes=nodes, links=(), sites={}, expect=(), duration=days * DAY, compress=1.0)
    noons = (np.arange(days) + 0.5) * DAY
    records = [
        Record("virtual", "ct1", "archive", "C-STORE", noon, noon, noon, instances=1, bytes=size, wire_bytes=size)
        for noon in noons
    ]
    return fake_run(topology=topology, records=records_frame(records))


def test_bytes_count_once_they_are_stored_and_go_on_after_the_run():
    (stock,) = stocks(run())
    held = dict(zip(stock.days, stock.held, strict=True))
    assert (held[0], held[1], held[56]) == (0, 1e9, 56e9)
    assert held[100] == pytest.approx(100e9)
    assert isnan(stock.full)


def test_a_few_days_are_told_by_the_hour():
    (stock,) = stocks(run(days=2))
    held = dict(zip(stock.days, stock.held, strict=True))
    assert [held[hour / 24] for hour in (0, 11, 12, 24, 35, 36, 48)] == [0, 0, 1e9, 1e9, 1e9, 2e9, 2e9]
    assert stocks(run(days=2, capacity=15 * 10**8))[0].full == 1.5


def sent(*transfers, made=10):
    """A run in which a study of so many instances is sent, each transfer (instances, of those refused)."""
    records = [Record("virtual", "ct1", "", "make", 0.0, 1.0, 0.0, instances=made, bytes=made, study="1.2")]
    records += [
        Record(
            "virtual", "ct1", "archive", "C-STORE", noon, noon, noon, instances=count, failures=refused, study="1.2",
            bytes=(count - refused) * 10**9, wire_bytes=count * 10**9,
        )
        for noon, (count, refused) in enumerate(transfers, 2)
    ]  # fmt: skip
    return replace(run(days=2), records=records_frame(records))


@pytest.mark.parametrize(
    ("transfers", "gigabytes"),
    [
        ([(10, 0)], [10]),
        ([(10, 0), (10, 0)], [10, 0]),
        ([(10, 4), (4, 0)], [6, 4]),
        ([(10, 4), (10, 0), (10, 0)], [6, 4, 0]),
        ([(10, 10), (10, 0)], [0, 10]),
    ],
)
def test_what_comes_again_takes_no_more_room(transfers, gigabytes):
    one = sent(*transfers)
    assert (kept(one)["kept"] / 1e9).tolist() == gigabytes
    assert stocks(one)[0].held[-1] >= sum(gigabytes) * 1e9
    assert measure(one, 0.0)["stored_per_day"] == pytest.approx(sum(gigabytes) * 1e9 / 2)


def test_each_archive_and_each_maker_has_its_own():
    reader = Record("virtual", "reader", "", "derive", 0.0, 1.0, 0.0, instances=2, bytes=2, study="1.2")
    stores = [
        Record("virtual", node, peer, "C-STORE", 2.0, when, 2.0, instances=2, bytes=20, wire_bytes=20, study="1.2")
        for when, (node, peer) in enumerate([("reader", "archive"), ("reader", "other"), ("reader", "archive")], 3)
    ]
    one = replace(run(days=2), records=records_frame([reader, *stores]))
    assert kept(one)["kept"].tolist() == [20, 20, 0]


def test_of_what_nobody_here_has_made_everything_counts():
    assert kept(run(days=2))["kept"].tolist() == [1e9, 1e9]


@pytest.mark.parametrize(("capacity", "full", "foretold"), [(20.5e9, 21, False), (100.5e9, 101, True)])
def test_the_day_on_which_it_is_full(capacity, full, foretold):
    (stock,) = stocks(run(capacity=int(capacity)))
    assert (stock.full, stock.foretold) == (full, foretold)


def test_what_was_there_takes_room():
    (stock,) = stocks(run(capacity=60 * 10**9, holds=40 * 10**9))
    assert stock.full == 21


def test_what_gets_old_moves_on():
    tiers = [
        {"name": "online", "capacity": "15 GB", "after": "14 d"},
        {"name": "nearline", "capacity": "20 GB", "after": "28 d"},
        {"name": "tape"},
    ]
    online, nearline, tape = stocks(run(tiers=tiers, holds="7 GB"))
    assert [stock.name for stock in (online, nearline, tape)] == ["archive online", "archive nearline", "archive tape"]
    at = dict(zip(online.days, zip(online.held, nearline.held, tape.held, strict=True), strict=True))
    assert at[10] == (10e9, 0, 7e9)
    assert at[20] == (14e9, 6e9, 7e9)
    assert at[50] == (14e9, 14e9, 29e9)
    assert sum(at[300]) == pytest.approx(307e9)
    assert isnan(online.full)


def test_growth_goes_on_as_the_orders_do():
    """10 % a year: after a year the daily volume is a tenth more."""
    (stock,) = stocks(_growing(run(days=365), 0.1))
    held = dict(zip(stock.days, stock.held, strict=True))
    before, after = held[367] - held[366], held[366 + 366] - held[366 + 365]
    assert after / before == pytest.approx(1.1, rel=1e-3)


@dataclass
class Source:
    per_day: float
    growth: float


@dataclass
class Book:
    sources: dict = field(default_factory=dict)
    kind: str = "worklist"


def _growing(run, share):
    nodes = {**run.topology.nodes, "ris": Book({("orders",): Source(10, share)})}
    return fake_run(topology=run.topology.model_copy(update={"nodes": nodes}), records=run.records)


def test_growth_is_the_mean_of_all_sources():
    book = Book({("orders",): Source(30, 0.0), ("streams", "wards"): Source(10, 0.08)})
    topology = clinic().model_copy(update={"nodes": {"ris": book}})
    assert growth(topology) == pytest.approx(0.02)
    assert growth(clinic()) == 0


def test_a_short_run_goes_on_as_it_was():
    (stock,) = stocks(run(days=3, capacity=10 * 10**9 + 1))
    assert stock.full == 11


def test_a_run_in_which_nothing_was_stored():
    nothing = fake_run(records=records_frame([]))
    (stock,) = stocks(nothing)
    assert stock.held.max() == 0
    assert list(limits(nothing.topology)) == [("archive", "", None)]
    assert isinstance(nothing.topology.nodes["archive"], Archive)
    assert isinstance(nothing.records, pd.DataFrame)
