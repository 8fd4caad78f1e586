"""AEs that keep real, small images in transfer syntaxes of their tests' choice."""

import time

from pydicom import Dataset

from network.worlds import NODES, LiveServer, make_study, wait_for
from simlab.network.live.environment import LiveEnvironment
from simlab.network.live.network import LiveNetwork
from simlab.network.live.receiving.acceptor import Listening
from simlab.network.seam import StoreOptions
from simlab.nodes.local_disk import LocalDisk, read_plain
from simlab.nodes.modality.service import keep_in
from simlab.records import Recorder
from simlab.studies.instances import add_file_meta, add_pixels
from simlab.studies.transfer_syntaxes import named

ROWS, COLUMNS = 40, 32


def make_image(study, index):
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = study.reference(index)
    image.StudyInstanceUID, image.SeriesInstanceUID = study.uid, study.series[0].uid
    image.PatientName, image.ImageType = "Doe^Jane", ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.Rows, image.Columns = ROWS, COLUMNS
    values = ((17 * index + 3 * number + number // COLUMNS) % 4096 for number in range(ROWS * COLUMNS))
    add_pixels(image, b"".join(value.to_bytes(2, "little") for value in values))
    add_file_meta(image)
    return image


class Server(LiveServer):
    """Keeps real images on a local disk, in a transfer syntax of the test's choice."""

    def __init__(self, folder):
        super().__init__(folder)
        self.disk = LocalDisk(folder)
        self.fetch = self.disk.fetch

    def keep(self, study, syntax):
        for index in study.indices:
            self.disk.write(keep_in(make_image(study, index), named(syntax)))
        self.stored += study.references


class World:
    """Three AEs on loopback, each with transfer syntaxes of its own."""

    def __init__(self, folder, **listening):
        self.env = LiveEnvironment()
        self.recorder = Recorder()
        self.network = LiveNetwork(self.env, self.recorder)
        self.servers, self.peers = {}, {}
        for node, title in NODES.items():
            (folder / node).mkdir()
            self.servers[node] = Server(folder / node)
            here = Listening(title, "127.0.0.1", 0, **listening.get(node, {}))
            self.peers[node] = self.network.register(node, self.servers[node], here)
        self.network.directory.update(self.peers.values())
        self.env.start(time.perf_counter())

    def keep(self, node, syntax, count=5):
        study = make_study(count)
        self.servers[node].keep(study, syntax)
        return study

    def store(self, study, **options):
        return wait_for(self, self.network.store("scanner", "archive", study, StoreOptions(**options)))

    def arrived(self, node):
        return self.servers[node].arrived

    def record(self, operation):
        [record] = [record for record in self.recorder.drain()[0] if record.operation == operation]
        return record


def pixels_of(arrived):
    """Pixel Data by SOP Instance UID, decoded."""
    return {each.reference.sop_instance: read_plain(each).PixelData for each in arrived}


def pixels_made(study):
    return {study.reference(index).sop_instance: make_image(study, index).PixelData for index in study.indices}
