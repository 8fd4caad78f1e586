"""Capacity searches on departments whose limit is known, and how demand grows."""

import json
import math

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import simlab
from lab.samples import tiny_lab
from simlab.cli import main
from simlab.errors import UserError
from simlab.lab.plan.capacity import read_required
from simlab.lab.plan.growth import farthest, grown, read_sources

ONE_SCANNER = """\
simlab: 1
name: one scanner
duration: 24 h
finish_within: 2 h
nodes:
  ris:
    kind: worklist
    ae_title: RIS
    orders: {rate: 3 /h, mix: {ct-head: 1}}
  ct1: {kind: modality, modality: CT, ae_title: CT1, worklist: ris, store: archive, poll: 10 s}
  archive: {kind: archive, ae_title: ARCHIVE}
expect:
  - {lost: 0}
"""
"""Heads take 8 minutes: 7.5 an hour, 2.5 times the demand."""

GROWN = 1.6
"""Half as much again, in steps of a fifth."""

BEHIND_A_LINE = (
    ONE_SCANNER.replace("name: one scanner", "name: behind a line")
    .replace("rate: 3 /h", "rate: 2 /h")
    .replace("ae_title: CT1,", "ae_title: CT1, site: north,")
    .replace("expect:", "links:\n  - {between: [north, main], latency: 5 ms, bandwidth: 200 kbit/s}\nexpect:")
)
"""Heads have 16.8 MB, which take 671 s at least: 5.4 an hour, 2.7 times the demand. The scanner does 7.5."""

GRIDS = """\
simlab: 1
name: grids
nodes:
  ris:
    kind: worklist
    ae_title: RIS
    streams:
      wards: {rate: 2 /h, count: 10, mix: {ct-head: 1}}
    appointments:
      morning: {scanners: [ct1], open: 08:00-12:00, slot: 30 min, booked: 50 %, mix: {ct-head: 1}}
      evening: {scanners: [ct1], open: 20:00-22:00, slot: 20 min, mix: {ct-head: 1}}
  ct1: {kind: modality, modality: CT, ae_title: CT1, worklist: ris, store: archive}
  archive: {kind: archive, ae_title: ARCHIVE}
"""

SLA = "started < 1 h at least 90 %"
QUICK = {"replications": 3, "workers": 1, "precision": 0.2, "until": "16 h", "sla": SLA}


@pytest.fixture(scope="module")
def one():
    return tiny_lab(ONE_SCANNER)


@pytest.fixture(scope="module")
def found(one):
    return simlab.capacity(one, **QUICK)


# ---- growth


@pytest.fixture(scope="module")
def grids():
    return tiny_lab(GRIDS).topology


def test_streams_come_more_often(grids):
    wards = grown(grids, 1.5, ["ris.streams.wards"]).nodes["ris"].streams["wards"]
    assert (wards.rate * 3600, wards.count) == (pytest.approx(3.0), 15)


def test_free_slots_are_filled_and_then_the_scanner_is_open_longer(grids):
    def morning(growth):
        grid = grown(grids, growth, ["ris.appointments.morning"]).nodes["ris"].appointments["morning"]
        return grid.open, grid.grid.slots, grid.booked

    assert morning(1.5) == ("08:00-12:00", 8, pytest.approx(0.75))
    assert morning(2.0) == ("08:00-12:00", 8, pytest.approx(1.0))
    assert morning(2.1) == ("08:00-12:30", 9, pytest.approx(8.4 / 9))
    assert morning(8.0) == ("08:00-24:00", 32, pytest.approx(1.0))
    assert morning(0.5) == ("08:00-12:00", 8, pytest.approx(0.25))
    with pytest.raises(UserError, match=r"^ris\.appointments\.morning: a day has no slots for 8\.1 times as many"):
        morning(8.1)


def test_the_day_ends_at_midnight(grids):
    assert farthest(grids, read_sources(grids, ())) == (pytest.approx(2.0), "ris.appointments.evening")
    assert farthest(grids, ["ris.streams.wards"]) == (math.inf, "")


