"""Calibration files: what is written reads back the same, and every mistake is one line."""

import re

import pytest

from simlab.errors import TopologyError, UserError
from simlab.topology.calibration import (
    AskingTimes,
    Calibration,
    CodecTimes,
    Measured,
    NodeTimes,
    Point,
    Range,
    Residual,
    ServingTimes,
    parse_calibration,
    read_calibration,
)

HEAD = """\
calibration: 1
measured: {at: "2026-11-22T15:40:12", host: laptop, cores: 4, python: "3.11.7", seconds: 118.2}
"""

CALIBRATION = Calibration(
    measured=Measured(at="2026-11-22T15:40:12", host="no: where", cores=4, python="3.11", seconds=118.2),
    nodes={
        "archive": NodeTimes(
            serving=ServingTimes(servers=2, association=0.002, message=0.003, instance=0.001, byte=1e-9, cv=0.05),
            asking=AskingTimes(instance=0.0002, byte=0.0),
        ),
        "ct1": NodeTimes(make_instance=0.021),
    },
    codecs=(CodecTimes(modality="CT", transfer_syntax="JPEGLSLossless", ratio=4.01, encode=6.8e-09, decode=6e-09),),
    residual={"C-STORE": Residual(p50=0.03, p95=0.07, worst=0.09)},
    range=Range(associations=(1, 8), bytes=(132772, 525988), modalities=("CT",), transfer_syntaxes=("Explicit",)),
    points=(
        Point(
            node="archive", operation="C-STORE", associations=4, bytes=525988, modality="CT",
            transfer_syntax="ExplicitVRLittleEndian", throughput=612.0, p50=0.0061, p95=0.0101, predicted=581.4,
        ),
        Point(node="archive", operation="C-FIND", associations=1, bytes=0, throughput=99, p50=0.01, p95=0.01,
              predicted=100),
    ),
    notes=("3 studies were left.",),
)  # fmt: skip


def refused(text):
    with pytest.raises(TopologyError) as caught:
        parse_calibration(text, "calibration.yaml")
    (line,) = str(caught.value).splitlines()
    return line.removeprefix("calibration.yaml:")


def test_what_is_written_reads_back_the_same(tmp_path):
    path = tmp_path / "calibration.yaml"
    CALIBRATION.save(path)
    assert read_calibration(path) == CALIBRATION
    CALIBRATION.save(path)  # over the one that is there
    assert [each.name for each in tmp_path.iterdir()] == ["calibration.yaml"]


def test_the_innermost_mappings_stand_on_one_line(tmp_path):
    CALIBRATION.save(tmp_path / "calibration.yaml")
    text = (tmp_path / "calibration.yaml").read_text(encoding="utf-8")
    assert "    asking: {instance: 0.0002, byte: 0.0}\n" in text
    assert "serving: {}" not in text


def test_times_may_have_units_and_parts_may_be_missing():
    text = HEAD + "nodes:\n  archive:\n    serving: {message: 1.5 ms, byte: 2e-9}\n    make_instance: 20 ms\n"
    archive = parse_calibration(text).nodes["archive"]
    assert archive.serving == ServingTimes(message=0.0015, byte=2e-9)
    assert archive.asking == AskingTimes()
    assert archive.make_instance == 0.020


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1: nothing; expected a calibration that starts with `calibration: 1`"),
        ("simlab: 1\n", '1: a key is missing; expected "calibration": 1'),
        (HEAD + "nodes: {a: {serving: {mesage: 1}}}\n",
         '3: nodes.a.serving.mesage: unknown key "mesage"; did you mean "message"?'),
        (HEAD + "nodes:\n  a:\n    serving:\n      message: 5 parsecs\n",
         '6: nodes.a.serving.message: unknown unit "parsecs"'),
        (HEAD + "nodes:\n  a:\n    asking:\n      message: -1\n",
         "6: nodes.a.asking.message: -1; expected greater than or equal to 0"),
        (HEAD + "nodes: {a: {serving: {servers: 1.5}}}\n", "3: nodes.a.serving.servers: 1.5; expected a"),
        (HEAD.replace("calibration: 1", "calibration: 2") + "nodes: {}\n", "1: calibration: 2; expected 1"),
        (HEAD + "nodes: {9a: {}}\n", '3: nodes.9a: "9a" is no name for a node'),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_a_line(text, told):
    assert refused(text).startswith(told)


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "none.yaml"
    with pytest.raises(TopologyError, match=re.escape(f"{path}: no such file; expected a calibration file")):
        read_calibration(path)


def test_a_place_that_cannot_be_written_to(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        CALIBRATION.save(tmp_path / "nowhere" / "calibration.yaml")


def test_the_sentence_that_goes_with_predictions():
    assert CALIBRATION.sentence == (
        "Calibrated 2026-11-22 on no: where (4 cores): C-STORE per second off by 3 % (median), 9 % at most."
    )
    cut_short = CALIBRATION.model_copy(update={"measured": CALIBRATION.measured.model_copy(update={"complete": False})})
    assert cut_short.sentence.endswith("It is incomplete: it was interrupted.")


def test_the_error_of_a_point():
    assert CALIBRATION.points[0].error == pytest.approx(-0.05)
