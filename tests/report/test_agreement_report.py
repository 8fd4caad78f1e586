"""What is told of a comparison: every figure of both worlds, the verdicts, and why some have none."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from simlab.analysis.agreement import agreement_table
from simlab.report.agreement_console import agreement_tables, verdict_lines
from simlab.report.agreement_figure import draw_agreement
from tests.analysis.fake_run import fake_run


@pytest.fixture(scope="module")
def run():
    return fake_run()


@pytest.fixture(scope="module")
def other(run):
    """The same with a C-MOVE that takes twice as long."""
    records = run.records.copy()
    moves = records["operation"] == "C-MOVE"
    records.loc[moves, "finished"] += (records["finished"] - records["intended"])[moves]
    return replace(run, records=records, world="virtual")


def printed(*parts):
    console = Console(file=io.StringIO(), width=180, markup=False, highlight=False, color_system=None)
    for part in parts:
        console.print(part)
    return console.file.getvalue()


def test_the_table_shows_virtual_over_live_beside_live_over_live(run, other):
    told = printed(agreement_tables(agreement_table([run, run], other), ["Uncalibrated."], title="clinic"))
    assert told.startswith("clinic\n! Uncalibrated.")
    [line] = [
        line for line in told.splitlines() if line.startswith("C-MOVE ") and "2.000" in line and "shown" not in line
    ][:1]
    assert "workstation to archive" in line
    assert "1.00\N{EN DASH}1.00" in line
    assert re.search(r"^N-SET .*shown: a small message *$", told, re.MULTILINE)
    assert "link north to main: live 8 %, virtual 8 %, virtual/live 1.000" in told


def test_what_does_not_agree_is_named_and_counted(run, other):
    table = agreement_table([run, run], other)
    *apart, last = printed(*verdict_lines(table)).splitlines()
    assert apart == [
        "C-MOVE, workstation to archive, p50: virtual/live 2.000, expected 0.950 to 1.050",
        "C-MOVE, workstation to archive, p95: virtual/live 2.000, expected 0.900 to 1.100",
    ]
    judged = int(table["judged"].sum())
    assert last.startswith(
        f"{judged - 2} of {judged} figures agree (p50 within 5%, p95 within 10%, or live's own range"
    )


def test_one_live_run_says_nothing_of_live_over_live(run, other):
    told = printed(agreement_tables(agreement_table([run], other)))
    assert "live/live" in told
    assert "1.00\N{EN DASH}1.00" not in told


def test_what_one_world_did_not_do_is_told(run):
    without = replace(run, records=run.records[run.records["operation"] != "C-MOVE"])
    told = printed(agreement_tables(agreement_table([run], without)))
    assert "C-MOVE, workstation to archive, count: live 5, virtual nan" in told
    assert "C-MOVE, workstation to archive, p50: in one world only" in told


def test_nothing_compared_is_nothing_to_tell(run):
    assert printed(agreement_tables(agreement_table([run], run).head(0), ["Live run 1 was cut short."])) == (
        "! Live run 1 was cut short.\n"
    )


@pytest.mark.parametrize("runs", [1, 3])
def test_the_picture_shows_every_ratio_that_is_judged(run, other, runs):
    svg = draw_agreement([run] * runs, other).svg()
    assert "the same 6 studies in both worlds" in svg
    assert "C-MOVE, workstation to archive, p95" in svg
    assert ("3 runs" in svg) == (runs == 3)
    assert svg == draw_agreement([run] * runs, other).svg(), "the same every time"


def test_the_picture_says_what_one_world_did_not_do(run):
    without = replace(run, records=run.records[run.records["operation"] != "C-MOVE"])
    assert "one world only" in draw_agreement([run], without).svg()
