"""Associations that go wrong, with the same outcomes and the same effects in both worlds."""

from dataclasses import replace

import pytest

from network.faulty import DELAY, OPERATIONS, STUDY, TIMEOUT, done, goes_wrong, numbers, run, store, stored_at, took
from simlab.network.faults import REJECTIONS, AssociationFault
from simlab.network.query import Model
from simlab.network.seam import NO_STATUS, Trouble
from simlab.network.sop_classes import FIND, STORAGE_COMMITMENT
from simlab.studies.sop_classes import CT_IMAGE, MR_IMAGE

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_association_is_rejected(world, operation):
    goes_wrong(world, operation, AssociationFault(rejection=REJECTIONS["local-limit"]))
    outcome = run(world, operation)
    assert (outcome.status, outcome.trouble) == (NO_STATUS, Trouble.REJECTED)
    assert outcome.comment == "2/3/2 Local limit exceeded"
    assert not done(world, operation)


@pytest.mark.parametrize("reason", REJECTIONS)
def test_every_reason_of_a_rejection_is_told(world, reason):
    wording = {
        "no-reason": "1/1/1 No reason given",
        "application-context": "1/1/2 Application context name not supported",
        "calling-ae-title": "1/1/3 Calling AE title not recognised",
        "called-ae-title": "1/1/7 Called AE title not recognised",
        "acse-no-reason": "1/2/1 No reason given",
        "protocol-version": "1/2/2 Protocol version not supported",
        "temporary-congestion": "2/3/1 Temporary congestion",
        "local-limit": "2/3/2 Local limit exceeded",
    }
    goes_wrong(world, "C-ECHO", AssociationFault(rejection=REJECTIONS[reason]))
    outcome = run(world, "C-ECHO")
    assert (outcome.trouble, outcome.comment) == (Trouble.REJECTED, wording[reason])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_connection_is_closed_instead_of_an_answer_to_the_association_request(world, operation):
    goes_wrong(world, operation, AssociationFault(closes=True))
    outcome = run(world, operation)
    assert (outcome.status, outcome.trouble) == (NO_STATUS, Trouble.ABORTED)
    assert outcome.comment == "during negotiation"
    assert not done(world, operation)


@pytest.mark.parametrize("operation", ["C-ECHO", "C-STORE", "N-ACTION"])
def test_an_association_comes_late(world, operation):
    goes_wrong(world, operation, AssociationFault(delay=DELAY))
    outcome = run(world, operation)
    assert outcome.ok
    assert DELAY <= took(outcome) < DELAY + 1


@pytest.mark.parametrize("operation", ["C-ECHO", "C-STORE", "N-ACTION", "N-EVENT-REPORT"])
def test_an_association_comes_too_late(world, operation):
    goes_wrong(world, operation, AssociationFault(delay=5 * TIMEOUT))
    outcome = run(world, operation, TIMEOUT)
    assert (outcome.status, outcome.trouble) == (NO_STATUS, Trouble.TIMEOUT)
    assert TIMEOUT <= took(outcome) < 5 * TIMEOUT
    assert not done(world, operation)


def test_an_association_is_late_and_then_rejected(world):
    goes_wrong(world, "C-FIND", AssociationFault(delay=DELAY, rejection=REJECTIONS["no-reason"]))
    outcome = run(world, "C-FIND")
    assert outcome.trouble is Trouble.REJECTED
    assert DELAY <= took(outcome) < DELAY + 1


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_but_verification_is_accepted(world, operation):
    goes_wrong(world, operation, AssociationFault(refused=None))
    outcome = run(world, operation)
    assert outcome.trouble is (Trouble.NONE if operation == "C-ECHO" else Trouble.NO_CONTEXT)
    assert not done(world, operation)


@pytest.mark.parametrize(
    ("operation", "refused", "trouble"),
    [
        ("C-STORE", {CT_IMAGE}, Trouble.NO_CONTEXT),
        ("C-STORE", {EXPLICIT, IMPLICIT}, Trouble.NO_CONTEXT),
        ("C-STORE", {EXPLICIT}, Trouble.NONE),
        ("C-STORE", {STORAGE_COMMITMENT}, Trouble.NONE),
        ("N-ACTION", {STORAGE_COMMITMENT}, Trouble.NO_CONTEXT),
        ("N-ACTION", {CT_IMAGE}, Trouble.NONE),
        ("C-FIND", {FIND[Model.STUDY_ROOT]}, Trouble.NO_CONTEXT),
        ("C-FIND", {FIND[Model.WORKLIST]}, Trouble.NONE),
        ("C-FIND", {IMPLICIT}, Trouble.NONE),
        ("C-FIND", {EXPLICIT, IMPLICIT}, Trouble.NO_CONTEXT),
        ("N-EVENT-REPORT", {STORAGE_COMMITMENT}, Trouble.NO_CONTEXT),
    ],
)
def test_some_contexts_are_refused(world, operation, refused, trouble):
    goes_wrong(world, operation, AssociationFault(refused=frozenset(map(str, refused))))
    outcome = run(world, operation)
    assert outcome.trouble is trouble
    assert bool(done(world, operation)) is outcome.ok
    if operation == "C-STORE":
        assert numbers(outcome.unsent) == (set() if outcome.ok else {1, 2, 3, 4, 5})


