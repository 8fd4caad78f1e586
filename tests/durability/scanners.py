"""Senders that know what they sent and what was acknowledged, and whoever asks for it: associations of simlab's own."""

import hashlib
import random
import threading
import time
from contextlib import closing, suppress
from itertools import chain, repeat

from network.peers import pdu
from network.storing import Caller, store_command, value
from nodes.archive_samples import CT, EXPLICIT, data_set, encode
from pydicom import Dataset

from durability.processes import BOUND, SCANNER
from simlab.network.live.commitment import REQUEST_ACTION, SOP_INSTANCE, request_to_data_set
from simlab.network.live.sending.association import Requestor, contexts_for
from simlab.network.live.sending.drive import run
from simlab.network.live.sending.train import Outgoing
from simlab.network.live.wire.commands import C_STORE_RQ, read_command, store_response
from simlab.network.live.wire.upper_layer import AssociationError
from simlab.network.query import Model
from simlab.network.seam import NO_STATUS, SUCCESS, Status
from simlab.network.sop_classes import FIND, GET, STORAGE_COMMITMENT
from simlab.studies.study import InstanceReference

SIZES = (512,) * 8 + (8_192,) * 7 + (120_000,)
"""Bytes of pixels, in turn: large images come in pieces, many small ones are answered in groups."""

BURST = 10
"""Images that a sender stores as fast as it can before it may pause."""

NOISE = memoryview(random.Random(5).randbytes(1 << 20))
FIRST = 1_000_000
"""Numbers have the same width, so that no UID is the beginning of another one."""


def study_uid(life):
    return f"2.25.{FIRST + life}"


class Images:
    """The images of one sender in one life of the archive, without end; each has bytes of its own."""

    def __init__(self, life, sender):
        self._series = f"{study_uid(life)}.{sender + 1}"
        values = {"StudyInstanceUID": study_uid(life), "SeriesInstanceUID": self._series, "PatientID": "KILLED"}
        self._headers = {}
        for size in set(SIZES):
            images = {"SOPInstanceUID": self._uid(0), "Rows": 1, "Columns": size // 2, "PixelData": bytes(size)}
            made = data_set(series=sender + 1, AccessionNumber=f"LIFE{life}", **values, **images)
            self._headers[size] = encode(made)[:-size]

    def _uid(self, number):
        return f"{self._series}.{FIRST + number}"

    def make(self, number, due):
        """The image with this number, from 1."""
        size, uid = SIZES[number % len(SIZES)], self._uid(number)
        header = self._headers[size].replace(self._uid(0).encode(), uid.encode())
        start = 2 * number % (len(NOISE) - size)
        return Outgoing(InstanceReference(CT, uid), EXPLICIT, (header, NOISE[start : start + size]), due)


def digest_of(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


class Sender(threading.Thread):
    """Stores image after image on one association, until that ends or ``count`` are sent.

    It begins a burst every so many seconds; with 0 there are no pauses.
    """

    def __init__(self, site, life, sender, *, count=None, every=0.0):
        super().__init__(daemon=True)
        self.offered = {}
        """Digests of data sets, by SOP Instance UID; of what was begun, and one that was about to be."""
        self.acknowledged = []
        self.refused = []
        self._site = site
        self._images = Images(life, sender)
        self._count = count
        self._every = every
        self.start()

    def run(self):
        contexts = contexts_for([(CT, EXPLICIT)])
        with suppress(AssociationError):  # killed in the midst of the negotiation
            requestor = Requestor.open(SCANNER, self._site.peer, contexts, timeout=BOUND, outstanding=4)
            train = requestor.train(time.perf_counter, BOUND, self._note, outgoing=self._outgoing())
            try:
                run(train)
            finally:
                requestor.unhitch(train)

    def _outgoing(self):
        began, number = time.perf_counter(), 0
        while number != self._count:
            number += 1
            image = self._images.make(number, began + number // BURST * self._every)
            self.offered[image.reference.sop_instance] = digest_of(*image.parts)
            yield image

    def _note(self, rows):
        if rows.status and rows.status[-1] != NO_STATUS:
            answered = self.acknowledged if rows.status[-1] == SUCCESS else self.refused
            if rows.sop_instance[-1] not in answered[-1:]:
                answered.append(rows.sop_instance[-1])
        return True


class Dawdler(threading.Thread):
    """Stores an image that has no end: whenever the archive is killed, some of it has been written."""

    def __init__(self, site, life, sender):
        super().__init__(daemon=True)
        self._site = site
        self._image = Images(life, sender).make(0, None)
        self.start()

    def run(self):
        with suppress(OSError):
            caller = Caller(self._site.peer)
            with closing(caller):
                caller.send(pdu(0x04, value(1, 3, store_command(1, self._image.reference.sop_instance))))
                for part in chain(self._image.parts, repeat(bytes(8_192))):
                    caller.send(pdu(0x04, value(1, 0, bytes(part))))
                    time.sleep(0.001)


def request_commitment(site, transaction, references):
    """Ask for storage commitment; whether that was accepted. Raises AssociationError if there is no answer."""
    with Requestor.open(SCANNER, site.peer, contexts_for([(STORAGE_COMMITMENT, EXPLICIT)]), timeout=BOUND) as requestor:
        send = requestor.association.send_n_action
        request = request_to_data_set(transaction, references)
        response, _ = requestor.ask(lambda: send(request, REQUEST_ACTION, STORAGE_COMMITMENT, SOP_INSTANCE))
        return requestor.status_of(response).code == SUCCESS


def count_instances(site):
    """How many instances the archive says that it holds, by Study Instance UID (C-FIND)."""
    sop_class, keys = FIND[Model.STUDY_ROOT], Dataset()
    keys.QueryRetrieveLevel, keys.StudyInstanceUID, keys.NumberOfStudyRelatedInstances = "STUDY", "", None
    with Requestor.open(SCANNER, site.peer, contexts_for([(sop_class, EXPLICIT)]), timeout=BOUND) as requestor:
        responses = list(requestor.ask(lambda: requestor.association.send_c_find(keys, sop_class)))
        assert requestor.status_of(responses[-1][0]).code == SUCCESS
    return {found.StudyInstanceUID: int(found.NumberOfStudyRelatedInstances) for _, found in responses[:-1]}


def fetch(site, study):
    """Digests of the data sets that a C-GET of a study brings, by SOP Instance UID."""
    sop_class, keys, came = GET[Model.STUDY_ROOT], Dataset(), {}
    keys.QueryRetrieveLevel, keys.StudyInstanceUID = "STUDY", study
    contexts = contexts_for([(sop_class, EXPLICIT), (CT, EXPLICIT)])
    with Requestor.open(SCANNER, site.peer, contexts, timeout=BOUND, scp_roles=[CT]) as requestor:
        dul = requestor.association.dul

        def begin(context_id, command):
            request = read_command(command)
            if request.field != C_STORE_RQ:
                return None
            return Fetched(
                came, request, lambda: dul.send_at_once(store_response(context_id, request, Status(SUCCESS)))
            )

        dul.store = begin
        for response, _ in requestor.ask(lambda: requestor.association.send_c_get(keys, sop_class)):
            requestor.status_of(response)
    return came


class Fetched:
    """A data set that comes back."""

    def __init__(self, came, request, respond):
        self._came = came
        self._uid = request.sop_instance.rstrip(b"\0").decode()
        self._respond = respond
        self._digest = hashlib.sha256()

    def write(self, pieces):
        for piece in pieces:
            self._digest.update(piece)

    def end(self):
        self._came[self._uid] = self._digest.digest()
        self._respond()

    def give_up(self):
        """What did not come whole did not come."""
