"""Comparing both worlds: what is run, what counts, and what is kept."""

import json
from dataclasses import replace

import pytest

import simlab
from lab.samples import tiny_lab
from simlab.cli import main
from simlab.errors import UserError
from simlab.lab.agreement.compare import SPARE
from simlab.lab.agreement.result import CALIBRATION_FILE, CSV_FILE, JSON_FILE, PICTURE_FILE
from simlab.lab.lab import Lab
from simlab.lab.result import Result
from simlab.topology.calibration import read_calibration

CLINIC = "topologies/clinic.yaml"


class Rehearsed(Lab):
    """A lab whose live runs are virtual ones that fared as somebody says."""

    def __init__(self, lab, fared, **changes):
        super().__init__(lab.topology)
        self.fared = list(fared)
        self.changes = changes
        self.runs = []

    def varied(self, **settings):
        return Rehearsed(super().varied(**settings), self.fared, **self.changes)

    def run(self, world="live", **options):
        run = super().run("virtual").run
        if world == "live":
            run = replace(run, world="live", generator={"lag_p99": self.fared.pop(0)}, **self.changes)
        return Result(run)


@pytest.fixture(scope="module")
def clinic():
    return simlab.load(CLINIC).varied(until="10 s")


def test_live_runs_that_are_all_well_count(clinic):
    steps = []
    result = simlab.compare(Rehearsed(clinic, [0.001] * 3), repetitions=3, watch=steps.append)
    assert result.ok
    assert len(result.live) == 3
    assert (steps[0].done, steps[0].total) == (0, 3)
    assert (result.table["ratio"].dropna() - 1).abs().max() < 1e-9
    assert repr(result).startswith("<AgreementResult: clinic, 3 live runs, ")


def test_a_spoiled_live_run_is_repeated_and_told(clinic):
    result = simlab.compare(Rehearsed(clinic, [0.001, 0.09, 0.001]), repetitions=2)
    assert result.ok
    assert len(result.live) == 2
    assert result.notices[0] == "Live run 2 does not count: the environment was 90 ms late (99th percentile)."


def test_live_runs_are_repeated_within_a_bound(clinic):
    late = [0.09] * (2 + SPARE)
    result = simlab.compare(Rehearsed(clinic, late), repetitions=2)
    assert not result.finished
    assert not result.cut_short
    assert not result.ok
    assert result.table.empty
    assert f"0 of {len(late)} live runs count." in result.notices[len(late)]
    with pytest.raises(UserError, match="nothing was compared"):
        result.picture()


def test_a_live_run_that_was_cut_short_ends_the_comparison(clinic):
    why = {"complete": False, "notices": ("Something else.", "The run was cut short: 3 studies did not end.")}
    result = simlab.compare(Rehearsed(clinic, [0.001] * 3, **why), repetitions=3)
    assert result.notices[0] == "Live run 1 was cut short (3 studies did not end), and so was the comparison."
    assert (result.cut_short, result.interrupted) == (True, False)
    assert not result.finished


def test_ctrl_c_while_a_run_starts_keeps_what_there_is(clinic):
    class Interrupted(Rehearsed):
        def varied(self, **settings):
            return self

        def run(self, world="live", **options):
            if not self.fared:
                raise KeyboardInterrupt
            return super().run(world, **options)

    result = simlab.compare(Interrupted(clinic, [0.001]), repetitions=2)
    assert len(result.live) == 1
    assert result.cut_short
    assert result.notices[0] == "The comparison was interrupted."
    assert len(result.table)


def test_everything_is_kept(clinic, tmp_path):
    simlab.compare(Rehearsed(clinic, [0.001] * 2), repetitions=2, out=tmp_path / "kept")
    kept = json.loads((tmp_path / "kept" / JSON_FILE).read_text())
    assert kept["ok"] is kept["finished"] is True
    assert kept["topology"] == "clinic"
    assert len(kept["live"]) == kept["repetitions"] == 2
    [transfer] = [row for row in kept["figures"] if (row["what"], row["statistic"]) == ("acquired to stored", "p50")]
    assert transfer["live"] == transfer["virtual"] > 0
    assert (tmp_path / "kept" / CSV_FILE).read_text().startswith("what,between,statistic,live,virtual,ratio")
    assert (tmp_path / "kept" / PICTURE_FILE).read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_run(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["compare", CLINIC, "--out", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_calibration_that_is_not_there_is_told_on_one_line(tmp_path, capsys):
    assert main(["compare", CLINIC, "--calibration", str(tmp_path / "none.yaml")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("repetitions", [0, -1])
def test_at_least_one_live_run_is_needed(repetitions):
    with pytest.raises(UserError, match="expected at least one"):
        simlab.compare(CLINIC, repetitions=repetitions)


def test_a_calibration_is_there_or_made(tmp_path, capsys):
    with pytest.raises(UserError, match="a calibration, and time to calibrate; expected one of them"):
        simlab.compare(CLINIC, calibration=tmp_path / "calibration.yaml", calibrate="30 s")
    with pytest.raises(UserError, match="somebody to calibrate on, and no time for it"):
        simlab.compare(CLINIC, calibrate_on=CLINIC)
    with pytest.raises(UserError, match="2 s are too short to measure anything"):
        simlab.compare(CLINIC, calibrate=2)
    assert main(["compare", CLINIC, "--calibrate", "soon"]) == 2
    assert "expected a duration" in capsys.readouterr().err


@pytest.mark.slow
def test_servers_are_measured_before_each_live_run(tmp_path):
    steps = []
    result = simlab.compare(tiny_lab(), calibrate="5 s", repetitions=2, out=tmp_path, watch=steps.append)
    told = list(dict.fromkeys((step.done, step.what.partition(" ")[0].rstrip(",")) for step in steps))
    assert told == [(0, "measuring"), (0, "live"), (1, "measuring"), (1, "live"), (2, "simulating")]
    assert result.finished
    assert result.calibration.measured.complete
    assert result.calibration.measured.seconds > 10.0
    assert read_calibration(tmp_path / CALIBRATION_FILE) == result.calibration
    assert result.calibration.sentence in result.notices
    assert len(result.table)


@pytest.mark.slow
def test_both_worlds_do_the_same_and_nothing_is_sent_twice_in_either(tmp_path, capsys):
    code = main(["compare", CLINIC, "--until", "4 s", "--repetitions", "2", "--out", str(tmp_path)])
    told = capsys.readouterr().out
    assert code in (0, 1), "how far they agree depends on the machine"
    kept = json.loads((tmp_path / JSON_FILE).read_text())
    assert kept["finished"]
    counted = [row for row in kept["figures"] if row["judged"] and row["statistic"] in ("count", "retries")]
    assert counted
    assert all(row["agrees"] for row in counted), counted
    assert "figures agree" in told
    assert f"figure: {tmp_path / PICTURE_FILE}" in told
