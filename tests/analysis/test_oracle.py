"""The oracle misses nothing and invents nothing."""

from hypothesis import given
from hypothesis import strategies as st

from simlab.analysis.oracle import InstanceCounts, reconcile

instances = st.frozensets(st.sampled_from([f"1.2.{number}" for number in range(12)]))


def test_each_fate_is_counted_once() -> None:
    counts = reconcile(
        generated={"kept", "lost", "never sent"},
        derived={"result"},
        acknowledged={"kept", "lost", "result"},
        committed={"kept", "lost"},
        retrievable={"kept", "result", "stranger"},
    )
    assert counts == InstanceCounts(
        generated=3, derived=1, stored=3, committed=2, lost=1, missing=1, false_safe=1, unexpected=1
    )


@given(instances, instances, instances, instances, instances)
def test_counts_hold_for_any_sets(
    generated: frozenset[str],
    derived: frozenset[str],
    acknowledged: frozenset[str],
    committed: frozenset[str],
    retrievable: frozenset[str],
) -> None:
    counts = reconcile(generated, derived, acknowledged, committed, retrievable)
    assert counts.lost == sum(uid not in retrievable for uid in acknowledged)
    assert counts.false_safe == sum(uid not in retrievable for uid in committed)
    assert counts.stored - counts.lost == len(acknowledged & retrievable)
    assert counts.missing + len((generated | derived) & acknowledged) == len(generated | derived)


@given(instances, instances)
def test_a_perfect_network_loses_nothing(generated: frozenset[str], derived: frozenset[str]) -> None:
    made = generated | derived
    counts = reconcile(generated, derived, made, made, made)
    assert counts.lost == counts.missing == counts.false_safe == counts.unexpected == 0
