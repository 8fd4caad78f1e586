"""Our scanners and our workstation against DCMTK's servers: storescp, dcmqrscp and wlmscpfs."""

import pytest
from peers import LOOPBACK, free_ports, listens, require, running
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from interop.dcmtk import Station, find
from interop.departments import external, lab, modality, worklist, workstation
from simlab.network.live.directory import Peer

pytestmark = [pytest.mark.peers, pytest.mark.slow]


def test_a_scanner_stores_to_storescp(tmp_path):
    [port] = free_ports(1)
    nodes = {
        "ris": worklist("mr-knee", count=1),
        "mr1": modality("MR", store="station"),
        "station": external("STORESCP", port),
    }
    with Station.started(Peer("station", "STORESCP", LOOPBACK, port), tmp_path) as station:
        result = lab(tmp_path, nodes).run()
        received = station.received()
    [study] = result.studies
    assert result.run.counts.stored == result.run.counts.generated == len(received) == 74
    assert {data_set.StudyInstanceUID for data_set in received.values()} == {study}
    assert {"stored", "completed"} <= set(result.records["operation"])


DCMQRSCP = """
NetworkTCPPort  = {port}
MaxPDUSize      = 16384
MaxAssociations = 16

HostTable BEGIN
reader = (READ1, {host}, {reader})
HostTable END

VendorTable BEGIN
VendorTable END

AETable BEGIN
QRSCP {folder} RW (200, 1024mb) ANY
AETable END
"""


def test_a_workstation_reads_from_dcmqrscp(tmp_path):
    port, reader = free_ports(2)
    storage = tmp_path / "storage"
    storage.mkdir()
    configuration = tmp_path / "dcmqrscp.cfg"
    # dcmqrscp wants a name in its table of hosts, not an address.
    configuration.write_text(DCMQRSCP.format(port=port, host="localhost", reader=reader, folder=storage))
    nodes = {
        "ris": worklist("mr-knee", count=1),
        "mr1": modality("MR", store="archive"),
        "archive": external("QRSCP", port),
        "reader": workstation("archive", port=reader),
    }
    command = [require("dcmqrscp"), "-c", configuration]
    with running(command, tmp_path / "dcmqrscp.log", lambda: listens(port)):
        result = lab(tmp_path, nodes).run()
        archive = Peer("archive", "QRSCP", LOOPBACK, port)
        held = {uid for study in result.studies for uid in instances_in(archive, study)}
    counts = result.run.counts
    assert result.ok, result.run.notices
    assert counts.generated == 74
    assert counts.derived > 0
    assert counts.stored == len(held) == counts.generated + counts.derived
    assert result.findings.empty
    # dcmqrscp tells no number of instances; even so, a study is not moved while it is being stored.
    finished = result.records.groupby("operation")["finished"].max()
    [moved] = result.records[result.records["operation"] == "C-MOVE"]["started"]
    assert finished["stored"] < moved < finished["read"]


def instances_in(archive, study):
    """SOP Instance UIDs, found level by level: dcmqrscp answers hierarchical queries only."""
    of_study = f"StudyInstanceUID={study}"
    all_series = find(archive, "QueryRetrieveLevel=SERIES", of_study, "SeriesInstanceUID")
    for series in all_series.values("SeriesInstanceUID"):
        instances = find(archive, "QueryRetrieveLevel=IMAGE", of_study, f"SeriesInstanceUID={series}", "SOPInstanceUID")
        yield from instances.values("SOPInstanceUID")


def test_a_scanner_takes_its_work_from_wlmscpfs(tmp_path):
    [port] = free_ports(1)
    item = worklist_item()
    write_worklist(tmp_path / "worklists" / "WLM", item)
    nodes = {
        "ris": external("WLM", port),
        # An item of somebody else's worklist names none of our protocols, so the scanner has one of its own.
        "mr1": modality("MR", store="archive", commit="archive", protocol="mr-knee"),
        "archive": {"kind": "archive", "ae_title": "ARCHIVE"},
    }
    command = [require("wlmscpfs"), "-dfp", tmp_path / "worklists", port]
    with running(command, tmp_path / "wlmscpfs.log", lambda: listens(port)):
        result = lab(tmp_path, nodes, duration="5 s").run()
    assert result.ok, result.run.notices
    assert result.studies == [item.StudyInstanceUID]
    assert result.run.counts.stored == result.run.counts.committed == 74
    [started] = result.records[result.records["operation"] == "started"]["comment"]
    assert started == f"{item.AccessionNumber} mr-knee"


def worklist_item():
    """An MR examination for station MR1, with all that wlmscpfs insists on."""
    step = Dataset()
    step.ScheduledStationAETitle = "MR1"
    step.Modality = "MR"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20260115", "090000"
    step.ScheduledPerformingPhysicianName = ""
    step.ScheduledProcedureStepDescription, step.ScheduledProcedureStepID = "MR knee", "SPS7"
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 100"
    item.PatientName, item.PatientID = "Synthetic^Patient", "SIM-WLM"
    item.PatientBirthDate, item.PatientSex = "19700101", "F"
    item.AccessionNumber, item.ReferringPhysicianName = "WLM00007", ""
    item.StudyInstanceUID = generate_uid()
    item.RequestedProcedureID, item.RequestedProcedureDescription = "RP7", "MR knee"
    item.ScheduledProcedureStepSequence = [step]
    return item


def write_worklist(folder, item):
    """As wlmscpfs reads it: a folder named like its AE title, with a lock file and one file for each item."""
    folder.mkdir(parents=True)
    (folder / "lockfile").touch()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"  # DCMTK's own, for what has none
    item.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    item.save_as(folder / "item.wl", enforce_file_format=True)
