"""Plans: what is run, and that neither the number of workers nor an interruption changes a number."""

import json
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest
from pandas.testing import assert_frame_equal

import simlab
from lab.samples import TINY, tiny_lab, with_reader
from simlab.cli import main
from simlab.errors import GroupError, UserError
from simlab.lab.plan.simulate import Beside, Task

FAR = (
    with_reader(
        TINY.replace("duration: 1 s", "duration: 4 s").replace("rate: 3600 /h, count: 1", "rate: 2 /h, count: 6")
    )
    .replace("poll: 0.2 s", "poll: 1 s")
    .replace("ae_title: CT1,", "ae_title: CT1, site: north,")
    .replace("expect:", "links:\n  - {between: [north, main], latency: 5 ms, bandwidth: 100 Mbit/s}\nexpect:")
)
"""A scanner behind a link, and half a dozen patients."""

DELAY = "archive.report_delay=0,1s"
BANDWIDTH = "link.north-main.bandwidth=50,100Mbit/s"


@pytest.fixture(scope="module")
def far():
    return tiny_lab(FAR)


@pytest.fixture(scope="module")
def planned(far):
    return small(far)


def small(far, **options):
    """Two cells, three runs of each."""
    return simlab.plan(far, **({"vary": DELAY, "replications": 3, "workers": 1} | options))


def stop_after(runs):
    """A watcher that presses Ctrl-C."""

    def watch(done, _total, _left):
        if done == runs:
            raise KeyboardInterrupt

    return watch


# ---- runs


def test_a_plan(planned):
    result = planned
    assert result.table[["cell", "replication", "seed"]].to_numpy().tolist() == [
        [0, 1, 1], [1, 1, 1], [0, 2, 2], [1, 2, 2], [0, 3, 3], [1, 3, 3],
    ]  # fmt: skip
    assert result.table["complete"].all()
    assert result.ok
    summary = result.summary.set_index(["measure", "cell"])
    later = summary.loc[("time_to_safe_p95", 1)]
    assert (later["difference"], later["differs"]) == (pytest.approx(1.0, abs=0.3), True)
    assert later["archive.report_delay"] == "1 s"
    assert not summary.loc[("waiting_mean", 1), "differs"]
    assert repr(result) == "<PlanResult: 6 runs of 2 cells>"


def test_the_same_patients_come_in_every_cell(planned):
    """Common random numbers: what a change does not touch is the same to the last digit, seed by seed."""
    table = planned.table
    base, other = (table[table["cell"] == cell].reset_index(drop=True) for cell in (0, 1))
    for column in ("waiting_p95", "to_stored_mean", "utilisation", "studies"):
        assert base[column].equals(other[column])
    assert base["waiting_p95"].is_unique
    summary = planned.summary.set_index(["measure", "cell"])
    change = summary.loc[("to_safe_mean", 1)]
    assert change["high"] - change["low"] > 3 * (change["difference_high"] - change["difference_low"])


def test_studies_of_the_warm_up_do_not_count(far, planned):
    rest = small(far, vary=(), warm_up=2.0).table["studies"]
    base = planned.table[planned.table["cell"] == 0]["studies"]
    assert (rest.to_numpy() < base.to_numpy()).all()


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(far, planned):
    shared = small(far, workers=3)
    assert_frame_equal(planned.table, shared.table)
    assert_frame_equal(planned.summary, shared.summary)


def test_a_process_that_ends_is_told(far):
    beside = Beside()
    try:
        beside.stop()
        with pytest.raises(GroupError, match="a process that simulates was ended by signal 9"):
            beside.run(Task(far.topology, 1, 0.0, ()))
    finally:
        beside.close()


# ---- folders


def test_ctrl_c_keeps_what_there_is_and_the_folder_goes_on(far, planned, tmp_path):
    cut = small(far, out=tmp_path, watch=stop_after(2))
    assert (cut.finished, cut.ok, len(cut.table)) == (False, False, 2)
    seen = []
    whole = small(far, out=tmp_path, watch=lambda done, total, _left: seen.append((done, total)))
    assert seen == [(2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]
    assert_frame_equal(whole.table, planned.table)


def test_a_folder_goes_on_with_more_levels_and_replications(far, tmp_path):
    small(far, replications=2, out=tmp_path)
    seen = []
    more = small(
        far, vary="archive.report_delay=1,2s", replications=3, out=tmp_path,
        watch=lambda done, _total, _left: seen.append(done),
    )  # fmt: skip
    assert seen[0] == 4
    assert len(more.table) == 9
    assert sorted(set(more.table["archive.report_delay"])) == ["0 s", "1 s", "2 s"]


def test_a_line_that_was_cut_short_is_run_again(far, tmp_path):
    first = small(far, vary=(), out=tmp_path)
    file = tmp_path / "runs.csv"
    file.write_bytes(file.read_bytes()[:-40])
    seen = []
    again = small(far, vary=(), out=tmp_path, watch=lambda done, _total, _left: seen.append(done))
    assert seen == [2, 3]
    assert_frame_equal(first.table, again.table)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 2}, "holds a plan with seed 1, not 2; expected the same, or a new folder"),
        ({"until": "5 s"}, "holds a plan with "),
        ({"warm_up": 1.0}, "holds a plan with warm_up 0.4, not 1.0"),
        ({"sla": "read < 10 s"}, "holds a plan with sla none, not read < 10 s"),
        ({"vary": BANDWIDTH}, "holds a plan with factors archive.report_delay, not link.north-main.bandwidth"),
    ],
)
def test_other_settings_are_refused(far, tmp_path, options, message):
    small(far, vary="archive.report_delay=0s", out=tmp_path, replications=1)
    with pytest.raises(UserError, match=message):
        small(far, out=tmp_path, **options)


