"""Orthanc asks our archives to commit to what it has sent them."""

import pytest
from peers import free_ports, wait_until

from interop.conftest import copies
from interop.departments import external, lab
from interop.orthanc import fresh_orthanc

pytestmark = [pytest.mark.peers, pytest.mark.slow]

BOUND = 20.0
"""Seconds in which a report must have come."""

SEED = 1


@pytest.fixture(scope="module")
def ports():
    return dict(zip(("archive", "vault"), free_ports(2), strict=True))


@pytest.fixture(scope="module")
def orthanc(ports, tmp_path_factory):
    modalities = {"archive": ("ARCHIVE", ports["archive"]), "vault": ("VAULT", ports["vault"])}
    with fresh_orthanc(tmp_path_factory.mktemp("orthanc"), modalities) as orthanc:
        yield orthanc


def archives(orthanc, ports, folder, *faults):
    """Two archives of ours that know Orthanc: one reports on a new association, one on that of the request."""
    nodes = {
        "archive": {"kind": "archive", "ae_title": "ARCHIVE", "port": ports["archive"]},
        "vault": {"kind": "archive", "ae_title": "VAULT", "port": ports["vault"], "report": "same"},
        "orthanc": external("ORTHANC", orthanc.dicom_port),
    }
    return lab(folder, nodes, seed=SEED, faults=list(faults)).up(in_process=True)


@pytest.fixture
def sent(orthanc, brain, tmp_path):
    """A study in Orthanc, as its REST API names instances to be committed to."""
    study = copies(brain, tmp_path / "study", 10)
    for path in study.paths:
        orthanc.upload(path)
    return [{"SOPClassUID": data_set.SOPClassUID, "SOPInstanceUID": uid} for uid, data_set in study.data_sets.items()]


def store(orthanc, archive, references):
    resources = [orthanc.identifier(reference["SOPInstanceUID"]) for reference in references]
    orthanc.ask(f"/modalities/{archive}/store", Resources=resources, Synchronous=True)


def commit(orthanc, archive, references):
    """What Orthanc makes of the report."""
    transaction = orthanc.ask(f"/modalities/{archive}/storage-commitment", DicomInstances=references)["ID"]
    path = f"/storage-commitment/{transaction}"
    wait_until(lambda: orthanc.ask(path)["Status"] != "Pending", "a report", BOUND)
    return orthanc.ask(path)


@pytest.mark.parametrize("archive", ["archive", "vault"])
def test_orthanc_is_told_that_all_is_safe(orthanc, ports, sent, tmp_path, archive):
    with archives(orthanc, ports, tmp_path):
        store(orthanc, archive, sent)
        told = commit(orthanc, archive, sent)
    assert told["Status"] == "Success"
    assert len(told["Success"]) == len(sent)
    assert told["Failures"] == []


def test_orthanc_is_told_what_is_not_there(orthanc, ports, sent, tmp_path):
    unknown = {"SOPClassUID": sent[0]["SOPClassUID"], "SOPInstanceUID": "2.25.404"}
    with archives(orthanc, ports, tmp_path):
        store(orthanc, "archive", sent)
        told = commit(orthanc, "archive", [*sent, unknown])
    assert told["Status"] == "Failure"
    [failure] = told["Failures"]
    assert (failure["SOPInstanceUID"], failure["FailureReason"]) == ("2.25.404", 0x0112)


@pytest.mark.parametrize(
    ("fault", "reasons"),
    [
        ({"operation": "commitment", "do": "fail", "status": "0213H", "every": 5}, [0x0213, 0x0213]),
        ({"operation": "commitment", "do": "duplicate"}, []),
        ({"operation": "N-ACTION", "do": "delay-response", "delay": "1 s"}, []),
        ({"operation": "C-STORE", "do": "drop", "every": 5}, [0x0112, 0x0112]),
    ],
)
def test_orthanc_understands_what_goes_wrong(orthanc, ports, sent, tmp_path, fault, reasons):
    with archives(orthanc, ports, tmp_path, {"node": "archive", **fault}):
        store(orthanc, "archive", sent)
        told = commit(orthanc, "archive", sent)
    assert told["Status"] == ("Failure" if reasons else "Success")
    assert [failure["FailureReason"] for failure in told["Failures"]] == reasons
