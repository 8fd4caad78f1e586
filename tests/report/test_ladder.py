"""Ladder diagrams: every message and its answer, what went wrong, and no more rows than can be read."""

import re
from dataclasses import replace

import pytest
from analysis.fake_commitment import STUDY, Story, fake_study
from analysis.fake_run import fake_run, no_records

import simlab
from simlab.analysis.frames import instances_frame, records_frame
from simlab.errors import UserError
from simlab.lab.result import Result
from simlab.records import Record
from simlab.report.ladder import draw_ladder
from simlab.report.ladder_rows import Shape, ladder_rows

TIMES = "\N{MULTIPLICATION SIGN}"


def words(drawing):
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawing.svg())


def rows_of(frames, most=40):
    return ladder_rows(*frames, STUDY, None, most)[1]


def texts(frames, most=40):
    return [row.text for row in rows_of(frames, most)]


def test_every_message_is_told_with_its_answer():
    said = words(draw_ladder(*fake_study(), STUDY, title="dropped, once"))
    for text in (
        "dropped, once", "ris", "ct1", "archive", f"C-STORE {TIMES}30, 15.8 MB", "C-STORE: success · 2.9 s", "N-SET",
        "N-ACTION 30 instances", "N-ACTION 30 instances (2nd)", "association aborted · 80 ms",
        "N-EVENT-REPORT 27 + 3 failed 0112H", f"C-STORE {TIMES}3, 1.58 MB, all again",
        "N-EVENT-REPORT 3 instances (2nd)", "acquired", "stored", "safe", "discard · 2 ms",
    ):  # fmt: skip
        assert text in said


def test_nodes_that_talk_stand_side_by_side():
    assert ladder_rows(*fake_study(), STUDY, None, 40)[0] == ["ris", "ct1", "archive"]


def test_what_the_fault_plan_did_stands_where_it_happened():
    rows = rows_of(fake_study())
    place = next(number for number, row in enumerate(rows) if row.text == "fault: C-STORE drop, 3 times")
    assert rows[place].shape is Shape.REMARK
    assert rows[place].record.node == "archive"
    assert [rows[place - 1].shape, rows[place + 1].shape] == [Shape.REQUEST, Shape.RESPONSE]
    assert "fault: commitment never: A00001" in texts(fake_study())


def test_a_report_that_overtakes_the_response_stands_before_it():
    shapes = [(row.record.operation, row.shape) for row in rows_of(fake_study()) if row.record]
    last = shapes.index(("N-ACTION", Shape.REQUEST))
    assert shapes[last + 1 : last + 3] == [("N-EVENT-REPORT", Shape.EXCHANGE), ("N-ACTION", Shape.RESPONSE)]


def test_silence_breaks_the_lines():
    pauses = [row.text for row in rows_of(fake_study()) if row.shape is Shape.PAUSE]
    assert pauses == ["1.5 s", "3.49 s", "500 ms", "500 ms"]


def test_a_long_story_is_folded_in_the_middle():
    frames = fake_study(attempts=4)
    whole, folded = rows_of(frames, 1000), rows_of(frames)
    assert len(folded) == 40
    fold = next(row for row in folded if row.shape is Shape.FOLD)
    assert fold.text == f"… {len(whole) - 39} more"
    assert folded[-1] == whole[-1]
    assert draw_ladder(*frames, STUDY).get_size_inches()[1] < 16


def test_faults_of_other_studies_are_left_out():
    records, instances = fake_study()
    other = Story()
    other.fault("C-STORE drop", "9.8.7", at=142.0)
    other.fault("commitment never", "A00002", at=142.0)
    other.fault("C-STORE drop", "1.2.3.4", at=500.0)  # when the study was over
    foreign = other.records[0]
    theirs = records_frame(
        [
            *(Record(**row) for row in records.to_dict("records")),
            *other.records,
            replace(foreign, operation="ordered", study="9.8", comment="A00002 ct-head", peer=""),
        ]
    )
    stranger = instances.iloc[:1].assign(study="9.8", sop_instance="9.8.7")
    frames = (theirs, instances_frame([]).astype(instances.dtypes.to_dict()).merge(stranger, how="outer"))
    assert [text for text in texts(frames) if "fault" in text] == [
        "fault: C-STORE drop, 3 times",
        "fault: commitment never: A00001",
    ]


