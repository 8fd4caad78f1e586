import pickle
import tracemalloc
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from nodes.archive_samples import DEFLATED, EXPLICIT, IMPLICIT, SR, data_set, encode, fill, find, received, sent, store
from simlab.network.live.server import Durability
from simlab.network.live.wire.attributes import DEEPEST, LARGEST_HEADER
from simlab.network.query import Level
from simlab.network.seam import SUCCESS
from simlab.nodes.archive.placement import first_free
from simlab.nodes.archive.service import ArchiveService
from simlab.nodes.archive.spec import ArchiveSpec
from simlab.nodes.archive.state import ArchiveState
from simlab.studies.uids import IMPLEMENTATION_CLASS_UID


@pytest.mark.parametrize("transfer_syntax", [IMPLICIT, EXPLICIT, DEFLATED])
def test_bytes_are_kept_as_they_came(archive, transfer_syntax):
    instance = sent(data_set(), transfer_syntax)
    assert store(archive, instance).code == SUCCESS
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
    store(archive, sent(data_set(SeriesDescription="Lung")))
    assert archive.instances() == 1
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
    assert store(archive, sent(made)).code == SUCCESS
    path = archive.fetch(sent(made).reference).path
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
    assert store(archive, sent(made, transfer_syntax)).code == SUCCESS
    keys = {"RequestAttributesSequence": ({"RequestedProcedureID": "RP1"},), "PatientWeight": "70.0", "PatientName": ""}
    assert find(archive, Level.SERIES, keys) == [{**keys, "PatientWeight": "70", "PatientName": name}]
    assert find(archive, Level.SERIES, {"RequestAttributesSequence": ({"RequestedProcedureID": "RP2"},)}) == []
    assert find(archive, Level.STUDY, {"OtherPatientIDs": "B"}) == [{"OtherPatientIDs": ("A", "B")}]


def test_names_that_look_alike_do_not_share_a_folder(archive):
    one, other = data_set(PatientID="A/B"), data_set(study=2, PatientID="A:B")
    store(archive, sent(one))
    store(archive, sent(other))
    folders = {archive.fetch(sent(each).reference).path.parents[2].name for each in (one, other)}
    assert folders == {"A_B", "A_B (2)"}


def test_patients_without_an_id_are_not_one(archive):
    store(archive, sent(data_set(PatientID="")))
    store(archive, sent(data_set(study=2, PatientID="")))
    assert len(find(archive, Level.PATIENT, {"PatientName": ""})) == 2


@given(st.integers(0, 5000))
def test_names_that_are_taken_are_passed_in_a_few_steps(taken):
    looks = []

    def is_free(number):
        looks.append(number)
        return number > taken

    assert first_free(is_free) == taken + 1
    assert len(looks) <= 1 + 2 * taken.bit_length()


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
    status = store(archive, sent(data_set())._replace(data_set=content))
    assert status.code == code
    assert 0 < len(status.comment) <= 64
    assert archive.instances() == 0
    assert not list((tmp_path / "archive").rglob("*.dcm"))


@pytest.mark.parametrize("transfer_syntax", [IMPLICIT, EXPLICIT, DEFLATED])
def test_sequences_within_sequences_are_read_to_a_depth(archive, transfer_syntax):
    def nested(depth):
        made = Dataset()
        made.CodeValue = "1"
        for _ in range(depth):
            outer = Dataset()
            outer.ConceptNameCodeSequence = [made]
            made = outer
        return data_set(ConceptNameCodeSequence=made.ConceptNameCodeSequence)

    assert store(archive, sent(nested(DEEPEST + 1), transfer_syntax)).code == 0xC000
    assert store(archive, sent(nested(DEEPEST), transfer_syntax)).code == SUCCESS
    (found,) = find(archive, Level.IMAGE, {"ConceptNameCodeSequence": ()})
    for _ in range(DEEPEST):
        (found,) = found["ConceptNameCodeSequence"]
    assert found == {"CodeValue": "1"}


def test_of_what_is_deflated_no_more_is_inflated_than_what_is_read(archive):
    much = bytes(4 * LARGEST_HEADER)
    pixels = sent(data_set(PixelData=much), DEFLATED)
    tracemalloc.start()
    try:
        assert store(archive, pixels).code == SUCCESS
        assert tracemalloc.get_traced_memory()[1] < 3 * LARGEST_HEADER
    finally:
        tracemalloc.stop()
    assert len(find(archive, Level.IMAGE, {"Rows": "4"})) == 1
    assert store(archive, sent(data_set(number=2, SpectroscopyData=bytes(LARGEST_HEADER)), DEFLATED)).code == 0xC000


def test_bytes_that_do_not_inflate_are_not_taken(archive):
    assert store(archive, sent(data_set(), DEFLATED)._replace(data_set=b"\xff" * 100)).code == 0xC000


def test_what_comes_again_is_kept_once(archive):
    instance = sent(data_set())
    assert [store(archive, instance).code for _ in range(3)] == [SUCCESS] * 3
    assert (archive.instances(), archive.resent) == (1, 2)
    other_class = sent(data_set(sop_class=SR))
    assert store(archive, other_class).code == 0xA900
    assert archive.fetch(other_class.reference) is None
    assert archive.conflicts([instance.reference, other_class.reference]) == {other_class.reference}
    assert archive.holds([instance.reference, other_class.reference]) == {instance.reference}


def test_a_lost_file_is_not_held_until_it_comes_again(archive):
    instance = sent(data_set())
    store(archive, instance)
    path = archive.fetch(instance.reference).path
    path.write_bytes(path.read_bytes()[:-1])
    assert archive.holds([instance.reference]) == frozenset()
    assert archive.fetch(instance.reference) is None
    assert store(archive, instance).code == SUCCESS
    assert archive.holds([instance.reference]) == {instance.reference}
    assert (archive.instances(), archive.resent) == (1, 0)


def test_many_threads_store_at_once(archive):
    instances = [
        sent(data_set(study=study, series=series, number=number))
        for number in range(1, 6)
        for series in (1, 2)
        for study in (1, 2, 3)
    ]
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda each: store(archive, each).code, instances * 2))
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
        assert store(again, sent(data_set(study=2))).code == SUCCESS
        assert again.studies() == 2
    finally:
        again.close()


@pytest.mark.parametrize("durability", ["none", "write", "fsync"])
def test_a_service_stores_as_its_node_says(tmp_path, durability):
    spec = ArchiveSpec(kind="archive", ae_title="ARCHIVE", durability=durability)
    service = ArchiveService(SimpleNamespace(spec=spec, workspace=tmp_path))
    assert service.storage.durability is Durability(durability)
    instance = sent(data_set())
    arrived = received(instance, service.storage.folder)
    response = Future()
    service.take(arrived, pickle.loads(pickle.dumps(service.storage)).examine(arrived, b""), response.set_result)
    assert response.result(10).code == SUCCESS
    assert service.fetch(instance.reference) is not None
    service.close()
