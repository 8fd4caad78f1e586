import errno
import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from nodes.archive_samples import SR, data_set, find, received, sent, store, until
from simlab.network.live.receiving import disk
from simlab.network.query import Level, Model, Query
from simlab.network.seam import SUCCESS
from simlab.nodes.archive import batch, index, keeper, state, writer
from simlab.nodes.archive.state import ArchiveState
from simlab.studies.study import InstanceReference


@contextmanager
def busy(archive):
    """The archive's writer waits, so that what is taken queues up; it goes on at the end."""
    keep, waits, goes_on = archive._writer._keep, threading.Event(), threading.Event()

    def wait(group):
        archive._writer._keep = keep
        waits.set()
        goes_on.wait(10)
        keep(group)

    archive._writer._keep = wait
    assert store(archive, sent(data_set(study=9))).code == SUCCESS
    assert waits.wait(10)
    try:
        yield
    finally:
        goes_on.set()


def taken_together(archive, instances):
    with busy(archive):
        return [store(archive, each) for each in instances]


def left(archive):
    """What is still to be entered, or was never complete."""
    return [path for path in archive.incoming.rglob("*") if path.is_file()]


def codes(statuses):
    return [status.code for status in statuses]


def files(archive):
    return sorted(path.name for path in archive.incoming.parent.rglob("*.dcm"))


@pytest.fixture(params=[False, True], ids=["write", "fsync"])
def archive(tmp_path, request):
    opened = ArchiveState(tmp_path / "archive", durable=request.param)
    yield opened
    opened.close()


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
            responses = list(pool.map(lambda each: store(archive, each), instances))
    assert {response.code for response in responses} == {SUCCESS}
    assert archive.holds(each.reference for each in instances) == {each.reference for each in instances}
    assert len(commits) == 2  # the one that the writer was busy with, and all others
    assert archive.instances() == len(instances) + 1
    assert not left(archive)


def test_groups_are_bounded(archive, commits, monkeypatch):
    monkeypatch.setattr(writer, "LARGEST_GROUP", 4)
    with busy(archive):
        commits.clear()
        assert codes(store(archive, sent(data_set(number=number))) for number in range(10)) == [SUCCESS] * 10
    assert archive.instances() == 11
    assert len(commits) == 4


def test_whoever_asks_waits_for_the_index_but_not_for_a_group_to_fill(archive, monkeypatch):
    monkeypatch.setattr(writer, "GATHERING", 30.0)
    for number in range(3):
        instance = sent(data_set(number=number))
        assert store(archive, instance).code == SUCCESS
        began = time.monotonic()
        assert archive.holds([instance.reference]) == {instance.reference}
        assert time.monotonic() - began < 10
        assert len(find(archive, Level.IMAGE, {"SOPInstanceUID": ""})) == number + 1


def test_nothing_is_answered_without_the_index(archive, monkeypatch):
    monkeypatch.setattr(state, "LONGEST_SETTLING", 0.05)
    with busy(archive):
        status = archive.search(Query({"StudyInstanceUID": ""}, Model.STUDY_ROOT, Level.STUDY)).status
        assert status == (0xA700, "the index is not up to date", None)
        assert archive.locate(Query({"StudyInstanceUID": "2.25.9"}, Model.STUDY_ROOT, Level.STUDY)).status == status
    monkeypatch.undo()
    assert len(find(archive, Level.STUDY, {"StudyInstanceUID": ""})) == 1


def test_more_than_the_index_can_follow_is_refused(archive, monkeypatch):
    monkeypatch.setattr(state, "LONGEST_QUEUE", 3)
    statuses = taken_together(archive, [sent(data_set(number=number)) for number in range(4)])
    assert statuses == [(SUCCESS, "", None)] * 2 + [(0xA700, "not stored: the index is behind", None)] * 2
    assert archive.instances() == 3
    assert store(archive, sent(data_set(number=3))).code == SUCCESS


