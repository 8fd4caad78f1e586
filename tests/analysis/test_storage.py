"""What archives hold, and when they are full."""

from dataclasses import dataclass, field
from math import isnan

import numpy as np
import pandas as pd
import pytest

from analysis.fake_run import Archive, Modality, Worklist, clinic, fake_run
from simlab.analysis.frames import records_frame
from simlab.analysis.storage import growth, limits, stocks
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
