"""Faults of an AE that others associate with, as they look from their side of the wire (see test_live_faults_*.py)."""

import threading
import time

import pytest
from pynetdicom.sop_class import CTImageStorage, StorageCommitmentPushModel, Verification

from network.live_faults import OPERATIONS, P_DATA_TF, Outsider, Scripted, arrivals, done_by, faulty_places, plan
from network.peers import ABORT, RELEASE_REQUEST, read_pdu
from network.storing import ABORTED, echo_pdu, store_pdus, until
from simlab.network.faults import REJECTIONS, AssociationFault, RequestFault
from simlab.network.seam import Status

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
REFUSED = Status(0xA700, "as the fault plan says")


@pytest.fixture
def start(tmp_path):
    with faulty_places(tmp_path) as start:
        yield start


# ---- associations


def test_an_association_is_answered_late_and_nobody_else_waits(start, call):
    place = start(Scripted("association", AssociationFault(delay=1.0)))
    began, late = time.monotonic(), []
    waiting = threading.Thread(target=lambda: late.append((call(place), time.monotonic() - began)))
    waiting.start()
    until(lambda: place.acceptor.faults.asked)
    other = call(place)
    assert other.is_established
    assert late == []
    waiting.join()
    (caller, took), *_ = late
    assert caller.is_established
    assert took >= 1.0
    caller.send(echo_pdu())
    assert caller.status() == (99, 0)


def test_a_delay_ends_with_the_acceptor(start):
    place = start(Scripted("association", AssociationFault(delay=60)))
    refused = []
    waiting = threading.Thread(target=lambda: refused.append(Outsider(place)))
    waiting.start()
    until(lambda: place.acceptor.faults.asked)
    place.acceptor.close()
    waiting.join(5)
    assert not refused[0].association.is_established


def test_an_association_is_not_answered_but_closed(start):
    place = start(plan("operation: association, do: close"))
    outsider = Outsider(place)
    assert not outsider.association.is_established
    assert outsider.closed.wait(5)
    assert outsider.pdus == []
    until(lambda: not place.acceptor.associations)


@pytest.mark.parametrize("reason", REJECTIONS)
def test_an_association_is_rejected_for_each_reason(start, call, reason):
    place = start(plan(f"operation: association, do: refuse, reason: {reason}, times: 1"))
    rejected = call(place)
    assert not rejected.is_established
    assert rejected.answer == bytes([0, *REJECTIONS[reason]])
    assert call(place).is_established


@pytest.mark.parametrize(
    ("contexts", "results"),
    [
        ("", {CTImageStorage: 3, StorageCommitmentPushModel: 3}),
        (f', contexts: ["{CTImageStorage}"]', {CTImageStorage: 3}),
        (f', contexts: ["{JPEG_BASELINE}"]', {CTImageStorage: 4}),
    ],
    ids=["all", "class", "syntax"],
)
def test_contexts_are_rejected(start, contexts, results):
    outsider = Outsider(
        start(plan(f"operation: association, do: reject-contexts{contexts}")), more=[(CTImageStorage, JPEG_BASELINE)]
    )
    rejected = {context.abstract_syntax: context.result for context in outsider.association.rejected_contexts}
    assert results.items() <= rejected.items()
    accepted = {(str(each.abstract_syntax), each.transfer_syntax[0]) for each in outsider.association.accepted_contexts}
    assert {sop_class for sop_class, _ in accepted} >= {str(Verification)}
    assert JPEG_BASELINE not in {syntax for _, syntax in accepted}
    if not contexts:
        assert {sop_class for sop_class, _ in accepted} == {str(Verification)}
    assert outsider.echo() == 0
    outsider.association.release()


@pytest.mark.parametrize("refuses", [True, False])
def test_the_requestor_does_not_get_the_scp_role(start, refuses):
    place = start(Scripted("association", AssociationFault(refuses_role=refuses)))
    outsider = Outsider(place)
    (item,) = [each for each in outsider.pdus[0].user_information.user_data if each.item_type == 0x54]
    assert (item.scu_role, item.scp_role) == (1, int(not refuses))
    contexts = {str(each.abstract_syntax): each for each in outsider.association.accepted_contexts}
    commitment = contexts[str(StorageCommitmentPushModel)]
    assert (commitment.as_scu, commitment.as_scp) == (True, not refuses)
    assert outsider.action() == 0
    outsider.association.release()


