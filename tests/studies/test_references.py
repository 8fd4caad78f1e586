"""References of a study: what they are as sets and as sequences, written out or not."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import simlab
from simlab.lab.virtual_world import VirtualWorld
from simlab.studies.study import InstanceReference, References, Series, Study
from studies.examples import order

SIZES = (3, 1, 4)
TOTAL = sum(SIZES)
OTHERS = [InstanceReference("1.2", f"1.2.3.{number}") for number in range(2)]


def study_of(uid="1.2.3"):
    series = tuple(
        Series(number, f"{uid}.{number}", "CT", "1.2.840.10008.5.1.4.1.1.2", "", size, 1000)
        for number, size in enumerate(SIZES, 1)
    )
    return Study(order(), series, datetime(2026, 1, 15))


WHOLE = study_of()
SELECTIONS = st.one_of(
    st.none(), st.lists(st.integers(0, TOTAL - 1), unique=True).map(tuple), st.just(tuple(range(TOTAL)))
)
REFERENCES = SELECTIONS.map(lambda selected: References(Study(WHOLE.order, WHOLE.series, WHOLE.started, selected)))
SETS = st.one_of(
    REFERENCES,
    st.frozensets(st.sampled_from([*WHOLE.written_out, *OTHERS])),
    st.just(study_of("1.2.4").references),
)


@given(REFERENCES, SETS)
def test_they_are_sets(one, other):
    mine, theirs = frozenset(one), frozenset(other)
    assert frozenset(one & other) == frozenset(other & one) == mine & theirs
    assert frozenset(one | other) == frozenset(other | one) == mine | theirs
    assert frozenset(one - other) == mine - theirs
    assert frozenset(other - one) == theirs - mine
    assert (one == other) == (other == one) == (mine == theirs)
    assert (one <= other) == (mine <= theirs)
    assert hash(one) == hash(mine)


@given(REFERENCES)
def test_they_are_sequences(one):
    written = one.study.written_out
    assert list(one) == list(written)
    assert one == written
    assert len(one) == len(written)
    assert bool(one) == bool(written)
    assert one[:2] == written[:2]
    assert all(reference in one for reference in written)
    assert OTHERS[0] not in one
    for place, reference in enumerate(written):
        assert one[place] == reference


@given(REFERENCES, SETS)
def test_a_study_is_narrowed_to_what_is_referred_to(one, other):
    narrowed = one.study.select_references(other)
    assert list(narrowed) == [reference for reference in one if reference in frozenset(other)]


def test_a_run_without_faults_writes_no_study_out(monkeypatch):
    def written_out(*_):
        pytest.fail("somebody has looked at an instance")

    monkeypatch.setattr(Series, "instance_uid", written_out)
    topology = simlab.load("topologies/hospital.yaml").topology
    world = VirtualWorld(topology.model_copy(update={"duration": 3600.0 * 3}))
    world.env.run(until=3600 * 11)
    records, _ = world.recorder.drain()
    assert sum(record.operation == "read" for record in records) > 10
