import errno
import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from nodes.archive_samples import SR, data_set, find, received, sent, store, take
from simlab.network.query import Level
from simlab.network.seam import SUCCESS
from simlab.nodes.archive import batch, index, keeper, writer
from simlab.nodes.archive.header import examine
from simlab.nodes.archive.state import ArchiveState
from simlab.studies.study import InstanceReference


@contextmanager
def busy(archive):
    """The archive's writer waits, so that what is taken queues up; it goes on at the end."""
    arrived, waits, goes_on = received(sent(data_set(study=9)), archive.incoming), threading.Event(), threading.Event()

    def respond(_):
        waits.set()
        goes_on.wait(10)

    archive.take(arrived, examine(arrived, b""), respond)
    at_work = threading.Thread(target=archive.flush)
    at_work.start()
    assert waits.wait(10)
    try:
        yield
    finally:
        goes_on.set()
        at_work.join(10)


def taken_together(archive, instances):
    with busy(archive):
        responses = [take(archive, each) for each in instances]
    return [response.result(10) for response in responses]


def codes(statuses):
    return [status.code for status in statuses]


def files(archive):
    return sorted(path.name for path in archive.incoming.parent.rglob("*.dcm"))


@pytest.fixture(params=[False, True], ids=["write", "fsync"])
def archive(tmp_path, request):
    state = ArchiveState(tmp_path / "archive", durable=request.param)
    yield state
    state.close()


@pytest.fixture
def commits(archive):
    counted = []
    event.listen(archive._index._engine, "commit", lambda _: counted.append(1))
    return counted


def test_what_waits_is_committed_together(archive, commits):
    instances = [sent(data_set(study, series, number)) for study in (1, 2) for series in (1, 2) for number in range(50)]
    with busy(archive):
        commits.clear()
        with ThreadPoolExecutor(8) as pool:
            responses = list(pool.map(lambda each: take(archive, each), instances))
    assert {response.result(10).code for response in responses} == {SUCCESS}
    assert len(commits) == 1
    assert archive.instances() == len(instances) + 1
    assert archive.holds(each.reference for each in instances) == {each.reference for each in instances}
    assert not list(archive.incoming.iterdir())


def test_batches_are_bounded(archive, commits, monkeypatch):
    monkeypatch.setattr(writer, "LARGEST_BATCH", 4)
    with busy(archive):
        commits.clear()
        responses = [take(archive, sent(data_set(number=number))) for number in range(10)]
    assert codes(response.result(10) for response in responses) == [SUCCESS] * 10
    assert len(commits) == 3


def test_nobody_waits_for_a_batch_to_fill(archive, commits):
    commits.clear()
    for number in range(3):
        assert store(archive, sent(data_set(number=number))).code == SUCCESS
    assert len(commits) == 3


def test_the_same_instance_twice_in_a_batch(archive):
    first, other_class = sent(data_set(PatientName="First")), sent(data_set(sop_class=SR))
    again = sent(data_set(PatientName="Second"))
    assert codes(taken_together(archive, [first, again, other_class, again])) == [SUCCESS, SUCCESS, 0xA900, SUCCESS]
    assert (archive.instances(), archive.resent) == (2, 2)
    kept = archive.fetch(first.reference)
    assert kept.path.read_bytes()[kept.data_set_offset :] == first.data_set
    assert not list(archive.incoming.iterdir())


def refuse(monkeypatch, uid):
    """The disk takes no instance whose name holds ``uid``."""
    replace = os.replace

    def choosy(source, target):
        if uid in Path(target).name:
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(keeper.os, "replace", choosy)


def test_one_that_the_disk_refuses_does_not_harm_the_others(archive, monkeypatch):
    bad = sent(data_set(study=2))
    with monkeypatch.context() as patched:
        refuse(patched, bad.reference.sop_instance)
        statuses = taken_together(archive, [sent(data_set()), bad, bad, sent(data_set(number=2))])
    assert codes(statuses) == [SUCCESS, 0xA700, 0xA700, SUCCESS]
    assert statuses[1].comment == "not stored: Input/output error"
    assert [each["StudyInstanceUID"] for each in find(archive, Level.STUDY, {"StudyInstanceUID": ""})] == [
        "2.25.9",
        "2.25.1",
    ]
    assert files(archive) == ["2.25.1.1.1.dcm", "2.25.1.1.2.dcm", "2.25.9.1.1.dcm"]
    assert not list(archive.incoming.iterdir())
    assert store(archive, bad).code == SUCCESS


