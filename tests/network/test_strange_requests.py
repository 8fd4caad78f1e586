"""MPPS, storage commitment and queries as strangers may send them: answered with a status, the association lives on."""

from io import BytesIO

import pytest
from pydicom import Dataset
from pynetdicom.dimse_primitives import C_FIND, C_MOVE, N_SET
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from network.worlds import wait_for
from simlab.network.live.commitment import SOP_INSTANCE
from simlab.network.live.sending.association import Requestor, contexts_for

GARBAGE = b"\x10\x00\x10\x00\xff\xff\xff\xffa value of undefined length that never ends"
CLASSES = (
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)


@pytest.fixture
def archive(live_world):
    return live_world.servers["archive"]


@pytest.fixture
def association(live_world):
    """Requested by way of our own Requestor: pynetdicom's may lose a response to its other thread."""
    peer = live_world.network.directory.node("archive")
    contexts = contexts_for((sop_class, "1.2.840.10008.1.2") for sop_class in CLASSES)
    with Requestor.open("STRANGER", peer, contexts, timeout=5) as made:
        yield made.association
        assert made.association.send_c_echo().Status == 0


def step(status="IN PROGRESS"):
    data_set = Dataset()
    data_set.PerformedProcedureStepStatus = status
    return data_set


def test_a_step_without_a_uid_gets_one(association, archive):
    status, _ = association.send_n_create(step(), ModalityPerformedProcedureStep, None)
    assert status.Status == 0
    ((_, uid, attributes),) = archive.steps
    assert uid.startswith("2.25.")
    assert attributes == {"PerformedProcedureStepStatus": "IN PROGRESS"}


def test_a_step_with_a_uid_keeps_it(association, archive):
    assert association.send_n_create(step(), ModalityPerformedProcedureStep, "2.25.7")[0].Status == 0
    assert association.send_n_set(step("COMPLETED"), ModalityPerformedProcedureStep, "2.25.7")[0].Status == 0
    assert [uid for _, uid, _ in archive.steps] == ["2.25.7", "2.25.7"]


def ask(association, request, sop_class):
    """Send a request as it is, and the status of its answer."""
    context = next(c for c in association.accepted_contexts if c.abstract_syntax == sop_class)
    association.dimse.send_msg(request, context.context_id)
    _, response = association.dimse.get_msg(block=True)
    assert response is not None
    return response.Status


def test_garbage_in_a_step(association, archive):
    request = N_SET()
    request.MessageID = 1
    request.RequestedSOPClassUID = ModalityPerformedProcedureStep
    request.RequestedSOPInstanceUID = "2.25.7"
    request.ModificationList = BytesIO(GARBAGE)
    assert ask(association, request, ModalityPerformedProcedureStep) == 0x0110
    assert archive.steps == []


@pytest.mark.parametrize("primitive", [C_FIND, C_MOVE])
def test_garbage_in_a_query(association, archive, primitive):
    sop_class = CLASSES[2] if primitive is C_FIND else CLASSES[3]
    request = primitive()
    request.MessageID = 1
    request.Priority = 0
    request.AffectedSOPClassUID = sop_class
    request.Identifier = BytesIO(GARBAGE)
    if primitive is C_MOVE:
        request.MoveDestination = "READER"
    assert 0xC000 <= ask(association, request, sop_class) <= 0xCFFF
    assert archive.queries == []


def test_move_to_a_title_that_nobody_has(association):
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = "2.25.1"
    ((status, _),) = association.send_c_move(identifier, "NOWHERE", StudyRootQueryRetrieveInformationModelMove)
    assert status.Status == 0xA801


def action(transaction="2.25.9", references=1):
    data_set = Dataset()
    if transaction is not None:
        data_set.TransactionUID = transaction
    if references is not None:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "2.25.1"
        data_set.ReferencedSOPSequence = [item] * references
    return data_set


@pytest.mark.parametrize(
    ("information", "kind", "instance", "expected"),
    [
        (action(), 1, SOP_INSTANCE, 0x0000),
        (action(), 2, SOP_INSTANCE, 0x0123),
        (action(), 1, "2.25.3", 0x0112),
        (action(references=0), 1, SOP_INSTANCE, 0x0115),
        (action(references=None), 1, SOP_INSTANCE, 0x0115),
        (action(transaction=None), 1, SOP_INSTANCE, 0x0115),
        (action(transaction=""), 1, SOP_INSTANCE, 0x0115),
        (None, 1, SOP_INSTANCE, 0x0115),
    ],
)
def test_odd_commitment_requests(association, archive, information, kind, instance, expected):
    status, _ = association.send_n_action(information, kind, StorageCommitmentPushModel, instance)
    assert status.Status == expected
    assert len(archive.requests) == (expected == 0)


@pytest.mark.parametrize(("message_id", "context_of"), [(None, CLASSES[3]), (1, CLASSES[4])])
def test_a_retrieval_that_is_none_ends_its_association_and_nothing_else(live_world, message_id, context_of):
    peer = live_world.network.directory.node("archive")
    contexts = contexts_for((sop_class, "1.2.840.10008.1.2") for sop_class in CLASSES)
    with Requestor.open("STRANGER", peer, contexts, timeout=5) as made:
        request = C_MOVE()
        request.MessageID = message_id
        request.Priority = 0
        request.AffectedSOPClassUID = CLASSES[3]
        request.MoveDestination = "READER"
        request.Identifier = BytesIO(b"\x08\0\x52\0\6\0\0\0STUDY ")
        context = next(c for c in made.association.accepted_contexts if c.abstract_syntax == context_of)
        made.association.dimse.send_msg(request, context.context_id)
        assert made.association.dimse.get_msg(block=True) == (None, None)
        assert not made.association.dul.is_alive()
    assert wait_for(live_world, live_world.network.echo("scanner", "archive")).ok
