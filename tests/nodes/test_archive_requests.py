"""Commitment requests that were accepted: a report is owed, whatever happens to the archive meanwhile."""

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from nodes.archive_samples import CT, data_set, fill, find, sent, store, until
from nodes.test_archive_queries import memory_study
from simlab.faults import Known
from simlab.network.query import Level
from simlab.network.seam import SUCCESS, CommitmentReport, CommitmentRequest, FailedReference
from simlab.nodes.archive import index, writer
from simlab.nodes.archive.decisions import truth
from simlab.nodes.archive.memory import MemoryHoldings
from simlab.nodes.archive.service import ArchiveService
from simlab.nodes.archive.spec import ArchiveSpec
from simlab.nodes.archive.state import ArchiveState
from simlab.studies.study import InstanceReference

ASKED = tuple(InstanceReference(CT, f"2.25.1.1.{number}") for number in (1, 2))


def request(transaction="2.25.77", requester="CT1", association="CT1 4711"):
    return CommitmentRequest(transaction, ASKED, requester, association)


@pytest.fixture(params=["files", "memory"])
def holdings(request, tmp_path):
    """What an archive of either world holds: study 1 with three instances in each of two series."""
    if request.param == "memory":
        held = MemoryHoldings()
        held.take(memory_study())
        yield held
        return
    state = ArchiveState(tmp_path / "archive")
    for series in (1, 2):
        for number in (1, 2, 3):
            assert store(state, sent(data_set(series=series, number=number))).code == SUCCESS
    yield state
    state.close()


@pytest.fixture
def references(holdings):
    """What is held, in order."""
    if isinstance(holdings, MemoryHoldings):
        return list(memory_study().references)
    return [InstanceReference(CT, f"2.25.1.{series}.{number}") for series in (1, 2) for number in (1, 2, 3)]


def test_a_report_is_owed_until_it_is_done(holdings):
    first, second = (holdings.requests.accept(request(transaction)) for transaction in ("2.25.1", "2.25.2"))
    assert [each.request.transaction for each in holdings.requests.owed()] == ["2.25.1", "2.25.2"]
    holdings.requests.done(first)
    until(lambda: len(holdings.requests.owed()) == 1)
    (left,) = holdings.requests.owed()
    assert (left.number, left.request.transaction) == (second.number, "2.25.2")


def test_a_transaction_in_use_is_committed_to_once(holdings):
    """Failure reason 0131H: Duplicate transaction UID (PS3.3 section C.14.1.1)."""
    first = holdings.requests.accept(request())
    again = holdings.requests.accept(request(requester="CT2"))
    other = holdings.requests.accept(request("2.25.78"))
    assert (first.duplicate, again.duplicate, other.duplicate) == (False, True, False)
    refused = tuple(FailedReference(reference, 0x0131) for reference in ASKED)
    assert truth(holdings, again) == CommitmentReport("2.25.77", (), refused)
    assert all(failed.reason != 0x0131 for failed in truth(holdings, first).failed)
    for accepted in (first, again):
        holdings.requests.done(accepted)
    until(lambda: len(holdings.requests.owed()) == 1)
    assert not holdings.requests.accept(request()).duplicate, "it is no longer in use"


def test_what_the_fault_plan_goes_by(holdings, references):
    absent = InstanceReference(CT, "2.25.1.1.99")
    known = holdings.describe([references[4], absent, references[0]])
    assert list(known.items()) == [
        (references[4].sop_instance, Known("ACC1", 2)),
        (absent.sop_instance, Known("ACC1", None)),
        (references[0].sop_instance, Known("ACC1", 1)),
    ]
    assert holdings.describe([absent]) == {absent.sop_instance: Known("", None)}


def test_what_is_forgotten_is_nowhere_and_may_come_again(holdings, references):
    lost, kept = references[1:4], [references[0], *references[4:]]
    holdings.forget([*lost, InstanceReference(CT, "2.25.1.1.99")])
    assert holdings.holds(references) == frozenset(kept)
    (study,) = find(holdings, Level.STUDY, {"NumberOfStudyRelatedInstances": ""})
    assert study == {"NumberOfStudyRelatedInstances": "3"}
    assert len(find(holdings, Level.IMAGE, {"SOPInstanceUID": ""})) == 3
    holdings.forget(kept)
    assert holdings.instances() == 0
    for level in Level:
        assert find(holdings, level, {"PatientID": ""}) == []
    take_again(holdings)
    assert holdings.holds(references) == frozenset(references)
    assert len(find(holdings, Level.IMAGE, {"SOPInstanceUID": ""})) == 6
    assert holdings.describe(references[:1]) == {references[0].sop_instance: Known("ACC1", 1)}


def take_again(holdings):
    if isinstance(holdings, MemoryHoldings):
        holdings.take(memory_study())
        return
    for series in (1, 2):
        for number in (1, 2, 3):
            assert store(holdings, sent(data_set(series=series, number=number))).code == SUCCESS
    assert holdings.resent == 0


def test_the_files_of_what_is_forgotten_are_gone(archive, tmp_path):
    references = fill(archive)
    path = archive.fetch(references[0]).path
    archive.forget(references[:1])
    assert not path.exists()
    assert archive.fetch(references[0]) is None
    archive.close()
    again = ArchiveState(tmp_path / "archive")
    assert again.holds(references) == frozenset(references[1:])
    again.close()


