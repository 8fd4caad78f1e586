import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime

import pytest
from sqlalchemy import text

from nodes.archive_samples import CT, SR, fill, find
from simlab.network.query import Level, Model, Query
from simlab.network.seam import SUCCESS
from simlab.nodes.archive.decisions import decide_commitment
from simlab.nodes.archive.memory import MemoryHoldings
from simlab.nodes.archive.state import ArchiveState
from simlab.studies.study import InstanceReference, Order, Patient, Series, Study


def test_queries_at_every_level(archive):
    fill(archive)
    counts = ("NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances")
    (patient,) = find(archive, Level.PATIENT, {"PatientID": "SIM-1", **dict.fromkeys(counts, "")})
    assert [patient[count] for count in counts] == ["1", "3", "5"]
    keys = {
        "PatientName": "doe^*",
        "StudyDate": "20260101-20260101",
        "ModalitiesInStudy": "SR",
        "SOPClassesInStudy": "",
        "NumberOfStudyRelatedSeries": "",
        "NumberOfStudyRelatedInstances": "",
        "StudyDescription": "",
        "Modality": "not a key of this level",
    }
    (study,) = find(archive, Level.STUDY, keys, Model.STUDY_ROOT)
    assert study == {
        "PatientName": "Doe^Jane1",
        "StudyDate": "20260101",
        "ModalitiesInStudy": ("CT", "SR"),
        "SOPClassesInStudy": (CT, SR),
        "NumberOfStudyRelatedSeries": "3",
        "NumberOfStudyRelatedInstances": "5",
        "StudyDescription": "",
        "Modality": "",
    }
    keys = {"StudyInstanceUID": "2.25.1", "Modality": "CT", "NumberOfSeriesRelatedInstances": ""}
    series = find(archive, Level.SERIES, keys)
    assert [each["NumberOfSeriesRelatedInstances"] for each in series] == ["2", "2"]
    keys = {"SeriesInstanceUID": ("2.25.1.1", "2.25.2.1"), "SOPInstanceUID": "", "AccessionNumber": ""}
    images = find(archive, Level.IMAGE, keys)
    assert [(each["SOPInstanceUID"], each["AccessionNumber"]) for each in images] == [
        ("2.25.1.1.1", "ACC1"),
        ("2.25.1.1.2", "ACC1"),
        ("2.25.2.1.1", "ACC2"),
    ]
    assert find(archive, Level.STUDY, {"AccessionNumber": "ACC?"})[1] == {"AccessionNumber": "ACC2"}
    assert find(archive, Level.STUDY, {"PatientID": "SIM-2", "StudyDate": ""}) == [
        {"PatientID": "SIM-2", "StudyDate": "20260102"}
    ]
    assert find(archive, Level.STUDY, {"StudyDate": "-20251231"}) == []


@pytest.mark.parametrize("holdings", [ArchiveState, MemoryHoldings])
def test_refused_queries(holdings, tmp_path):
    state = holdings(tmp_path) if holdings is ArchiveState else holdings()
    for query in (
        Query({"PatientID": "1"}, Model.STUDY_ROOT, Level.PATIENT),
        Query({"PatientID": "1"}, Model.STUDY_ROOT, None),
        Query({"PatientID": "1"}, Model.WORKLIST, Level.STUDY),
    ):
        assert state.search(query).status.code == 0xA900
        assert state.locate(query).status.code == 0xA900
    assert state.locate(Query({"PatientID": "1"}, Model.STUDY_ROOT, Level.STUDY)).status.code == 0xA900
    assert state.locate(Query({"StudyInstanceUID": "1"})) == ((), (SUCCESS, "", None))
    if holdings is ArchiveState:
        state.close()


def test_retrieve_by_unique_keys(archive):
    references = fill(archive)

    def located(level, **keys):
        return list(archive.locate(Query(keys, Model.PATIENT_ROOT, level)).references)

    assert located(Level.PATIENT, PatientID="SIM-1") == references[:5]
    assert located(Level.STUDY, StudyInstanceUID=("2.25.1", "2.25.2")) == references
    assert located(Level.SERIES, StudyInstanceUID="2.25.1", SeriesInstanceUID="2.25.1.2") == references[2:4]
    assert located(Level.SERIES, StudyInstanceUID="2.25.2", SeriesInstanceUID="2.25.1.2") == []
    assert located(Level.IMAGE, SOPInstanceUID="2.25.1.1.1\\2.25.1.2.2") == [references[0], references[3]]


