import pytest

from nodes.archive_samples import DEFLATED, EXPLICIT, IMPLICIT, data_set, encode, received, sent
from simlab.network.live.server import examine_nothing
from simlab.network.seam import SUCCESS
from simlab.nodes.halves import LiveHalf
from simlab.nodes.local_disk import LocalDisk
from simlab.nodes.node import NOT_OFFERED
from simlab.studies.study import InstanceReference


@pytest.fixture
def disk(tmp_path):
    return LocalDisk(tmp_path / "disk")


def receive(disk, instance):
    storage = disk.storage()
    arrived = received(instance, storage.folder)
    status = disk.receive(arrived, storage.examine(arrived, instance.data_set))
    assert not arrived.path.exists()
    return status


@pytest.mark.parametrize("transfer_syntax", [IMPLICIT, EXPLICIT, DEFLATED])
def test_what_is_received_is_kept_by_study(disk, tmp_path, transfer_syntax):
    instance = sent(data_set(), transfer_syntax)
    assert receive(disk, instance).code == SUCCESS
    kept = disk.fetch(instance.reference)
    assert kept.path == tmp_path / "disk/2.25.1/2.25.1.1.1.dcm"
    assert kept.path.read_bytes()[kept.data_set_offset :] == instance.data_set
    assert kept.transfer_syntax == transfer_syntax
    assert disk.study("2.25.1") == [kept]
    assert disk.discard("2.25.1") > len(instance.data_set)
    assert disk.fetch(instance.reference) is None
    assert not kept.path.exists()


def test_what_comes_again_replaces(disk):
    first, second = sent(data_set()), sent(data_set(PatientName="Later"))
    assert [receive(disk, each).code for each in (first, second)] == [SUCCESS] * 2
    (kept,) = disk.study("2.25.1")
    assert kept.path.read_bytes().endswith(second.data_set)


@pytest.mark.parametrize(
    "instance",
    [
        sent(data_set())._replace(data_set=b"no data set at all, whatever it is"),
        sent(data_set())._replace(data_set=encode(data_set(StudyInstanceUID=None))),
        sent(data_set())._replace(reference=InstanceReference("1.2", "../../evil")),
    ],
)
def test_what_cannot_be_kept(disk, tmp_path, instance):
    status = receive(disk, instance)
    assert status.code == 0xC000
    assert 0 < len(status.comment) <= 64
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_study_does_not_name_a_folder_elsewhere(disk, tmp_path):
    for uid in ("..", ".", "2.25/..", "../evil"):
        made = data_set(StudyInstanceUID=None)
        made.add_new("StudyInstanceUID", "LO", uid)  # pydicom would warn of it as a UID
        assert receive(disk, sent(made)).code == 0xC000
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_disk_in_the_way_is_told(disk, tmp_path):
    disk.storage()
    (tmp_path / "disk/2.25.1").write_text("a file where the study's folder should be")
    assert receive(disk, sent(data_set())).code == 0xA700


def test_a_node_that_stores_nothing_refuses(tmp_path):
    responses = []
    arrived = received(sent(data_set()), tmp_path)
    LiveHalf().take(arrived, examine_nothing(arrived, b""), responses.append)
    assert responses == [NOT_OFFERED]
    assert not arrived.path.exists()
