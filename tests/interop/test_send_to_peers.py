"""``simlab send`` against DCMTK's storescp and Orthanc: all arrives, as it was, and it is valid."""

import json

import pytest
from lab.storage import data_sets_of
from peers import LOOPBACK, call, call_simlab, free_ports
from pydicom import dcmread

from interop.dcmtk import Station
from interop.orthanc import fresh_orthanc
from simlab.network.live.directory import Peer

pytestmark = pytest.mark.peers


@pytest.fixture
def storescp(tmp_path):
    """A storescp that takes several associations at a time."""
    [port] = free_ports(1)
    with Station.started(Peer("station", "STORESCP", LOOPBACK, port), tmp_path, "--fork") as station:
        station.address = f"STORESCP@{LOOPBACK}:{port}"
        yield station


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    with fresh_orthanc(tmp_path_factory.mktemp("orthanc"), {}) as orthanc:
        yield orthanc


def send(folder, source, address, *options):
    """What it told, as JSON."""
    figures = folder / "figures.json"
    done = call_simlab("send", source, address, "--json", figures, *options)
    assert done.code == 0, done.output
    told = json.loads(figures.read_text())
    assert told["failures"] == 0
    assert told["troubles"] == []
    return told


@pytest.mark.parametrize(
    "options",
    [
        ("--associations", 4),
        pytest.param(("--processes", 2, "--associations", 5, "--outstanding", 3), marks=pytest.mark.slow),
    ],
    ids=["associations", "processes"],
)
def test_files_arrive_at_storescp_byte_for_byte(storescp, head, brain, tmp_path, options):
    told = [send(tmp_path, study.folder, storescp.address, *options) for study in (head, brain)]
    assert [figures["instances"] for figures in told] == [len(head), len(brain)]
    received = data_sets_of(storescp.folder)
    assert received == data_sets_of(head.folder) | data_sets_of(brain.folder)
    assert sum(figures["bytes"] for figures in told) == sum(map(len, received.values()))


@pytest.mark.parametrize(
    "syntax", ["ExplicitVRLittleEndian", pytest.param("ImplicitVRLittleEndian", marks=pytest.mark.slow)]
)
def test_what_is_made_is_valid_when_it_has_arrived(storescp, tmp_path, syntax):
    for protocol in ("tiny", "ct-head"):
        send(tmp_path, protocol, storescp.address, "--instances", 5, "--associations", 2, "--syntax", syntax)
    paths = list(storescp.folder.iterdir())
    assert len(paths) == 10
    for path in paths:
        judged = call("dciodvfy", path).output
        assert judged.startswith(("CTImage", "SCImage")), judged
        assert [line for line in judged.splitlines() if line.startswith("Error")] == []
        assert dcmread(path).file_meta.TransferSyntaxUID.keyword == syntax


@pytest.mark.slow
def test_processes_make_instances_that_differ(storescp, tmp_path):
    told = send(tmp_path, "tiny", storescp.address, "--instances", 250, "--processes", 3, "--associations", 5)
    assert told["instances"] == 250
    received = storescp.received()
    assert len(received) == 250
    assert len({data_set.StudyInstanceUID for data_set in received.values()}) == 3
    assert len({data_set.PatientID for data_set in received.values()}) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [("--associations", 3), ("--processes", 2, "--rate", "200 /s")],
    ids=["associations", "processes"],
)
def test_orthanc_has_all_that_was_sent(orthanc, head, tmp_path, options):
    address = f"ORTHANC@{LOOPBACK}:{orthanc.dicom_port}"
    before = orthanc.count_instances()
    told = send(tmp_path, "tiny", address, "--instances", 120, *options)
    assert told["instances"] == 120
    assert orthanc.count_instances() - before == 120
    send(tmp_path, head.folder, address, *options)
    assert orthanc.instances_of(head.study_uid) == set(head.data_sets)
