"""A department that is up, and studies to send to it."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from peers import SIMLAB, call_simlab, free_ports, running
from pydicom import dcmread
from pydicom.uid import generate_uid

from interop.dcmtk import Station, store
from simlab.network.live.directory import Peer

TOPOLOGIES = Path(__file__).parents[2] / "topologies"


class Department:
    """Where the nodes of a department that is up are."""

    def __init__(self, addresses):
        self.peers = {node: Peer(node, **address) for node, address in addresses.items()}

    def __getitem__(self, node):
        return self.peers[node]


@contextmanager
def department_up(topology, folder):
    """``simlab up``, as a user starts it."""
    folder.mkdir()
    addresses = folder / "addresses.json"
    command = [*SIMLAB, "up", topology, "--addresses", addresses]
    with running(command, folder / "up.log", addresses.exists):
        yield Department(json.loads(addresses.read_text()))


@pytest.fixture(scope="session")
def clinic(tmp_path_factory):
    """The clinic, its node ``station`` on a free port, and two archives: one for each way to report a commitment."""
    folder = tmp_path_factory.mktemp("clinic")
    topology = yaml.safe_load((TOPOLOGIES / "clinic.yaml").read_text())
    nodes = topology["nodes"]
    [nodes["station"]["port"]] = free_ports(1)
    nodes["archive"]["report"] = "new"
    nodes["vault"] = {"kind": "archive", "ae_title": "VAULT", "report": "same"}
    path = folder / "clinic.yaml"
    path.write_text(yaml.safe_dump(topology, sort_keys=False))
    with department_up(path, folder / "up") as department:
        yield department


@pytest.fixture
def storescp(clinic, tmp_path):
    """DCMTK's storescp, at the address that the clinic knows for its node ``station``."""
    with Station.started(clinic["station"], tmp_path) as station:
        yield station


@pytest.fixture(scope="session")
def brain(tmp_path_factory):
    """An MR study of 80 instances: path by SOP Instance UID, in the order of acquisition."""
    return generate("mr-brain", tmp_path_factory.mktemp("brain"), seed=7)


@pytest.fixture(scope="session")
def head(tmp_path_factory):
    """A CT study of 32 instances."""
    return generate("ct-head", tmp_path_factory.mktemp("head"), seed=8)


class Files:
    """A study as files."""

    def __init__(self, folder):
        self.folder = folder
        self.paths = sorted(folder.rglob("*.dcm"))
        self.data_sets = {data_set.SOPInstanceUID: data_set for data_set in map(dcmread, self.paths)}
        self.first = next(iter(self.data_sets.values()))
        self.study_uid = self.first.StudyInstanceUID

    def __len__(self):
        return len(self.paths)


def copies(study, folder, count=3):
    """The first instances of a study once more, under new UIDs."""
    folder.mkdir()
    study_uid, series_uid = generate_uid(), generate_uid()
    for path in study.paths[:count]:
        data_set = dcmread(path)
        data_set.StudyInstanceUID, data_set.SeriesInstanceUID = study_uid, series_uid
        data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data_set.save_as(folder / path.name)
    return Files(folder)


def generate(protocol, folder, seed):
    done = call_simlab("generate", protocol, "--seed", seed, "--out", folder)
    assert done.code == 0, done.output
    return Files(folder)


@pytest.fixture(scope="session")
def archived(clinic, brain, head):
    """The archive of the clinic, holding both studies."""
    for study in (brain, head):
        assert store(clinic["archive"], study.folder).code == 0
    return clinic["archive"]