def test_the_same_instance_twice_before_it_is_entered(archive):
    first, other_class = sent(data_set(PatientName="First")), sent(data_set(sop_class=SR))
    again = sent(data_set(PatientName="Second"))
    assert codes(taken_together(archive, [first, again, other_class, again])) == [SUCCESS, SUCCESS, 0xA900, SUCCESS]
    assert (archive.instances(), archive.resent) == (2, 2)
    kept = archive.fetch(first.reference)
    assert kept.path.read_bytes()[kept.data_set_offset :] == first.data_set
    assert not left(archive)


def refuse(monkeypatch, uid):
    """The disk takes no instance whose name holds ``uid``."""
    replace = os.replace

    def choosy(source, target):
        if uid in Path(target).name:
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(keeper.os, "replace", choosy)


def test_what_the_disk_does_not_take_waits_and_nothing_is_lost(archive, monkeypatch):
    monkeypatch.setattr(writer, "RETRY", 0.05)
    bad = sent(data_set(study=2))
    instances = [sent(data_set()), bad, sent(data_set(number=2))]
    with monkeypatch.context() as patched:
        refuse(patched, bad.reference.sop_instance)
        assert codes(taken_together(archive, instances)) == [SUCCESS] * 3
        assert archive.holds(each.reference for each in instances) <= {instances[0].reference}
        assert len(left(archive)) >= 2
        refused = store(archive, sent(data_set(number=3)))
        assert refused == (0xA700, "not stored: Input/output error", None)
    until(lambda: not archive._writer.trouble)
    assert archive.holds(each.reference for each in instances) == {each.reference for each in instances}
    assert files(archive) == ["2.25.1.1.1.dcm", "2.25.1.1.2.dcm", "2.25.2.1.1.dcm", "2.25.9.1.1.dcm"]
    assert not left(archive)
    assert store(archive, sent(data_set(number=3))).code == SUCCESS


@pytest.mark.parametrize("attempts", [1, 2])
def test_the_names_of_all_folders_above_an_instance_are_synced(tmp_path, monkeypatch, attempts):
    """Also if they were made by an attempt that failed, or by a process that was killed before it synced them."""
    synced, sync = [], keeper.sync_folder
    monkeypatch.setattr(keeper, "sync_folder", lambda folder: (synced.append(folder), sync(folder)))
    monkeypatch.setattr(writer, "RETRY", 0.05)
    root, first = tmp_path / "durable", sent(data_set())
    archive = state.ArchiveState(root, durable=True)
    with monkeypatch.context() as patched:
        if attempts > 1:
            refuse(patched, first.reference.sop_instance)
        assert store(archive, first).code == SUCCESS
        until(lambda: attempts == 1 or archive._writer.trouble)
    until(lambda: root in synced and not left(archive))
    (series,) = (path.parent for path in root.rglob("*.dcm"))
    assert {series, series.parent, series.parent.parent, root} <= set(synced)
    synced.clear()
    assert store(archive, sent(data_set(number=2))).code == SUCCESS
    until(lambda: synced)
    archive.close()
    assert synced == [series], "the rest is on the disk"


def test_a_file_that_somebody_deleted_holds_nobody_up(archive):
    instances = [sent(data_set(number=number)) for number in range(3)]
    with busy(archive):
        assert codes(store(archive, each) for each in instances) == [SUCCESS] * 3
        for path in left(archive):
            if instances[1].data_set in path.read_bytes():
                path.unlink()
    assert archive.holds(each.reference for each in instances) == {instances[0].reference, instances[2].reference}
    assert store(archive, instances[1]).code == SUCCESS
    assert archive.holds([instances[1].reference]) == {instances[1].reference}


def test_what_is_in_trouble_at_the_end_is_there_after_a_restart(tmp_path, monkeypatch):
    archive = ArchiveState(tmp_path)
    instances = [sent(data_set(number=number)) for number in range(5)]
    with monkeypatch.context() as patched:
        refuse(patched, instances[3].reference.sop_instance)
        assert codes(store(archive, each) for each in instances) == [SUCCESS] * 5
        archive.close()
    assert left(archive)
    again = ArchiveState(tmp_path)
    assert again.holds(each.reference for each in instances) == {each.reference for each in instances}
    assert (again.instances(), left(again)) == (5, [])
    again.close()


