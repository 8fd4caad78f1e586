"""Requests that go wrong, with the same outcomes and the same effects in both worlds (see simlab/network/faults.py)."""

import pytest
import simpy

from network.faulty import (
    ANSWERED_ONCE,
    DELAY,
    OPERATIONS,
    PATIENCE,
    STUDY,
    TIMEOUT,
    done,
    eventually,
    faults_of,
    goes_wrong,
    number_is,
    numbers,
    run,
    store,
    stored_at,
    took,
)
from network.worlds import LiveWorld, wait_for
from simlab.network.faults import Asked, AssociationFault, RequestFault
from simlab.network.seam import NO_STATUS, CommitmentReport, Status, Trouble

PROCESSING_FAILURE = 0x0110
OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000


def test_what_faults_are_asked(world):
    uids = tuple(sop_instance for _, sop_instance in STUDY.references)
    expected = {
        "C-ECHO": [Asked("C-ECHO", "SCANNER")],
        "C-FIND": [Asked("C-FIND", "SCANNER")],
        "C-STORE": [Asked("C-STORE", "SCANNER", (uid,), "SIM00001", n) for n, uid in enumerate(uids, 1)],
        "C-MOVE": [Asked("C-MOVE", "SCANNER")],
        "C-GET": [Asked("C-GET", "SCANNER")],
        "N-CREATE": [Asked("N-CREATE", "SCANNER", ("2.25.7",), "SIM00001")],
        "N-SET": [Asked("N-SET", "SCANNER", ("2.25.7",))],
        "N-ACTION": [Asked("N-ACTION", "SCANNER", uids)],
        "N-EVENT-REPORT": [Asked("N-EVENT-REPORT", "ARCHIVE", uids)],
    }
    for operation, asked in expected.items():
        goes_wrong(world, operation, RequestFault())
        faulty = faults_of(world, operation)
        assert run(world, operation).ok
        assert [each for each in faulty.asked if each.operation == operation][-len(asked) :] == asked


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "C-ECHO"])
def test_another_answer(world, operation):
    goes_wrong(world, operation, RequestFault(answer=Status(PROCESSING_FAILURE, "as planned")))
    outcome = run(world, operation)
    assert (outcome.status, outcome.trouble) == (PROCESSING_FAILURE, Trouble.NONE)
    assert outcome.comment == "as planned"
    assert not done(world, operation)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_answer(world, operation):
    goes_wrong(world, operation, RequestFault(ignores=True))
    outcome = run(world, operation, TIMEOUT)
    assert (outcome.status, outcome.trouble) == (NO_STATUS, Trouble.TIMEOUT)
    assert TIMEOUT <= took(outcome) < TIMEOUT + 1
    assert not done(world, operation)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_connection_is_closed_instead_of_a_response(world, operation):
    goes_wrong(world, operation, RequestFault(closes=True))
    outcome = run(world, operation)
    assert (outcome.status, outcome.trouble) == (NO_STATUS, Trouble.ABORTED)
    assert took(outcome) < 1
    assert not done(world, operation)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_request_is_looked_at_late(world, operation):
    goes_wrong(world, operation, RequestFault(delay=DELAY), lambda asked: asked.number in (None, 2))
    outcome = run(world, operation)
    assert outcome.ok
    assert DELAY <= took(outcome) < DELAY + 1
    assert operation in ("C-ECHO", "C-GET") or done(world, operation)


@pytest.mark.parametrize(
    "fault", [RequestFault(response_delay=DELAY), RequestFault(spread=DELAY)], ids=["late", "slow"]
)
@pytest.mark.parametrize("operation", ANSWERED_ONCE)
def test_a_response_takes_its_time(world, operation, fault):
    goes_wrong(world, operation, fault, lambda asked: asked.number in (None, 2))
    outcome = run(world, operation)
    assert outcome.ok
    assert 0.9 * DELAY <= took(outcome) < DELAY + 1
    assert operation == "C-ECHO" or done(world, operation)


@pytest.mark.parametrize("operation", [name for name in ANSWERED_ONCE if name not in ("C-ECHO", "C-STORE")])
@pytest.mark.parametrize("fault", ["delay", "response_delay", "spread"])
def test_what_nobody_waits_for_is_done_all_the_same(world, operation, fault):
    goes_wrong(world, operation, RequestFault(**{fault: 5 * TIMEOUT}))
    outcome = run(world, operation, TIMEOUT)
    assert (outcome.status, outcome.trouble) == (NO_STATUS, Trouble.TIMEOUT)
    assert TIMEOUT <= took(outcome) < 5 * TIMEOUT
    assert eventually(world, lambda: done(world, operation))


