"""What was promised, against what can be had back: the ledger alone."""

import pytest

from lab.samples import TINY, batch, tiny_topology, with_reader
from simlab.lab.audit import Audit
from simlab.lab.happened import Happened
from simlab.network.query import Level
from simlab.network.seam import NO_STATUS, Retrieved, Trouble

SECOND_ARCHIVE = "  mirror:\n    {kind: archive, ae_title: MIRROR}\n"


def audit_of(*batches, text=TINY):
    audit = Audit(tiny_topology(text))
    audit.take(batches)
    return audit


def given(*uids, status=0):
    return Retrieved(operation="C-GET", status=status, received=frozenset(uids))


def one_study():
    return audit_of(
        batch("make", "ct1", "", "1.2", 1, 2, 3),
        batch("C-STORE", "ct1", "archive", "1.2", 1, 2, 3, failed=[3]),
        batch("N-EVENT-REPORT", "ct1", "archive", "1.2", 1, 2),
    )


def test_without_asking_what_was_acknowledged_counts():
    counts = one_study().counts(asked=False)
    assert (counts.generated, counts.stored, counts.committed) == (3, 2, 2)
    assert (counts.missing, counts.lost, counts.false_safe) == (1, 0, 0)


def test_each_study_is_asked_for_once():
    audit = one_study()
    audit.take([batch("C-STORE", "ct1", "archive", "1.2", 3)])
    (question,) = audit.questions()
    assert question[:3] == ("ct1", "archive", "1.2")
    assert question.query.level is Level.STUDY
    assert question.query.keys == {"StudyInstanceUID": "1.2"}


def test_nothing_is_asked_where_nothing_was_acknowledged():
    audit = audit_of(batch("C-STORE", "ct1", "archive", "1.2", 1, failed=[1]))
    assert audit.questions() == ()


def test_what_a_reader_received_is_not_audited():
    audit = audit_of(batch("C-STORE", "archive", "reader", "1.2", 1), text=with_reader())
    assert audit.questions() == ()
    assert audit.counts(asked=True).stored == 0


@pytest.mark.parametrize(("held", "lost", "false_safe"), [(("1.2.1", "1.2.2"), 0, 0), (("1.2.1",), 1, 1), ((), 2, 2)])
def test_what_does_not_come_back_is_lost(held, lost, false_safe):
    audit = one_study()
    (question,) = audit.questions()
    audit.answer(question, given(*held))
    counts = audit.counts(asked=True)
    assert (counts.lost, counts.false_safe) == (lost, false_safe)
    assert audit.unanswered == []


def test_an_archive_that_does_not_answer_is_told():
    audit = one_study()
    (question,) = audit.questions()
    audit.answer(question, Retrieved(operation="C-GET", status=NO_STATUS, trouble=Trouble.UNREACHABLE))
    assert audit.unanswered == ["archive did not give study 1.2 back: unreachable"]
    assert audit.counts(asked=True).lost == 2


def test_an_answer_that_broke_off_counts_for_what_came():
    audit = one_study()
    (question,) = audit.questions()
    audit.answer(question, given("1.2.1", status=0xB000))
    assert audit.counts(asked=True).lost == 1


def test_what_two_archives_acknowledged_must_come_back_from_both():
    text = TINY.replace("expect:\n", f"{SECOND_ARCHIVE}expect:\n")
    audit = audit_of(
        batch("make", "ct1", "", "1.2", 1),
        batch("C-STORE", "ct1", "archive", "1.2", 1),
        batch("C-STORE", "ct1", "mirror", "1.2", 1),
        text=text,
    )
    first, second = audit.questions()
    audit.answer(first, given("1.2.1"))
    audit.answer(second, given())
    assert audit.counts(asked=True).lost == 1


def test_what_is_acknowledged_after_the_audit_was_not_asked_for():
    happened = Happened(tiny_topology())
    happened.take([], [batch("C-STORE", "ct1", "archive", "1.2", 1)])
    happened.audit.answer(happened.audit.questions()[0], given("1.2.1"))
    happened.audited = True
    happened.take([], [batch("C-STORE", "ct1", "archive", "1.2", 2)])
    assert len(happened.batches) == 2
    assert happened.audit.counts(asked=True).lost == 0


def test_who_only_stores_is_believed_and_the_report_says_so():
    audit = one_study()
    (question,) = audit.questions()
    audit.answer(question, Retrieved(operation="C-GET", status=NO_STATUS, trouble=Trouble.NO_CONTEXT))
    assert audit.counts(asked=True).lost == 0
    (told,) = audit.unanswered
    assert "offers no C-GET" in told
