"""pynetdicom as somebody else's modality: what DCMTK has no tool for."""

import queue
import threading
import time
from contextlib import contextmanager
from typing import Any, NamedTuple

from peers import LOOPBACK
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from simlab.network.live.sending.association import Requestor, contexts_for

WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
IMPLICIT = "1.2.840.10008.1.2"
PROCESSING_FAILURE = 0x0110
BOUND = 20.0
"""Seconds that any answer may take."""


@contextmanager
def associated(calling, peer, sop_class, handlers=()):
    """A pynetdicom association for one SOP class.

    Requested by way of simlab's ``Requestor``, because pynetdicom's own may lose a response to its other thread.
    """
    contexts = contexts_for([(sop_class, IMPLICIT)])
    with Requestor.open(calling, peer, contexts, timeout=BOUND, handlers=handlers) as requestor:
        yield requestor


@contextmanager
def attended(requestor):
    """Serve what the peer sends on an association, beside the block."""
    finished = threading.Event()

    def attend():
        while not finished.is_set():
            requestor.serve_until(finished, 0.05)

    beside = threading.Thread(target=attend)
    beside.start()
    try:
        yield
    finally:
        finished.set()
        beside.join()


class Report(NamedTuple):
    """An N-EVENT-REPORT, as it came."""

    event_type: int
    information: Any
    roles: Any
    """Role selection items of the A-ASSOCIATE-RQ on which it came: SOP class to (SCU, SCP)."""

    @property
    def stored(self):
        return [item.ReferencedSOPInstanceUID for item in self.information.get("ReferencedSOPSequence", ())]

    @property
    def failed(self):
        return {
            item.ReferencedSOPInstanceUID: item.FailureReason for item in self.information.get("FailedSOPSequence", ())
        }


class Scanner:
    """An AE that listens: it keeps what is stored there, and the commitment reports that come."""

    def __init__(self, ae_title, port):
        self.ae_title = ae_title
        self.stored = []
        self.reports = queue.Queue()
        self.slow_down = threading.Event()
        self.answering = threading.Event()
        """Clear it, and no report is answered until it is set again (or ``BOUND`` is over)."""
        self.answering.set()
        self.reading = threading.Event()
        """A report has come, and is perhaps not answered yet."""
        self.refusals = 0
        """How many reports it refuses, from the next one on."""
        self._roles = {}
        entity = AE(ae_title)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax)
        entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        handlers = [
            (evt.EVT_PDU_RECV, self._note_roles),
            (evt.EVT_N_EVENT_REPORT, self.take_report),
            (evt.EVT_C_STORE, self._take_instance),
        ]
        self._server = entity.start_server((LOOPBACK, port), block=False, evt_handlers=handlers)

    def close(self):
        self._server.shutdown()

    def next_report(self):
        return self.reports.get(timeout=BOUND)

    def _note_roles(self, event):
        request = event.pdu
        if request.pdu_type == 0x01:  # A-ASSOCIATE-RQ
            items = request.user_information.role_selection
            self._roles[event.assoc] = {uid: (bool(item.scu), bool(item.scp)) for uid, item in items.items()}

    def take_report(self, event):
        self.reading.set()
        self.reports.put(Report(event.event_type, event.event_information, self._roles.get(event.assoc)))
        if self.slow_down.is_set():
            time.sleep(0.5)
        self.answering.wait(BOUND)
        refused = self.refusals > 0
        self.refusals -= refused
        return PROCESSING_FAILURE if refused else 0x0000, None

    def _take_instance(self, event):
        self.stored.append(event.request.AffectedSOPInstanceUID)
        if self.slow_down.is_set():
            time.sleep(0.05)
        return 0x0000

    @contextmanager
    def asking_to_commit(self, archive, references, transaction=None):
        """Ask for commitment to (SOP class, SOP instance) pairs; the association stays open for the block."""
        handlers = [(evt.EVT_N_EVENT_REPORT, self.take_report)]
        with associated(self.ae_title, archive, StorageCommitmentPushModel, handlers) as requestor:
            transaction = self.send_request(requestor.association, references, transaction)
            with attended(requestor):
                yield transaction

    def send_request(self, association, references, transaction=None):
        """N-ACTION, under a new Transaction UID unless told; returns that."""
        request = Dataset()
        request.TransactionUID = transaction or generate_uid()
        request.ReferencedSOPSequence = []
        for sop_class, sop_instance in references:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
            request.ReferencedSOPSequence.append(item)
        response, _ = association.send_n_action(request, 1, StorageCommitmentPushModel, WELL_KNOWN_INSTANCE)
        assert response.Status == 0x0000
        return request.TransactionUID
