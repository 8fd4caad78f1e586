import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlab.studies.instances import encode
from simlab.studies.key_objects import plan_key_objects, select_key_objects
from studies.examples import made, study

STUDY = study("mr-knee")
IMAGES = made(STUDY, 2) + made(STUDY, 3)


def chosen(document):
    return [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in document.ContentSequence]


@given(st.integers(1, 60))
def test_the_marked_images_are_distinct_images_of_the_study(count):
    _, document = select_key_objects(IMAGES, count)
    known = {image.SOPInstanceUID for image in IMAGES}
    assert len(set(chosen(document))) == len(chosen(document)) == min(count, len(IMAGES))
    assert set(chosen(document)) <= known


@given(st.permutations(IMAGES))
def test_the_choice_does_not_depend_on_the_order_of_arrival(images):
    assert encode(select_key_objects(images)[1]) == encode(select_key_objects(IMAGES)[1])


def test_evidence_lists_what_the_content_refers_to_by_series():
    _, document = select_key_objects(IMAGES, 6)
    (evidence,) = document.CurrentRequestedProcedureEvidenceSequence
    assert evidence.StudyInstanceUID == STUDY.uid
    assert [item.SeriesInstanceUID for item in evidence.ReferencedSeriesSequence] == [
        series.uid for series in STUDY.series[1:]
    ]
    listed = [
        reference.ReferencedSOPInstanceUID
        for item in evidence.ReferencedSeriesSequence
        for reference in item.ReferencedSOPSequence
    ]
    assert listed == chosen(document)


def test_the_document_is_the_planned_one():
    series, document = select_key_objects(IMAGES)
    planned = plan_key_objects(STUDY)
    assert series == planned
    assert (document.SOPClassUID, document.SOPInstanceUID) == (planned.sop_class, planned.instance_uid(1))
    assert (document.StudyInstanceUID, document.SeriesInstanceUID) == (STUDY.uid, planned.uid)
    assert (document.PatientID, document.Modality) == (STUDY.order.patient.id, "KO")
    assert len(encode(document)) == pytest.approx(planned.nominal_bytes, abs=250)


def test_a_study_without_images_has_nothing_to_mark():
    _, document = select_key_objects(IMAGES)
    with pytest.raises(ValueError, match="no images"):
        select_key_objects([document])