def test_a_sop_class_is_refused_that_a_part_of_the_study_has(world):
    other = replace(STUDY.series[0], number=2, uid="2.25.1.2", sop_class=MR_IMAGE, instances=2)
    study = replace(STUDY, series=(*STUDY.series, other))
    world.faults["archive"].does["association"] = lambda _: AssociationFault(refused=frozenset({CT_IMAGE}))
    outcome = store(world, study=study)
    assert (outcome.status, outcome.trouble) == (NO_STATUS, Trouble.NO_CONTEXT)
    assert outcome.acknowledged == {sop_instance for sop_class, sop_instance in study if sop_class == MR_IMAGE}
    assert numbers(outcome.unsent) == {1, 2, 3, 4, 5}
    assert outcome.in_doubt == outcome.failed == frozenset()
    assert len(outcome.rows) == 7


def test_the_scp_role_is_refused(world):
    goes_wrong(world, "N-EVENT-REPORT", AssociationFault(refuses_role=True))
    assert run(world, "N-EVENT-REPORT").trouble is Trouble.NO_CONTEXT
    assert world.servers["scanner"].reports == []


def test_who_may_not_take_the_scp_role_gets_nothing_back(world):
    goes_wrong(world, "C-GET", AssociationFault(refuses_role=True))
    outcome = run(world, "C-GET")
    assert (outcome.status, outcome.completed, outcome.failed, set(outcome.received)) == (0xA702, 0, 5, set())


def test_a_role_that_nobody_asks_for_makes_no_difference(world):
    goes_wrong(world, "C-STORE", AssociationFault(refuses_role=True))
    assert run(world, "C-STORE").ok


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "C-STORE"])
def test_an_abort_at_the_last_pdu_of_a_request(world, operation):
    pdus = 1 if operation == "C-ECHO" else 2  # command set and data set
    goes_wrong(world, operation, AssociationFault(aborts_at=pdus))
    outcome = run(world, operation)
    assert (outcome.status, outcome.trouble) == (NO_STATUS, Trouble.ABORTED)
    assert not done(world, operation)


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name not in ("C-STORE", "C-GET")])
def test_an_abort_at_a_pdu_that_never_comes(world, operation):
    pdus = 1 if operation == "C-ECHO" else 2
    goes_wrong(world, operation, AssociationFault(aborts_at=pdus + 1))
    assert run(world, operation).ok


def test_an_abort_at_one_of_the_responses_of_a_retrieval(world):
    goes_wrong(world, "C-GET", AssociationFault(aborts_at=4))
    outcome = run(world, "C-GET")
    assert (outcome.status, outcome.trouble) == (NO_STATUS, Trouble.ABORTED)


@pytest.mark.parametrize(
    ("associations", "aborts_at", "acknowledged", "in_doubt"),
    [
        (1, 1, set(), {1}),
        (1, 2, set(), {1}),
        (1, 6, {1, 2}, {3}),
        (2, 4, {1, 2}, {3, 4}),
        (1, 11, set(range(1, 6)), set()),
    ],
)
def test_an_abort_in_mid_train(world, associations, aborts_at, acknowledged, in_doubt):
    goes_wrong(world, "C-STORE", AssociationFault(aborts_at=aborts_at))
    outcome = store(world, associations)
    assert numbers(outcome.acknowledged) == acknowledged
    assert numbers(outcome.in_doubt) == in_doubt
    assert numbers(outcome.unsent) == set(range(1, 6)) - acknowledged - in_doubt
    assert stored_at(world) == sorted(acknowledged)
    if in_doubt:
        assert (outcome.status, outcome.trouble) == (NO_STATUS, Trouble.ABORTED)
        assert outcome.comment == "the peer aborted"
    else:
        assert outcome.ok
    (record,) = world.recorder.drain()[0]
    assert (record.instances, record.failures) == (len(acknowledged | in_doubt), 5 - len(acknowledged))


@pytest.mark.parametrize(("aborts_at", "in_doubt"), [(4, True), (5, False)])
def test_a_large_instance_takes_several_pdus(world, aborts_at, in_doubt):
    study = replace(STUDY, series=(replace(STUDY.series[0], instances=1, nominal_bytes=5 << 19),))
    goes_wrong(world, "C-STORE", AssociationFault(aborts_at=aborts_at))
    outcome = store(world, study=study)
    assert (bool(outcome.in_doubt), outcome.ok) == (in_doubt, not in_doubt)


def test_one_of_two_associations_is_rejected(world):
    faults = iter([AssociationFault(), AssociationFault(rejection=REJECTIONS["temporary-congestion"])])
    world.faults["archive"].does["association"] = lambda _: next(faults)
    outcome = store(world, associations=2)
    assert (outcome.status, outcome.trouble) == (NO_STATUS, Trouble.REJECTED)
    assert outcome.comment == "2/3/1 Temporary congestion"
    # Which of them it is depends on whose request comes first.
    assert numbers(outcome.acknowledged) in ({1, 3, 5}, {2, 4})
    assert outcome.unsent == outcome.requested - outcome.acknowledged
    assert outcome.failed == outcome.in_doubt == frozenset()
    assert numbers(outcome.acknowledged) == set(stored_at(world))


def test_every_association_is_asked_about_once(world):
    goes_wrong(world, "C-STORE", AssociationFault())
    run(world, "C-STORE")
    assert world.faults["archive"].associations == ["SCANNER"]
    assert world.faults["scanner"].associations == []
    store(world, associations=3)
    assert world.faults["archive"].associations == ["SCANNER"] * 4
