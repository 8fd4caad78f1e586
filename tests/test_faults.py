"""The fault plan: pure decisions, the same whatever the order in which things come."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlab.faults import Known, Plan, order_number
from simlab.network.faults import Asked
from simlab.nodes.specs import SPECS
from simlab.topology.loader import parse_topology

DEPARTMENT = """\
simlab: 1
name: faulty
nodes:
  ris: {kind: worklist, ae_title: RIS, orders: {rate: 9 /h, mix: {ct-head: 1}}}
  ct1: {kind: modality, modality: CT, ae_title: CT1, worklist: ris, store: archive, commit: archive}
  ct2: {kind: modality, modality: CT, ae_title: CT2, worklist: ris, store: archive, commit: archive}
  archive: {kind: archive, ae_title: ARCHIVE}
faults:
"""


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def plan(*faults, notes=None, clock=None):
    lines = "".join(f"  - {{node: archive, {fault}}}\n" for fault in faults)
    topology = parse_topology(DEPARTMENT + (lines or "  []\n"), SPECS)
    return Plan(topology, "archive", clock or Clock(), lambda *note: None if notes is None else notes.append(note))


def store(number, study="A1", calling="CT1"):
    return Asked("C-STORE", calling, (f"2.25.{study}.{number}",), study, number)


def dropped(faults, numbers):
    return {number for number in numbers if faults.of_request(store(number)).drops}


def test_without_faults_nothing_is_wrong():
    nothing = plan()
    assert not nothing.concern("C-STORE")
    assert not nothing.of_request(store(1))
    assert not nothing.of_association("CT1")


def test_every_fifth_counts_instance_numbers_not_arrivals():
    numbers = list(range(1, 31))
    random.Random(7).shuffle(numbers)
    assert dropped(plan("operation: C-STORE, do: drop, every: 5"), numbers) == {5, 10, 15, 20, 25, 30}


@given(st.permutations(range(1, 41)))
def test_a_share_is_drawn_by_instance_whatever_comes_first(numbers):
    fault = "operation: C-STORE, do: drop, share: 30 %"
    assert dropped(plan(fault), numbers) == dropped(plan(fault), range(1, 41))


def test_a_share_is_about_as_large_as_it_says():
    assert 230 < len(dropped(plan("operation: C-STORE, do: drop, share: 25 %"), range(1, 1001))) < 270


def test_what_is_transient_happens_to_each_instance_so_many_times():
    faults = plan("operation: C-STORE, do: answer, status: A700, times: 2")
    answers = [[bool(faults.of_request(store(number)).answer) for _ in range(3)] for number in (1, 2)]
    assert answers == [[True, True, False]] * 2


def test_faults_are_for_a_peer_a_study_and_a_time():
    clock = Clock()
    faults = plan(
        "operation: C-STORE, do: drop, peer: ct2",
        "operation: C-STORE, do: ignore, study: A7",
        "operation: C-STORE, do: close, start: 5 s, end: 6 s",
        clock=clock,
    )
    assert not faults.of_request(store(1))
    assert faults.of_request(store(1, calling="CT2")).drops
    assert faults.of_request(store(1, study="A7")).ignores
    clock.now = 5.0
    assert faults.of_request(store(1)).closes
    clock.now = 6.0
    assert not faults.of_request(store(1)).closes


def test_faults_without_a_time_happen_before_run_second_0_as_well():
    clock = Clock()
    clock.now = -0.1
    assert plan("operation: C-STORE, do: drop", clock=clock).of_request(store(1)).drops
    assert not plan("operation: C-STORE, do: drop, start: 1 ms", clock=clock).of_request(store(1))


def test_faults_add_up():
    fault = plan(
        "operation: N-ACTION, do: delay, delay: 1 s",
        "operation: N-ACTION, do: delay, delay: 2 s",
        "operation: N-ACTION, do: answer, status: 0110H",
    ).of_request(Asked("N-ACTION", "CT1", ("2.25.1",)))
    assert (fault.delay, fault.answer.code) == (3.0, 0x0110)


def test_every_counts_what_a_peer_asks_where_nothing_has_a_number():
    faults = plan("operation: association, do: refuse, reason: local-limit, every: 3")
    refused = [bool(faults.of_association("CT1").rejection) for _ in range(6)]
    assert refused == [False, False, True] * 2
    assert not faults.of_association("CT2").rejection  # its first
    assert plan("operation: association, do: refuse, reason: called-ae-title").of_association("X").rejection == (
        1,
        1,
        7,
    )


def test_contexts_are_refused_by_uid_or_all_of_them():
    assert plan("operation: association, do: reject-contexts").of_association("CT1").refused is None
    some = plan('operation: association, do: reject-contexts, contexts: ["1.2.3"]').of_association("CT1")
    assert some.refused == {"1.2.3"}


def test_what_happens_is_noted():
    notes = []
    faults = plan("operation: C-STORE, do: answer, status: A700, every: 2", notes=notes)
    for number in (1, 2):
        faults.of_request(store(number))
    assert notes == [("ct1", "C-STORE answer A700H", "2.25.A1.2")]


# ---- commitment reports

KNOWN = {f"2.25.{number}": Known("RIS7", number) for number in range(1, 11)}


def test_reports_go_wrong_by_instance():
    faults = plan(
        "operation: commitment, do: fail, status: 0213H, every: 2, times: 1",
        "operation: commitment, do: lie, every: 5",
        "operation: commitment, do: missing, every: 3",
    )
    first, second = faults.of_report("CT1", KNOWN), faults.of_report("CT1", KNOWN)
    assert first.failed == {f"2.25.{number}": 0x0213 for number in (2, 4, 6, 8, 10)}
    assert second.failed == {}
    assert first.lies == second.lies == {"2.25.5", "2.25.10"}
    assert first.missing == {"2.25.3", "2.25.6", "2.25.9"}


def test_a_report_that_fails_as_a_whole_does_so_for_a_study_however_it_is_asked_for():
    faults = plan("operation: commitment, do: never, times: 2")
    some = dict(list(KNOWN.items())[3:])
    assert [faults.of_report("CT1", known).never for known in (KNOWN, some, KNOWN)] == [True, True, False]
    other = {"2.25.99": Known("RIS8", 1)}
    assert faults.of_report("CT1", other).never


@pytest.mark.parametrize(("accession", "struck"), [("RIS7", False), ("RIS10", True), ("", True)])
def test_every_fifth_report_counts_orders(accession, struck):
    faults = plan("operation: commitment, do: never, every: 5")
    for _ in range(4):  # what has no order number counts as the peer's next
        faults.of_report("CT1", {"2.25.1": Known("", 1)})
    assert faults.of_report("CT1", {"2.25.2": Known(accession, 1)}).never is struck


def test_reports_may_be_late_doubled_and_go_astray():
    fault = plan(
        "operation: commitment, do: late, delay: 4 s",
        "operation: commitment, do: duplicate",
        "operation: commitment, do: closed-port",
        "operation: commitment, do: extra, copies: 2",
        "operation: commitment, do: unknown-transaction",
    ).of_report("CT1", KNOWN)
    assert (fault.delay, fault.copies, fault.extra) == (4.0, 2, 2)
    assert fault.closed_port
    assert fault.unknown_transaction
    storm = plan("operation: commitment, do: storm, copies: 20").of_report("CT1", KNOWN)
    assert (storm.copies, storm.at_once) == (20, True)


@pytest.mark.parametrize(("accession", "number"), [("RIS17", 17), ("A3-X", 3), ("", None), ("none", None)])
def test_an_order_is_numbered_by_the_last_digits_of_its_accession_number(accession, number):
    assert order_number(accession) == number
