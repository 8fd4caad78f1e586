"""``simlab send`` below its command line: what is sent, by whom, and what is told of it. Peers are real."""

import json
import os
import random
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from network.storing import places
from peers import LOOPBACK
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage, generate_uid
from pynetdicom.sop_class import CTImageStorage, MRImageStorage

from lab.samples import free_port
from lab.storage import data_sets_of, slowly, storage
from simlab.errors import UserError
from simlab.lab import send as sending
from simlab.lab.send import Load, send
from simlab.network.live.directory import Peer
from simlab.studies.templates import TEMPLATES, synthetic_studies

FIGURES = {
    *("source", "corpus", "seed", "processes", "associations", "prepare_s", "prepare_cpu_s", "send_s", "requested"),
    *("instances", "warnings", "failures", "refused", "in_doubt", "unsent", "statuses", "skipped_files", "bytes"),
    *("instances_per_s", "bytes_per_s", "cpu_s", "cpu_s_per_gb", "p50", "p95", "p99", "outstanding_requested"),
    *("outstanding_negotiated", "associate_s", "release_s", "troubles"),
}
NOTHING = 0, 0, 0


def quiet(_doing, _done, _total):
    pass


@contextmanager
def undisturbed():
    yield threading.Event()


def sent(source, peer, *, progress=quiet, heeding=undisturbed, **more):
    """The report of a load, and its figures as JSON has them."""
    report = send(Load(str(source), peer, "SENDER", **more), progress, heeding)
    return report, json.loads(json.dumps(report.figures()))


def lost(figures):
    return figures["refused"], figures["in_doubt"], figures["unsent"]


@pytest.fixture
def station():
    with storage() as station:
        yield station


@pytest.fixture
def folder(tmp_path):
    """Files large enough that no socket takes one at once, some in folders, and what else may be in a folder."""
    root = tmp_path / "files"
    for number in range(1, 13):
        write_file(root / f"{number % 3}" / "deep" / f"{number}", number)
    (root / "readme.txt").write_text("no DICOM")
    (root / "empty.dcm").touch()
    (root / "0" / "noise").write_bytes(random.Random(1).randbytes(5000))
    return root


def write_file(path, number, sop_class=CTImageStorage, size=3_000_000):
    path.parent.mkdir(parents=True, exist_ok=True)
    instance = Dataset()
    instance.SOPClassUID, instance.SOPInstanceUID = sop_class, generate_uid(entropy_srcs=[str(number)])
    instance.PatientID = f"PATIENT {number}"
    instance.PixelData = random.Random(number).randbytes(size)
    instance["PixelData"].VR = "OW"
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.save_as(path, enforce_file_format=True)


# ---- figures


def test_the_figures(station):
    report, figures = sent("tiny", station.peer, instances=150, seed=4)
    assert report.ok
    assert set(figures) == FIGURES
    told = {"source": "tiny", "corpus": "pre-encoded", "seed": 4, "processes": 1, "associations": 1}
    told |= {"requested": 150, "instances": 150, "failures": 0, "warnings": 0, "statuses": {"0000": 150}}
    told |= {"outstanding_requested": 1, "outstanding_negotiated": 1, "skipped_files": 0, "troubles": []}
    assert told.items() <= figures.items()
    assert lost(figures) == NOTHING
    assert len(station.received) == len(station.uids) == 150
    assert figures["bytes"] == sum(len(data_set) for _, data_set in station.received)
    assert 0 < figures["p50"] <= figures["p95"] <= figures["p99"] <= figures["send_s"]
    assert figures["instances_per_s"] == pytest.approx(150 / figures["send_s"])
    assert figures["bytes_per_s"] == pytest.approx(figures["bytes"] / figures["send_s"])
    assert 0 < figures["cpu_s"] <= figures["send_s"] + 0.1
    assert figures["cpu_s_per_gb"] == pytest.approx(figures["cpu_s"] / figures["bytes"] * 1e9)
    assert figures["prepare_s"] > 0


def test_progress_is_told(station):
    told = []
    sent("tiny", station.peer, instances=30, progress=lambda *what: told.append(what))
    assert told[0] == ("making", 1, 100)
    assert told[-1] == ("sending", 30, 30)