@pytest.mark.parametrize("operation", ANSWERED_ONCE)
def test_a_response_comes_twice(world, operation):
    goes_wrong(world, operation, RequestFault(twice=True))
    assert run(world, operation).ok
    assert done(world, operation) == {"C-ECHO": 0, "C-STORE": 5}.get(operation, 1)


def test_the_wrong_worklist(world):
    goes_wrong(world, "C-FIND", RequestFault(values={"PatientName": "Wrong^Person", "PatientID": "SIM-9"}))
    (match,) = run(world, "C-FIND").matches
    told = {"StudyInstanceUID": "2.25.1", "PatientName": "Wrong^Person", "PatientID": "SIM-9"}
    assert {**match, **told} == match
    assert len(world.servers["archive"].queries) == 1


# ---- C-STOREs


@pytest.mark.parametrize("associations", [1, 2])
@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (RequestFault(ignores=True), Trouble.TIMEOUT),
        (RequestFault(closes=True), Trouble.ABORTED),
        (RequestFault(response_delay=3 * TIMEOUT), Trouble.TIMEOUT),
        (RequestFault(spread=3 * TIMEOUT), Trouble.TIMEOUT),
    ],
    ids=["ignored", "closed", "late", "slow"],
)
def test_a_train_ends_in_mid_study(world, fault, trouble, associations):
    goes_wrong(world, "C-STORE", fault, number_is(3))
    outcome = store(world, associations, TIMEOUT)
    assert (outcome.status, outcome.trouble) == (NO_STATUS, trouble)
    told = "the peer neither read nor answered within 0.4 s" if trouble is Trouble.TIMEOUT else "the peer disconnected"
    assert outcome.comment == told
    assert numbers(outcome.acknowledged) == ({1, 2} if associations == 1 else {1, 2, 4})
    assert numbers(outcome.in_doubt) == {3}
    assert numbers(outcome.unsent) == ({4, 5} if associations == 1 else {5})
    assert outcome.failed == frozenset()
    done_all_the_same = {3} if fault.response_delay or fault.spread else set()
    assert set(stored_at(world)) == numbers(outcome.acknowledged) | done_all_the_same
    assert len(outcome.rows) == len(outcome.acknowledged) + 1
    (record,) = [record for record in world.recorder.drain()[0] if record.operation == "C-STORE"]
    assert (record.instances, record.failures) == (len(outcome.rows), 5 - len(outcome.acknowledged))


def test_what_is_taken_too_late_is_in_doubt_and_there_in_the_end(world):
    goes_wrong(world, "C-STORE", RequestFault(delay=2 * TIMEOUT), number_is(2))
    outcome = store(world, timeout=TIMEOUT)
    assert (outcome.trouble, numbers(outcome.in_doubt)) == (Trouble.TIMEOUT, {2})
    assert numbers(outcome.acknowledged) == {1}
    assert eventually(world, lambda: stored_at(world) == [1, 2])


@pytest.mark.parametrize(
    ("status", "failed"), [(OUT_OF_RESOURCES, set()), (CANNOT_UNDERSTAND, {2, 4})], ids=["refused", "failed"]
)
def test_some_instances_are_answered_with_a_failure(world, status, failed):
    goes_wrong(world, "C-STORE", RequestFault(answer=Status(status, "as planned")), number_is(2, 4))
    outcome = store(world)
    assert (outcome.status, outcome.trouble, outcome.comment) == (status, Trouble.NONE, "as planned")
    assert outcome.rows.status == [0, status, 0, status, 0]
    (record,) = [each for each in world.recorder.drain()[0] if each.operation == "C-STORE"]
    assert (record.bytes, record.wire_bytes) == (sum(outcome.rows.bytes[::2]), sum(outcome.rows.bytes))
    assert numbers(outcome.acknowledged) == {1, 3, 5}
    assert numbers(outcome.failed) == failed
    assert outcome.in_doubt == outcome.unsent == frozenset()
    assert stored_at(world) == [1, 3, 5]


def test_an_instance_is_answered_with_a_warning_and_not_kept(world):
    goes_wrong(world, "C-STORE", RequestFault(answer=Status(0xB007)), number_is(5))
    outcome = store(world)
    assert outcome.ok
    assert numbers(outcome.acknowledged) == {1, 2, 3, 4, 5}
    assert stored_at(world) == [1, 2, 3, 4]


def test_some_instances_are_acknowledged_and_dropped(world):
    goes_wrong(world, "C-STORE", RequestFault(drops=True), number_is(1, 5))
    outcome = store(world)
    assert outcome.ok
    assert numbers(outcome.acknowledged) == {1, 2, 3, 4, 5}
    assert stored_at(world) == [2, 3, 4]