def test_commitment_decisions():
    held, conflicting, unknown = (InstanceReference(CT, str(number)) for number in (1, 2, 3))
    report = decide_commitment("9", [held, conflicting, unknown, held], {held}, {conflicting})
    assert report.stored == (held,)
    assert report.failed == ((conflicting, 0x0119), (unknown, 0x0112))


def memory_study(number=1):
    series = tuple(Series(n, f"2.25.{number}.{n}", "CT", CT, f"series {n}", 3, 1000) for n in (1, 2))
    patient = Patient(f"SIM-{number}", f"Doe^Jane{number}", date(1960, 2, 3), "F")
    started = datetime(2026, 1, number, 8)
    order = Order(number, f"ACC{number}", f"2.25.{number}", "1", patient, "p", "Chest", "CT", "CT1", started)
    return Study(order, series, started)


def test_memory_answers_like_the_archive():
    holdings = MemoryHoldings()
    study, other = memory_study(), memory_study(2)
    report = Series(9, "2.25.1.9", "SR", SR, "report", 1, 100)
    derived = replace(study, series=(report,))
    for taken in (study.select([0, 1]), study.select([5]), other, derived, study.select([])):
        holdings.take(taken)
    assert holdings.instances() == 10
    keys = dict.fromkeys(("PatientID", "StudyTime", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"), "")
    assert find(holdings, Level.STUDY, {**keys, "ModalitiesInStudy": "SR", "PatientName": "doe*"}) == [
        {
            "PatientID": "SIM-1",
            "StudyTime": "080000",
            "NumberOfStudyRelatedSeries": "3",
            "NumberOfStudyRelatedInstances": "4",
            "ModalitiesInStudy": ("CT", "SR"),
            "PatientName": "Doe^Jane1",
        }
    ]
    assert len(find(holdings, Level.PATIENT, {"PatientID": "*"})) == 2
    assert find(holdings, Level.PATIENT, {"PatientID": "SIM-2", "NumberOfPatientRelatedInstances": ""}) == [
        {"PatientID": "SIM-2", "NumberOfPatientRelatedInstances": "6"}
    ]
    assert find(holdings, Level.SERIES, {"Modality": "SR", "NumberOfSeriesRelatedInstances": ""}) == [
        {"Modality": "SR", "NumberOfSeriesRelatedInstances": "1"}
    ]
    images = find(holdings, Level.IMAGE, {"StudyInstanceUID": study.uid, "SOPInstanceUID": ""})
    assert {image["SOPInstanceUID"] for image in images} == {
        study.reference(index).sop_instance for index in (0, 1, 5)
    } | {report.instance_uid(1)}


def test_memory_holds_and_regroups():
    holdings = MemoryHoldings()
    study = memory_study()
    holdings.take(study.select([0, 1]))
    holdings.take(study.select([5]))
    assert holdings.holds(study) == {study.reference(index) for index in (0, 1, 5)}
    wrong_class = InstanceReference(SR, study.reference(0).sop_instance)
    assert holdings.conflicts([wrong_class, *study]) == {wrong_class}
    assert holdings.studies_of(study) == [study.select([0, 1, 5])]
    holdings.take(study)
    assert holdings.studies_of([*study, wrong_class]) == [study]
    located = holdings.locate(Query({"StudyInstanceUID": study.uid}))
    assert set(located.references) == set(study)
    series = Query({"SeriesInstanceUID": "2.25.1.2"}, Model.STUDY_ROOT, Level.SERIES)
    assert list(holdings.locate(series).references) == list(study.references[3:])
    image = Query({"SOPInstanceUID": study.reference(4).sop_instance}, Model.STUDY_ROOT, Level.IMAGE)
    assert list(holdings.locate(image).references) == [study.reference(4)]


def test_more_uids_than_sqlite_takes_parameters(archive):
    fill(archive)
    uids = ("2.25.1", *(f"2.25.7.{number}" for number in range(300_000)))
    assert [each["StudyInstanceUID"] for each in find(archive, Level.STUDY, {"StudyInstanceUID": uids})] == ["2.25.1"]
    located = archive.locate(Query({"StudyInstanceUID": uids}, Model.STUDY_ROOT, Level.STUDY))
    assert len(located.references) == 5


def test_as_many_may_ask_at_a_time_as_there_are(archive):
    fill(archive)
    everybody = threading.Barrier(40, timeout=20)

    def ask(_):
        with archive._index._engine.connect() as connection:
            everybody.wait()
            return connection.execute(text("select 1")).scalar_one()

    with ThreadPoolExecutor(40) as pool:
        assert list(pool.map(ask, range(40))) == [1] * 40