def test_an_index_that_takes_nothing_for_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "LOCK_WAIT", 0.05)
    monkeypatch.setattr(writer, "RETRY", 0.05)
    archive = ArchiveState(tmp_path)
    instances = [sent(data_set(number=number)) for number in range(5)]
    with sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None) as other:
        with busy(archive):
            other.execute("BEGIN IMMEDIATE")
            assert codes(store(archive, each) for each in instances) == [SUCCESS] * 5
        until(lambda: archive._writer.trouble)
        assert store(archive, sent(data_set(number=6))) == (0xA700, "not stored: database is locked", None)
        assert archive.holds(each.reference for each in instances) == frozenset()
        assert len(left(archive)) == 6
        other.execute("ROLLBACK")
    other.close()
    until(lambda: not archive._writer.trouble)
    assert archive.holds(each.reference for each in instances) == {each.reference for each in instances}
    assert not left(archive)
    archive.close()


@pytest.mark.parametrize("alone", [True, False])
def test_a_bug_is_told_and_harms_no_other(tmp_path, monkeypatch, alone):
    told = []
    archive = ArchiveState(tmp_path, unforeseen=told.append)
    bad, good = sent(data_set(number=7)), [] if alone else [sent(data_set(number=number)) for number in range(3)]
    enter = batch.Batch.enter
    with monkeypatch.context() as patched:
        patched.setattr(
            batch.Batch,
            "enter",
            lambda self, entry, at, header: (
                1 / 0 if entry.reference == bad.reference else enter(self, entry, at, header)
            ),
        )
        assert codes(taken_together(archive, [*good, bad])) == [SUCCESS] * (len(good) + 1)
        assert archive.instances() == len(good) + 1
    assert [type(error) for error in told] == [ZeroDivisionError]
    assert len(left(archive)) == 1
    archive.close()
    again = ArchiveState(tmp_path)
    assert again.holds([bad.reference]) == {bad.reference}
    again.close()


def test_closing_enters_everything(tmp_path):
    archive = ArchiveState(tmp_path)
    assert {store(archive, sent(data_set(number=number))).code for number in range(600)} == {SUCCESS}
    archive.close()
    assert store(archive, sent(data_set(number=601))) == (0xA700, "not stored: the archive is closing", None)
    assert not left(archive)
    again = ArchiveState(tmp_path)
    assert again.instances() == 600
    again.close()


def test_a_restart_keeps_the_first_of_what_has_one_uid(tmp_path):
    """What has been committed to may not change, nor what was answered first."""
    archive = ArchiveState(tmp_path)
    first, second = (sent(data_set(PatientName=name)) for name in ("First", "Second"))
    assert store(archive, first).code == SUCCESS
    held = archive.fetch(first.reference).path.read_bytes()
    archive.close()
    received(second, archive.incoming)  # complete, but the archive was killed before it was asked
    other = sent(data_set(number=2))
    for instance, moment in ((other, 1000), (sent(data_set(number=2, PatientName="Later")), 2000)):
        os.utime(received(instance, archive.incoming).path, (moment, moment))
    again = ArchiveState(tmp_path)
    assert again.fetch(first.reference).path.read_bytes() == held
    kept = again.fetch(other.reference)
    assert kept.path.read_bytes()[kept.data_set_offset :] == other.data_set
    assert not left(again)
    again.close()


@pytest.mark.skipif(os.name != "posix", reason="directories cannot be synced, nor need be")
@pytest.mark.parametrize("durable", [False, True])
def test_names_and_rows_are_on_the_disk_if_they_must_be(tmp_path, monkeypatch, durable):
    synced = []
    monkeypatch.setattr(disk.os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
    archive = ArchiveState(tmp_path, durable=durable)
    store(archive, sent(data_set()))
    folders = [archive.fetch(sent(data_set()).reference).path.parents[above] for above in range(4)]
    assert folders[-1] == tmp_path
    assert sorted(synced) == (sorted(folder.stat().st_ino for folder in (*folders, tmp_path)) if durable else [])
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
    assert not left(archive)
    archive.close()