def test_the_servers_own_refusals_stand_beside_the_faults(world):
    world.servers["archive"].store_status = Status(OUT_OF_RESOURCES, "disk full")
    goes_wrong(world, "C-STORE", RequestFault(drops=True), number_is(2))
    outcome = store(world)
    full = OUT_OF_RESOURCES
    assert outcome.rows.status == [full, 0, full, full, full]
    assert (outcome.status, outcome.comment) == (full, "disk full")


def test_delays_add_up_over_a_train(world):
    goes_wrong(world, "C-STORE", RequestFault(delay=0.05, response_delay=0.05))
    outcome = store(world)
    assert outcome.ok
    assert 0.5 <= took(outcome) < 1.5


def test_sub_operations_go_wrong_at_the_destination(world):
    world.faults["reader"].does["C-STORE"] = lambda asked: (
        RequestFault(answer=Status(CANNOT_UNDERSTAND)) if asked.number == 2 else RequestFault()
    )
    outcome = run(world, "C-MOVE")
    assert (outcome.status, outcome.completed, outcome.failed) == (0xB000, 4, 1)
    assert stored_at(world, "reader") == [1, 3, 4, 5]
    assert [asked.calling for asked in world.faults["reader"].asked] == ["ARCHIVE"] * 5


# ---- storage commitment


def commit(world, *, hold=0.0, same=True):
    """Ask for commitment, and report as soon as the request is there; the outcomes of both."""
    requests = simpy.Store(world.env)
    world.servers["archive"].on_request = lambda request: world.notify(lambda: requests.put(request))

    def report():
        request = yield requests.get()
        answer = CommitmentReport(request.transaction, request.references)
        on = request.association if same else None
        return (yield world.network.report_commitment("archive", "scanner", answer, on=on, timeout=TIMEOUT))

    reported = world.env.process(report())
    asked = OPERATIONS["N-ACTION"](world.network, hold=hold, timeout=PATIENCE)
    wait_for(world, asked & reported)
    return asked.value, reported.value


def on_the_association_of_the_request(outcome):
    return "association of the request" in outcome.comment


def test_a_report_overtakes_the_response_to_its_request(world):
    goes_wrong(world, "N-ACTION", RequestFault(response_delay=2 * DELAY))
    asked, reported = commit(world, same=False)
    assert asked.ok
    assert reported.ok
    assert reported.finished < asked.finished
    assert len(world.servers["scanner"].reports) == 1


@pytest.mark.parametrize("hold", [0.0, 5.0])
def test_a_report_waits_its_turn_on_the_association_of_its_request(world, hold):
    goes_wrong(world, "N-ACTION", RequestFault(response_delay=DELAY))
    asked, reported = commit(world, hold=hold)
    assert asked.ok
    assert reported.ok
    # Who does not hold it releases it at once. On a busy machine a report may be there before that.
    before_the_release = isinstance(world, LiveWorld) and not hold and on_the_association_of_the_request(reported)
    assert before_the_release or on_the_association_of_the_request(reported) == bool(hold)
    assert took(reported) > 0.9 * DELAY
    assert len(world.servers["scanner"].reports) == 1


@pytest.mark.parametrize("fault", [RequestFault(ignores=True), RequestFault(closes=True)], ids=["ignored", "closed"])
def test_a_report_that_is_not_answered_goes_over_a_new_association(world, fault):
    faults = iter([fault])
    scanner = world.faults["scanner"]
    scanner.does["N-EVENT-REPORT"] = lambda _: next(faults, RequestFault())
    scanner.does["association"] = lambda _: AssociationFault()
    asked, reported = commit(world, hold=PATIENCE)
    assert asked.ok
    assert reported.ok
    assert not on_the_association_of_the_request(reported)
    assert (took(reported) >= TIMEOUT) is fault.ignores
    assert scanner.associations == ["ARCHIVE"]
    assert len(world.servers["scanner"].reports) == 1


def test_a_report_on_the_association_of_the_request_is_refused(world):
    goes_wrong(world, "N-EVENT-REPORT", RequestFault(answer=Status(PROCESSING_FAILURE)))
    _, reported = commit(world, hold=5.0)
    assert (reported.status, reported.trouble) == (PROCESSING_FAILURE, Trouble.NONE)
    assert on_the_association_of_the_request(reported)
    assert world.servers["scanner"].reports == []


def test_a_report_goes_astray(world):
    report = CommitmentReport("2.25.77", STUDY.references)
    outcome = wait_for(world, world.network.report_commitment("archive", "scanner", report, astray=True))
    assert (outcome.status, outcome.trouble) == (NO_STATUS, Trouble.UNREACHABLE)
    assert world.faults["scanner"].associations == []
    assert world.servers["scanner"].reports == []
