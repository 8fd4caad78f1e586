"""Pictures, page and tables of the commitment matrix say what was measured."""

import io
import re

import pytest
from analysis.fake_commitment import NAN, STUDY, cell, fake_disks, fake_matrix, fake_occupancy, fake_study
from rich.console import Console

import simlab
from simlab.analysis.disk import halts, occupancy
from simlab.report.commitment_console import commitment_tables
from simlab.report.commitment_figures import draw_disks, draw_occupancy, draw_times, draw_waste
from simlab.report.commitment_page import Matrix, findings, render_commitment
from simlab.report.ladder import draw_ladder

BOTH = ("after-safe", "after-store")


def matrix(deletions=("after-safe",), **more):
    values = {"cells": fake_matrix(deletions), "disks": fake_disks(deletions), "scenario": "ct1 <b>", "world": "live"}
    return Matrix(**(values | more))


def with_cell(**changes):
    """The matrix with its cell (never, always, failed) changed."""
    cells = fake_matrix()
    where = cells.index[(cells["fault"] == "never") & (cells["occurrence"] == "always") & (cells["policy"] == "failed")]
    for name, value in cell("never", "always", "failed", **changes).items():
        cells.loc[where, name] = value
    return cells


def words(drawing):
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawing.svg())


def shown(told):
    console = Console(file=io.StringIO(), width=160)
    console.print(commitment_tables(told))
    return console.file.getvalue()


def test_the_map_has_every_cell_and_names_its_marks():
    said = words(draw_waste(fake_matrix()))
    numbers = [text for text in said if re.fullmatch(r"\d\.\d\d", text)]
    assert len(numbers) == 3 + len(fake_matrix())  # where nothing goes wrong stands in both panels
    assert {"dropped", "liar", "study", "failed", "by-reason", "once", "always", "0.10", "3.00"} <= set(said)
    assert {"false-safe: committed, but not retrievable", "lost: nobody has them any more"} <= set(said)
    assert "not what was expected" not in said


def test_the_map_marks_what_was_not_expected():
    assert "not what was expected" in words(draw_waste(with_cell(resent=3)))


def test_the_map_has_a_panel_for_each_way_of_deleting():
    said = words(draw_waste(fake_matrix(BOTH)))
    for deletion in BOTH:
        for occurrence in ("once", "always"):
            assert f"{occurrence}, copy deleted {deletion}" in said


def test_times_tell_policies_apart_and_what_never_became_safe():
    said = words(draw_times(fake_matrix()))
    assert {"resend the study", "resend what failed", "go by the reason", "none did", "once", "always"} <= set(said)
    slow = fake_matrix().assign(time_to_safe_p95=60.0)
    assert draw_times(slow).axes[0].get_xscale() == "log"
    assert draw_times(fake_matrix().assign(time_to_safe_p50=NAN, time_to_safe_p95=NAN)).svg().endswith("</svg>\n")


def test_disks_that_are_alike_share_a_panel():
    said = words(draw_disks(fake_disks()))
    assert "failed-0112, always (and 4 like it)" in said
    assert len([text for text in said if "," in text]) < 12
    assert {"never, once", "never, always"} <= set(words(draw_disks(fake_disks(), ["never"])))


def test_occupancy_shows_when_the_scanner_stood_still():
    drawing = draw_occupancy(*fake_occupancy())
    assert {"ct1", "mr1", "its capacity", "the scanner stands still", "60 MB"} <= set(words(drawing))
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in drawing.axes[0].patches]
    assert spans[0] == (20.0, 31.0)
    assert spans[1][0] == 36.0
    assert spans[1][1] == drawing.axes[0].get_xlim()[1]  # it never went on


def test_pictures_of_nothing_are_whole():
    filled, stopped, _ = fake_occupancy()
    for drawing in (
        draw_waste(fake_matrix().head(0)),
        draw_times(fake_matrix().head(0)),
        draw_disks(fake_disks().head(0)),
        draw_occupancy(filled.head(0), stopped.head(0), {}),
    ):
        assert drawing.svg().endswith("</svg>\n")


