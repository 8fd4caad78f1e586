import errno
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from simlab.network.live.server import ReceivedInstance
from simlab.network.query import Level, Model, Query
from simlab.network.seam import SUCCESS
from simlab.nodes.archive import state as state_module
from simlab.nodes.archive.decisions import decide_commitment
from simlab.nodes.archive.memory import MemoryHoldings
from simlab.nodes.archive.state import ArchiveState
from simlab.studies.study import InstanceReference, Order, Patient, Series, Study
from simlab.studies.uids import IMPLEMENTATION_CLASS_UID

CT = "1.2.840.10008.5.1.4.1.1.2"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"


def data_set(study=1, series=1, number=1, sop_class=CT, **changes):
    made = Dataset()
    values = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": sop_class,
        "SOPInstanceUID": f"2.25.{study}.{series}.{number}",
        "StudyDate": f"202601{study:02}",
        "StudyTime": "080000",
        "AccessionNumber": f"ACC{study}",
        "Modality": "CT" if sop_class == CT else "SR",
        "PatientName": f"Doe^Jane{study}",
        "PatientID": f"SIM-{study}",
        "StudyInstanceUID": f"2.25.{study}",
        "SeriesInstanceUID": f"2.25.{study}.{series}",
        "SeriesNumber": series,
        "InstanceNumber": number,
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "Rows": 4,
        "Columns": 2,
        "PixelData": bytes(range(16)),
        **changes,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(made, keyword, value)
    return made


def encode(made, transfer_syntax=EXPLICIT):
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = transfer_syntax == IMPLICIT, True
    if "PixelData" in made:
        made["PixelData"].VR = "OW"
    write_dataset(buffer, made)
    encoded = buffer.getvalue()
    if transfer_syntax == DEFLATED:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        encoded = deflate.compress(encoded) + deflate.flush()
    return encoded


def received(made, transfer_syntax=EXPLICIT):
    reference = InstanceReference(made.SOPClassUID, made.SOPInstanceUID)
    return ReceivedInstance(reference, transfer_syntax, encode(made, transfer_syntax), "CT1")


@pytest.fixture
def archive(tmp_path):
    state = ArchiveState(tmp_path / "archive")
    yield state
    state.close()


def fill(state):
    """Study 1: two CT series of two, one SR. Study 2: one CT."""
    made = [data_set(series=series, number=number) for series in (1, 2) for number in (1, 2)]
    made += [data_set(series=3, sop_class=SR, PatientName="Later^Name"), data_set(study=2)]
    for each in made:
        assert state.store(received(each)).code == SUCCESS
    return [received(each).reference for each in made]


def find(state, level, keys, model=Model.PATIENT_ROOT):
    found = state.search(Query(keys, model, level))
    assert found.status.code == SUCCESS, found.status
    return list(found.matches)


@pytest.mark.parametrize("transfer_syntax", [IMPLICIT, EXPLICIT, DEFLATED])
def test_bytes_are_kept_as_they_came(archive, transfer_syntax):
    instance = received(data_set(), transfer_syntax)
    assert archive.store(instance).code == SUCCESS
    kept = archive.fetch(instance.reference)
    content = kept.path.read_bytes()
    assert content[kept.data_set_offset :] == instance.data_set
    assert kept.transfer_syntax == transfer_syntax
    read = dcmread(BytesIO(content))
    assert read.PatientID == "SIM-1"
    assert read.PixelData == bytes(range(16))
    assert read.file_meta.TransferSyntaxUID == transfer_syntax
    assert read.file_meta.MediaStorageSOPInstanceUID == instance.reference.sop_instance
    assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert read.file_meta.SourceApplicationEntityTitle == "CT1"
    (image,) = find(archive, Level.IMAGE, {"Rows": "4", "ImageType": "PRIMARY", "AvailableTransferSyntaxUID": ""})
    assert image == {"Rows": "4", "ImageType": ("ORIGINAL", "PRIMARY"), "AvailableTransferSyntaxUID": transfer_syntax}


def test_the_layout_can_be_browsed(archive, tmp_path):
    archive.store(received(data_set(SeriesDescription="Lung")))
    assert (tmp_path / "archive/SIM-1/20260101 ACC1/1 CT Lung/2.25.1.1.1.dcm").is_file()


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientID": "../../etc/passwd"},
        {"PatientID": "A/B\u00e9\u5c71 :*?<>|"},
        {"PatientID": ""},
        {"PatientID": None, "StudyDate": None, "AccessionNumber": None},
        {"PatientID": "NUL", "AccessionNumber": "..."},
        {"PatientID": "x" * 64, "SeriesDescription": "y" * 64},
        {"PatientName": "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"},
        {"SeriesNumber": None, "Modality": None},
    ],
)
def test_odd_values_are_kept_and_found(archive, tmp_path, changes):
    made = data_set(**changes)
    assert archive.store(received(made)).code == SUCCESS
    path = archive.fetch(received(made).reference).path
    root = (tmp_path / "archive").resolve()
    assert path.resolve().parents[3] == root
    parts = path.relative_to(tmp_path / "archive").parts
    assert not any(set(part) & set('<>:"/\\|?*') or part.endswith((" ", ".")) for part in parts)
    assert not any(part.upper() == "NUL" for part in parts)
    keys = {"PatientID": changes.get("PatientID", "SIM-1") or "", "PatientName": str(made.PatientName)}
    assert len(find(archive, Level.STUDY, keys)) == 1


