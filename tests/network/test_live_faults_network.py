"""What our own operations make of a peer's faults on real connections (see test_contract_faults.py for the rest)."""

import socket
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest
from interop.scanner import attended
from pynetdicom import evt

from network.live_faults import BOUND, Outsider, Scripted, plan
from network.storing import callers, until
from network.worlds import make_study, store_at_archive, wait_for
from simlab.network.faults import AssociationFault, RequestFault
from simlab.network.live.commitment import SOP_INSTANCE, request_to_data_set
from simlab.network.live.receiving.faulty import serve
from simlab.network.live.sending.association import Requestor, contexts_for
from simlab.network.query import Query
from simlab.network.seam import CommitmentReport, FailedReference, Status, StoreOptions, Trouble
from simlab.network.sop_classes import STORAGE_COMMITMENT
from simlab.studies.study import InstanceReference

EXPLICIT = "1.2.840.10008.1.2.1"
REFUSED = Status(0x0110, "as the fault plan says")
STUDY = make_study(3)
REPORT = CommitmentReport("2.25.77", STUDY.references)
NOT_HELD = FailedReference(InstanceReference("1.2.3", "2.25.10"), 0x0112)


def blame(world, node, faults):
    """Let a node have faults from here on."""
    world.network._acceptors[node].faults = faults
    return faults


def report(world, **how):
    outcome = wait_for(world, world.network.report_commitment("archive", "scanner", REPORT, **how))
    ((record,), _) = world.recorder.drain()
    assert (record.operation, record.status) == ("N-EVENT-REPORT", outcome.status)
    return outcome


# ---- reports on new associations


def test_a_report_goes_astray_past_all_links(live_world):
    with socket.create_server(("127.0.0.1", 0)) as link:
        link.setblocking(False)
        ways = {("archive", "scanner"): link.getsockname()}
        live_world.network.directory.update([], ways)
        outcome = report(live_world, astray=True)
        with pytest.raises(BlockingIOError):
            link.accept()
    assert outcome.trouble is Trouble.UNREACHABLE
    host, port = outcome.comment.removeprefix("nothing listens at ").rsplit(":", 1)
    assert (host, int(port) != live_world.network.directory.node("scanner").port) == ("127.0.0.1", True)
    assert live_world.servers["scanner"].reports == []


def test_a_report_goes_astray_on_a_host_of_which_no_port_can_be_kept(live_world):
    there = live_world.network.directory.node("scanner")
    live_world.network.directory.update([replace(there, host="no..host")])
    outcome = report(live_world, astray=True)
    assert (outcome.trouble, outcome.comment) == (Trouble.UNREACHABLE, "no address of no..host")


def test_an_archive_without_the_scp_role_sends_no_report(live_world):
    blame(live_world, "scanner", Scripted("association", AssociationFault(refuses_role=True)))
    outcome = report(live_world)
    assert outcome.trouble is Trouble.NO_CONTEXT
    assert outcome.comment == "the peer refuses us the SCP role of storage commitment"
    assert live_world.servers["scanner"].reports == []
    assert report(live_world).ok


# ---- on the association of the request


def requested(world, hold):
    """Ask for commitment; the outcome, and the association on which a report is awaited."""
    archive = world.servers["archive"]
    asked = wait_for(world, world.network.request_commitment("scanner", "archive", "2.25.77", STUDY, hold=hold))
    world.recorder.drain()
    return asked, archive.requests[-1].association


def test_what_a_fault_of_a_report_is_asked_about_on_our_own_association(live_world):
    faults = blame(live_world, "scanner", Scripted("N-EVENT-REPORT", RequestFault(answer=REFUSED)))
    asked, association = requested(live_world, BOUND)
    assert asked.ok
    outcome = report(live_world, on=association)
    assert (outcome.status, outcome.comment) == (0x0110, "on the association of the request")
    (about,) = faults.asked
    assert (about.operation, about.calling, about.entities) == ("N-EVENT-REPORT", "ARCHIVE", REPORT.sop_instances)
    assert live_world.servers["scanner"].reports == []
    assert report(live_world, on=association).ok  # it was not answered for: the association is still there
    assert live_world.servers["scanner"].reports == [REPORT]


def test_a_report_is_answered_twice_on_our_own_association(live_world):
    blame(live_world, "scanner", Scripted("N-EVENT-REPORT", RequestFault(twice=True, response_delay=0.2)))
    _, association = requested(live_world, BOUND)
    outcome = report(live_world, on=association)
    assert outcome.ok
    assert outcome.finished - outcome.started >= 0.2
    assert live_world.servers["scanner"].reports == [REPORT]