def test_without_a_number_a_study_is_sent(station):
    _, figures = sent("tiny", station.peer, syntax="1.2.840.10008.1.2")
    assert figures["requested"] == figures["instances"] == 100
    assert figures["seed"] is not None
    assert not any(data_set[4:6].isalpha() for _, data_set in station.received), "Implicit VR: a length, and no VR"


def test_what_was_answered_how():
    statuses = [0x0000, 0xA700, 0xC000, 0xB000]
    with storage(lambda number: statuses[number % 4]) as station:
        report, figures = sent("tiny", station.peer, instances=40, associations=3)
    assert not report.ok
    assert (figures["instances"], figures["failures"], figures["warnings"]) == (20, 20, 10)
    assert figures["statuses"] == {"0000": 10, "A700": 10, "B000": 10, "C000": 10}
    assert lost(figures) == (10, 0, 0)
    assert figures["instances_per_s"] == pytest.approx(20 / figures["send_s"]), "what is not stored does not count"
    assert figures["bytes"] < sum(len(data_set) for _, data_set in station.received)


def test_warnings_are_well():
    with storage(lambda _: 0xB007) as station:
        report, figures = sent("tiny", station.peer, instances=10)
    assert report.ok
    assert (figures["instances"], figures["warnings"], figures["failures"]) == (10, 10, 0)


def test_the_peers_comment_is_told():
    with storage(lambda _: (0xA700, "disk full")) as station:
        _, figures = sent("tiny", station.peer, instances=10)
    assert figures["troubles"] == ["the peer's comment: disk full"]
    assert (figures["bytes"], figures["cpu_s_per_gb"]) == (0, None)


@pytest.mark.parametrize(("asked", "granted", "agreed"), [(4, 8, 4), (0, 0, 0)])
def test_as_many_are_outstanding_as_both_want(tmp_path, asked, granted, agreed):
    with places(tmp_path, 0) as listen:
        place = listen(outstanding=granted)
        peer = Peer("archive", "ARCHIVE", LOOPBACK, place.port)
        report, figures = sent("tiny", peer, instances=60, associations=2, outstanding=asked)
        assert report.ok, figures
        assert (figures["outstanding_requested"], figures["outstanding_negotiated"]) == (asked, agreed)
        assert len(place.node.taken) == 60


# ---- who sends what


def shares(stack, source, **load):
    """What each process would be given."""
    load = Load(source, Peer("nobody", "NOBODY", LOOPBACK, 104), "SENDER", **load)
    report, sources = sending._prepare_template(load, quiet, stack)
    return sending._divide(report.load, sources)


def references_of(consignments):
    return [
        outgoing.reference.sop_instance
        for consignment in consignments
        for outgoing in consignment.source.outgoing(1)[0]
    ]


@pytest.mark.parametrize("instances", [1, 100, 437])
def test_processes_together_send_what_one_alone_would_send(instances):
    with ExitStack() as stack:
        alone = references_of(shares(stack, "tiny", instances=instances, seed=5))
        assert len(set(alone)) == len(alone) == instances
        for processes in (2, 5):
            shared = shares(stack, "tiny", instances=instances, seed=5, processes=processes)
            assert references_of(shared) == alone
            counts = [consignment.source.count for consignment in shared]
            assert len(counts) == min(processes, instances)
            assert max(counts) - min(counts) <= 1


def test_studies_are_whole_and_follow_each_other():
    with ExitStack() as stack:
        found = references_of(shares(stack, "tiny", instances=250, seed=6, processes=4))
    studies = synthetic_studies("tiny", 6)
    assert found == [reference.sop_instance for _ in range(3) for reference in next(studies)][:250]


def test_associations_and_rate_are_divided():
    with ExitStack() as stack:
        consignments = shares(stack, "tiny", associations=7, processes=3, rate=30.0)
    assert [consignment.associations for consignment in consignments] == [3, 2, 2]
    assert [consignment.interval for consignment in consignments] == pytest.approx([0.1] * 3)
    assert [consignment.delay for consignment in consignments] == pytest.approx([0, 1 / 30, 2 / 30])


