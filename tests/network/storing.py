"""A node that keeps what it takes, and peers that store at it: an outsider's requestor, and streams made by hand."""

import contextlib
import select
import socket
import struct
import time
from io import BytesIO

from pydicom.filereader import read_dataset
from pynetdicom import AE
from pynetdicom.sop_class import (
    CTImageStorage,
    PatientRootQueryRetrieveInformationModelFind,
    StorageCommitmentPushModel,
    Verification,
)

from network.peers import command_pdu, element, item, leave_responses, number, pdu, read_pdu
from simlab.network.live.receiving.acceptor import Acceptor, Listening
from simlab.network.live.server import Offer, Storage
from simlab.network.query import Model
from simlab.network.seam import SUCCESS, Answer, Status
from simlab.network.sop_classes import FIND, STORAGE_COMMITMENT
from simlab.nodes.halves import LiveHalf

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"
CONTEXTS = {1: CT, 3: MR, 5: str(Verification), 7: STORAGE_COMMITMENT, 9: FIND[Model.STUDY_ROOT]}
NO_DATA_SET = 0x0101
ABORTED = "A-ABORT, or the connection is closed"
BOUND = 20.0
"""Seconds that a slow and busy machine may need."""


def until(condition, seconds=BOUND):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.01)
    return value


class Node(LiveHalf):
    """Takes what comes as its tests want it."""

    offers = frozenset({Offer.STORAGE, Offer.QUERY_RETRIEVE, Offer.COMMITMENT})

    def __init__(self, folder, **storage):
        self.storage = Storage(folder / "incoming", **storage)
        self.taken = {}
        """Files by SOP Instance UID, as they were when they were taken, with what was said of them."""
        self.requests = []
        self.decide = lambda _, respond: respond(Status(SUCCESS))

    def take(self, instance, examined, respond):
        content = instance.path.read_bytes()
        assert len(content) == instance.size
        instance.path.unlink()
        self.taken[instance.reference.sop_instance] = instance, content
        self.decide(instance, respond)

    def find(self, query):
        return Answer(({"StudyInstanceUID": "2.25.1"},))

    def commitment_requested(self, request):
        self.requests.append(request)
        return Status(SUCCESS)

    def half_written(self):
        return [path.name for path in self.storage.folder.rglob("*") if path.is_file()]


class Place:
    """A node that listens."""

    def __init__(self, folder, listening, storage):
        self.node = Node(folder, **storage)
        self.bugs = []
        self.acceptor = Acceptor(Listening("ARCHIVE", "127.0.0.1", 0, **listening), self.node, None, self.bugs.append)
        self.port = self.acceptor.port

    def taken(self, uid):
        """The data set of an instance that was taken."""
        instance, content = self.node.taken[uid]
        return content[instance.data_set_offset :]


@contextlib.contextmanager
def places(folder, receivers):
    """Starts nodes that listen; whatever went wrong in them fails the test."""
    opened = []

    def start(*, storage=None, **listening):
        home = folder / str(len(opened))
        home.mkdir()
        opened.append(Place(home, listening, {"receivers": receivers} | (storage or {})))
        return opened[-1]

    try:
        yield start
    finally:
        for place in opened:
            place.acceptor.close()
    assert [bug for place in opened for bug in place.bugs] == []


# ---- an outsider


def outsider(place, handlers=()):
    entity = AE("CT1")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = BOUND
    find = PatientRootQueryRetrieveInformationModelFind
    for sop_class in (CTImageStorage, Verification, find, StorageCommitmentPushModel):
        entity.add_requested_context(sop_class, EXPLICIT)
    association = entity.associate("127.0.0.1", place.port, ae_title="ARCHIVE", evt_handlers=list(handlers))
    assert association.is_established
    return leave_responses(association)


# ---- streams made by hand (PS3.7 section 9.3.1, PS3.8 section 9.3)


def uid(value):
    return value.encode() + b"\0" * (len(value) % 2)


def store_command(message_id, sop_instance, sop_class=CT, data_set=0x0001):
    elements = {0x0002: uid(sop_class), 0x0100: number(0x0001), 0x0110: number(message_id), 0x0700: number(0)}
    elements |= {0x0800: number(data_set), 0x1000: uid(sop_instance)}
    body = b"".join(element(0, key, value) for key, value in elements.items())
    return element(0, 0, struct.pack("<L", len(body))) + body


def echo_pdu(message_id=99):
    elements = {0x0002: uid(str(Verification)), 0x0100: number(0x0030), 0x0110: number(message_id)}
    return command_pdu(5, elements | {0x0800: number(NO_DATA_SET)})


def find_pdus(message_id):
    elements = {0x0002: uid(CONTEXTS[9]), 0x0100: number(0x0020), 0x0110: number(message_id), 0x0700: number(0)}
    identifier = b"\x08\0\x52\0CS\6\0STUDY \x20\0\x0d\0UI\0\0"
    return command_pdu(9, elements | {0x0800: number(1)}) + pdu(0x04, value(9, 2, identifier))


def value(context, control, content):
    """A presentation data value; control is 1 for a command and 2 for a last fragment."""
    return struct.pack(">LBB", len(content) + 2, context, control) + content


def store_pdus(message_id, sop_instance, content=b"data set", context=1, **command):
    said = store_command(message_id, sop_instance, **command)
    return pdu(0x04, value(context, 3, said)) + pdu(0x04, value(context, 2, content))


HALF = pdu(4, value(1, 3, store_command(9, "2.25.9"))) + pdu(4, value(1, 0, bytes(10_000)))
"""Of a C-STORE request."""


class Caller:
    """A connection on which an association is requested by hand."""

    def __init__(self, place, window=None, maximum=16384, behind=b""):
        """``behind`` is sent together with the request."""
        self.connection = socket.create_connection(("127.0.0.1", place.port), timeout=BOUND)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        contexts = b"".join(
            item(0x20, bytes([key, 0, 0, 0]) + item(0x30, sop_class.encode()) + item(0x40, EXPLICIT.encode()))
            for key, sop_class in CONTEXTS.items()
        )
        user = item(0x51, struct.pack(">L", maximum)) + item(0x52, b"1.2.3")
        user += b"" if window is None else item(0x53, struct.pack(">HH", window, 1))
        content = b"\0\1\0\0" + b"ARCHIVE".ljust(16) + b"HAND".ljust(16) + bytes(32)
        content += item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + item(0x50, user)
        try:
            self.send(pdu(0x01, content), behind)
            kind, self.answer = read_pdu(self.connection)
        except OSError:
            self.connection.close()
            raise
        self.is_established = kind == 0x02

    def send(self, *pieces):
        self.connection.sendall(b"".join(pieces))

    def response(self):
        """The next response as a command set, or what else came."""
        try:
            kind, content = read_pdu(self.connection)
        except ConnectionError:
            return ABORTED
        if kind != 0x04:
            return ABORTED if kind == 0x07 else kind
        return read_dataset(BytesIO(content[6:]), is_implicit_VR=True, is_little_endian=True)

    def status(self):
        said = self.response()
        return said if isinstance(said, str | int) else (said.MessageIDBeingRespondedTo, said.Status)

    def is_quiet(self, seconds=0.1):
        return not select.select([self.connection], [], [], seconds)[0]

    def release(self):
        self.send(bytes.fromhex("05000000000400000000"))
        return self.response() == 0x06

    def close(self, *, reset=False):
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


@contextlib.contextmanager
def callers():
    opened = []

    def call(place, **more):
        opened.append(Caller(place, **more))
        return opened[-1]

    yield call
    for caller in opened:
        caller.close()
