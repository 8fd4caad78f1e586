"""The two worlds, with test servers in place of nodes: what the contract suite runs on."""

import threading
import time
from datetime import date, datetime
from pathlib import Path

import simpy
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from simlab.network.faults import AssociationFault, RequestFault
from simlab.network.live.environment import LiveEnvironment
from simlab.network.live.network import LiveNetwork
from simlab.network.live.receiving.acceptor import Listening
from simlab.network.live.server import KeptInstance, Offer, Storage
from simlab.network.seam import SUCCESS, Answer, Located, Made, Status
from simlab.network.virtual.link import SharedLine
from simlab.network.virtual.network import VirtualNetwork
from simlab.network.virtual.plane import Route
from simlab.network.virtual.server import VirtualNode
from simlab.network.virtual.times import UNCALIBRATED, Serving, Times
from simlab.nodes.halves import LiveHalf, VirtualHalf
from simlab.records import Recorder
from simlab.studies.sop_classes import CT_IMAGE
from simlab.studies.study import Order, Patient, Series, Study

NODES = {"scanner": "SCANNER", "archive": "ARCHIVE", "reader": "READER"}
LONG = 3600.0
"""Seconds that the slowest of servers takes."""


def make_study(count=5, uid="2.25.1", number=1):
    order = Order(
        number=number,
        accession="SIM00001",
        study_uid=uid,
        step_id="SPS1",
        patient=Patient("SIM-1", "Doe^Jane", date(1970, 1, 1), "F"),
        protocol="ct-chest",
        description="CT Chest",
        modality="CT",
        station="SCANNER",
        scheduled=datetime(2026, 1, 15, 8, 0),
    )
    series = Series(1, f"{uid}.1", "CT", CT_IMAGE, "Chest", count, 2048)
    return Study(order, (series,), datetime(2026, 1, 15, 8, 5))


class Decisions:
    """What a test server answers, in either world. Tests set it up, and look at what came in."""

    def __init__(self):
        self.answer = Answer(({"StudyInstanceUID": "2.25.1", "PatientName": "Doe^Jane"},))
        self.store_status = Status(SUCCESS)
        self.step_status = Status(SUCCESS)
        self.located_status = Status(SUCCESS)
        self.queries = []
        self.steps = []
        self.requests = []
        self.reports = []
        self.discarded = []
        self.stored = []
        self.on_request = lambda _: None
        self.delay = 0.0
        self.woken = threading.Event()

    def find(self, query):
        self.woken.wait(self.delay)
        self.queries.append(query)
        return self.answer

    def create_step(self, step, attributes):
        self.steps.append(("create", step, attributes))
        return self.step_status

    def set_step(self, step, attributes):
        self.steps.append(("set", step, attributes))
        return self.step_status

    def commitment_requested(self, request):
        self.requests.append(request)
        self.on_request(request)
        return Status(SUCCESS)

    def commitment_reported(self, report):
        self.reports.append(report)
        return Status(SUCCESS)

    def locate(self, query):
        del query
        return Located(tuple(self.stored), self.located_status)

    def discard(self, study_uid):
        self.discarded.append(study_uid)
        return 1234


class Faulty:
    """What a test server does wrong: ``does`` has a function for each operation that it concerns, by its name."""

    def __init__(self):
        self.does = {}
        self.associations = []
        """AE titles of those who asked for one."""
        self.asked = []

    def concern(self, operation):
        return operation in self.does

    def of_association(self, calling):
        self.associations.append(calling)
        return self.does.get("association", lambda _: AssociationFault())(calling)

    def of_request(self, asked):
        self.asked.append(asked)
        return self.does.get(asked.operation, lambda _: RequestFault())(asked)


