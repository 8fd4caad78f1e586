"""The oracle misses nothing and invents nothing."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlab.analysis.oracle import (
    MEANINGS,
    PROGRESS,
    Acknowledgement,
    Held,
    InstanceCounts,
    Ledger,
    findings_frame,
    needless,
    reconcile,
)

ONCE = [Acknowledgement(1.0, 2.0)]
ARCHIVE = "archive"

instances = st.frozensets(st.sampled_from([f"1.2.{number}" for number in range(12)])).map(set)
times = st.lists(st.integers(0, 20).map(float), max_size=6)


def stored(*uids: str) -> dict[str, dict[str, list[Acknowledgement]]]:
    return {ARCHIVE: dict.fromkeys(uids, ONCE)}


def worries(counts: InstanceCounts) -> dict[str, int]:
    return {name: number for name, number in asdict(counts).items() if number and name not in PROGRESS}


def test_each_fate_is_counted_once() -> None:
    ledger = Ledger(
        generated={"kept", "dropped", "never sent", "gone"},
        derived={"result"},
        deleted={"kept", "gone"},
        acknowledged=stored("kept", "dropped", "result"),
        committed={ARCHIVE: {"kept", "dropped"}},
    )
    counts, findings = (
        (fates := reconcile(ledger, {ARCHIVE: Held(given={"kept", "result", "stranger"})})).counts,
        fates.findings,
    )
    assert counts == InstanceCounts(
        generated=4, derived=1, stored=3, committed=2, dropped=1, lost=1, missing=2, false_safe=1, unexpected=1
    )
    assert {(each.finding, each.sop_instance) for each in findings} == {
        ("dropped", "dropped"),
        ("false_safe", "dropped"),
        ("lost", "gone"),
        ("missing", "gone"),
        ("missing", "never sent"),
        ("unexpected", "stranger"),
    }


A, B, BOTH = stored("a"), {"mirror": {"a": ONCE}}, {ARCHIVE: {"a": ONCE}, "mirror": {"a": ONCE}}
GIVEN, EMPTY = Held(given={"a"}), Held()


@pytest.mark.parametrize(
    ("ledger", "held", "found"),
    [
        (Ledger({"a"}, acknowledged=A), {ARCHIVE: GIVEN}, {}),
        (Ledger({"a"}, acknowledged=A), {ARCHIVE: EMPTY}, {"dropped": 1}),
        (Ledger({"a"}, acknowledged=A), {}, {"dropped": 1}),
        (Ledger({"a"}, deleted={"a"}, acknowledged=A), {ARCHIVE: EMPTY}, {"dropped": 1, "lost": 1}),
        (Ledger({"a"}, deleted={"a"}, acknowledged=A), {ARCHIVE: GIVEN}, {}),
        (Ledger({"a"}), {}, {"missing": 1}),
        (Ledger({"a"}, deleted={"a"}), {}, {"missing": 1, "lost": 1}),
        (Ledger({"a"}, deleted={"a"}), {ARCHIVE: GIVEN}, {"missing": 1}),
        (Ledger({"a"}, committed={ARCHIVE: {"a"}}), {}, {"missing": 1, "false_safe": 1}),
        # What one archive has dropped and another keeps is not lost, and a promise binds who made it.
        (Ledger({"a"}, acknowledged=BOTH), {ARCHIVE: GIVEN, "mirror": EMPTY}, {"dropped": 1}),
        (Ledger({"a"}, acknowledged=BOTH), {}, {"dropped": 2}),
        (
            Ledger({"a"}, deleted={"a"}, acknowledged=BOTH, committed={"mirror": {"a"}}),
            {ARCHIVE: GIVEN},
            {"dropped": 1, "false_safe": 1},
        ),
        (Ledger({"a"}, acknowledged=A), {ARCHIVE: Held(corrupt={"a"})}, {"dropped": 1, "corrupt": 1}),
        (Ledger({"a"}, acknowledged=A), {ARCHIVE: Held({"a"}, altered={"a"})}, {"altered": 1}),
        (Ledger({"a"}, acknowledged=A), {ARCHIVE: Held({"a"}, unlisted={"a"})}, {"unlisted": 1}),
        (Ledger({"a"}, acknowledged=A), {ARCHIVE: Held({"a"}, listed_twice={"a"})}, {"listed_twice": 1}),
        (Ledger(derived={"a"}, acknowledged=B), {"mirror": Held({"a", "b"})}, {"unexpected": 1}),
        (
            Ledger({"a"}, acknowledged={ARCHIVE: {"a": ONCE * 3}}),
            {ARCHIVE: GIVEN},
            {"stored_twice": 1, "needlessly_resent": 2},
        ),
    ],
)
def test_fates(ledger: Ledger, held: dict[str, Held], found: dict[str, int]) -> None:
    fates = reconcile(ledger, held)
    assert worries(fates.counts) == found
    assert fates.counts.promises_broken == bool({"dropped", "lost", "false_safe", "corrupt"} & set(found))


FIRST, SECOND, THIRD = (Acknowledgement(at, at + 1.0) for at in (0.0, 10.0, 20.0))


@pytest.mark.parametrize(
    ("acknowledgements", "missed", "expected"),
    [
        ([FIRST], [], 0),
        ([FIRST, SECOND], [], 1),
        ([FIRST, SECOND], [5.0], 0),
        ([FIRST, SECOND], [0.5], 1),  # said before it was there
        ([FIRST, SECOND], [10.5], 1),  # said when it was already on its way
        ([FIRST, SECOND, THIRD], [5.0], 1),
        ([FIRST, SECOND, THIRD], [5.0, 15.0], 0),
        ([THIRD, FIRST, SECOND], [5.0, 15.0], 0),
        ([FIRST, FIRST], [5.0], 1),
    ],
)
def test_who_asked_for_it(acknowledgements: list[Acknowledgement], missed: list[float], expected: int) -> None:
    assert needless(acknowledgements, missed) == expected


@given(times, times)
def test_no_more_is_needless_than_was_sent_again(starts: list[float], missed: list[float]) -> None:
    sent = [Acknowledgement(start, start + 1.5) for start in starts]
    assert 0 <= needless(sent, missed) <= max(len(sent) - 1, 0)
    assert needless(sent, []) == max(len(sent) - 1, 0)
    assert needless(sent, [*missed, 3.0]) <= needless(sent, missed)


@given(instances, instances, instances, instances, instances, instances, instances)
def test_counts_hold_for_any_sets(
    generated: set[str],
    derived: set[str],
    deleted: set[str],
    acknowledged: set[str],
    committed: set[str],
    given_back: set[str],
    corrupt: set[str],
) -> None:
    ledger = Ledger(generated, derived, deleted, stored(*acknowledged), {ARCHIVE: committed})
    retrievable = given_back - corrupt
    fates = reconcile(ledger, {ARCHIVE: Held(retrievable, corrupt=corrupt)})
    counts, made = fates.counts, generated | derived
    assert counts.dropped == len(acknowledged - retrievable)
    assert counts.false_safe == len(committed - retrievable)
    assert counts.stored - counts.dropped == len(acknowledged & retrievable)
    assert counts.missing + len(made & acknowledged) == len(made)
    assert counts.lost == sum(uid in deleted and uid not in retrievable for uid in made)
    assert counts.corrupt == len(corrupt)
    frame = findings_frame(fates.findings)
    assert not frame.duplicated().any()
    assert frame.groupby("finding")["times"].sum().to_dict() == worries(counts)


@given(instances, instances)
def test_a_perfect_network_loses_nothing(generated: set[str], derived: set[str]) -> None:
    made = generated | derived
    ledger = Ledger(generated, derived, made, stored(*made), {ARCHIVE: made})
    assert reconcile(ledger, {ARCHIVE: Held(set(made))}).findings == ()


def test_every_count_says_what_it_means() -> None:
    assert list(MEANINGS) == list(asdict(InstanceCounts()))