ACCEPTING = """
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from nodes.test_archive_requests import request
from simlab.nodes.archive.state import ArchiveState

requests = ArchiveState(Path(sys.argv[1]), durable=sys.argv[2] == "fsync").requests
for number in range(1, 100000):
    accepted = requests.accept(request(f"2.25.{number}"))
    os.write(1, f"accepted {number}\\n".encode())
    if number % 2:
        requests.done(accepted)
        while accepted.number in {each.number for each in requests.owed()}:
            time.sleep(0.001)
        os.write(1, f"done {number}\\n".encode())
"""


@pytest.mark.parametrize("durability", ["write", "fsync"])
def test_what_was_accepted_is_owed_after_a_kill(tmp_path, durability):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", ACCEPTING, str(tmp_path), durability]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as accepting:
        answered = [accepting.stdout.readline() for _ in range(40)]
        accepting.kill()
        answered += accepting.stdout.readlines()
    said = [line.split() for line in answered if line.endswith("\n")]
    assert len(said) >= 40
    accepted, done = ({f"2.25.{number}" for word, number in said if word == about} for about in ("accepted", "done"))
    archive = ArchiveState(tmp_path)
    owed = archive.requests.owed()
    archive.close()
    transactions = [each.request.transaction for each in owed]
    surely_owed = {transaction for transaction in accepted if int(transaction.removeprefix("2.25.")) % 2 == 0}
    assert surely_owed <= set(transactions)
    assert done.isdisjoint(transactions)
    assert transactions == sorted(transactions, key=lambda uid: int(uid.removeprefix("2.25.")))
    # Nobody can report on an association that is gone.
    assert {each.request for each in owed} == {request(each, association="") for each in transactions}


class Owner(SimpleNamespace):
    """A node as its service sees it."""

    def __init__(self, workspace, **spec):
        told = []
        known = {"CT1": "ct1"}
        super().__init__(
            spec=ArchiveSpec(kind="archive", ae_title="ARCHIVE", **spec),
            workspace=workspace,
            told=told,
            notify=told.append,
            titled=known.get,
        )


def test_a_restart_puts_out_what_is_owed(tmp_path):
    service = ArchiveService(Owner(tmp_path))
    assert service.commitment_requested(request("2.25.1")).code == SUCCESS
    assert service.commitment_requested(request("2.25.2")).code == SUCCESS
    assert service.commitment_requested(request("2.25.2")).code == SUCCESS
    assert service.commitment_requested(request("2.25.3", "STRANGER")).code == 0x0110
    before = service._node.told
    assert [each.duplicate for each in before] == [False, False, True]
    service.holdings.requests.done(before[0])
    service.close()
    again = ArchiveService(Owner(tmp_path))
    assert [(each.number, each.duplicate) for each in again._node.told] == [
        (before[1].number, False),
        (before[2].number, True),
    ]
    assert {each.request for each in again._node.told} == {request("2.25.2", association="")}
    again.close()


def test_what_cannot_be_kept_is_not_accepted(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "LOCK_WAIT", 0.05)
    service = ArchiveService(Owner(tmp_path))
    with sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert service.commitment_requested(request()) == (0x0110, "not accepted: database is locked", None)
        other.execute("ROLLBACK")
    other.close()
    assert service._node.told == []
    assert service.holdings.requests.owed() == []
    assert service.commitment_requested(request()).code == SUCCESS
    assert not service._node.told[0].duplicate
    service.close()


def test_what_waits_for_room_is_not_missing(tmp_path, monkeypatch):
    """Reason 0213H: to be asked for again. 0112H would have it sent again."""
    monkeypatch.setattr(index, "LOCK_WAIT", 0.05)
    monkeypatch.setattr(writer, "RETRY", 0.05)
    archive = ArchiveState(tmp_path)
    accepted = archive.requests.accept(request())
    with sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert store(archive, sent(data_set())).code == SUCCESS
        until(lambda: archive._writer.trouble)
        assert [failed.reason for failed in truth(archive, accepted).failed] == [0x0213, 0x0112]
        archive.forget(ASKED)
        other.execute("ROLLBACK")
    other.close()
    until(lambda: not archive._writer.trouble)
    report = truth(archive, accepted)
    assert report.stored == ASKED[:1]
    assert [failed.reason for failed in report.failed] == [0x0112]
    archive.close()


def test_a_database_that_is_full_takes_no_request(tmp_path):
    service = ArchiveService(Owner(tmp_path))
    with service.holdings._index._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1")  # it becomes what is used already
    answers = (service.commitment_requested(request(f"2.25.{number}")) for number in range(10_000))
    refused = next(answer for answer in answers if answer.code != SUCCESS)
    assert refused == (0x0213, "not accepted: database or disk is full", None)
    assert len(service.holdings.requests.owed()) == len(service._node.told)
    service.close()


def test_instances_are_forgotten_while_others_of_their_series_come(tmp_path):
    bugs = []
    archive = ArchiveState(tmp_path, unforeseen=bugs.append)
    instances = [sent(data_set(series=series, number=number)) for number in range(1, 101) for series in (1, 2)]
    references = [each.reference for each in instances]
    with ThreadPoolExecutor(4) as pool:
        storing = [pool.submit(store, archive, each) for each in instances for _ in range(2)]
        while not all(each.done() for each in storing):
            archive.forget(archive.holds(references))
        assert {each.result().code for each in storing} == {SUCCESS}
    held = archive.holds(references)
    assert archive.instances() == len(held)
    assert {path.stem for path in tmp_path.rglob("*.dcm")} == {uid for _, uid in held}
    archive.forget(references)
    assert [archive.instances(), archive.studies(), bugs] == [0, 0, []]
    archive.close()
