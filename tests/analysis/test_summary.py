"""What is written of a run can be read back, and is plain JSON."""

import json
from pathlib import Path

import pandas as pd
import pytest

from analysis.fake_run import clinic, fake_run, no_records
from simlab.analysis.oracle import Finding, InstanceCounts, findings_frame
from simlab.analysis.summary import MOST_FINDINGS, load, save, summary


def test_summary_has_what_it_promises() -> None:
    told = summary(fake_run())
    assert {"name", "world", "seed", "duration", "compress", "operations", "studies", "instances", "expect"} <= set(
        told
    )
    assert told["instances"]["generated"] == 288
    store = next(row for row in told["operations"] if (row["node"], row["operation"]) == ("ct1", "C-STORE"))
    assert store["peer"] == "archive"
    assert (store["count"], store["failures"]) == (180, 4)
    assert {"bytes", "rate", "p50", "p95", "p99"} <= set(store)
    assert told["verdict"] == "failed"


def test_what_was_not_measured_is_null() -> None:
    told = summary(fake_run())
    failed = next(study for study in told["studies"] if study["outcome"] == "failed")
    assert failed["safe"] is None
    json.dumps(told, allow_nan=False)


def test_a_run_survives_the_disk(tmp_path: Path) -> None:
    run = fake_run()
    save(run, tmp_path / "runs" / "1")
    again = load(tmp_path / "runs" / "1", run.topology)
    pd.testing.assert_frame_equal(again.records, run.records)
    pd.testing.assert_frame_equal(again.instances, run.instances)
    assert again.path == tmp_path / "runs" / "1"
    assert summary(again) == summary(run)


def test_findings_are_named_up_to_a_bound_and_kept_beyond_it(tmp_path: Path) -> None:
    found = [Finding("lost", f"1.2.{number}", "1.2", "archive") for number in range(MOST_FINDINGS + 7)]
    run = fake_run(findings=findings_frame(found))
    told = summary(run)
    assert told["findings"][0] == {
        "finding": "lost", "sop_instance": "1.2.0", "study": "1.2", "archive": "archive", "times": 1,
    }  # fmt: skip
    assert (len(told["findings"]), told["findings_left_out"]) == (MOST_FINDINGS, 7)
    save(run, tmp_path)
    pd.testing.assert_frame_equal(load(tmp_path, run.topology).findings, run.findings)


def test_a_run_in_which_nothing_happened_survives_too(tmp_path: Path) -> None:
    records, instances = no_records()
    run = fake_run(records=records, instances=instances, elapsed=0.0, topology=clinic(expect=()))
    save(run, tmp_path)
    assert summary(load(tmp_path, run.topology)) == summary(run)


@pytest.mark.parametrize("broken", ["dropped", "lost", "false_safe", "corrupt"])
def test_a_broken_promise_fails_a_run(broken: str) -> None:
    counts = InstanceCounts(**{broken: 1})
    assert fake_run(counts=counts, topology=clinic(expect=())).verdict == "failed"


@pytest.mark.parametrize("tolerable", ["missing", "altered", "stored_twice", "needlessly_resent", "unexpected"])
def test_what_breaks_no_promise_does_not(tolerable: str) -> None:
    counts = InstanceCounts(**{tolerable: 1})
    assert fake_run(counts=counts, topology=clinic(expect=())).verdict == "passed"


@pytest.mark.parametrize(
    ("complete", "expected", "verdict"),
    [(False, (), "incomplete"), (True, (), "passed"), (True, clinic().expect, "failed")],
)
def test_verdict(complete: bool, expected: tuple, verdict: str) -> None:
    assert fake_run(complete=complete, topology=clinic(expect=expected)).verdict == verdict