def test_an_association_is_aborted_at_a_pdu(start, call):
    caller = call(start(plan("operation: association, do: abort, pdu: 3")))
    for _ in range(2):
        caller.send(echo_pdu())
        assert caller.status() == (99, 0)
    caller.send(echo_pdu())
    assert read_pdu(caller.connection) == (0x07, bytes([0, 0, 2, 0]))
    with pytest.raises(ConnectionError):
        read_pdu(caller.connection)


def test_what_was_under_way_at_an_abort_is_never_acknowledged(start, call):
    place = start(plan("operation: association, do: abort, pdu: 4"))
    caller = call(place)
    caller.send(store_pdus(1, "2.25.1"))
    assert caller.status() == (1, 0)
    caller.send(store_pdus(2, "2.25.2"))
    assert caller.status() == ABORTED
    assert [reference.sop_instance for reference in place.node.stored] == ["2.25.1"]
    until(lambda: not list(place.node.storage.folder.rglob("*.part")))


# ---- requests


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_request_is_answered_with_a_status_instead(start, operation):
    place = start(Scripted(operation, RequestFault(answer=REFUSED)))
    outsider = Outsider(place)
    assert OPERATIONS[operation](outsider) == 0xA700
    assert done_by(place.node) == []
    assert OPERATIONS[operation](outsider) not in (None, 0xA700)  # and then as ever
    outsider.association.release()
    assert outsider.association.is_released


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_request_is_never_answered(start, operation):
    place = start(Scripted(operation, RequestFault(ignores=True)))
    outsider = Outsider(place, timeout=0.4)
    assert OPERATIONS[operation](outsider) is None
    assert outsider.kinds() == []  # nothing came: it is the peer that gave up
    assert done_by(place.node) == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_connection_is_closed_instead_of_doing_it(start, operation):
    place = start(Scripted(operation, RequestFault(closes=True)))
    outsider = Outsider(place)
    assert OPERATIONS[operation](outsider) is None
    assert outsider.closed.wait(5)
    assert outsider.kinds() == []  # no A-ABORT either
    assert done_by(place.node) == []
    until(lambda: not place.acceptor.associations)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_request_is_looked_at_late(start, operation):
    place = start(Scripted(operation, RequestFault(delay=0.5)))
    outsider = Outsider(place)
    began, seen = time.monotonic(), []
    waiting = threading.Thread(target=lambda: seen.append(OPERATIONS[operation](outsider)))
    waiting.start()
    until(lambda: seen or done_by(place.node))
    assert time.monotonic() - began >= 0.5
    waiting.join()
    assert seen != [None]
    outsider.association.release()


@pytest.mark.parametrize("operation", ["C-FIND", "N-CREATE", "N-SET", "N-ACTION", "N-EVENT-REPORT"])
def test_a_request_is_done_and_answered_late(start, operation):
    place = start(Scripted(operation, RequestFault(response_delay=0.5)))
    outsider = Outsider(place)
    began, seen = time.monotonic(), []
    waiting = threading.Thread(target=lambda: seen.append(OPERATIONS[operation](outsider)))
    waiting.start()
    until(lambda: done_by(place.node))
    assert outsider.kinds() == []
    waiting.join()
    assert time.monotonic() - began >= 0.5
    assert seen == [0]
    outsider.association.release()


@pytest.mark.parametrize("operation", ["C-ECHO", "N-CREATE", "N-SET", "N-ACTION", "N-EVENT-REPORT"])
def test_a_request_is_answered_twice(start, operation):
    place = start(Scripted(operation, RequestFault(twice=True)))
    outsider = Outsider(place)
    assert OPERATIONS[operation](outsider) is not None
    until(lambda: len(outsider.pdus) == 3)
    first, second = outsider.pdus[1:]
    assert outsider.kinds() == [P_DATA_TF, P_DATA_TF]
    assert first.encode() == second.encode()
    assert len(done_by(place.node)) <= 1
    outsider.association.abort()