@pytest.mark.parametrize("transfer_syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192", ["", "ISO 2022 IR 87"]])
def test_text_and_sequences_are_read(archive, transfer_syntax, character_set):
    request = Dataset()
    request.RequestedProcedureID = "RP1"
    name = "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce" if isinstance(character_set, list) else "M\u00fcller^Anna"
    made = data_set(
        SpecificCharacterSet=character_set,
        PatientName=name,
        PatientWeight="70",
        RequestAttributesSequence=[request],
        OtherPatientIDs=["A", "B"],
    )
    assert archive.store(received(made, transfer_syntax)).code == SUCCESS
    keys = {"RequestAttributesSequence": ({"RequestedProcedureID": "RP1"},), "PatientWeight": "70.0", "PatientName": ""}
    assert find(archive, Level.SERIES, keys) == [{**keys, "PatientWeight": "70", "PatientName": name}]
    assert find(archive, Level.SERIES, {"RequestAttributesSequence": ({"RequestedProcedureID": "RP2"},)}) == []
    assert find(archive, Level.STUDY, {"OtherPatientIDs": "B"}) == [{"OtherPatientIDs": ("A", "B")}]


def test_names_that_look_alike_do_not_share_a_folder(archive):
    one, other = data_set(PatientID="A/B"), data_set(study=2, PatientID="A:B")
    archive.store(received(one))
    archive.store(received(other))
    folders = {archive.fetch(received(each).reference).path.parents[2].name for each in (one, other)}
    assert folders == {"A_B", "A_B (2)"}


def test_patients_without_an_id_are_not_one(archive):
    archive.store(received(data_set(PatientID="")))
    archive.store(received(data_set(study=2, PatientID="")))
    assert len(find(archive, Level.PATIENT, {"PatientName": ""})) == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", 0xC000),
        (b"no data set at all, whatever it is", 0xC000),
        (encode(data_set(StudyInstanceUID=None)), 0xC000),
        (encode(data_set(SeriesInstanceUID=None)), 0xC000),
        (encode(data_set(number=2)), 0xA900),
        (encode(data_set(sop_class=SR)), 0xA900),
    ],
)
def test_what_is_not_taken(archive, tmp_path, content, code):
    status = archive.store(replace(received(data_set()), data_set=content))
    assert status.code == code
    assert 0 < len(status.comment) <= 64
    assert archive.instances() == 0
    assert not list((tmp_path / "archive").rglob("*.dcm"))


def test_bytes_that_do_not_inflate_are_not_taken(archive):
    assert archive.store(replace(received(data_set(), DEFLATED), data_set=b"\xff" * 100)).code == 0xC000


def test_a_full_disk_is_told_and_leaves_nothing(archive, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(state_module.Path, "replace", full)
        status = archive.store(received(data_set()))
    assert status == (0xA700, "not stored: No space left on device", None)
    assert find(archive, Level.STUDY, {"StudyInstanceUID": ""}) == []
    assert not [path for path in (tmp_path / "archive").rglob("*") if path.suffix in {".dcm", ".part"}]
    assert archive.store(received(data_set())).code == SUCCESS


def test_what_comes_again_is_kept_once(archive):
    instance = received(data_set())
    assert [archive.store(instance).code for _ in range(3)] == [SUCCESS] * 3
    assert (archive.instances(), archive.resent) == (1, 2)
    other_class = received(data_set(sop_class=SR))
    assert archive.store(other_class).code == 0xA900
    assert archive.fetch(other_class.reference) is None
    assert archive.conflicts([instance.reference, other_class.reference]) == {other_class.reference}
    assert archive.holds([instance.reference, other_class.reference]) == {instance.reference}


def test_a_lost_file_is_not_held_until_it_comes_again(archive):
    instance = received(data_set())
    archive.store(instance)
    path = archive.fetch(instance.reference).path
    path.write_bytes(path.read_bytes()[:-1])
    assert archive.holds([instance.reference]) == frozenset()
    assert archive.fetch(instance.reference) is None
    assert archive.store(instance).code == SUCCESS
    assert archive.holds([instance.reference]) == {instance.reference}
    assert (archive.instances(), archive.resent) == (1, 0)


def test_many_threads_store_at_once(archive):
    instances = [
        received(data_set(study=study, series=series, number=number))
        for number in range(1, 6)
        for series in (1, 2)
        for study in (1, 2, 3)
    ]
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda each: archive.store(each).code, instances * 2))
        assert set(codes) == {SUCCESS}
        searches = pool.map(lambda _: len(find(archive, Level.SERIES, {"SeriesInstanceUID": ""})), range(8))
        assert set(searches) == {6}
    assert (archive.instances(), archive.resent, archive.studies()) == (30, 30, 3)
    assert archive.holds(each.reference for each in instances) == {each.reference for each in instances}


@pytest.mark.parametrize("durable", [False, True])
def test_a_restart_finds_what_is_there(tmp_path, durable):
    state = ArchiveState(tmp_path, durable=durable)
    references = fill(state)
    state.fetch(references[0]).path.unlink()
    state.fetch(references[-1]).path.unlink()
    state.close()
    (tmp_path / ".incoming/half.part").write_bytes(b"half")
    again = ArchiveState(tmp_path, durable=durable)
    try:
        assert not list((tmp_path / ".incoming").iterdir())
        assert again.instances() == 4
        assert again.holds(references) == set(references[1:-1])
        assert [each["PatientID"] for each in find(again, Level.PATIENT, {"PatientID": ""})] == ["SIM-1"]
        assert again.store(received(data_set(study=2))).code == SUCCESS
        assert again.studies() == 2
    finally:
        again.close()


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
