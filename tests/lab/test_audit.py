"""What was promised, against what can be had back: the ledger and the questions alone."""

from collections import Counter

import pytest

from lab.samples import TINY, batch, tiny_topology, with_reader
from simlab.analysis.oracle import Finding
from simlab.lab.audit import Audit, proceed
from simlab.lab.happened import Happened
from simlab.network.query import Level
from simlab.network.seam import NO_STATUS, Found, Outcome, Retrieved, Trouble
from simlab.records import InstanceBatch, InstanceRows, Record
from simlab.studies.fingerprint import Fingerprint

SECOND_ARCHIVE = "  mirror:\n    {kind: archive, ae_title: MIRROR}\n"
EXTERNAL = "{kind: external, ae_title: ORTHANC, host: 127.0.0.1, port: 4242}"
UNABLE_TO_PROCESS = 0xC000

NOTHING_KNOWN = Fingerprint()
KEPT = Fingerprint("1.2.840.10008.1.2.1", b"bytes", b"pixels")
RECODED = Fingerprint("1.2.840.10008.1.2.4.80", b"fewer", b"pixels")
RETOUCHED = Fingerprint("1.2.840.10008.1.2.1", b"other", b"pixels")
SPOILT = Fingerprint("1.2.840.10008.1.2.1", b"other", b"noise")


def audit_of(*batches, text=TINY, records=()):
    audit = Audit(tiny_topology(text))
    audit.take(records, batches)
    return audit


def found(*uids, status=0, keyword="SOPInstanceUID"):
    return Found(operation="C-FIND", status=status, matches=tuple({keyword: uid} for uid in uids))


def given(*uids, status=0, trouble=Trouble.NONE, came=NOTHING_KNOWN):
    received = dict.fromkeys(uids, came)
    return Retrieved(operation="C-GET", status=status, trouble=trouble, received=received)


def refused(operation, trouble=Trouble.NONE):
    return Outcome(operation=operation, status=NO_STATUS if trouble is not Trouble.NONE else 0xA700, trouble=trouble)


def ask(audit, *answers, question=None):
    """Have a question answered, the first if it is not said which; returns what was asked."""
    interview = audit.interview(question or audit.questions()[0])
    asked = [proceed(interview, answer) for answer in (None, *answers)]
    assert asked.pop() is None
    return asked


def worries(audit):
    fates = audit.fates(asked=True)
    return Counter(finding.finding for finding in fates.findings)


def one_study(text=TINY):
    return audit_of(
        batch("make", "ct1", "", "1.2", 1, 2, 3),
        batch("C-STORE", "ct1", "archive", "1.2", 1, 2, 3, failed=[3]),
        batch("N-EVENT-REPORT", "ct1", "archive", "1.2", 1, 2),
        text=text,
    )


def test_without_asking_what_was_acknowledged_counts():
    counts = one_study().fates(asked=False).counts
    assert (counts.generated, counts.stored, counts.committed) == (3, 2, 2)
    assert (counts.missing, counts.dropped, counts.false_safe) == (1, 0, 0)


def test_each_study_is_asked_for_once():
    audit = one_study()
    audit.take([], [batch("C-STORE", "ct1", "archive", "1.2", 3)])
    assert audit.questions() == (("ct1", "archive", "1.2"),)
    find, get = ask(audit, found("1.2.1"), given("1.2.1"))
    assert (find.operation, get.operation) == ("find", "get")
    assert (find.query.level, get.query.level) == (Level.IMAGE, Level.STUDY)
    assert find.query.keys["StudyInstanceUID"] == get.query.keys["StudyInstanceUID"] == "1.2"


def test_nothing_is_asked_where_nothing_was_acknowledged():
    audit = audit_of(batch("C-STORE", "ct1", "archive", "1.2", 1, failed=[1]))
    assert audit.questions() == ()


def test_who_has_only_committed_is_asked_too():
    audit = audit_of(batch("make", "ct1", "", "1.2", 1), batch("N-EVENT-REPORT", "ct1", "archive", "1.2", 1))
    ask(audit, found(), found(), given())
    assert worries(audit) == {"missing": 1, "false_safe": 1}