def test_the_same_seed_sends_the_same_from_any_number_of_processes():
    came = []
    for seed, processes, associations in [(9, 1, 1), (9, 2, 3), (10, 1, 2)]:
        with storage() as station:
            load = {"instances": 130, "seed": seed, "processes": processes, "associations": associations}
            report, figures = sent("tiny", station.peer, **load)
        assert report.ok, figures
        assert station.associations == figures["associations"] == associations
        assert figures["processes"] == processes
        came.append(station.data_sets)
    assert came[0] == came[1]
    assert not came[0].keys() & came[2].keys()


@pytest.mark.slow
def test_no_more_processes_than_instances(station):
    report, figures = sent("tiny", station.peer, instances=2, processes=4)
    assert report.ok
    assert (figures["processes"], figures["associations"]) == (2, 2)


# ---- files


@pytest.mark.parametrize(("processes", "associations"), [(1, 1), (1, 4), (2, 5)])
def test_files_arrive_as_they_are(station, folder, processes, associations):
    report, figures = sent(folder, station.peer, processes=processes, associations=associations)
    assert report.ok, figures
    told = {"corpus": "files", "seed": None, "requested": 12, "instances": 12, "skipped_files": 3}
    assert told.items() <= figures.items()
    assert station.associations == associations
    assert station.data_sets == data_sets_of(folder)
    assert figures["bytes"] == sum(map(len, station.data_sets.values()))


def test_some_of_the_files_and_a_single_one(station, folder):
    _, figures = sent(folder, station.peer, instances=5)
    assert figures["requested"] == figures["instances"] == len(station.uids) == 5
    one = folder / "1" / "deep" / "1"
    _, figures = sent(one, station.peer, processes=3)
    assert (figures["requested"], figures["processes"]) == (1, 1)
    assert station.received[-1][0] == dcmread(one).SOPInstanceUID


@pytest.mark.skipif(os.name != "posix", reason="has neither links for everybody nor pipes")
def test_what_is_no_file_is_passed_over(station, tmp_path):
    write_file(tmp_path / "files" / "1", 1, size=1000)
    (tmp_path / "files" / "nowhere").symlink_to(tmp_path / "no such file")
    os.mkfifo(tmp_path / "files" / "pipe")
    _, figures = sent(tmp_path / "files", station.peer)
    assert (figures["requested"], figures["instances"], figures["skipped_files"]) == (1, 1, 0)


def test_a_dicomdir_is_not_sent(station, tmp_path):
    write_file(tmp_path / "files" / "1", 1, size=1000)
    write_file(tmp_path / "files" / "DICOMDIR", 2, MediaStorageDirectoryStorage, size=1000)
    report, figures = sent(tmp_path / "files", station.peer)
    assert report.ok
    assert (figures["requested"], figures["skipped_files"]) == (1, 1)


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_file_that_goes_away_meanwhile(folder, processes):
    def decide(_):
        for number in range(4, 13):
            (folder / f"{number % 3}" / "deep" / f"{number}").unlink(missing_ok=True)
        return 0x0000

    with storage(decide) as station, pytest.raises(UserError, match=r"cannot read .*: No such file or directory"):
        sent(folder, station.peer, processes=processes)


def test_sources_that_are_wrong(station, folder, tmp_path):
    (tmp_path / "nothing").mkdir()
    for source, instances, message in [
        ("ct-chset", None, '"ct-chset" is neither a file or folder nor a protocol: did you mean "ct-chest"?'),
        ("/no/such/folder", None, f"nor a protocol: expected one of {', '.join(TEMPLATES)}"),
        (tmp_path / "nothing", None, f"DICOM files in {tmp_path / 'nothing'}: 0; expected at least 1"),
        (folder / "readme.txt", None, "readme.txt: 0; expected at least 1"),
        (folder, 13, f"DICOM files in {folder}: 12; expected at least 13"),
    ]:
        with pytest.raises(UserError) as caught:
            sent(source, station.peer, instances=instances)
        assert str(caught.value).endswith(message)
    assert station.associations == 0


# ---- rate


def test_a_rate_is_kept(station):
    _, figures = sent("tiny", station.peer, instances=20, rate=40.0, associations=2)
    assert figures["instances"] == 20
    assert figures["send_s"] > 19 / 40
    assert figures["instances_per_s"] < 42.2


