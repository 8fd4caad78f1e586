"""An archive on a disk that is really full: a file system in memory, which root of a Linux system may mount."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
from network.worlds import wait_for

from nodes.archive_samples import until
from simlab.network.live.environment import LiveEnvironment
from simlab.network.live.network import LiveNetwork
from simlab.network.live.receiving.acceptor import Listening
from simlab.network.query import Level, Model, Query
from simlab.network.seam import SUCCESS
from simlab.nodes.archive.service import ArchiveService
from simlab.nodes.archive.workflow import run
from simlab.nodes.modality.service import ModalityService
from simlab.nodes.node import Node
from simlab.nodes.specs import SPECS
from simlab.records import Recorder
from simlab.studies.templates import synthetic_studies
from simlab.topology.loader import parse_topology

OUT_OF_RESOURCES, RESOURCE_LIMITATION = 0xA700, 0x0213

TOPOLOGY = """\
simlab: 1
name: full
nodes:
  ris: {kind: worklist, ae_title: RIS, orders: {rate: 9 /h, mix: {ct-head: 1}}}
  ct1: {kind: modality, modality: CT, ae_title: CT1, worklist: ris, store: archive, commit: archive}
  archive: {kind: archive, ae_title: ARCHIVE, durability: %s}
"""

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root of a Linux system may mount a disk"
)


class Disk:
    """A disk that takes 4 MB, until it is replaced by a larger one."""

    def __init__(self, folder):
        self.folder = folder

    def mount(self):
        command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", self.folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")

    def enlarge(self):
        subprocess.run(["mount", "-o", "remount,size=64m", self.folder], timeout=30, check=True)

    def unmount(self):
        subprocess.run(["umount", "--lazy", self.folder], timeout=30, check=True)

    def fill(self):
        """Somebody else takes what room there is."""
        with (self.folder / "filler").open("ab", buffering=0) as filler, suppress(OSError):
            while filler.write(bytes(512)):
                pass
        assert shutil.disk_usage(self.folder).free == 0


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path / "archive")
    disk.folder.mkdir()
    disk.mount()
    yield disk
    disk.unmount()


@pytest.fixture(params=["write", "fsync"])
def site(request, disk, tmp_path):
    """A scanner, and an archive on that disk."""
    topology = parse_topology(TOPOLOGY % request.param, SPECS)
    env, recorder = LiveEnvironment(), Recorder()
    network = LiveNetwork(env, recorder)

    def node(name):
        workspace = tmp_path / name
        workspace.mkdir(exist_ok=True)
        return Node(name, topology, "live", env, network, recorder, workspace, hand_in=env.hand_in, clock=env.wall)

    scanner = node("ct1")
    archive = ArchiveService(own := node("archive"))
    for half, name, title in ((ModalityService(scanner), "ct1", "CT1"), (archive, "archive", "ARCHIVE")):
        network.directory.update([network.register(name, half, Listening(title, "127.0.0.1", 0, None, 20))])
    env.process(run(own, archive))
    env.start(time.perf_counter())
    yield SimpleNamespace(env=env, network=network, scanner=scanner, archive=archive, root=disk.folder)
    network.close()
    archive.close()


def statuses(stored):
    return dict(zip(stored.rows.sop_instance, stored.rows.status, strict=True))


def refused_request(site, study):
    """The outcome of the first commitment request that is not accepted: some still fit into what SQLite has already."""
    for number in range(100):
        outcome = wait_for(site, site.network.request_commitment("ct1", "archive", f"2.25.77{number}", study))
        if not outcome.ok:
            return outcome
    raise AssertionError("a full disk takes everything")


def report_on(site, transaction):
    while (report := wait_for(site, site.scanner.notifications.get())).transaction != transaction:
        pass
    return report


def test_a_full_disk_refuses_and_recovers_when_there_is_room_again(site, disk):
    study = next(synthetic_studies("ct-head", 1))
    assert wait_for(site, site.network.make("ct1", study)).ok
    stored = wait_for(site, site.network.store("ct1", "archive", study))
    held = stored.acknowledged
    assert 0 < len(held) < study.count
    assert set(statuses(stored).values()) == {SUCCESS, OUT_OF_RESOURCES}
    assert "No space left" in stored.comment

    disk.fill()
    refused = refused_request(site, study)
    assert refused.status == RESOURCE_LIMITATION, refused
    assert wait_for(site, site.network.echo("ct1", "archive")).ok

    disk.enlarge()
    until(lambda: not site.archive.holdings._writer.trouble)
    assert site.archive.holdings.instances() == len(held), "what was acknowledged, and nothing else"
    assert {path.stem for path in site.root.rglob("*.dcm")} == held
    again = wait_for(site, site.network.store("ct1", "archive", study))
    assert set(statuses(again).values()) == {SUCCESS}
    assert site.archive.holdings.resent == len(held)

    assert wait_for(site, site.network.request_commitment("ct1", "archive", "2.25.78", study)).ok
    report = report_on(site, "2.25.78")
    assert report.failed == ()
    assert set(report.stored) == set(study.references)
    everything = Query({"StudyInstanceUID": study.uid}, Model.STUDY_ROOT, Level.STUDY)
    got = wait_for(site, site.network.get("ct1", "archive", everything))
    assert set(got.received) == {uid for _, uid in study.references}
    assert not [path for path in site.archive.holdings.incoming.rglob("*") if path.is_file()]