def test_what_a_reader_received_is_not_audited():
    audit = audit_of(batch("C-STORE", "archive", "reader", "1.2", 1), text=with_reader())
    assert audit.questions() == ()
    assert audit.fates(asked=True).counts.stored == 0


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (("1.2.1", "1.2.2"), {"missing": 1}),
        (("1.2.1",), {"missing": 1, "dropped": 1, "false_safe": 1}),
        ((), {"missing": 1, "dropped": 2, "false_safe": 2}),
    ],
)
def test_what_does_not_come_back_was_dropped(held, expected):
    audit = one_study()
    answers = [found(*held), given(*held)] if held else [found(), found(), given()]
    ask(audit, *answers)
    assert worries(audit) == expected
    assert audit.unanswered == []


def test_findings_name_the_instance_its_study_and_the_archive():
    audit = one_study()
    ask(audit, found("1.2.1"), given("1.2.1"))
    assert set(audit.fates(asked=True).findings) == {
        Finding("missing", "1.2.3", "1.2"),
        Finding("dropped", "1.2.2", "1.2", "archive"),
        Finding("false_safe", "1.2.2", "1.2", "archive"),
    }


def test_what_its_maker_has_deleted_and_nobody_gives_back_is_lost():
    audit = one_study()
    other = Record("live", "reader", "", "discard", 5.0, 5.0, 5.0, study="1.2")
    audit.take([other], [])  # what it has not made is no copy of record
    ask(audit, found("1.2.1"), given("1.2.1"))
    assert worries(audit)["lost"] == 0
    audit.take([Record("live", "ct1", "", "discard", 5.0, 5.0, 5.0, study="1.2")], [])
    assert worries(audit)["lost"] == 2


def test_an_archive_that_does_not_answer_is_told():
    audit = one_study()
    ask(audit, refused("C-FIND", Trouble.UNREACHABLE), refused("C-GET", Trouble.UNREACHABLE))
    assert audit.unanswered == [
        "archive did not list study 1.2: unreachable",
        "archive did not give study 1.2 back: unreachable",
    ]
    assert worries(audit) == {"missing": 1, "unverified": 2}


@pytest.mark.parametrize(
    ("broken", "finding", "told"),
    [
        ({"status": 0xB000}, {"dropped": 1, "false_safe": 1}, []),
        (
            {"status": NO_STATUS, "trouble": Trouble.ABORTED},
            {"unverified": 1},
            ["archive broke off giving study 1.2 back: association aborted"],
        ),
    ],
)
def test_an_answer_that_broke_off_counts_for_what_came(broken, finding, told):
    audit = one_study()
    ask(audit, found("1.2.1", "1.2.2"), given("1.2.1", **broken))
    assert worries(audit) == {"missing": 1, **finding}
    assert audit.unanswered == told


def test_an_archive_that_wants_to_be_asked_for_each_series():
    audit = one_study()
    series = found("1.2.8", "1.2.9", keyword="SeriesInstanceUID")
    refusal = found(status=UNABLE_TO_PROCESS)
    asked = ask(audit, refusal, series, found("1.2.1"), found("1.2.2", "1.2.2"), given("1.2.1", "1.2.2"))
    assert [request.query.level for request in asked] == [
        Level.IMAGE, Level.SERIES, Level.IMAGE, Level.IMAGE, Level.STUDY,
    ]  # fmt: skip
    assert [request.query.keys["SeriesInstanceUID"] for request in asked[2:4]] == ["1.2.8", "1.2.9"]
    assert worries(audit) == {"missing": 1, "listed_twice": 1}
    assert audit.unanswered == []


def test_an_archive_that_refuses_to_list_anything():
    audit = one_study()
    refusal = found(status=UNABLE_TO_PROCESS)
    ask(audit, refusal, refusal, given("1.2.1", "1.2.2"))
    assert audit.unanswered == ["archive did not list study 1.2: status C000H"]
    assert worries(audit) == {"missing": 1}


