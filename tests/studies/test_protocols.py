from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlab.draws import Draws
from simlab.errors import UserError
from simlab.studies.planes import Orientation
from simlab.studies.protocols import PROTOCOLS, exam_seconds, get_protocol, plan_study
from studies.examples import SCHEDULED, order, study

every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
every_series = pytest.mark.parametrize(
    "plan", [pytest.param(plan, id=f"{p.name}-{plan.number}") for p in PROTOCOLS.values() for plan in p.series]
)


def test_an_unknown_protocol_is_told_in_one_line_with_the_nearest_name():
    with pytest.raises(UserError, match=r'^unknown protocol "ct-chets": did you mean "ct-chest"\?$'):
        get_protocol("ct-chets")


def test_an_unknown_protocol_like_no_other_is_told_with_all_names():
    with pytest.raises(UserError, match=r"there are ct-chest, ct-head, mr-brain, mr-knee$"):
        get_protocol("xyz")


@every_protocol
def test_a_series_is_found_by_its_number(protocol):
    assert [protocol.get_series(plan.number) for plan in protocol.series] == list(protocol.series)
    with pytest.raises(KeyError, match="acquires no series 99"):
        protocol.get_series(99)


@every_protocol
def test_what_is_not_in_the_plan_fits_its_value_representation(protocol):
    assert len(protocol.code_value) <= 16
    assert max(len(text) for text in (protocol.description, protocol.code_meaning)) <= 64
    assert max(len(plan.description) for plan in protocol.series) <= 64


@every_protocol
@given(number=st.integers(1, 99999))
def test_an_examination_takes_a_duration_within_the_spread_and_its_own(protocol, number):
    this = order(protocol.name, number)
    seconds = exam_seconds(Draws(1), this, protocol)
    assert abs(seconds - protocol.mean_seconds) <= protocol.spread_seconds
    assert seconds == exam_seconds(Draws(1), this, protocol)


@every_protocol
def test_durations_average_to_the_mean(protocol):
    seconds = [exam_seconds(Draws(1), order(protocol.name, number), protocol) for number in range(400)]
    assert np.mean(seconds) == pytest.approx(protocol.mean_seconds, rel=0.05)


@every_protocol
def test_a_study_has_the_planned_series(protocol):
    series = study(protocol.name).series
    planned = [(plan.number, plan.description, plan.instances) for plan in protocol.series]
    assert [(s.number, s.description, s.instances) for s in series] == planned
    assert {s.modality for s in series} == {protocol.modality}


def test_uids_follow_from_the_order_alone():
    first, again, other = study(number=1), study(number=1), study(number=2)
    assert plan_study(replace(first.order, station="ELSEWHERE"), SCHEDULED).series == first.series
    assert first.references == again.references
    assert not set(first.references) & set(other.references)


@every_series
def test_slices_lie_along_the_normal_evenly_and_around_the_centre(plan):
    planes = [plan.plane(number) for number in range(1, plan.instances + 1)]
    locations = np.array([plane.location for plane in planes])
    assert np.diff(locations) == pytest.approx(plan.spacing_between_slices)
    assert locations.mean() == pytest.approx(np.dot(plan.orientation.normal, plan.centre))


@every_series
def test_the_middle_of_the_stack_is_its_centre(plan):
    row_direction, column_direction = np.array(plan.orientation.value)
    middles = [
        np.array(plane.origin)
        + row_direction * plane.column_spacing * (plane.columns - 1) / 2
        + column_direction * plane.row_spacing * (plane.rows - 1) / 2
        for plane in (plan.plane(1), plan.plane(plan.instances))
    ]
    assert np.mean(middles, axis=0) == pytest.approx(np.array(plan.centre), abs=1e-5)


@pytest.mark.parametrize(
    ("orientation", "normal"),
    [(Orientation.AXIAL, (0, 0, 1)), (Orientation.SAGITTAL, (-1, 0, 0)), (Orientation.CORONAL, (0, 1, 0))],
)
def test_normals_are_what_rows_and_columns_span(orientation, normal):
    assert orientation.normal.tolist() == list(normal)
