"""DCMTK's findscu against our archive: levels, both models, and every way to match."""

import pytest

from interop.dcmtk import find

pytestmark = pytest.mark.peers

PATIENTS, STUDIES, SERIES, IMAGES = (f"QueryRetrieveLevel={level}" for level in ("PATIENT", "STUDY", "SERIES", "IMAGE"))


@pytest.fixture(params=["-S", "-P"], ids=["study-root", "patient-root"])
def model(request):
    return request.param


def patient_key(study):
    return f"PatientID={study.first.PatientID}"


def study_key(study):
    return f"StudyInstanceUID={study.study_uid}"


def series_uids(study):
    return {data_set.SeriesInstanceUID for data_set in study.data_sets.values()}


def test_patients(archived, brain):
    answer = find(archived, PATIENTS, patient_key(brain), "PatientName", "NumberOfPatientRelatedInstances", model="-P")
    assert answer.values("PatientName") == [brain.first.PatientName]
    assert int(answer.values("NumberOfPatientRelatedInstances")[0]) >= len(brain)


def test_study_root_has_no_patient_level(archived, brain):
    answer = find(archived, PATIENTS, patient_key(brain), model="-S")
    assert "DIMSE Status                  : 0xa900" in answer.output
    assert not answer.matches


def test_one_study_with_its_counts(archived, brain, model):
    keys = (
        "PatientName",
        "StudyDate",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
        "ModalitiesInStudy",
    )
    answer = find(archived, STUDIES, patient_key(brain), study_key(brain), *keys, model=model)
    [match] = answer.matches
    assert match.PatientName == brain.first.PatientName
    assert match.StudyDate == brain.first.StudyDate
    assert match.NumberOfStudyRelatedSeries == len(series_uids(brain)) == 3
    assert match.NumberOfStudyRelatedInstances == len(brain)
    assert match.ModalitiesInStudy == "MR"
    assert match.RetrieveAETitle == archived.ae_title


def test_the_series_of_a_study(archived, brain, model):
    keys = ("SeriesInstanceUID", "SeriesNumber", "Modality", "NumberOfSeriesRelatedInstances")
    answer = find(archived, SERIES, patient_key(brain), study_key(brain), *keys, model=model)
    assert set(answer.values("SeriesInstanceUID")) == series_uids(brain)
    assert sum(answer.values("NumberOfSeriesRelatedInstances")) == len(brain)


def test_the_instances_of_a_series(archived, brain, model):
    series = brain.first.SeriesInstanceUID
    keys = (f"SeriesInstanceUID={series}", "SOPInstanceUID", "InstanceNumber")
    answer = find(archived, IMAGES, patient_key(brain), study_key(brain), *keys, model=model)
    expected = {uid for uid, data_set in brain.data_sets.items() if data_set.SeriesInstanceUID == series}
    assert set(answer.values("SOPInstanceUID")) == expected


def test_a_single_instance(archived, brain, model):
    uid = brain.first.SOPInstanceUID
    keys = (f"SeriesInstanceUID={brain.first.SeriesInstanceUID}", f"SOPInstanceUID={uid}", "InstanceNumber")
    answer = find(archived, IMAGES, patient_key(brain), study_key(brain), *keys, model=model)
    assert answer.values("InstanceNumber") == [brain.first.InstanceNumber]


def studies_of(archive, *keys):
    return set(find(archive, STUDIES, "StudyInstanceUID", *keys).values("StudyInstanceUID"))


def test_wildcards(archived, brain):
    family = brain.first.PatientName.family_name
    assert brain.study_uid in studies_of(archived, f"PatientName={family[:2]}*")
    assert brain.study_uid in studies_of(archived, f"PatientName={family.lower()}^*"), "names match without case"
    assert brain.study_uid in studies_of(archived, f"PatientID={brain.first.PatientID[:-1]}?")
    assert not studies_of(archived, "PatientName=No Such*")


def test_date_ranges(archived, brain):
    day = brain.first.StudyDate
    assert brain.study_uid in studies_of(archived, f"StudyDate={day}")
    assert brain.study_uid in studies_of(archived, f"StudyDate={day}-{day}")
    assert brain.study_uid in studies_of(archived, f"StudyDate=-{day}")
    assert brain.study_uid in studies_of(archived, f"StudyDate={day}-")
    assert not studies_of(archived, "StudyDate=19000101-19991231")


def test_lists_of_uids(archived, brain, head):
    both = {brain.study_uid, head.study_uid}
    assert studies_of(archived, "StudyInstanceUID=" + "\\".join([*both, "1.2.3"])) == both
    assert not studies_of(archived, "StudyInstanceUID=1.2.3")


def test_modalities(archived, brain, head):
    mr, ct = (studies_of(archived, f"ModalitiesInStudy={modality}") for modality in ("MR", "CT"))
    assert brain.study_uid in mr - ct
    assert head.study_uid in ct - mr
