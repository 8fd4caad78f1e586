"""DCMTK's tools, called the way its users call them."""

import tempfile
from contextlib import contextmanager
from pathlib import Path

from peers import call, listens, require, running
from pydicom import dcmread


def echo(peer, *options, called=None):
    return call("echoscu", "-v", *options, "-aec", called or peer.ae_title, peer.host, peer.port)


def store(peer, folder, *options):
    return call("storescu", "-v", *options, "-aec", peer.ae_title, "+sd", "+r", peer.host, peer.port, folder)


def send(peer, folder, *options):
    return call("dcmsend", "-v", *options, "-aec", peer.ae_title, "+sd", "+r", peer.host, peer.port, folder)


class Answer:
    """What findscu got: the matches as data sets, and all that it said."""

    def __init__(self, output, matches):
        self.output = output
        self.matches = matches

    def __len__(self):
        return len(self.matches)

    def values(self, keyword):
        return [match[keyword].value for match in self.matches]


def find(peer, *keys, model="-S", options=()):
    """findscu with keys such as ``PatientName=Doe*``; ``model`` is -S, -P or -W."""
    with tempfile.TemporaryDirectory() as folder:
        done = call("findscu", "-d", model, "-X", "-od", folder, *options, *addressed(peer), *as_options(keys))
        assert done.code == 0, done.output
        matches = [dcmread(path, force=True) for path in sorted(Path(folder).glob("rsp*.dcm"))]
        return Answer(done.output, matches)


def move(peer, destination, *keys, model="-S"):
    """movescu, which returns when the last response is in."""
    return call("movescu", "-d", model, "-aem", destination, *addressed(peer), *as_options(keys))


def get(peer, folder, *keys, model="-S"):
    """getscu, which writes what it gets into a folder."""
    folder.mkdir()
    return call("getscu", "-d", model, "-od", folder, *addressed(peer), *as_options(keys))


def addressed(peer):
    return "-aec", peer.ae_title, peer.host, peer.port


def as_options(keys):
    return [part for key in keys for part in ("-k", key)]


class Station:
    """A running storescp."""

    def __init__(self, folder):
        self.folder = folder

    @classmethod
    @contextmanager
    def started(cls, peer, folder, *options):
        """A storescp that keeps what it gets bit for bit, for as long as the block lasts."""
        received = folder / "received"
        received.mkdir()
        command = [require("storescp"), "+B", *options, "-aet", peer.ae_title, "-od", received, peer.port]
        with running(command, folder / "storescp.log", lambda: listens(peer.port)):
            yield cls(received)

    def received(self):
        """Data sets by SOP Instance UID."""
        return read_folder(self.folder)


def read_folder(folder):
    return {data_set.SOPInstanceUID: data_set for data_set in map(dcmread, filter(Path.is_file, folder.iterdir()))}
