"""Runs of which not everything can be kept, made small: what is told of them, and that nobody's looking matters."""

import gc
import json

import pandas as pd
import pytest

from lab.samples import TINY, tiny_lab, two_scanners, with_reader
from simlab.cli import main
from simlab.errors import UserError
from simlab.lab import happened, virtual_run
from simlab.report.console import summary_tables
from simlab.report.page import render
from simlab.studies.study import Study

BUSY = with_reader(two_scanners()).replace("count: 2", "count: 8").replace("duration: 1 s", "duration: 8 s")
EXACT = ["count", "failures"]
PERCENTILES = ["p50", "p95", "p99"]


def virtual(**options):
    return tiny_lab(BUSY).run("virtual", **options)


@pytest.fixture(scope="module")
def kept():
    return virtual()


@pytest.fixture
def with_histograms(monkeypatch):
    monkeypatch.setattr(happened, "MOST_ROWS", 100)
    return virtual()


def test_nothing_is_left_out_of_a_small_run(kept):
    assert len(kept.instances) == kept.run.operations.query("operation == 'C-STORE'")["count"].sum()
    assert kept.run.latencies.empty
    assert kept.ok


def test_too_many_instances_are_kept_as_histograms(kept, with_histograms):
    run = with_histograms.run
    assert run.instances.empty
    pd.testing.assert_frame_equal(run.records, kept.records)
    assert run.latencies["count"].sum() == len(kept.instances)
    assert run.counts == kept.run.counts
    assert run.operations[EXACT].equals(kept.run.operations[EXACT])
    assert run.operations[PERCENTILES].to_numpy() == pytest.approx(
        kept.run.operations[PERCENTILES].to_numpy(), rel=0.02
    )
    assert any("no rows were kept" in notice for notice in run.notices)


def test_of_a_long_run_only_what_is_told_is_kept(monkeypatch, with_histograms):
    def studies():
        gc.collect()
        return sum(isinstance(each, Study) for each in gc.get_objects())

    before = studies()
    monkeypatch.setattr(happened, "MANY_EVENTS", 0)
    run = virtual().run
    assert studies() == before
    pd.testing.assert_frame_equal(run.records, with_histograms.run.records)
    pd.testing.assert_frame_equal(run.latencies, with_histograms.run.latencies)
    assert run.counts == with_histograms.run.counts


def test_they_are_written_to_the_run_folder(tmp_path, with_histograms):
    with_histograms.save(tmp_path)
    latencies = pd.read_parquet(tmp_path / "latencies.parquet")
    assert latencies["count"].sum() == with_histograms.run.latencies["count"].sum()
    assert "Latency" in render(with_histograms.run)


def test_only_a_summary(kept, tmp_path):
    result = virtual(summary_only=True, out=tmp_path)
    run = result.run
    assert run.verdict == kept.run.verdict
    assert run.counts == kept.run.counts
    assert run.elapsed == kept.run.elapsed
    assert run.operations[EXACT].equals(kept.run.operations[EXACT])
    assert (run.study_count, run.complete_studies) == (kept.run.study_count, kept.run.complete_studies)
    assert (run.study_times["count"] == kept.run.study_times["count"]).all()
    assert run.records.empty
    assert run.instances.empty
    assert any(notice.startswith("Summary only") for notice in run.notices)
    assert summary_tables(run)
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"summary.json", "topology.yaml", "report.html", "findings.parquet"}
    told = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert told["studies_left_out"] == run.study_count


def test_what_was_refused_is_stored_nowhere():
    lab = tiny_lab(BUSY + "faults:\n- {node: archive, operation: C-STORE, do: answer, status: A700H, every: 3}\n")
    run, summary = (lab.run("virtual", summary_only=only).run for only in (False, True))
    stored = run.records[run.records["operation"] == "C-STORE"]
    rows = run.instances[run.instances["operation"] == "C-STORE"]
    assert stored["bytes"].sum() == rows["bytes"][rows["status"] == 0].sum()
    assert stored["wire_bytes"].sum() == rows["bytes"].sum() > stored["bytes"].sum() > 0
    assert summary.operations["bytes"].equals(run.operations["bytes"])


def test_only_the_virtual_world_can_keep_a_summary_only():
    with pytest.raises(UserError, match="virtual world"):
        tiny_lab().run("live", summary_only=True)


def test_on_the_command_line(tmp_path, capsys):
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    words = ["run", str(tmp_path / "tiny.yaml"), "--out", str(tmp_path / "run"), "--summary-only"]
    assert main([*words, "--world", "virtual"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Summary only" in told
    assert "a CPU second" in told
    assert main(words) == 2


@pytest.mark.parametrize("interval", [0.0, 1000.0])
def test_it_does_not_matter_when_somebody_looks(monkeypatch, kept, interval):
    monkeypatch.setattr(virtual_run, "LOOK_INTERVAL", interval)
    again = virtual()
    pd.testing.assert_frame_equal(again.records, kept.records)
    pd.testing.assert_frame_equal(again.instances, kept.instances)
    assert again.run.generator["events"] == kept.run.generator["events"]
    assert again.run.elapsed == kept.run.elapsed


def test_progress_is_told_from_beginning_to_end():
    told = []
    virtual(watch=told.append)
    assert told[0].now == 0.0
    assert (told[0].phase, told[-1].phase) == ("working", "finishing")
    assert told[-1].milestones["read"] == 8


def test_a_run_that_is_interrupted_keeps_what_it_has():
    def interrupt(progress):
        if progress.now:
            raise KeyboardInterrupt

    for only in (False, True):
        run = virtual(watch=interrupt, summary_only=only).run
        assert run.verdict == "incomplete"
        assert run.study_count == 8
        assert any("interrupted" in notice for notice in run.notices)