def test_a_storm_is_one_arrow():
    story = Story()
    story.operation("ct1", "archive", "N-ACTION", 0.08, instances=30)
    for copy in range(10):
        story.now = 100.08 + copy / 1000
        story.operation("archive", "ct1", "N-EVENT-REPORT", 0.05, instances=30)
    for _ in range(9):
        story.mark("ct1", "report", "already reported: 2.25.1234", peer="archive")
    assert texts(story.frames()) == [
        "N-ACTION 30 instances",
        "N-EVENT-REPORT 30 instances, 10 times",
        "report: already reported, 9 times",
    ]


def test_alarms_for_different_reasons_stay_apart():
    story = Story()
    story.operation("ct1", "archive", "N-ACTION", 0.08, instances=30)
    for reason in ("0119H, class and instance in conflict", "0122H, SOP class not supported"):
        story.mark("ct1", "alarm", f"3 instances will never be committed to: {reason}", peer="archive")
    alarms = [row for row in rows_of(story.frames()) if row.shape is Shape.REMARK]
    assert [row.text.count("\n") for row in alarms] == [1, 1]  # long ones take two lines
    assert alarms[0].text.endswith("class and instance in conflict")


def test_polls_are_one_arrow():
    story = Story()
    for _ in range(5):
        story.operation("reader", "archive", "C-FIND", 0.01)
        story.now += 1.0
    story.operation("reader", "archive", "C-FIND", 0.01, status=0xA700, failures=1)
    assert [text for text in texts(story.frames()) if "C-FIND" in text] == ["C-FIND, 5 times", "C-FIND"]


def test_a_refused_train_says_how_much_was_not_stored():
    story = Story()
    story.store(range(30), 2.0, failures=3, status=0xA700)
    row = rows_of(story.frames())[0]
    assert (row.text, row.answer, row.bad) == (f"C-STORE {TIMES}30, 15.8 MB, 3 not stored", "A700H · 2 s", True)


def test_labels_are_not_markup():
    story = Story()
    story.mark("ct1", "alarm", "<script>$x$", peer="archive")
    story.operation("ct1", "archive", "N-ACTION", 0.08)
    svg = draw_ladder(*story.frames(), STUDY).svg()
    assert "&lt;script&gt;$x$" in svg
    assert "<script" not in svg


def test_a_study_of_which_nothing_is_known():
    assert draw_ladder(*no_records(), STUDY).svg().endswith("</svg>\n")
    assert draw_ladder(*fake_study(), "9.9.9").svg().endswith("</svg>\n")


def test_the_same_picture_every_time():
    assert draw_ladder(*fake_study(), STUDY).svg() == draw_ladder(*fake_study(), STUDY).svg()


def test_a_run_shows_the_first_study_in_which_something_failed():
    said = words(Result(fake_run()).ladder())
    assert f"C-STORE {TIMES}60, 29.5 MB, 4 not stored" in said
    assert "failed: Out of resources: the disk is full" in said


def test_a_run_without_studies_says_so():
    records, instances = no_records()
    with pytest.raises(UserError, match="no study"):
        Result(fake_run(records=records, instances=instances)).ladder()


def test_a_study_of_a_real_run():
    result = simlab.load("topologies/clinic.yaml").run("virtual", until="20 s")
    said = words(result.ladder(result.studies[0]))
    assert {"ris", "archive", "reader", "N-CREATE", "acquired", "stored", "safe", "read"} <= set(said)
    stored = result.records.query("study == @result.studies[0] and operation == 'C-STORE'").iloc[0]
    assert any(text.startswith(f"C-STORE {TIMES}{stored['instances']}, ") for text in said)
    assert f"N-EVENT-REPORT {stored['instances']} instances" in said
    heads = [said.index(name) for name in ("ris", stored["node"], "archive", "reader")]
    assert heads == sorted(heads)