def test_what_grows(grids):
    assert read_sources(grids, ["ris"]) == read_sources(grids, ())
    assert read_sources(grids, ["ris.appointments"]) == ("ris.appointments.morning", "ris.appointments.evening")
    assert read_sources(grids, ["ris.streams.wards", "ris.streams"]) == ("ris.streams.wards",)
    with pytest.raises(UserError, match=r'^nothing is ordered from "ris\.streams\.ward"; did you mean '):
        read_sources(grids, ["ris.streams.ward"])


def test_no_growth_is_no_change(grids):
    assert grown(grids, 1.0, read_sources(grids, ())) == grids


# ---- searches


def test_one_scanner_does_what_it_can(found):
    assert 1.8 <= found.bracket.meets < found.bracket.fails <= 2.6
    assert found.bracket.fails - found.bracket.meets == pytest.approx(0.2)
    assert found.loads.set_index("growth").loc[found.bracket.fails, "scanner ct1"] > 0.95
    told = " ".join(found.sentences)
    assert "Busiest there, in its busiest hour: scanner ct1" in told
    assert "What has grown most is waiting for the scanner: from" in told
    assert found.gives_first
    assert found.setting.limited_by == ""


def test_the_table_has_every_growth_and_requirement(found):
    table = found.table
    assert len(table) == len(found.judged) * 4
    assert list(table[table["growth"] == 1.0]["state"]) == ["meets"] * 4
    assert SLA in set(table["requirement"])
    assert (table["low"] <= table["share"] + 1e-9).all()
    assert (table["share"] <= table["high"] + 1e-9).all()


@pytest.mark.slow
def test_a_line_gives_first():
    found = simlab.capacity(
        tiny_lab(BEHIND_A_LINE), replications=3, workers=1, precision="10 %", sla="acquired to stored < 2 h"
    )
    assert 1.8 <= found.bracket.meets < found.bracket.fails <= 2.8
    loads = found.loads.set_index("growth").loc[found.bracket.fails]
    assert loads.idxmax() == "line north>main"
    assert loads.max() > 0.95
    assert "What has grown most is transfer to the archive" in " ".join(found.sentences)


@pytest.mark.slow
def test_neither_workers_nor_the_scheduler_change_the_answer(one, found):
    pytest.importorskip("distributed")
    for options in ({"workers": 2}, {"workers": 2, "scheduler": "local"}):
        other = simlab.capacity(one, **QUICK | options)
        assert_frame_equal(other.table, found.table)
        assert_frame_equal(other.loads, found.loads)


def test_a_grid_that_is_full_ends_the_search():
    lab = tiny_lab(GRIDS)
    found = simlab.capacity(lab, grow="ris.appointments.evening", until="1 d", replications=2, workers=1, precision=0.5)
    assert found.bracket.meets == 2.0
    assert found.bracket.fails is None
    assert found.setting.limited_by == "ris.appointments.evening"
    assert "Beyond 2 times today's demand a day has no more slots" in " ".join(found.setting.sentences())
    assert found.sentences[0] == "Everything is met up to +100 %, the furthest that was tried."


def test_today_is_too_much_already(one):
    lab = one.replace("ris", orders={"rate": "10 /h", "mix": {"ct-head": 1}})
    found = simlab.capacity(lab, **QUICK)
    assert 0.4 <= found.bracket.meets < found.bracket.fails <= 0.8


# ---- folders