def test_a_second_response_is_not_taken_for_that_of_a_later_report(live_world):
    """A modality that answers each report twice, on the association on which it has asked for commitment."""
    archive = live_world.network.directory.node("archive")
    faults = Scripted("N-EVENT-REPORT", RequestFault(twice=True), RequestFault(answer=REFUSED, twice=True))
    with modality(archive, faults) as requestor:
        study = STUDY.references[:1]
        ask_to_commit(requestor, "2.25.77", study)
        association = live_world.servers["archive"].requests[-1].association
        with attended(requestor):
            statuses = [report(live_world, on=association).status for _ in range(3)]
    assert statuses == [0x0000, 0x0110, 0x0000]


@contextmanager
def modality(archive, faults):
    """A requestor of ours that takes reports on its association, and does wrong what ``faults`` says."""
    handlers = [(evt.EVT_N_EVENT_REPORT, lambda _: (0x0000, None))]
    contexts = contexts_for([(STORAGE_COMMITMENT, EXPLICIT)])
    with Requestor.open("SCANNER", archive, contexts, timeout=BOUND, handlers=handlers) as requestor:
        association = requestor.association
        association.dimse.serve = partial(serve, association, faults, association._serve_request)
        yield requestor


def ask_to_commit(requestor, transaction, references):
    request = request_to_data_set(transaction, references)
    response, _ = requestor.association.send_n_action(request, 1, STORAGE_COMMITMENT, SOP_INSTANCE)
    return response.Status


# ---- responses that come twice


def test_a_request_for_commitment_is_answered_twice(live_world):
    blame(live_world, "archive", Scripted("N-ACTION", RequestFault(twice=True)))
    asked, association = requested(live_world, BOUND)
    assert asked.ok
    assert report(live_world, on=association).ok
    assert live_world.servers["scanner"].reports == [REPORT]


def test_the_next_request_on_an_association_gets_its_own_response(live_world):
    """Though the second response to the one before comes first."""
    blame(live_world, "archive", Scripted("N-ACTION", RequestFault(twice=True), RequestFault(answer=REFUSED)))
    with modality(live_world.network.directory.node("archive"), Scripted("")) as requestor:
        assert ask_to_commit(requestor, "2.25.1", STUDY.references) == 0x0000
        until(lambda: not requestor.association.dimse.msg_queue.empty() or requestor.association.dul.receive(1))
        assert ask_to_commit(requestor, "2.25.2", STUDY.references) == 0x0110


@pytest.mark.parametrize("outstanding", [1, 4])
def test_every_instance_is_answered_twice_and_some_with_a_failure(live_world, outstanding):
    faults = plan("operation: C-STORE, do: duplicate", "operation: C-STORE, do: answer, status: A700H, every: 3")
    blame(live_world, "archive", faults)
    study = make_study(10)
    assert wait_for(live_world, live_world.network.make("scanner", study)).ok
    options = StoreOptions(outstanding=outstanding)
    stored = wait_for(live_world, live_world.network.store("scanner", "archive", study, options))
    uids = [reference.sop_instance for reference in study.references]
    refused = {uid for number, uid in enumerate(uids, 1) if number % 3 == 0}
    assert (stored.trouble, stored.status) == (Trouble.NONE, 0xA700)
    assert stored.acknowledged == set(uids) - refused
    assert {reference.sop_instance for reference in live_world.servers["archive"].stored} == stored.acknowledged


# ---- retrieval


def test_an_abort_counts_the_responses_to_sub_operations(live_world):
    """A C-GET takes two PDUs, then one for each instance that was sent back: it ends with the second of these."""
    study = store_at_archive(live_world)
    blame(live_world, "archive", Scripted("association", AssociationFault(aborts_at=4)))
    got = wait_for(live_world, live_world.network.get("scanner", "archive", Query({"StudyInstanceUID": study.uid})))
    assert got.trouble is Trouble.ABORTED


def test_no_fault_of_one_peer_meets_another(live_world):
    """By AE title, as the plan knows the peer."""
    archive = live_world.network._acceptors["archive"]
    blame(live_world, "archive", plan("operation: association, do: refuse, reason: no-reason, peer: scanner"))
    refused = wait_for(live_world, live_world.network.echo("scanner", "archive"))
    assert (refused.trouble, refused.comment) == (Trouble.REJECTED, "1/1/1 No reason given")
    assert wait_for(live_world, live_world.network.echo("reader", "archive")).ok
    with callers() as call:
        assert call(archive).is_established
    assert Outsider(archive, calling="CT2").echo() == 0


def test_reports_of_unknown_instances_are_read(live_world):
    """Whatever a report says, it is what the fault is asked about, and taken as it is."""
    faults = blame(live_world, "scanner", Scripted("N-EVENT-REPORT"))
    odd = CommitmentReport("2.25.404", (InstanceReference("1.2.3", "2.25.9"),), (NOT_HELD,))
    assert wait_for(live_world, live_world.network.report_commitment("archive", "scanner", odd)).ok
    assert [about.entities for about in faults.asked] == [("2.25.9", "2.25.10")]
    assert live_world.servers["scanner"].reports == [odd]
