"""What a scanner makes of commitment reports: decisions, by table and by property."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies.examples import study

from simlab.network.seam import CommitmentReport, FailedReference
from simlab.nodes.modality.commitment import PERMANENT, Commitment, Policy, judge, without_copy
from simlab.studies.study import InstanceReference

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
POLICIES = ("study", "failed", "by-reason")


def references(*numbers):
    return frozenset(InstanceReference(CT, f"2.25.{number}") for number in numbers)


def report(stored=(), failed=None, transaction="1"):
    """``failed`` maps instance numbers to reasons."""
    return CommitmentReport(
        transaction,
        tuple(sorted(references(*stored))),
        tuple(FailedReference(next(iter(references(number))), reason) for number, reason in (failed or {}).items()),
    )


ASKED = references(1, 2, 3)


@pytest.mark.parametrize(
    ("told", "policy", "send", "ask", "permanent"),
    [
        (report((1, 2, 3)), "study", (), (), ()),
        (report((1, 2, 3)), "failed", (), (), ()),
        (report((1, 2, 3)), "by-reason", (), (), ()),
        (report((1, 2), {3: 0x0112}), "study", (1, 2, 3), (1, 2, 3), ()),
        (report((1, 2), {3: 0x0112}), "failed", (3,), (3,), ()),
        (report((1, 2), {3: 0x0112}), "by-reason", (3,), (3,), ()),
        (report((1,), {2: 0x0112, 3: 0x0213}), "failed", (2, 3), (2, 3), ()),
        (report((1,), {2: 0x0112, 3: 0x0213}), "by-reason", (2,), (2, 3), ()),
        (report((), {1: 0x0110, 2: 0x0110, 3: 0x0110}), "study", (1, 2, 3), (1, 2, 3), ()),
        (report((), {1: 0x0110, 2: 0x0110, 3: 0x0110}), "failed", (1, 2, 3), (1, 2, 3), ()),
        (report((), {1: 0x0110, 2: 0x0110, 3: 0x0110}), "by-reason", (), (1, 2, 3), ()),
        (report((1,), {2: 0x0119, 3: 0x0122}), "failed", (2, 3), (2, 3), ()),
        (report((1,), {2: 0x0119, 3: 0x0122}), "by-reason", (), (), (2, 3)),
        (report((), {1: 0x0131, 2: 0x0131, 3: 0x0131}), "by-reason", (), (1, 2, 3), ()),
        (report((), {1: 0x0131, 2: 0x0131, 3: 0x0131}), "failed", (1, 2, 3), (1, 2, 3), ()),
        (report((1, 2), {3: 0xC123}), "by-reason", (), (3,), ()),
        (report((1, 2)), "study", (1, 2, 3), (1, 2, 3), ()),
        (report((1, 2)), "failed", (), (3,), ()),
        (report((1, 2)), "by-reason", (), (3,), ()),
        (report(()), "by-reason", (), (1, 2, 3), ()),
        (None, "study", (1, 2, 3), (1, 2, 3), ()),
        (None, "failed", (), (1, 2, 3), ()),
        (None, "by-reason", (), (1, 2, 3), ()),
    ],
)
def test_what_follows_from_a_report(told, policy, send, ask, permanent):
    judgement = judge(ASKED, told, Policy(policy), {})
    assert judgement.send == references(*send)
    assert judgement.ask == references(*ask)
    assert judgement.permanent.keys() == references(*permanent)


def test_what_was_put_off_too_often_is_sent_again():
    told = report((), {1: 0x0213, 2: 0x0110, 3: 0x0112})
    waited = dict.fromkeys(references(1), 2)
    judgement = judge(ASKED, told, Policy("by-reason", escalate=3), waited)
    assert judgement.send == references(1, 3)
    assert judgement.later == references(2)
    assert judge(ASKED, told, Policy("by-reason", escalate=1), {}).send == ASKED


@pytest.mark.parametrize(
    ("told", "remarks"),
    [
        (report((1, 2, 3)), ()),
        (report((1,)), ("2 instances missing",)),
        (report((1, 2, 3, 9)), ("1 instance not asked for",)),
        (report((1, 2), {9: 0x0112}), ("1 instance missing", "1 instance not asked for")),
        (report((1, 2, 3), {3: 0x0110}), ("1 instance both committed and failed",)),
    ],
)
def test_what_is_wrong_with_a_report_is_remarked(told, remarks):
    judgement = judge(ASKED, told, Policy(), {})
    assert judgement.remarks == remarks
    assert references(3).isdisjoint(judgement.safe) or remarks in ((), ("1 instance not asked for",))


def test_another_sop_class_is_another_reference():
    told = CommitmentReport("1", (InstanceReference(MR, "2.25.1"), *references(2, 3)))
    judgement = judge(ASKED, told, Policy(), {})
    assert judgement.safe == references(2, 3)
    assert judgement.remarks == ("1 instance missing", "1 instance not asked for")


def test_an_alarm_names_each_permanent_reason():
    judgement = judge(ASKED, report((), {1: 0x0122, 2: 0x0119, 3: 0x0122}), Policy(), {})
    assert judgement.alarms == (
        "1 instance will never be committed to: 0119H, class and instance in conflict",
        "2 instances will never be committed to: 0122H, SOP class not supported",
    )
    assert judge(ASKED, report((), {1: 0x0122}), Policy("failed"), {}).alarms == ()


reasons = st.sampled_from([0x0110, 0x0112, 0x0119, 0x0122, 0x0131, 0x0213, 0xABCD])
reports = st.builds(report, st.sets(st.integers(1, 8)), st.dictionaries(st.integers(1, 8), reasons))
askeds = st.sets(st.integers(1, 6), min_size=1).map(lambda numbers: references(*numbers))
policies = st.builds(Policy, st.sampled_from(POLICIES), st.integers(1, 4))


@given(askeds, st.none() | reports, policies, st.booleans())
def test_nothing_is_forgotten_and_nothing_is_made_up(asked, told, policy, copy):
    judgement = judge(asked, told, policy, {})
    judgement = judgement if copy else without_copy(judgement)
    stored = frozenset(told.stored) if told else frozenset()
    failed = {each.reference for each in told.failed} if told else set()
    assert judgement.safe <= (asked & stored) - failed
    assert judgement.send <= judgement.ask <= asked
    assert judgement.safe | judgement.ask | judgement.permanent.keys() | judgement.gone == asked
    assert not judgement.ask & (judgement.permanent.keys() | judgement.gone)
    assert set(judgement.permanent.values()) <= set(PERMANENT)
    assert copy or not judgement.send
    assert not copy or not judgement.gone
    if policy.resend == "study":
        assert judgement.send in (frozenset(), asked)
    else:
        assert not judgement.ask & judgement.safe
        assert judgement.send <= failed


# ---- over several transactions


class Told:
    """A commitment that is asked for and reported on by instance numbers."""

    def __init__(self, resend="by-reason", **policy):
        self.study = study("ct-head").select((0, 1, 2))
        self.commitment = Commitment(self.study, Policy(resend, **policy))

    def numbers(self, references):
        return {number for number, each in enumerate(self.study, 1) if each in references}

    def report(self, transaction, stored=(), failed=None, *, copy=True):
        kept = self.study.references
        failures = tuple(FailedReference(kept[number - 1], reason) for number, reason in (failed or {}).items())
        told = CommitmentReport(transaction, tuple(kept[number - 1] for number in stored), failures)
        return self.commitment.report(told, copy=copy)


@pytest.mark.parametrize("resend", POLICIES)
def test_a_transaction_is_dead_once_it_was_reported_on(resend):
    told = Told(resend)
    told.commitment.request("1")
    assert told.report("1", (1, 2, 3)) is not None
    assert told.report("1", (), {1: 0x0112}) is None
    assert told.commitment.complete


@pytest.mark.parametrize("resend", POLICIES)
def test_a_late_report_is_as_good(resend):
    told = Told(resend)
    told.commitment.request("1")
    told.commitment.unanswered("1")
    assert told.numbers(told.commitment.sending()) == ({1, 2, 3} if resend == "study" else set())
    told.commitment.request("2")
    told.report("1", (1, 2, 3))
    assert told.commitment.complete
    assert not told.commitment.send
    told.report("2", (), {1: 0x0112})
    assert told.commitment.complete


@pytest.mark.parametrize("resend", POLICIES)
def test_a_late_report_says_nothing_against_what_was_sent_since(resend):
    told = Told(resend)
    told.commitment.request("1")
    told.commitment.unanswered("1")
    told.commitment.request("2")
    told.report("2", (1, 2), {3: 0x0112})
    assert 3 in told.numbers(told.commitment.sending())
    told.report("1", (1, 2), {3: 0x0112})
    assert not told.commitment.send
    assert 3 in told.numbers(told.commitment.ask)


def test_a_late_report_has_sent_again_what_is_missing():
    told = Told()
    told.commitment.request("1")
    told.commitment.unanswered("1")
    told.report("1", (1,), {2: 0x0112, 3: 0x0213})
    assert told.numbers(told.commitment.send) == {2}
    assert told.numbers(told.commitment.ask) == {2, 3}


def test_the_whole_study_needs_one_report_on_the_whole_study():
    told = Told("study")
    for transaction, missing in (("1", 1), ("2", 2)):
        told.commitment.request(transaction)
        told.report(transaction, {1, 2, 3} - {missing}, {missing: 0x0112})
        assert told.numbers(told.commitment.sending()) == {1, 2, 3}
        assert told.commitment.unsafe == "1 of 3 instances are not safe"
    assert not told.commitment.settled


def test_only_reports_in_a_row_are_too_many():
    told = Told(escalate=2)
    later = {3: 0x0213}
    for transaction, failed, sent in (("1", later, set()), ("2", {3: 0x0131}, set()), ("3", later, set()),
                                      ("4", later, {3}), ("5", later, set())):  # fmt: skip
        told.commitment.request(transaction)
        told.report(transaction, (), failed)
        assert told.numbers(told.commitment.sending()) == sent, transaction


def test_what_neither_has_is_gone_unless_it_was_sent_since():
    told = Told()
    told.commitment.request("1")
    told.report("1", (1,), {2: 0x0112, 3: 0x0213}, copy=False)
    assert told.numbers(told.commitment.gone) == {2}
    assert told.numbers(told.commitment.ask) == {3}
    told.commitment.request("2")
    told.report("2", (3,), copy=False)
    assert told.commitment.settled
    assert not told.commitment.complete

    late = Told()
    late.commitment.request("1")
    late.commitment.request("2")
    late.report("2", (1, 2), {3: 0x0112})
    late.commitment.sending()
    late.report("1", (), {3: 0x0112}, copy=False)
    assert not late.commitment.gone
    assert late.numbers(late.commitment.ask) == {3}


def test_what_will_never_be_safe_is_not_asked_for_but_welcome():
    told = Told()
    told.commitment.request("1")
    told.commitment.unanswered("1")
    told.commitment.request("2")
    told.report("2", (1, 2), {3: 0x0122})
    assert told.commitment.settled
    assert not told.commitment.complete
    told.report("1", (3,))
    assert told.commitment.complete
    assert not told.commitment.permanent


steps = st.lists(
    st.tuples(
        st.sampled_from(["ask", "report", "time-out", "send"]),
        st.integers(0, 3),
        st.sets(st.integers(1, 3)),
        st.dictionaries(st.integers(1, 3), reasons),
        st.booleans(),
    ),
    max_size=12,
)


@given(st.sampled_from(POLICIES), steps)
def test_whatever_comes_in_whatever_order_an_instance_is_safe_if_and_only_if_it_was_committed_to(resend, steps):
    told = Told(resend)
    commitment, asked, ever = told.commitment, 0, set()
    for what, which, stored, failed, copy in steps:
        if what == "ask" and not commitment.settled:
            commitment.request(str(asked))
            asked += 1
        elif what == "send":
            assert commitment.sending() <= commitment.ask
        elif what == "time-out" and which < asked:
            commitment.unanswered(str(which))
        elif what == "report" and which < asked:
            judgement = told.report(str(which), stored, failed, copy=copy)
            ever |= judgement.safe if judgement else set()
        everything = commitment.safe | commitment.ask | commitment.permanent.keys() | commitment.gone
        assert everything == frozenset(told.study)
        assert commitment.send <= commitment.ask
        assert commitment.safe <= ever
        assert commitment.complete <= (ever == set(told.study))
        if resend != "study":
            assert commitment.safe == ever
            assert not commitment.safe & (commitment.ask | commitment.permanent.keys() | commitment.gone)