def test_one_that_the_index_refuses_does_not_harm_the_others(archive, monkeypatch):
    conflicting = sent(data_set())
    store(archive, conflicting)
    # As if another process had entered it since it was looked up.
    monkeypatch.setattr(batch, "entries_of", lambda _connection, _uids: [])
    statuses = taken_together(archive, [sent(data_set(number=2)), conflicting, sent(data_set(study=2))])
    assert codes(statuses) == [SUCCESS, 0xA700, SUCCESS]
    assert "UNIQUE" in statuses[1].comment
    assert archive.instances() == 4
    assert not list(archive.incoming.iterdir())


def test_an_index_that_takes_nothing_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "LOCK_WAIT", 0.05)
    archive = ArchiveState(tmp_path)
    instances = [sent(data_set(number=number)) for number in range(5)]
    with sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None) as other:
        with busy(archive):
            responses = [take(archive, each) for each in instances]
            other.execute("BEGIN IMMEDIATE")
        statuses = [response.result(10) for response in responses]
        other.execute("ROLLBACK")
    other.close()
    assert set(statuses) == {(0xA700, "not stored: database is locked", None)}
    assert archive.holds(each.reference for each in instances) == frozenset()
    assert files(archive) == ["2.25.9.1.1.dcm"]
    assert not list(archive.incoming.iterdir())
    assert codes(store(archive, each) for each in instances) == [SUCCESS] * 5
    archive.close()


def test_a_commit_that_fails_takes_the_names_back(archive, monkeypatch):
    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        with busy(archive):
            responses = [take(archive, sent(data_set(number=number))) for number in range(3)]
            patched.setattr(batch.Batch, "write", fail)
        assert {response.result(10).code for response in responses} == {0xA700}
    assert (archive.instances(), files(archive)) == (1, ["2.25.9.1.1.dcm"])
    assert not list(archive.incoming.iterdir())
    assert store(archive, sent(data_set(number=1))).code == SUCCESS


def test_a_bug_is_told_and_the_archive_goes_on(tmp_path, monkeypatch):
    told = []
    archive = ArchiveState(tmp_path, unforeseen=told.append)
    with monkeypatch.context() as patched:
        patched.setattr(batch.Batch, "write", lambda _: 1 / 0)
        assert store(archive, sent(data_set())).code == 0xA700
    assert [type(error) for error in told] == [ZeroDivisionError]
    assert (archive.instances(), files(archive)) == (0, [])
    assert store(archive, sent(data_set())).code == SUCCESS
    archive.close()


def test_closing_answers_everything(tmp_path):
    archive = ArchiveState(tmp_path)
    responses = [take(archive, sent(data_set(number=number))) for number in range(600)]
    archive.close()
    assert all(response.done() for response in responses)
    assert {response.result().code for response in responses} == {SUCCESS}
    late = take(archive, sent(data_set(number=601)))
    assert late.result(0) == (0xA700, "not stored: the archive is closing", None)
    assert not list(archive.incoming.iterdir())
    again = ArchiveState(tmp_path)
    assert again.instances() == 600
    again.close()


@pytest.mark.skipif(os.name != "posix", reason="directories cannot be synced, nor need be")
@pytest.mark.parametrize("durable", [False, True])
def test_names_and_rows_are_on_the_disk_if_they_must_be(tmp_path, monkeypatch, durable):
    synced = []
    monkeypatch.setattr(keeper.os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
    archive = ArchiveState(tmp_path, durable=durable)
    store(archive, sent(data_set()))
    folders = [archive.fetch(sent(data_set()).reference).path.parents[above] for above in range(4)]
    assert folders[-1] == tmp_path
    assert sorted(synced) == (sorted(folder.stat().st_ino for folder in folders) if durable else [])
    with archive._index._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == (2 if durable else 1)
    archive.close()


STORING = """
import os, sys, threading
from pathlib import Path
from nodes.archive_samples import data_set, sent, store
from simlab.nodes.archive.state import ArchiveState

archive = ArchiveState(Path(sys.argv[1]))

def keep_storing(series):
    for number in range(1, 100000):
        instance = sent(data_set(series=series, number=number))
        assert store(archive, instance).code == 0
        os.write(1, f"{instance.reference.sop_instance}\\n".encode())  # all at once, beside seven others

for series in range(1, 9):
    threading.Thread(target=keep_storing, args=[series]).start()
"""


def test_what_was_answered_survives_a_kill(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", STORING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as storing:
        answered = [storing.stdout.readline() for _ in range(500)]
        storing.kill()
        answered += storing.stdout.readlines()
    references = {InstanceReference(data_set().SOPClassUID, line[:-1]) for line in answered if line.endswith("\n")}
    assert len(references) >= 500
    archive = ArchiveState(tmp_path)
    assert archive.holds(references) == references
    assert archive.instances() >= len(references)
    assert not list(archive.incoming.iterdir())
    archive.close()
