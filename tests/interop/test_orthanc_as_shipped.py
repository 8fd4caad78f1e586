"""topologies/orthanc.yaml and orthanc.json, as a user finds them."""

import json
import re
import shutil

import pytest
from peers import call_simlab, require_free

from interop.conftest import TOPOLOGIES
from interop.orthanc import orthanc_up
from simlab.lab.lab import Lab

TOPOLOGY, CONFIGURATION = TOPOLOGIES / "orthanc.yaml", TOPOLOGIES / "orthanc.json"
OUR_PORTS = (11112, 11113, 11114)


@pytest.fixture(scope="module")
def configuration():
    """Without its comments, which Orthanc understands and JSON does not."""
    return json.loads(re.sub(r"(?m)^\s*//.*$", "", CONFIGURATION.read_text()))


def test_the_configuration_fits_the_topology(configuration):
    nodes = Lab.load(TOPOLOGY).topology.nodes
    archive = nodes["archive"]
    assert (configuration["DicomAet"], configuration["DicomPort"]) == (archive.ae_title, archive.port)
    called_back = {name: spec for name, spec in nodes.items() if name in ("ct1", "mr1", "reader")}
    expected = {name: [spec.ae_title, spec.host, spec.port] for name, spec in called_back.items()}
    assert configuration["DicomModalities"] == expected


def test_the_topology_names_the_command_that_starts_it():
    assert "#   TCP_NODELAY=1 Orthanc topologies/orthanc.json\n" in TOPOLOGY.read_text()


@pytest.mark.peers
def test_without_orthanc_there_is_one_clear_line(tmp_path):
    require_free(4242)
    done = call_simlab("run", TOPOLOGY, "--out", tmp_path / "run", folder=tmp_path)
    assert done.code == 2
    *_, complaint = done.output.splitlines()
    where = "ORTHANC@127.0.0.1:4242"
    assert complaint == f"simlab: node archive: nothing listens at {where}; start it first, or correct host and port"
    assert "Traceback" not in done.output


@pytest.mark.peers
@pytest.mark.slow
def test_a_run_as_shipped(configuration, tmp_path):
    """In a copy of the folder: Orthanc keeps its files beside it."""
    dicom_port, http_port = configuration["DicomPort"], configuration["HttpPort"]
    require_free(dicom_port, http_port, *OUR_PORTS)
    shutil.copytree(TOPOLOGIES, tmp_path / "topologies")
    copied = tmp_path / "topologies" / CONFIGURATION.name
    with orthanc_up(copied, dicom_port, http_port, tmp_path) as orthanc:
        out = tmp_path / "run"
        done = call_simlab("run", TOPOLOGY, "--duration", "10 s", "--out", out, folder=tmp_path, seconds=110)
        assert done.code == 0, done.output
        counts = json.loads((out / "summary.json").read_text())["instances"]
        assert (counts["dropped"], counts["lost"], counts["corrupt"], counts["altered"]) == (0, 0, 0, 0)
        assert counts["generated"] > 0
        assert counts["committed"] == counts["generated"]
        assert orthanc.count_instances() == counts["stored"] == counts["generated"] + counts["derived"]
    assert (tmp_path / "runs" / "orthanc" / "index").exists()
