"""``simlab calibrate``: what is printed and written, and with which exit code it ends."""

import os
import re
import signal
import subprocess
import sys

import pytest
from lab.samples import TINY

from simlab.cli import main
from simlab.topology.calibration import read_calibration


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return str(path)


def refused(capsys, *arguments):
    """The one line with which a command line is refused."""
    assert main(["calibrate", *map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("simlab: ")


def test_mistakes_are_one_line(capsys, tiny, tmp_path):
    out = ("--out", tmp_path / "calibration.yaml")
    assert refused(capsys, tiny, "--node", "arhive", *out) == 'no node "arhive"; did you mean "archive"?'
    assert refused(capsys, tiny, "--time", "1s", *out).startswith("1 s are too short to measure anything")
    assert "expected a duration" in refused(capsys, tiny, "--time", "soon", *out)
    assert refused(capsys, tiny, "--out", tmp_path).startswith(f"cannot write {tmp_path}")
    assert "no such file" in refused(capsys, tmp_path / "none.yaml", *out)
    assert not (tmp_path / "calibration.yaml").exists()


@pytest.mark.slow
def test_a_server_is_measured_and_told_of(capsys, tiny, tmp_path):
    out = tmp_path / "calibration.yaml"
    assert main(["calibrate", tiny, "--node", "ris", "--time", "5s", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^Calibrated .* C-FIND per second off by", printed)
    assert printed.splitlines()[-1] == f"calibration: {out}"
    assert set(read_calibration(out).nodes) == {"ris", "ct1", "archive"}


@pytest.mark.slow
def test_ctrl_c_ends_it_in_good_order(tiny, tmp_path):
    out = tmp_path / "calibration.yaml"
    command = [sys.executable, "-m", "simlab", "calibrate", tiny, "--node", "archive", "--time", "10min"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, "--out", str(out)], start_new_session=True, **pipes) as process:
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(20)
            os.killpg(process.pid, signal.SIGINT)
            told, complaints = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert complaints == ""
    assert "interrupted: what is above is all that there was time for" in told
    # How far it came depends on the machine; what may have been there before is worth more than that.
    beside = tmp_path / "calibration.interrupted.yaml"
    assert not out.exists()
    assert beside.exists() == (f"what there was time for: {beside}" in told)
    assert not beside.exists() or not read_calibration(beside).measured.complete
