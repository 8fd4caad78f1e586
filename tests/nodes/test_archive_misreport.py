"""What is told instead of a truthful report, for every fault of it."""

import pytest
from pydicom.uid import UID

from nodes.archive_samples import CT, SR
from simlab.faults import ReportFault
from simlab.network.seam import CommitmentReport, FailedReference
from simlab.nodes.archive.misreport import HONEST, Telling, misreport
from simlab.studies.study import InstanceReference

HELD = tuple(InstanceReference(CT, f"2.25.1.{number}") for number in range(1, 6))
GONE = InstanceReference(SR, "2.25.1.9")
TRUTH = CommitmentReport("2.25.7", HELD, (FailedReference(GONE, 0x0112),))


def uids(*indices):
    return frozenset(HELD[index].sop_instance for index in indices)


def test_without_a_fault_the_truth_is_told_once():
    assert misreport(TRUTH, HONEST) == Telling(report=TRUTH)


@pytest.mark.parametrize("reason", [0x0110, 0x0112, 0x0119, 0x0122, 0x0131, 0x0213])
def test_what_is_held_fails_for_a_reason_and_what_is_not_keeps_its_own(reason):
    failed = dict.fromkeys([*uids(0, 2), GONE.sop_instance], reason)
    report = misreport(TRUTH, ReportFault(failed=failed)).report
    assert report.stored == (HELD[1], HELD[3], HELD[4])
    assert report.failed == ((HELD[0], reason), (HELD[2], reason), (GONE, 0x0112))


def test_what_is_missing_is_nowhere():
    told = misreport(TRUTH, ReportFault(missing=uids(1) | {GONE.sop_instance}))
    assert told.report == CommitmentReport("2.25.7", (HELD[0], *HELD[2:]))
    everything = frozenset(uid for _, uid in (*HELD, GONE))
    assert misreport(TRUTH, ReportFault(missing=everything)).report == CommitmentReport("2.25.7", ())


def test_a_liar_commits_to_what_it_loses_and_to_what_it_never_had():
    told = misreport(TRUTH, ReportFault(lies=uids(0, 3) | {GONE.sop_instance}))
    assert told.report == CommitmentReport("2.25.7", (*HELD, GONE))
    assert told.forgotten == (HELD[0], HELD[3], GONE)


def test_only_what_was_committed_to_is_lost():
    lies = uids(0, 1, 2)
    fault = ReportFault(lies=lies, missing=uids(0), failed=dict.fromkeys(uids(1), 0x0213))
    told = misreport(TRUTH, fault)
    assert told.report.failed == ((HELD[1], 0x0213), (GONE, 0x0112))
    assert told.forgotten == (HELD[2],)
    assert misreport(TRUTH, ReportFault(lies=lies, never=True)).forgotten == ()


def test_instances_that_nobody_asked_for():
    told = misreport(TRUTH, ReportFault(extra=3))
    unasked = told.report.stored[len(HELD) :]
    assert (told.report.stored[: len(HELD)], told.report.failed) == (HELD, TRUTH.failed)
    assert len({*unasked, *HELD}) == 8
    assert {reference.sop_class for reference in unasked} == {CT}
    assert all(UID(uid).is_valid and uid.startswith("2.25.") for _, uid in unasked)
    assert told == misreport(TRUTH, ReportFault(extra=3)), "the same ones whenever it is asked"
    assert told.forgotten == ()


def test_a_transaction_that_nobody_asked_with():
    report = misreport(TRUTH, ReportFault(unknown_transaction=True)).report
    assert report.transaction != TRUTH.transaction
    assert UID(report.transaction).is_valid
    assert (report.stored, report.failed) == (TRUTH.stored, TRUTH.failed)


@pytest.mark.parametrize(
    ("fault", "rounds"),
    [
        (ReportFault(never=True), ()),
        (ReportFault(never=True, copies=5, at_once=True), ()),
        (ReportFault(copies=2), (1, 1)),
        (ReportFault(copies=8, at_once=True), (8,)),
    ],
)
def test_how_often_it_is_told(fault, rounds):
    told = misreport(TRUTH, fault)
    assert (told.rounds, told.report) == (rounds, TRUTH)


def test_where_it_is_told():
    assert misreport(TRUTH, ReportFault(same_association=True)) == Telling(report=TRUTH, same_association=True)
    assert misreport(TRUTH, ReportFault(closed_port=True)) == Telling(report=TRUTH, astray=True)
