"""Calibrations of small departments, live: what is measured, what is kept, and what is refused."""

import pytest

import simlab
from lab.samples import TINY, free_port, tiny_lab, two_scanners, with_reader
from simlab.errors import UserError
from simlab.lab.calibration.extrapolation import extrapolations
from simlab.lab.calibration.times import times_of
from simlab.topology.calibration import read_calibration

DEPARTMENT = with_reader(two_scanners()).replace("ae_title: MR1,", "ae_title: MR1, propose: [jpegls],")


@pytest.mark.slow
def test_a_department_is_measured(tmp_path):
    lab, path, told = tiny_lab(DEPARTMENT), tmp_path / "calibration.yaml", []
    calibration = simlab.calibrate(lab, time="6 s", out=path, watch=lambda what, _done, _total: told.append(what))
    assert read_calibration(path) == calibration
    assert calibration.measured.complete
    assert "archive: C-STORE of ct-head, 8 at a time" in told
    archive = calibration.nodes["archive"]
    assert archive.serving.servers >= 1
    # Orders of magnitude: the machine may be busy.
    assert 1e-4 < archive.serving.instance + archive.serving.byte * 5e5 < 0.1
    assert 1e-4 < archive.serving.association + archive.serving.message < 0.2
    for scanner in (calibration.nodes["ct1"], calibration.nodes["mr1"]):  # by the archive's reports
        assert 1e-4 < scanner.serving.association + scanner.serving.message < 0.2
        assert scanner.serving.instance is None
    assert calibration.nodes["ris"].serving.instance is None
    assert calibration.nodes["ris"].serving.message is not None
    assert 1e-3 < calibration.nodes["mr1"].make_instance < 1.0
    assert 1e-3 < calibration.nodes["ct1"].make_instance < 2.0
    assert 1e-4 < calibration.nodes["reader"].derive_instance < 2.0
    assert len({node.asking for node in calibration.nodes.values()}) == 1
    assert {(each.modality, each.transfer_syntax) for each in calibration.codecs} == {
        ("CT", "JPEGLSLossless"),
        ("MR", "JPEGLSLossless"),
    }
    stores = [point for point in calibration.points if point.node == "archive" and point.operation == "C-STORE"]
    assert [point.associations for point in stores] == [1, 1, 2, 2, 4, 4, 8, 8]
    assert calibration.range.associations == (1, 8)
    assert extrapolations(calibration, lab.topology) == []
    assert times_of(calibration, lab.topology)["archive"].serving.instance == archive.serving.instance


@pytest.mark.slow
def test_what_was_measured_is_kept_when_it_is_interrupted(tmp_path):
    path = tmp_path / "calibration.yaml"

    def watch(what, _done, _total):
        if what.startswith("ris: "):  # the archive is done by then
            raise KeyboardInterrupt

    calibration = simlab.calibrate(tiny_lab(), time="6 s", out=path, watch=watch)
    assert not calibration.measured.complete
    assert calibration.nodes["archive"].serving.instance > 0
    assert {point.node for point in calibration.points} == {"archive"}
    assert "incomplete" in read_calibration(path).sentence


def test_nothing_is_written_when_nothing_was_measured(tmp_path):
    def watch(_what, _done, _total):
        raise KeyboardInterrupt

    calibration = simlab.calibrate(tiny_lab(), out=tmp_path / "calibration.yaml", watch=watch)
    assert not calibration.measured.complete
    assert calibration.nodes == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"node": "arhive"}, 'no node "arhive"; did you mean "archive"'),
        ({"node": "ct1"}, "ct1 is a scanner, and asks"),
        ({"time": "1 s"}, "1 s are too short to measure anything; expected 5 s at least"),
        ({"time": "soon"}, "expected a duration"),
    ],
)
def test_what_cannot_be(options, told):
    with pytest.raises(UserError, match=told):
        simlab.calibrate(tiny_lab(), **options)


def test_an_external_node_that_is_not_there():
    external = f"{{kind: external, ae_title: PACS, host: 127.0.0.1, port: {free_port()}}}"
    with pytest.raises(UserError, match="node archive: nothing listens at PACS@"):
        simlab.calibrate(tiny_lab(TINY.replace("{kind: archive, ae_title: ARCHIVE}", external)))


PACS = """\
simlab: 1
name: pacs
nodes:
  archive: {{kind: archive, ae_title: ARCHIVE, port: {archive}, report_delay: 700 ms}}
  ct1: {{kind: external, ae_title: CT1, host: 127.0.0.1, port: {scanner}}}
"""
"""It takes its time to report, and knows where somebody else's scanner is."""


def test_how_long_somebody_elses_archive_lets_requests_lie():
    scanner, archive = free_port(), free_port()
    external = f"{{kind: external, ae_title: ARCHIVE, host: 127.0.0.1, port: {archive}}}"
    ours = TINY.replace("{kind: archive, ae_title: ARCHIVE}", external)
    ours = ours.replace("ae_title: CT1,", f"ae_title: CT1, port: {scanner},")
    with tiny_lab(PACS.format(scanner=scanner, archive=archive)).up():
        calibration = simlab.calibrate(tiny_lab(ours), node="archive", time="5 s")
    assert 0.7 <= calibration.nodes["archive"].report < 1.2
    assert 0.6 < times_of(calibration, tiny_lab(ours).topology)["archive"].report < 1.2
    measured, usual = (
        tiny_lab(ours).calibrated(each).run("virtual").records.set_index("operation").finished
        for each in (calibration, None)
    )
    assert 0.6 < (measured["safe"] - measured["stored"]) - (usual["safe"] - usual["stored"]) < 1.2