@pytest.mark.slow
def test_a_search_goes_on_where_it_stopped(one, found, tmp_path):
    seen = []

    def stop(step):
        seen.append((step.growth, step.done))
        if len(seen) == 6:
            raise KeyboardInterrupt

    cut = simlab.capacity(one, **QUICK, out=tmp_path, watch=stop)
    assert not cut.finished
    assert cut.bracket.meets == 1.0
    lines = (tmp_path / "runs.jsonl").read_text(encoding="utf-8")
    assert len(lines.splitlines()) == len(cut.rows) == 4
    (tmp_path / "runs.jsonl").write_text(lines[:-20], encoding="utf-8")
    again = []
    whole = simlab.capacity(one, **QUICK, out=tmp_path, watch=lambda step: again.append((step.growth, step.done)))
    assert whole.finished
    assert_frame_equal(whole.table, found.table)
    assert again[:3] == [(1.0, 3), (GROWN, 0), (GROWN, 1)]
    kept = json.loads((tmp_path / "capacity.json").read_text(encoding="utf-8"))
    assert (kept["meets"], kept["fails"]) == (found.bracket.meets, found.bracket.fails)
    assert len(pd.read_csv(tmp_path / "capacity.csv")) == len(found.table)
    assert len(pd.read_csv(tmp_path / "loads.csv")) == len(found.judged)
    assert (tmp_path / "capacity.png").stat().st_size > 10_000
    again.clear()
    finer = simlab.capacity(
        one, **QUICK | {"precision": 0.1}, out=tmp_path, watch=lambda step: again.append((step.growth, step.done))
    )
    assert finer.bracket.fails - finer.bracket.meets == pytest.approx(0.1)
    assert again[0] == (1.0, 3)
    with pytest.raises(UserError, match="holds another capacity search; expected the same, or a new folder"):
        simlab.capacity(one, **QUICK | {"seed": 2}, out=tmp_path)


# ---- what cannot be


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "0 %"}, 'precision "0 %": expected a share of today\'s demand, such as 2 %'),
        ({"replications": 1}, "replications 1: expected 2 at least, or there is no interval"),
        ({"most": 1.0}, "most 1: expected more than 1, which is today's demand, and at most 1000"),
        ({"sla": "started < 2 h at least 0 %"}, "0 % of all studies; expected one such as"),
        ({"sla": "started < 2 h at least 101 %"}, "101 % of all studies; expected one such as"),
        ({"sla": "begun < 2 h"}, 'unknown milestone "begun"'),
        ({"grow": "ct1"}, 'nothing is ordered from "ct1"'),
        ({"warm_up": "2 d"}, "expected less than the whole run of"),
        ({"workers": 0}, "workers 0: expected 1 at least"),
        ({"warm_up": "57599 s"}, "no study of any run counts; expected a longer run, a shorter warm-up, or earlier"),
    ],
)
def test_a_mistake_is_told_in_one_line(one, options, message):
    with pytest.raises(UserError) as refused:
        simlab.capacity(one, **QUICK | options)
    assert message in str(refused.value)


def test_required_shares():
    assert str(read_required("read < 1 h")) == "read < 1 h at least 95 %"
    assert str(read_required("acquired to stored < 10 min at least 99.5 %")) == (
        "acquired to stored < 10 min at least 99.5 %"
    )


# ---- the command


def test_the_command(capsys, tmp_path):
    file = tmp_path / "one.yaml"
    file.write_text(ONE_SCANNER, encoding="utf-8")
    arguments = [
        "capacity",
        str(file),
        "--replications",
        "2",
        "--workers",
        "1",
        "--precision",
        "20 %",
        "--until",
        "6 h",
    ]
    assert main([*arguments, "--sla", SLA, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert (
        "one scanner, 6 h of orders, up to 2 runs of each growth (seeds 1 to 2, the same for every growth)." in printed
    )
    assert "What grows: ris.orders." in printed
    assert "uncalibrated" in printed
    assert "Everything is met at +" in printed
    assert printed.endswith(f"figure: {tmp_path / 'out' / 'capacity.png'}\n")


def test_a_mistake_of_the_command_line_is_one_line(capsys, tmp_path):
    file = tmp_path / "one.yaml"
    file.write_text(ONE_SCANNER, encoding="utf-8")
    assert main(["capacity", str(file), "--precision", "fine"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert 'expected a share such as "0.1 %"' in line


def test_studies_that_fail_are_told(one):
    lab = one.replace("ct1", attempts=1).with_faults(
        {"node": "archive", "operation": "association", "do": "refuse", "reason": "local-limit", "share": "40 %"}
    )
    found = simlab.capacity(lab, **QUICK | {"sla": (), "most": 1.5})
    (told,) = [notice for notice in found.notices if notice.startswith("Studies failed")]
    assert " % at today" in told
    assert told.endswith("; ask for a service level, and they count as late.")