def test_what_is_given_but_not_listed_is_told():
    audit = one_study()
    ask(audit, found("1.2.1"), given("1.2.1", "1.2.2"))
    assert worries(audit) == {"missing": 1, "unlisted": 1}


def test_what_two_archives_acknowledged_must_come_back_from_both():
    text = TINY.replace("expect:\n", f"{SECOND_ARCHIVE}expect:\n")
    audit = audit_of(
        batch("make", "ct1", "", "1.2", 1),
        batch("C-STORE", "ct1", "archive", "1.2", 1),
        batch("C-STORE", "ct1", "mirror", "1.2", 1),
        text=text,
    )
    first, second = audit.questions()
    ask(audit, found("1.2.1"), given("1.2.1"), question=first)
    ask(audit, found(), found(), given(), question=second)
    assert worries(audit) == {"dropped": 1}


def test_what_is_acknowledged_after_the_audit_was_not_asked_for():
    happened = Happened(tiny_topology())
    made = batch("make", "ct1", "", "1.2", 1, 2)
    happened.take([], [made, batch("C-STORE", "ct1", "archive", "1.2", 1)])
    ask(happened.audit, found("1.2.1"), given("1.2.1"))
    happened.audited = True
    happened.take([], [batch("C-STORE", "ct1", "archive", "1.2", 2)])
    assert len(happened.batches) == 3
    assert worries(happened.audit) == {"missing": 1}


def test_of_who_only_stores_nothing_is_known_and_the_report_says_so():
    audit = one_study()
    ask(audit, refused("C-FIND", Trouble.NO_CONTEXT), refused("C-GET", Trouble.NO_CONTEXT))
    audit.take([Record("live", "ct1", "", "discard", 5.0, 5.0, 5.0, study="1.2")], [])
    assert worries(audit) == {"missing": 1, "lost": 1, "unverified": 2}, "lost is what was never acknowledged"
    no_find, no_get = audit.unanswered
    assert "offers no C-FIND" in no_find
    assert "offers no C-GET" in no_get


def test_who_lists_but_gives_nothing_is_believed_for_what_it_lists():
    audit = one_study()
    ask(audit, found("1.2.1"), refused("C-GET", Trouble.NO_CONTEXT))
    assert worries(audit) == {"missing": 1, "dropped": 1, "false_safe": 1}
    (told,) = audit.unanswered
    assert "what it lists" in told


# ---- what comes back, compared with what was made


def compared(came, *, text=TINY, sent=KEPT.transfer_syntax):
    """One instance that was made, stored in a transfer syntax, and comes back like this."""
    rows = InstanceRows()
    rows.append("1.2.1", "", sent, 10, 0.0, 1.0, 0)
    made = batch("make", "ct1", "", "1.2", 1)
    made = InstanceBatch("live", "ct1", "", "1.2", made.rows, "make", {"1.2.1": KEPT})
    audit = audit_of(made, InstanceBatch("live", "ct1", "archive", "1.2", rows), text=text)
    *_, get = ask(audit, found("1.2.1"), given("1.2.1", came=came))
    assert get.keywords["known"] == {"1.2.1": KEPT}
    return worries(audit)


@pytest.mark.parametrize(
    ("came", "expected"),
    [(KEPT, {}), (RECODED, {}), (RETOUCHED, {"altered": 1}), (SPOILT, {"corrupt": 1, "dropped": 1})],
)
def test_somebody_elses_archive_may_change_a_header(came, expected):
    text = TINY.replace("{kind: archive, ae_title: ARCHIVE}", EXTERNAL)
    assert compared(came, text=text) == expected


@pytest.mark.parametrize(
    ("came", "sent", "expected"),
    [
        (KEPT, KEPT, {}),
        (RECODED, KEPT, {}),
        (RETOUCHED, KEPT, {"corrupt": 1, "dropped": 1}),
        (RETOUCHED, RECODED, {"altered": 1}),  # it got other bytes itself
        (SPOILT, RECODED, {"corrupt": 1, "dropped": 1}),
    ],
)
def test_ours_keeps_every_byte_that_it_was_sent(came, sent, expected):
    assert compared(came, sent=sent.transfer_syntax) == expected