def test_an_ignored_request_leaves_the_association_open(start, call):
    caller = call(start(plan("operation: C-ECHO, do: ignore, every: 2")))
    caller.send(echo_pdu(1))
    assert caller.status() == (1, 0)
    caller.send(echo_pdu(2))
    assert caller.is_quiet(0.3)
    caller.send(echo_pdu(3))
    assert caller.status() == (3, 0)
    assert caller.release()


def test_the_bytes_of_a_response_are_spread_over_a_time(start, call):
    place = start(Scripted("C-ECHO", RequestFault(), RequestFault(spread=0.6)))
    caller = call(place)
    caller.send(echo_pdu())
    ((_, size),) = arrivals(caller.connection, 1)
    caller.send(echo_pdu())
    came = arrivals(caller.connection, size)
    assert sum(count for _, count in came) == size
    assert len(came) >= 5
    assert came[-1][0] - came[0][0] >= 0.5
    assert caller.release()


def test_a_wrong_value_is_in_every_match_and_replaces_what_is_there(start):
    place = start(plan("operation: C-FIND, do: wrong, values: {PatientName: Wrong^Name, AccessionNumber: X9}"))
    place.node.answer = place.node.answer._replace(
        matches=tuple(
            {"StudyInstanceUID": f"2.25.{number}", "PatientName": "Doe^Jane", "OtherPatientIDsSequence": (inner,)}
            for number, inner in enumerate(({"PatientName": "Inner^Name"}, {"PatientID": "7"}))
        )
    )
    outsider = Outsider(place)
    matches = outsider.matches()
    assert [(str(match.PatientName), match.AccessionNumber) for match in matches] == [("Wrong^Name", "X9")] * 2
    assert [match.StudyInstanceUID for match in matches] == ["2.25.0", "2.25.1"]
    inner, other = (match.OtherPatientIDsSequence[0] for match in matches)
    assert str(inner.PatientName) == "Inner^Name"
    assert "PatientName" not in other
    outsider.association.release()


@pytest.mark.parametrize(
    ("operation", "entities", "accession"),
    [
        ("C-ECHO", (), ""),
        ("C-FIND", (), ""),
        ("C-GET", (), ""),
        ("C-MOVE", (), ""),
        ("N-CREATE", ("2.25.71",), "RIS7"),
        ("N-SET", ("2.25.71",), ""),
        ("N-ACTION", ("2.25.1.1", "2.25.1.2"), ""),
        ("N-EVENT-REPORT", ("2.25.1.1",), ""),
    ],
)
def test_what_a_fault_is_asked_about(start, operation, entities, accession):
    place = start(Scripted(operation))
    outsider = Outsider(place)
    assert OPERATIONS[operation](outsider) is not None
    (asked,) = place.acceptor.faults.asked
    assert (asked.operation, asked.calling, asked.entities) == (operation, "SCANNER", entities)
    assert (asked.accession, asked.number) == (accession, None)
    outsider.association.release()


def test_a_wait_ends_with_the_association(start, call):
    place = start(Scripted("C-ECHO", RequestFault(delay=60), RequestFault(delay=60)))
    for last in (ABORT, b""):
        caller = call(place)
        caller.send(echo_pdu())
        until(lambda: place.acceptor.faults.asked)
        caller.send(last) if last else caller.close()
        until(lambda: not place.acceptor.associations, 5)


def test_a_wait_ends_with_the_acceptor(start, call):
    place = start(Scripted("C-ECHO", RequestFault(delay=60)))
    caller = call(place)
    caller.send(echo_pdu())
    until(lambda: place.acceptor.faults.asked)
    place.acceptor.close()
    assert caller.status() == ABORTED
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "serve"], 5)


def test_a_release_during_a_delay_is_granted_after_it(start, call):
    place = start(Scripted("C-ECHO", RequestFault(delay=0.3)))
    caller = call(place)
    caller.send(echo_pdu() + RELEASE_REQUEST)
    assert caller.status() == (99, 0)
    assert caller.response() == 0x06