class LiveServer(Decisions, LiveHalf):
    offers = frozenset(Offer)

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder
        self.storage = Storage(folder / "incoming")
        self.kept = {}
        self.arrived = []

    def take(self, instance, examined, respond):
        del examined
        if self.store_status.code == SUCCESS:
            self.stored.append(instance.reference)
            self.arrived.append(instance)
        respond(self.store_status)

    def fetch(self, reference):
        return self.kept.get(reference)

    def make(self, study):
        size = 0
        for index in study.indices:
            reference = study.reference(index)
            made = Dataset()
            made.SOPClassUID, made.SOPInstanceUID = reference
            made.PatientName, made.StudyInstanceUID = "Doe^Jane", study.uid
            series, number = study.locate(index)
            made.AccessionNumber, made.InstanceNumber = study.order.accession, number
            made.PixelData = bytes(series.nominal_bytes)
            made["PixelData"].VR = "OW"
            made.file_meta = FileMetaDataset()
            made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            path = self.folder / f"{reference.sop_instance}.dcm"
            made.save_as(path, enforce_file_format=True)
            header = path.read_bytes().index(b"\x08\x00\x16\x00UI")
            self.kept[reference] = KeptInstance(reference, str(ExplicitVRLittleEndian), path, header)
            size += path.stat().st_size
        return Made(operation="make", study=study, instances=study.count, bytes=size)

    def derive(self, study_uid, recipe):
        del recipe
        return self.make(make_study(2, f"{study_uid}.9"))


class VirtualServer(Decisions, VirtualHalf):
    def __init__(self):
        super().__init__()
        self.studies = []

    def take(self, study):
        if self.store_status.code == SUCCESS:
            self.stored += study.references
            self.studies.append(study)
        return self.store_status

    def recall(self, references):
        wanted = {sop_instance for _, sop_instance in references}
        return tuple(held for study in self.studies if (held := study.select_instances(wanted)).count)

    def keep(self, study):
        self.studies.append(study)

    def derive(self, study_uid, recipe):
        del recipe
        return make_study(2, f"{study_uid}.9")


class LiveWorld:
    """Three listening AEs on loopback in one environment."""

    name = "live"

    def __init__(self, folder: Path):
        self.env = LiveEnvironment()
        self.recorder = Recorder()
        self.network = LiveNetwork(self.env, self.recorder)
        self.servers, self.faults = {}, {node: Faulty() for node in NODES}
        for node, title in NODES.items():
            (folder / node).mkdir()
            self.servers[node] = LiveServer(folder / node)
            listening = Listening(title, "127.0.0.1", 0, None, 20)
            peer = self.network.register(node, self.servers[node], listening, self.faults[node])
            self.network.directory.update([peer])
        self.env.start(time.perf_counter())

    def notify(self, callback):
        """Run something on the environment's thread, as services do."""
        self.env.hand_in(callback)

    def slow(self, server, seconds):
        server.delay = seconds

    def close(self):
        for server in self.servers.values():
            server.woken.set()
        self.network.close()


class VirtualWorld:
    """Three nodes in SimPy time."""

    name = "virtual"

    def __init__(self, folder: Path):
        del folder
        self.env = simpy.Environment()
        self.recorder = Recorder()
        route = Route(0.001, SharedLine(self.env, 125e6))
        self.network = VirtualNetwork(self.env, self.recorder, lambda *_: route)
        self.servers, self.faults = {}, {node: Faulty() for node in NODES}
        for node in NODES:
            self.servers[node] = VirtualServer()
            self.register(node)

    def notify(self, callback):
        callback()

    def slow(self, server, seconds):
        del server
        for node in NODES:
            self.register(node, Times(Serving(message=seconds)))

    def register(self, node, times=UNCALIBRATED, **settings):
        self.network.register(
            VirtualNode(node, NODES[node], self.servers[node], self.faults[node], times=times, **settings)
        )

    def close(self):
        """Nothing holds on to anything."""


WORLDS = {"live": LiveWorld, "virtual": VirtualWorld}


def wait_for(world, event):
    """Let a workflow wait for an operation, as workflows do."""

    def workflow():
        return (yield event)

    return world.env.run(until=world.env.process(workflow()))


def make_at_scanner(world, count=5):
    study = make_study(count)
    assert wait_for(world, world.network.make("scanner", study)).ok
    world.recorder.drain()
    return study


def store_at_archive(world, count=5):
    study = make_at_scanner(world, count)
    assert wait_for(world, world.network.store("scanner", "archive", study)).ok
    archive = world.servers["archive"]
    if world.name == "live":
        archive.kept = world.servers["scanner"].kept
    world.recorder.drain()
    return study
