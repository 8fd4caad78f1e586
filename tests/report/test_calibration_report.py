"""The tables of a calibration."""

import io

import pytest
from rich.console import Console

from simlab.report.calibration_console import calibration_tables
from simlab.topology.calibration import (
    AskingTimes,
    Calibration,
    CodecTimes,
    Measured,
    NodeTimes,
    Point,
    Residual,
    ServingTimes,
)

ASKING = AskingTimes(association=0.004, message=0.002, instance=0.0001, byte=0.0)


def point(associations, predicted):
    return Point(
        node="archive", operation="C-STORE", associations=associations, bytes=525_988, modality="CT",
        transfer_syntax="ExplicitVRLittleEndian", throughput=600.0, p50=0.0016, p95=0.01, predicted=predicted,
    )  # fmt: skip


@pytest.fixture
def calibration():
    return Calibration(
        measured=Measured(at="2026-11-22T15:40:12", host="laptop", cores=4, python="3.11", seconds=118.2),
        nodes={
            "archive": NodeTimes(
                serving=ServingTimes(servers=2, association=0.003, message=0.004, instance=0.001, byte=2e-9, cv=0.05),
                asking=ASKING,
            ),
            "ct1": NodeTimes(asking=ASKING, make_instance=0.021),
            "mr1": NodeTimes(asking=ASKING, make_instance=0.009),
            "ct2": NodeTimes(asking=ASKING, make_instance=0.021),
        },
        codecs=(CodecTimes(modality="CT", transfer_syntax="JPEGLSLossless", ratio=4.0, encode=8e-9, decode=6e-9),),
        residual={"C-STORE": Residual(p50=0.02, p95=0.3, worst=0.3)},
        points=(point(1, 590.0), point(8, 780.0)),
        notes=("Studies were left.",),
    )


def printed(calibration):
    console = Console(file=io.StringIO(), width=160, color_system=None)
    console.print(calibration_tables(calibration))
    return console.file.getvalue().splitlines()


def test_everything_that_was_found_is_told(calibration):
    lines = [" ".join(line.split()) for line in printed(calibration)]
    assert lines[0].startswith("Calibrated 2026-11-22 on laptop (4 cores): C-STORE per second off by 2 %")
    assert "! Studies were left." in lines
    assert "archive asked 2 3 ms 4 ms 1 ms 2 ms 5 %" in lines
    assert "asking 4 ms 2 ms 100 us 0 s" in lines
    assert "ct1 and 1 more asking 4 ms 2 ms 100 us 0 s 21 ms" in lines
    assert "mr1 asking 4 ms 2 ms 100 us 0 s 9 ms" in lines
    assert "JPEGLSLossless CT 4 125 MB/s 167 MB/s" in lines
    assert "archive C-STORE 8 CT 526 kB 1.6 ms 10 ms 600 780 +30%" in lines


def test_no_line_is_wider_than_the_screen(calibration):
    assert max(map(len, printed(calibration))) <= 120


def test_an_interrupted_one_says_so(calibration):
    measured = calibration.measured.model_copy(update={"complete": False})
    cut_short = calibration.model_copy(update={"measured": measured, "points": (), "nodes": {}, "residual": {}})
    assert printed(cut_short)[-1] == "interrupted: what is above is all that there was time for"