@pytest.mark.parametrize(("processes", "associations"), [(1, 1), (1, 3), pytest.param(2, 2, marks=pytest.mark.slow)])
def test_waiting_counts_from_when_an_instance_was_due(processes, associations):
    """A peer that takes 50 ms makes those wait that are due every 2 ms: the last about as long as all take."""
    with storage(slowly(0.05)) as station:
        load = {"processes": processes, "associations": associations}
        report, figures = sent("tiny", station.peer, instances=20, rate=500.0, **load)
    assert report.ok
    least = 20 / associations * 0.05
    assert figures["send_s"] > least * 0.9
    assert figures["p99"] > least * 0.7
    assert figures["p50"] > least * 0.25


# ---- what goes wrong


@pytest.mark.parametrize(("processes", "associations"), [(1, 1), (1, 3), pytest.param(2, 2, marks=pytest.mark.slow)])
def test_a_peer_that_aborts(processes, associations):
    with storage(lambda number: None if number > 20 else 0x0000) as station:
        report, figures = sent("tiny", station.peer, instances=90, processes=processes, associations=associations)
    assert not report.ok
    assert figures["instances"] == 20
    assert figures["in_doubt"] == associations
    assert figures["unsent"] == 70 - associations
    assert figures["failures"] == 70
    assert figures["troubles"] == ["association aborted: the peer aborted"] * associations


def test_a_peer_that_falls_silent():
    silent = threading.Event()

    def decide(number):
        if number > 5:
            silent.wait(60.0)
        return 0x0000

    with storage(decide) as station:
        report, figures = sent("tiny", station.peer, instances=20, timeout=1.0)
        silent.set()
    assert not report.ok
    assert (figures["instances"], *lost(figures)) == (5, 0, 1, 14)
    assert figures["troubles"] == ["no response in time: the peer neither read nor answered within 1 s"]


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_nobody_listens(processes):
    port = free_port()
    report, figures = sent("tiny", Peer("nobody", "NOBODY", LOOPBACK, port), instances=10, processes=processes)
    assert not report.ok
    assert (figures["instances"], *lost(figures)) == (0, 0, 0, 10)
    assert (figures["send_s"], figures["p50"], figures["outstanding_negotiated"]) == (0, None, None)
    assert figures["troubles"] == [f"unreachable: nothing listens at {LOOPBACK}:{port}"]


def test_a_title_that_the_peer_does_not_know(station):
    _, figures = sent("tiny", Peer("storage", "ANOTHER", LOOPBACK, station.port), associations=3)
    assert figures["unsent"] == 100
    rejected = "association rejected: 1/1/7 Called AE title not recognised"
    assert figures["troubles"] == [f"{rejected} (0 of 3 associations were established)"]


def test_a_sop_class_that_the_peer_does_not_take(tmp_path):
    for number in range(1, 7):
        write_file(tmp_path / f"{number}", number, CTImageStorage if number % 3 else MRImageStorage, size=1000)
    with storage(classes=[CTImageStorage]) as station:
        _, figures = sent("tiny", station.peer)
        assert figures["unsent"] == 100
        assert figures["troubles"] == ["no presentation context accepted: every presentation context was rejected"]
        report, figures = sent(tmp_path, station.peer)
    assert not report.ok
    assert (figures["instances"], *lost(figures)) == (4, 0, 0, 2)
    missing = "none for MR Image Storage in Explicit VR Little Endian"
    assert figures["troubles"] == [f"no presentation context accepted: {missing}"]


EARLY = [{}, pytest.param({"processes": 2}, marks=pytest.mark.slow), {"associations": 3}, {"rate": 1 / 600}]


@pytest.mark.parametrize("load", EARLY, ids=str)
def test_an_early_end(load):
    stop = threading.Event()

    def decide(number):
        if number >= (1 if "rate" in load else 10):
            stop.set()
        time.sleep(0.01)
        return 0x0000

    @contextmanager
    def heeding():
        yield stop

    began = time.perf_counter()
    with storage(decide) as station:
        report, figures = sent("tiny", station.peer, instances=100_000, heeding=heeding, **load)
    assert time.perf_counter() - began < 60.0
    assert not report.ok
    assert figures["instances"] == len(station.received) >= (1 if "rate" in load else 10)
    assert lost(figures) == (0, 0, 100_000 - len(station.received))
    assert figures["troubles"] == ["interrupted"]
    assert figures["p99"] is not None