def test_the_same_pictures_every_time():
    for draw, frame in ((draw_waste, fake_matrix), (draw_times, fake_matrix), (draw_disks, fake_disks)):
        assert draw(frame()).svg() == draw(frame()).svg()


def test_occupancy_of_a_real_run():
    records = simlab.load("topologies/clinic.yaml").run("virtual", until="20 s").records
    drawing = draw_occupancy(occupancy(records), halts(records), {"ct1": 1_000_000_000})
    assert {"ct1", "mr1", "its capacity"} <= set(words(drawing))
    assert "the scanner stands still" not in words(drawing)


def test_the_verdict_names_what_is_not_as_it_should_be():
    told = [finding.text for finding in findings(matrix())]
    assert told[0] == "In all 51 cells as many instances were sent again as expected."
    assert "False-safe: liar, once and always, under every policy (3 of 30 instances)." in told
    told = findings(matrix(cells=with_cell(resent=3, outcome="unfinished", lost=2)))
    assert told[0].text == "Not as expected in 1 of 51 cells: never, always, failed: 3 instead of 0."
    assert told[0].bad
    assert any(
        "never, always, under failed (2 of 30 instances" in each.text for each in told if each.text[:4] == "Lost"
    )
    assert any(each.text == "Unfinished: never, always, failed." for each in told)


def test_the_verdict_tells_ways_of_deleting_apart():
    told = next(each.text for each in findings(matrix(BOTH)) if each.text.startswith("Lost"))
    assert "dropped, once and always, under every policy, copy deleted after-store (3 of 30 instances" in told
    assert "dropped, once and always, under every policy, copy deleted after-safe" not in told


def test_nothing_lost_is_told_too():
    whole = fake_matrix().assign(lost=0, false_safe=0)
    told = [each.text for each in findings(matrix(cells=whole))]
    assert {"No instance is lost.", "No instance is false-safe."} <= set(told)


def test_nothing_tried_is_told_too():
    empty = matrix(cells=fake_matrix().head(0), disks=fake_disks().head(0))
    assert "Nothing was tried." in render_commitment(empty)
    assert "Nothing was tried." in shown(empty)


@pytest.fixture(scope="module")
def page():
    ladders = [("dropped, by-reason", draw_ladder(*fake_study(), STUDY))]
    return render_commitment(matrix(cells=with_cell(resent=3)), ladders)


def test_the_page_stands_alone(page):
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)
    assert not re.search(r"<(script|link|img|iframe)\b", page)
    assert "ct1 &lt;b&gt;" in page


def test_the_page_tells_everything(page):
    assert page.count("<svg") == 4
    for text in (
        "Not as expected in 1 of 51 cells",
        "False-safe: liar",
        "<h3>dropped, by-reason</h3>",
        "3, not 0",
        "N-EVENT-REPORT 27 + 3 failed 0112H",
        "committed, but not retrievable at the end",
    ):
        assert text in page
    assert page.count("<tr><td") > 51
    assert "nan" not in re.sub(r"<[^>]*>", "", page).lower().split()


def test_the_terminal_gets_every_cell_and_the_verdict_last():
    text = shown(matrix(cells=with_cell(resent=3), complete=False))
    rows = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    assert ["liar", "once", "study", "0.00", "0", "1", "3.72 s", "4.65 s", "3", "3", "0", "safe"] in rows
    assert ["never", "always", "failed", "0.00", "3, expected 0"] in [row[:5] for row in rows]
    assert "delete local" not in text
    assert "delete local" in shown(matrix(BOTH))
    lines = text.strip().splitlines()
    assert next(number for number, line in enumerate(lines) if line.startswith("Not as expected")) > len(lines) - 10
    assert lines[-1] == "interrupted"
