"""AEs with faults that listen, and pynetdicom as their peer: what it asks, and every PDU that it got."""

import contextlib
import select
import threading
import time
from datetime import datetime

from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    ModalityPerformedProcedureStep,
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StorageCommitmentPushModel,
    Verification,
)

from network.peers import leave_responses
from network.worlds import LiveServer
from simlab.faults import Plan
from simlab.network.faults import AssociationFault, RequestFault
from simlab.network.live.directory import Directory
from simlab.network.live.receiving.acceptor import Acceptor, Listening
from simlab.network.live.receiving.retrieve import RetrieveService
from simlab.nodes.specs import SPECS
from simlab.topology.loader import parse_topology

BOUND = 20.0
"""Seconds that a slow and busy machine may need."""
WELL_KNOWN = "1.2.840.10008.1.20.1.1"
A_ASSOCIATE_AC, P_DATA_TF, A_ABORT = 0x02, 0x04, 0x07

DEPARTMENT = """\
simlab: 1
name: faulty
nodes:
  ris: {kind: worklist, ae_title: RIS, orders: {rate: 9 /h, mix: {ct-head: 1}}}
  scanner: {kind: modality, modality: CT, ae_title: SCANNER, worklist: ris, store: archive, commit: archive}
  other: {kind: modality, modality: CT, ae_title: CT2, worklist: ris, store: archive, commit: archive}
  archive: {kind: archive, ae_title: ARCHIVE}
faults:
"""


def plan(*faults, node="archive"):
    """The plan of a node that does wrong what a topology says."""
    lines = "".join(f"  - {{node: {node}, {fault}}}\n" for fault in faults)
    return Plan(parse_topology(DEPARTMENT + lines, SPECS), node, lambda: 0.0, lambda *_: None)


class Scripted:
    """Goes wrong in a given way each time, one after the other, and then no more. Notes what it was asked."""

    def __init__(self, operation, *faults):
        self.operation = operation
        self.faults = list(faults)
        self.asked = []

    def concern(self, operation):
        return operation == self.operation

    def of_association(self, calling):
        return self._next(calling, AssociationFault())

    def of_request(self, asked):
        return self._next(asked, RequestFault())

    def _next(self, asked, otherwise):
        self.asked.append(asked)
        return self.faults.pop(0) if self.faults else otherwise


class FaultyPlace:
    """An AE that offers everything, and has faults."""

    def __init__(self, folder, faults):
        self.node = LiveServer(folder)
        self.bugs = []
        listening = Listening("ARCHIVE", "127.0.0.1", 0)
        retrieve = RetrieveService(self.node, Directory(), lambda *_, **__: None)
        self.acceptor = Acceptor(listening, self.node, retrieve, self.bugs.append, faults)
        self.port = self.acceptor.port


@contextlib.contextmanager
def faulty_places(folder):
    """Starts AEs with faults; whatever else went wrong in them fails the test."""
    opened = []

    def start(faults):
        home = folder / f"place{len(opened)}"
        home.mkdir()
        opened.append(FaultyPlace(home, faults))
        return opened[-1]

    try:
        yield start
    finally:
        for place in opened:
            place.acceptor.close()
    assert [bug for place in opened for bug in place.bugs] == []


# ---- pynetdicom as the peer

SOP_CLASSES = (
    Verification,
    CTImageStorage,
    ModalityPerformedProcedureStep,
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
)


class Outsider:
    """pynetdicom's requestor, and what came to it."""

    def __init__(self, place, *, timeout=BOUND, roles=(StorageCommitmentPushModel,), calling="SCANNER", more=()):
        self.pdus = []
        """Every PDU that came."""
        self.closed = threading.Event()
        entity = AE(calling)
        entity.acse_timeout = entity.network_timeout = BOUND
        entity.dimse_timeout = timeout
        for sop_class in SOP_CLASSES:
            entity.add_requested_context(sop_class)
        entity.add_requested_context(StorageCommitmentPushModel)
        for sop_class, syntax in more:
            entity.add_requested_context(sop_class, syntax)
        self.association = leave_responses(
            entity.associate(
                "127.0.0.1",
                place.port,
                ae_title="ARCHIVE",
                ext_neg=[build_role(role, scu_role=True, scp_role=True) for role in roles],
                evt_handlers=[
                    (evt.EVT_PDU_RECV, lambda event: self.pdus.append(event.pdu)),
                    (evt.EVT_CONN_CLOSE, lambda _: self.closed.set()),
                ],
            )
        )

    def kinds(self):
        """Types of the PDUs that came since the association was established."""
        return [pdu.pdu_type for pdu in self.pdus if pdu.pdu_type != A_ASSOCIATE_AC]

    # ---- every operation; each returns the status, None without response

    def echo(self):
        return _status(self.association.send_c_echo())

    def find(self):
        return _last(self.association.send_c_find(_query(), SOP_CLASSES[3]))

    def matches(self):
        return [match for _, match in self.association.send_c_find(_query(), SOP_CLASSES[3]) if match is not None]

    def get(self):
        return _last(self.association.send_c_get(_query(), SOP_CLASSES[4]))

    def move(self):
        return _last(self.association.send_c_move(_query(), "READER", SOP_CLASSES[5]))

    def create(self):
        step = Dataset()
        step.PerformedProcedureStepStatus = "IN PROGRESS"
        scheduled = Dataset()
        scheduled.AccessionNumber, scheduled.StudyInstanceUID = "RIS7", "2.25.1"
        step.ScheduledStepAttributesSequence = [scheduled]
        return _status(self.association.send_n_create(step, ModalityPerformedProcedureStep, "2.25.71")[0])

    def set(self):
        step = Dataset()
        step.PerformedProcedureStepEndDate = datetime(2026, 1, 15).strftime("%Y%m%d")
        return _status(self.association.send_n_set(step, ModalityPerformedProcedureStep, "2.25.71")[0])

    def action(self):
        request = _transaction("2.25.9", "2.25.1.1", "2.25.1.2")
        return _status(self.association.send_n_action(request, 1, StorageCommitmentPushModel, WELL_KNOWN)[0])

    def report(self):
        report = _transaction("2.25.9", "2.25.1.1")
        return _status(self.association.send_n_event_report(report, 1, StorageCommitmentPushModel, WELL_KNOWN)[0])


OPERATIONS = {
    "C-ECHO": Outsider.echo,
    "C-FIND": Outsider.find,
    "C-GET": Outsider.get,
    "C-MOVE": Outsider.move,
    "N-CREATE": Outsider.create,
    "N-SET": Outsider.set,
    "N-ACTION": Outsider.action,
    "N-EVENT-REPORT": Outsider.report,
}


def done_by(node):
    """What a node was asked to do, by the server that notes it."""
    return [*node.queries, *node.steps, *node.requests, *node.reports]


def arrivals(connection, size):
    """When the bytes of a response came: (seconds, how many)."""
    came, total = [], 0
    while total < size:
        assert select.select([connection], [], [], 5)[0]
        total += len(data := connection.recv(4096))
        came.append((time.monotonic(), len(data)))
    return came


def _query():
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID, query.PatientName = "STUDY", "2.25.1", ""
    return query


def _transaction(transaction, *instances):
    data_set = Dataset()
    data_set.TransactionUID = transaction
    data_set.ReferencedSOPSequence = []
    for instance in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, instance
        data_set.ReferencedSOPSequence.append(item)
    return data_set


def _status(response):
    return response.get("Status")


def _last(responses):
    return [_status(response) for response, _ in responses][-1]
