"""Whole runs of departments that are over in seconds, in both worlds."""

import json
from pathlib import Path

import pytest

from lab.samples import TINY, free_port, tiny_lab, tiny_topology, two_scanners, with_reader
from simlab.errors import UserError
from simlab.lab import live_run
from simlab.lab.lab import Lab
from simlab.network.seam import Outcome

TOPOLOGIES = sorted((Path(__file__).parents[2] / "topologies").glob("*.yaml"))
SHORTER = {"hospital": "1 h", "year": "1 h"}
"""It is about what a run does, not about how long it can."""


def fate(result):
    counts = result.run.counts
    return counts.missing, counts.dropped, counts.false_safe, counts.unexpected


def contents(result):
    """What must not depend on timing: orders, studies and instances."""
    records, stores = result.records, result.instances
    orders = records[records["operation"] == "ordered"]
    scanned = stores[stores["node"] != "archive"]
    return (
        sorted(zip(orders["study"], orders["comment"], strict=True)),
        sorted(result.studies),
        sorted(set(scanned["sop_instance"])),
    )


def test_in_one_process():
    result = tiny_lab(with_reader()).run(in_process=True)
    counts = result.run.counts
    assert result.ok, result.run.notices
    assert counts.generated > 0
    assert counts.derived > 0
    assert counts.stored == counts.generated + counts.derived
    assert counts.committed == counts.generated
    assert fate(result) == (0, 0, 0, 0)
    assert list(result.study_table()["read"].notna()) == [True]


def test_two_live_runs_and_a_virtual_one_have_the_same_contents():
    lab = tiny_lab(two_scanners())
    first, second = lab.run(), lab.run()
    assert first.ok
    assert len(first.studies) > 1
    assert contents(first) == contents(second)
    assert contents(first) == contents(lab.run("virtual"))
    assert contents(first) != contents(lab.run("virtual", seed=2))


def test_a_run_id_enters_the_uids():
    lab = tiny_lab()
    assert contents(lab.run("virtual", run_id="A")) != contents(lab.run("virtual", run_id="B"))


@pytest.mark.parametrize("world", [pytest.param("live", marks=pytest.mark.slow), "virtual"])
def test_a_run_that_takes_too_long_is_cut_short_and_still_audited(world):
    text = TINY.replace("finish_within: 60 s", "finish_within: 4 s")
    text = text.replace("ae_title: ARCHIVE", "ae_title: ARCHIVE, report_delay: 1 h")
    result = tiny_lab(text).run(world, in_process=True)
    assert result.run.verdict == "incomplete"
    assert any("had not come to their end" in notice for notice in result.run.notices)
    assert not any("were not asked" in notice for notice in result.run.notices)
    assert result.run.counts.stored > 0
    assert fate(result) == (0, 0, 0, 0)


def test_ctrl_c_cuts_a_run_short_without_an_audit():
    def interrupt(progress):
        if progress.milestones["started"]:
            raise KeyboardInterrupt

    result = tiny_lab().run(in_process=True, watch=interrupt)
    assert result.run.verdict == "incomplete"
    assert "The run was cut short: interrupted." in result.run.notices
    assert any("were not asked" in notice for notice in result.run.notices)


def test_what_an_archive_does_not_give_back_is_lost(monkeypatch):
    real = live_run.Department.call

    def forgetful(department, source, operation, *arguments, **keywords):
        if operation != "get":
            return real(department, source, operation, *arguments, **keywords)
        answer = live_run.Future()
        answer.set_result(Outcome(operation="C-GET", status=0xA700))
        return answer

    monkeypatch.setattr(live_run.Department, "call", forgetful)
    result = tiny_lab().run(in_process=True)
    assert result.run.counts.dropped == result.run.counts.stored > 0
    assert set(result.findings["finding"]) == {"dropped", "lost", "false_safe"}
    assert any("did not give study" in notice for notice in result.run.notices)
    assert not result.ok


def test_an_external_node_that_does_not_listen():
    port = free_port()
    archive = f"{{kind: external, ae_title: ORTHANC, host: 127.0.0.1, port: {port}}}"
    lab = tiny_lab(TINY.replace("{kind: archive, ae_title: ARCHIVE}", archive))
    with pytest.raises(UserError, match=f"node archive: nothing listens at ORTHANC@127.0.0.1:{port}"):
        lab.run()
    assert lab.make_run_id()
    assert not tiny_lab().make_run_id()


def test_the_run_folder(tmp_path):
    folder = tmp_path / "runs" / "one"
    tiny_lab().run(in_process=True, out=folder, keep_files=True)
    tables = {"findings.parquet", "instances.parquet", "records.parquet"}
    files = {*tables, "nodes", "report.html", "summary.json", "topology.yaml"}
    assert {path.name for path in folder.iterdir()} == files
    assert Lab.load(folder / "topology.yaml").topology == tiny_topology()
    assert list((folder / "nodes" / "archive").rglob("*.dcm"))


@pytest.mark.parametrize("keep", [True, False])
def test_a_run_folder_that_cannot_be_written_is_refused_before_the_run(tmp_path, keep):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    for out in (taken, taken / "below"):
        with pytest.raises(UserError, match=f"cannot write to {out}: {taken} is a file"):
            tiny_lab().run(out=out, keep_files=keep)


def test_what_is_under_way_when_the_last_study_is_safe_leaves_its_record():
    far = TINY.replace("poll: 0.2 s}", "poll: 0.2 s, site: north}")
    far += "links:\n  - {between: [north, main], latency: 450 ms}\n"
    for seed in range(1, 6):  # rounds end at another moment of the release each time
        run = tiny_lab(far).run("virtual", seed=seed).run
        assert run.complete
        assert run.records.operation.tolist().count("N-EVENT-REPORT") == 1


def test_the_clinic_in_virtual_time_tells_all_that_a_reader_needs(tmp_path):
    Lab.load("topologies/clinic.yaml").run("virtual", out=tmp_path)
    told = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert {"world", "seed", "duration", "operations", "studies", "instances", "expect"} <= set(told)
    columns = {"node", "peer", "operation", "count", "failures", "bytes", "p50", "p95", "p99"}
    assert all(columns <= set(row) for row in told["operations"])
    assert {"generated", "derived", "stored", "committed", "dropped", "lost"} <= set(told["instances"])
    assert told["instances"]["stored"] == told["instances"]["generated"] + told["instances"]["derived"] > 0
    assert told["findings"] == []
    assert (told["world"], told["seed"], told["duration"], told["complete"]) == ("virtual", 1, 40.0, True)


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_every_shipped_topology_runs_in_virtual_time(path):
    result = Lab.load(path).run("virtual", until=SHORTER.get(path.stem))
    assert result.ok, result.run.notices
    assert fate(result) == (0, 0, 0, 0)
    assert len(result.studies) > 0
    assert set(result.study_table()["outcome"]) == {"complete"}
    assert result.run.counts.committed == result.run.counts.generated


@pytest.mark.slow
@pytest.mark.parametrize(("name", "until"), [("clinic", "15 s"), ("walk", None)])
def test_shipped_topologies_run_live(name, until):
    result = Lab.load(f"topologies/{name}.yaml").run("live", until=until)
    assert result.ok, result.run.notices
    assert fate(result) == (0, 0, 0, 0)
    assert len(result.studies) > 0
    assert set(result.study_table()["outcome"]) == {"complete"}
    assert result.run.counts.committed == result.run.counts.generated
