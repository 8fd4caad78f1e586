"""C-CANCEL: a query or a retrieval ends early, and the counts of the last response are right."""

import pytest
from pydicom import Dataset
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from interop.scanner import Scanner, associated

pytestmark = pytest.mark.peers

PENDING, CANCELLED = 0xFF00, 0xFE00


def test_a_move_that_is_cancelled_says_what_remains(archived, clinic, brain):
    station = clinic["station"]
    destination = Scanner(station.ae_title, station.port)
    destination.slow_down.set()  # so that the request to cancel comes long before the end
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", brain.study_uid
    sop_class = StudyRootQueryRetrieveInformationModelMove
    try:
        with associated("TESTER", archived, sop_class) as requestor:
            move = requestor.association.send_c_move(query, station.ae_title, sop_class, msg_id=5)
            first, _ = next(move)
            assert first.Status == PENDING
            requestor.association.send_c_cancel(5, query_model=sop_class)
            *_, (last, _) = move
    finally:
        destination.close()
    assert last.Status == CANCELLED
    completed, remaining = last.NumberOfCompletedSuboperations, last.NumberOfRemainingSuboperations
    assert completed == len(destination.stored)
    assert completed + remaining == len(brain)
    assert 0 < completed < len(brain)
    assert last.NumberOfFailedSuboperations == 0


def test_a_query_that_is_cancelled(archived):
    """A small archive's last response may be on its way when the request to cancel arrives, so it is tried again."""
    assert any(status_of_cancelled_query(archived) == CANCELLED for _ in range(20))


def status_of_cancelled_query(archive):
    """The final status of a query for every instance in the archive, cancelled at the first response."""
    query = Dataset()
    query.QueryRetrieveLevel, query.SOPInstanceUID = "IMAGE", ""
    sop_class = StudyRootQueryRetrieveInformationModelFind
    with associated("TESTER", archive, sop_class) as requestor:
        responses = requestor.association.send_c_find(query, sop_class, msg_id=7)
        first, _ = next(responses)
        assert first.Status == PENDING
        requestor.association.send_c_cancel(7, query_model=sop_class)
        *_, (last, _) = responses
    assert last.Status in {0x0000, CANCELLED}
    return last.Status
