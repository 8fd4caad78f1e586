"""What DCMTK's storescu and dcmsend send is in the archive, whole and unchanged."""

import pytest

from interop.conftest import copies
from interop.dcmtk import find, get, read_folder, send, store

pytestmark = pytest.mark.peers


def study_key(study):
    return f"StudyInstanceUID={study.study_uid}"


def counted(archive, study):
    answer = find(archive, "QueryRetrieveLevel=STUDY", study_key(study), "NumberOfStudyRelatedInstances")
    [count] = answer.values("NumberOfStudyRelatedInstances")
    return count


def test_a_generated_study_arrives_whole(archived, brain, head):
    assert counted(archived, brain) == len(brain) == 80
    assert counted(archived, head) == len(head) == 32


@pytest.mark.parametrize(
    ("sender", "options", "said"),
    [
        (store, ["-xe"], "-> Little Endian Explicit"),
        (store, ["-xi"], "-> Little Endian Implicit"),
        (send, [], "Accepted Transfer Syntax: =LittleEndianExplicit"),
    ],
    ids=["storescu-explicit", "storescu-implicit", "dcmsend"],
)
def test_what_was_sent_can_be_had_back(clinic, brain, tmp_path, sender, options, said):
    archive, study = clinic["archive"], copies(brain, tmp_path / "study")
    done = sender(archive, study.folder, "-d", *options)
    assert done.code == 0, done.output
    assert said in done.output
    got = get(archive, tmp_path / "back", "QueryRetrieveLevel=STUDY", study_key(study))
    assert got.code == 0, got.output
    assert read_folder(tmp_path / "back") == study.data_sets


def test_instances_that_come_again_are_counted_once(clinic, brain, tmp_path):
    archive, study = clinic["archive"], copies(brain, tmp_path / "study")
    for _ in range(2):
        done = store(archive, study.folder)
        assert done.code == 0, done.output
        assert done.output.count("Received Store Response (Success)") == len(study)
    assert counted(archive, study) == len(study)
