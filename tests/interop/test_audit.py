"""The oracle and somebody else's PACS: what an administrator wants to know of his own."""

import pytest
from peers import free_ports

from interop.departments import external, lab, modality, worklist
from interop.orthanc import fresh_orthanc

pytestmark = [pytest.mark.peers, pytest.mark.slow]


@pytest.fixture(scope="module")
def port():
    """Of the scanner that Orthanc calls back."""
    [port] = free_ports(1)
    return port


@pytest.fixture(scope="module")
def orthanc(port, tmp_path_factory):
    with fresh_orthanc(tmp_path_factory.mktemp("orthanc"), {"ct1": ("CT1", port)}) as orthanc:
        yield orthanc


def run_with(orthanc, port, folder, meddle=lambda _: None, **scanner):
    """One CT study, stored at Orthanc and committed to by it; ``meddle`` happens before the audit."""
    nodes = {
        "ris": worklist("ct-head", count=1),
        "ct1": modality("CT", store="archive", commit="archive", port=port, **scanner),
        "archive": external("ORTHANC", orthanc.dicom_port),
    }

    def watch(progress):
        if progress.phase == "auditing":
            meddle(orthanc)

    return lab(folder, nodes).run(watch=watch)


@pytest.mark.parametrize("keep", ["explicit", "implicit", "jpegls", "jpegls-near"])
def test_what_orthanc_keeps_is_what_was_made(orthanc, port, tmp_path, keep):
    result = run_with(orthanc, port, tmp_path, keep=keep)
    assert result.ok, result.run.notices
    counts = result.run.counts
    assert counts.committed == counts.stored == counts.generated == 32
    assert result.findings.empty


def newest(orthanc, before):
    """The instances of the one study that was not there before."""
    [study] = orthanc.studies() - before
    return sorted(orthanc.instances_of(study))


def test_what_orthanc_has_forgotten_is_named(orthanc, port, tmp_path):
    before, forgotten = orthanc.studies(), []

    def meddle(orthanc):
        forgotten.extend(newest(orthanc, before)[:3])
        for uid in forgotten:
            orthanc.forget(uid)

    result = run_with(orthanc, port, tmp_path, meddle)
    counts, findings = result.run.counts, result.findings
    assert (counts.stored, counts.committed, counts.false_safe, counts.dropped) == (32, 32, 3, 3)
    false_safe = findings[findings["finding"] == "false_safe"]
    assert sorted(false_safe["sop_instance"]) == forgotten
    assert set(false_safe["archive"]) == {"archive"}
    assert set(false_safe["study"]) == set(result.studies)
    assert result.run.verdict == "failed"


def retouched(file):
    return file.replace(b"LO\x06\0SIMLAB", b"LO\x06\0BALMIS", 1)


def spoilt(file):
    return file[:-1000] + bytes([file[-1000] ^ 1]) + file[-999:]


@pytest.mark.parametrize("keep", ["explicit", "rle"])
def test_a_header_may_change_at_orthanc_and_a_pixel_may_not(orthanc, port, tmp_path, keep):
    before, touched = orthanc.studies(), []

    def meddle(orthanc):
        touched.extend(newest(orthanc, before)[:2])
        for uid, change in zip(touched, (retouched, spoilt), strict=True):
            orthanc.replace(uid, change)

    findings = run_with(orthanc, port, tmp_path, meddle, keep=keep).findings
    by_instance = findings.groupby("sop_instance")["finding"].agg(set).to_dict()
    harmless, harmed = touched
    assert by_instance.pop(harmless) == {"altered"}
    assert by_instance.pop(harmed) - {"lost"} == {"corrupt", "dropped", "false_safe"}
    assert by_instance == {}
