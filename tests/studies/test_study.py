"""Studies as values, and the UIDs that name what they consist of."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from simlab.studies.key_objects import plan_key_objects
from simlab.studies.protocols import PROTOCOLS
from simlab.studies.reformat import plan_reformat
from simlab.studies.sop_classes import CT_IMAGE
from simlab.studies.study import Series, Study
from simlab.studies.uids import derive_uid
from studies.examples import order, study

# What names and UIDs consist of; the separator that joins parts is not among it.
PARTS = st.lists(st.text(st.characters(exclude_characters="\x1f", exclude_categories=["Cs"]), max_size=8), max_size=4)
SIZES = st.lists(st.integers(0, 9), max_size=6)


def study_of(sizes):
    """A study whose series have this many instances."""
    series = tuple(
        Series(number, derive_uid("series", number), "CT", CT_IMAGE, "", instances, nominal_bytes=1000 + number)
        for number, instances in enumerate(sizes, start=1)
    )
    return Study(order(), series, datetime(2026, 1, 1))


@st.composite
def studies_with_indices(draw):
    this = study_of(draw(SIZES.filter(any)))
    return this, draw(st.lists(st.integers(0, this.total - 1), unique=True))


# ---- studies


@given(SIZES)
def test_indices_count_through_the_series_in_order(sizes):
    this = study_of(sizes)
    located = [(series.number, number) for series, number in map(this.locate, this.indices)]
    assert located == [(s.number, n) for s in this.series for n in range(1, s.instances + 1)]
    assert this.count == this.total == sum(sizes)


@given(SIZES, st.integers(0, 100))
def test_an_index_outside_the_study_is_told(sizes, beyond):
    this = study_of(sizes)
    for index in (this.total + beyond, -1 - beyond):
        with pytest.raises(IndexError, match=f"study has {this.total} instances, no index {index}"):
            this.locate(index)


@given(studies_with_indices())
def test_a_selection_is_those_instances_of_the_study_in_the_order_asked_for(case):
    this, indices = case
    selection = this.select(indices)
    assert selection.references == tuple(this.references[index] for index in indices)
    assert list(selection) == list(selection.references)
    assert (selection.count, selection.total, selection.uid) == (len(indices), this.total, this.uid)
    assert selection.nominal_bytes == sum(this.locate(index)[0].nominal_bytes for index in indices)


@given(SIZES)
def test_all_of_a_study_weighs_as_much_as_the_study(sizes):
    this = study_of(sizes)
    assert this.select(range(this.total)).nominal_bytes == this.nominal_bytes


@given(studies_with_indices())
def test_instances_selected_by_uid_keep_the_order_of_the_study(case):
    this, indices = case
    wanted = [this.references[index].sop_instance for index in indices]
    assert this.select_instances([*wanted, "1.2.3"]).selected == tuple(sorted(indices))


@given(studies_with_indices())
def test_what_is_not_selected_cannot_be_selected_by_uid(case):
    this, indices = case
    everything = [reference.sop_instance for reference in this]
    assert this.select(indices).select_instances(everything).selected == tuple(indices)


# ---- UIDs


@given(PARTS)
def test_a_uid_is_valid_and_depends_on_its_parts_alone(parts):
    uid = derive_uid(*parts)
    assert uid == derive_uid(*parts)
    assert UID(uid).is_valid
    assert uid.startswith("2.25.")
    assert len(uid) <= 44


@given(st.lists(PARTS.filter(bool), unique_by=tuple, min_size=2, max_size=20))
def test_other_parts_have_another_uid(lists):
    assert len({derive_uid(*parts) for parts in lists}) == len(lists)


def test_no_uid_names_two_things():
    uids = []
    for number, protocol in enumerate(PROTOCOLS, start=1):
        this = study(protocol, number)
        derived = (plan_reformat(this), plan_key_objects(this))
        everything = Study(this.order, (*this.series, *derived), this.started)
        uids += [everything.uid, *(series.uid for series in everything.series)]
        uids += [reference.sop_instance for reference in everything]
    assert len(uids) > 500
    assert len(set(uids)) == len(uids)
