"""The coronal reformat: what lies at a point of the patient in the source lies there in the reformat too."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simlab.draws import Draws
from simlab.studies.instances import add_file_meta, add_pixels, add_plane, encode, make_instance
from simlab.studies.planes import Orientation, stack_plane
from simlab.studies.protocols import PROTOCOLS
from simlab.studies.reformat import SLAB, plan_reformat, reformat_coronal, source_series
from simlab.studies.sop_classes import MR_IMAGE
from studies.examples import made, study


def axial_stack(shape, spacing, values, centre=(0.0, 0.0, 0.0)):
    """MR instances whose stored value at each pixel is ``values(x, y, z)`` of its patient coordinates."""
    stack = []
    for number in range(1, shape[0] + 1):
        plane = stack_plane(Orientation.AXIAL, shape, spacing, number, centre)
        instance = Dataset()
        instance.SOPClassUID, instance.SOPInstanceUID = MR_IMAGE, f"1.2.3.{number}"
        instance.StudyInstanceUID, instance.SeriesInstanceUID = "1.2", "1.2.3"
        instance.Modality, instance.SeriesNumber, instance.InstanceNumber = "MR", 4, number
        instance.ImageType = ["ORIGINAL", "PRIMARY"]
        instance.ContentDate, instance.ContentTime = "20260101", "120000"
        add_plane(instance, plane)
        x, y, z = coordinates(instance)
        add_pixels(instance, np.rint(values(x, y, z)).astype("<u2").tobytes())
        add_file_meta(instance)
        stack.append(instance)
    return stack


def coordinates(instance):
    """Patient coordinates (x, y, z) of all pixels in mm, as in PS3.3 C.7.6.2.1.1; shape (3, rows, columns)."""
    position = np.array(instance.ImagePositionPatient, float)
    along_row, along_column = np.array(instance.ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = map(float, instance.PixelSpacing)
    row, column = np.mgrid[: instance.Rows, : instance.Columns]
    return (
        position[:, np.newaxis, np.newaxis]
        + along_row[:, np.newaxis, np.newaxis] * between_columns * column
        + along_column[:, np.newaxis, np.newaxis] * between_rows * row
    )


# Averaging and linear interpolation leave a linear function as it is: wherever a pixel comes to lie, its value must be
# that of its coordinates.
@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 12), st.integers(8, 40), st.integers(2, 30)),
    spacing=st.tuples(st.floats(0.8, 9), st.floats(0.4, 3), st.floats(0.4, 3)),
    slope=st.tuples(*[st.floats(-8, 8)] * 3),
    centre=st.tuples(*[st.floats(-50, 50)] * 3),
)
def test_every_pixel_has_the_value_of_its_place_in_the_patient(shape, spacing, slope, centre):
    spacing = tuple(round(value, 3) for value in spacing)
    centre = tuple(round(value, 3) for value in centre)

    def values(x, y, z):
        return 2000 + slope[0] * (x - centre[0]) + slope[1] * (y - centre[1]) + slope[2] * (z - centre[2])

    stack = axial_stack(shape, spacing, values, centre)
    random.Random(0).shuffle(stack)
    _, derived = reformat_coronal(stack)
    for instance in derived:
        assert np.abs(instance.pixel_array - values(*coordinates(instance))).max() <= 1.01  # rounded twice


def test_the_top_row_is_the_average_of_a_slab_of_the_top_slice():
    source = made(study("mr-knee"), 3)
    series, derived = reformat_coronal(source)
    per_slab = round(SLAB / 0.5)
    slabs = source[-1].pixel_array.reshape(series.instances, per_slab, 320).mean(axis=1)
    assert np.array_equal([instance.pixel_array[0] for instance in derived], np.rint(slabs))


def test_the_reformat_looks_like_a_coronal_acquisition_of_the_same_knee():
    # Only anatomy: PD and T2 weigh tissues differently, but both leave the air around the leg dark.
    this = study("mr-knee")
    _, derived = reformat_coronal(made(this, 3))
    coronal = {round(float(i.ImagePositionPatient[1])): i for i in made(this, 2)}
    compared = 0
    for instance in derived:
        acquired = coronal.get(round(float(instance.ImagePositionPatient[1])))
        if acquired is None:
            continue
        heights = coordinates(instance)[2][:, 0]
        rows = np.searchsorted(-coordinates(acquired)[2][:, 0], -heights)
        leg, same = instance.pixel_array > 25, acquired.pixel_array[rows] > 25
        assert np.mean(leg == same) > 0.93
        compared += 1
    assert compared >= 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_planned_is_what_is_made(protocol):
    this = study(protocol)
    source = [index for index in this.indices if this.locate(index)[0].description == _axial(protocol)]
    made_series, derived = reformat_coronal([make_instance(this, index, Draws(1)) for index in source])
    planned = plan_reformat(this)
    assert made_series == planned
    assert len(derived) == planned.instances
    for number, instance in enumerate(derived, start=1):
        assert instance.SOPInstanceUID == planned.instance_uid(number)
        assert (instance.SeriesInstanceUID, instance.SeriesNumber) == (planned.uid, planned.number)
        assert instance.SOPClassUID == planned.sop_class
    assert len(encode(derived[0])) == pytest.approx(planned.nominal_bytes, rel=0.005)


def _axial(protocol):
    return next(plan.description for plan in PROTOCOLS[protocol].series if plan.orientation is Orientation.AXIAL)


def test_the_first_axial_series_is_the_source():
    this = study("mr-brain")
    instances = [make_instance(this, index, Draws(1)) for index in (60, 0, 30, 31, 61)]
    assert [instance.SOPInstanceUID for instance in source_series(instances)] == [
        this.reference(index).sop_instance for index in (30, 31)
    ]


def test_a_reformat_is_told_from_its_source_and_not_reformatted_again():
    source = made(study("mr-knee"), 3)
    _, derived = reformat_coronal(source)
    assert source_series(derived) == []
    assert source_series([*derived, *source]) == source


def test_a_reformat_belongs_to_its_source():
    source = made(study("mr-knee"), 3)
    _, derived = reformat_coronal(source)
    one = derived[10]
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "AccessionNumber", "StudyDate"):
        assert one[keyword].value == source[0][keyword].value
    assert one.ImageType == ["DERIVED", "SECONDARY", "REFORMATTED"]
    assert one.ImageOrientationPatient == [1, 0, 0, 0, 0, -1]
    referenced = [item.ReferencedSOPInstanceUID for item in one.SourceImageSequence]
    assert referenced == [instance.SOPInstanceUID for instance in source]


def test_the_same_reformat_twice_is_the_same_byte_for_byte():
    source = made(study("mr-knee"), 3)
    first, again = (reformat_coronal(order)[1] for order in (source, source[::-1]))
    assert [encode(instance) for instance in first] == [encode(instance) for instance in again]


def test_slices_that_are_missing_are_told():
    source = made(study("mr-knee"), 3)
    with pytest.raises(ValueError, match="not evenly spaced"):
        reformat_coronal(source[:5] + source[6:])


def test_a_slice_that_came_twice_is_told():
    source = made(study("mr-knee"), 3)
    with pytest.raises(ValueError, match="not evenly spaced"):
        reformat_coronal([*source, source[3]])


@pytest.mark.parametrize("count", [0, 1])
def test_less_than_two_slices_are_told(count):
    with pytest.raises(ValueError, match="no axial series of at least two slices"):
        reformat_coronal(made(study("mr-knee"), 3)[:count])


@pytest.mark.parametrize("series", [1, 2])
def test_a_series_that_is_not_axial_is_told(series):
    with pytest.raises(ValueError, match="no axial series"):
        reformat_coronal(made(study("mr-knee"), series))


def test_a_study_without_an_axial_series_has_no_reformat():
    this = study("mr-knee")
    assert plan_reformat(type(this)(this.order, this.series[:2], this.started)) is None
