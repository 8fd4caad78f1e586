"""Our scanners and our workstation against Orthanc: store, commit, find, move, and store back."""

import pytest
from peers import free_ports

from interop.departments import external, lab, modality, worklist, workstation
from interop.orthanc import fresh_orthanc

pytestmark = [pytest.mark.peers, pytest.mark.slow]


SEED = 1
"""Orders one study of each protocol."""


@pytest.fixture(scope="module")
def ports():
    """Of the nodes that Orthanc calls back."""
    return dict(zip(("ct1", "mr1", "reader"), free_ports(3), strict=True))


@pytest.fixture(scope="module")
def orthanc(ports, tmp_path_factory):
    modalities = {"ct1": ("CT1", ports["ct1"]), "mr1": ("MR1", ports["mr1"]), "reader": ("READ1", ports["reader"])}
    with fresh_orthanc(tmp_path_factory.mktemp("orthanc"), modalities) as orthanc:
        yield orthanc


@pytest.fixture
def department(orthanc, ports, tmp_path):
    """One CT and one MR study, with Orthanc as the archive."""
    nodes = {
        "ris": worklist("ct-head", "mr-knee", count=2),
        "ct1": modality("CT", store="archive", commit="archive", port=ports["ct1"]),
        "mr1": modality("MR", store="archive", commit="archive", port=ports["mr1"], associations=2),
        "archive": external("ORTHANC", orthanc.dicom_port),
        "reader": workstation("archive", port=ports["reader"]),
    }
    return lab(tmp_path, nodes, seed=SEED)


def assert_all_is_there(result, orthanc):
    counts = result.run.counts
    assert counts.generated == 32 + 74
    assert counts.derived > 0
    assert counts.stored == counts.generated + counts.derived
    assert counts.committed == counts.generated
    assert result.findings.empty
    held = {study: orthanc.instances_of(study) for study in result.studies}
    assert sum(map(len, held.values())) == counts.generated + counts.derived


def test_a_department_around_orthanc(department, orthanc):
    before = orthanc.count_instances()
    result = department.run()
    assert result.ok, result.run.notices
    assert_all_is_there(result, orthanc)
    counts = result.run.counts
    assert orthanc.count_instances() - before == counts.generated + counts.derived
    operations = set(result.records["operation"])
    assert {"C-STORE", "N-ACTION", "C-FIND", "C-MOVE", "stored", "safe", "read"} <= operations
    assert result.records["failures"].sum() == 0


def test_a_second_run_does_not_count_the_first_ones_instances(department, orthanc):
    before = orthanc.count_instances()
    first, second = department.run(), department.run()
    assert first.ok
    assert second.ok
    assert not set(first.studies) & set(second.studies), "a run id is made up, and enters the UIDs"
    for result in (first, second):
        assert_all_is_there(result, orthanc)
    added = sum(result.run.counts.generated + result.run.counts.derived for result in (first, second))
    assert orthanc.count_instances() - before == added