def test_another_topology_is_refused(far, tmp_path):
    small(far, vary="archive.report_delay=0s", out=tmp_path, replications=1)
    with pytest.raises(UserError, match="holds a plan with another topology; expected the same, or a new folder"):
        small(far.replace("ct1", associations=2), out=tmp_path)


def test_a_folder_that_holds_something_else_is_refused(far, tmp_path):
    (tmp_path / "design.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match="holds no plan that can be gone on with"):
        small(far, out=tmp_path)


def test_everything_is_kept(far, tmp_path):
    result = small(far, sla="read < 10 s", out=tmp_path)
    kept = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert kept["finished"] is True
    assert len(kept["runs"]) == 6
    assert kept["runs"][0]["to_read_p95"] == result.table["to_read_p95"].iloc[0]
    assert {each["name"] for each in kept["measures"]} == set(result.summary["measure"])
    assert any("uncalibrated" in line for line in kept["cautions"])
    assert_frame_equal(pd.read_parquet(tmp_path / "plan.parquet"), result.table)
    assert len(pd.read_csv(tmp_path / "plan.csv")) == len(pd.read_csv(tmp_path / "runs.csv")) == 6
    assert len(pd.read_csv(tmp_path / "summary.csv")) == len(result.summary)
    assert (tmp_path / "what-if.png").stat().st_size > 10_000
    assert (tmp_path / "service-levels.png").stat().st_size > 10_000


# ---- the command


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "far.yaml"
    path.write_text(FAR, encoding="utf-8")
    return str(path)


def test_help(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["plan", "--help"])
    assert leaving.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith("usage: simlab plan ")
    assert all(f"--{option} " in told for option in ("vary", "until", "replications", "warm-up", "sla", "out"))


def test_the_command(capsys, file, tmp_path):
    arguments = ["plan", file, "--vary", DELAY, "--replications", "3", "--workers", "1", "--sla", "read < 10 s"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "tiny, 4 s of orders, 3 replications of each cell (seeds 1 to 3, the same in every cell)." in printed
    assert "Studies ordered in the first 400 ms are warm-up and do not count." in printed
    assert "uncalibrated" in printed
    assert "worse" in printed
    assert printed.endswith(f"figure: {tmp_path / 'out' / 'what-if.png'}\n")


def test_the_command_fails_where_runs_do(capsys, file):
    hopeless = ["--vary", "ct1.attempts=1", "--vary", "finish_within=0 s"]
    assert main(["plan", file, "--replications", "2", "--workers", "1", *hopeless]) == 1
    printed = capsys.readouterr().out
    assert "of 4 runs were over (finish_within) before all their studies were" in printed
    assert "2 of 4 runs did not pass: 2 of cell 1" in printed.replace("ct1", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary", "ct1.associations=0"], 'nodes.ct1.associations: "0"; expected greater than or equal to 1'),
        (["--sla", "read"], 'service level "read": expected one such as'),
        (["--warm-up", "1"], "argument --warm-up: expected a duration"),
        (["--replications", "0"], 'argument --replications: "0" is not a whole number from 1'),
    ],
)
def test_a_mistake_of_the_command_line_is_one_line(capsys, file, arguments, message):
    assert main(["plan", file, *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.slow
def test_ctrl_c_ends_the_command_its_processes_and_no_row_is_lost(file, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "simlab", "plan", file, "--vary", DELAY, "--replications", "500", "--workers", "2"]
    with subprocess.Popen([*command, "--out", str(out)], stdout=subprocess.PIPE, text=True) as process:
        beside = []
        try:
            deadline = time.perf_counter() + 60
            while not (out / "runs.csv").exists() or len((out / "runs.csv").read_text().splitlines()) < 4:
                assert time.perf_counter() < deadline
                time.sleep(0.05)
            beside = psutil.Process(process.pid).children()
            process.send_signal(signal.SIGINT)
            printed, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "interrupted; with --out, the same command goes on where it stopped" in printed
    assert len(pd.read_csv(out / "plan.csv")) == len(pd.read_csv(out / "runs.csv")) >= 3
    assert len(beside) == 2
    assert not any(child.is_running() for child in beside)
