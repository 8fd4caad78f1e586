"""What every world promises to workflows (simlab/network/seam.py), held against both."""

import dataclasses
import time

import pytest
import simpy

from network.worlds import LONG, make_at_scanner, make_study, store_at_archive, wait_for
from simlab.network.query import Level, Model, Query
from simlab.network.seam import (
    NO_STATUS,
    Answer,
    CommitmentReport,
    FailedReference,
    Status,
    StoreOptions,
    Trouble,
)
from simlab.records import Record

OUT_OF_RESOURCES = 0xA700


def records(world, operation):
    found, _ = world.recorder.drain()
    return [record for record in found if record.operation == operation]


def test_operations_are_events(world):
    event = world.network.echo("scanner", "archive")
    assert isinstance(event, simpy.Event)
    assert not event.triggered
    either = event | world.env.timeout(20)
    assert event in wait_for(world, either)


def test_echo(world):
    outcome = wait_for(world, world.network.echo("scanner", "archive"))
    assert outcome.ok
    assert outcome.status == 0
    assert 0 <= outcome.started <= outcome.finished <= world.env.now + 0.1
    (record,) = records(world, "C-ECHO")
    assert (record.world, record.node, record.peer, record.failures) == (world.name, "scanner", "archive", 0)
    assert record.intended <= record.started <= record.finished
    assert set(dataclasses.asdict(record)) == {field.name for field in dataclasses.fields(Record)}


def test_find_passes_the_query_and_the_matches(world):
    server = world.servers["archive"]
    server.answer = Answer(
        (
            {"PatientName": "Doe^Jane", "StudyInstanceUID": "2.25.1", "NumberOfStudyRelatedInstances": "12"},
            {"PatientName": "Müller^Ann", "StudyInstanceUID": "2.25.2", "ModalitiesInStudy": ("CT", "KO")},
        )
    )
    query = Query({"PatientName": "*", "StudyInstanceUID": "", "StudyDate": "20260101-"}, Model.STUDY_ROOT, Level.STUDY)
    found = wait_for(world, world.network.find("scanner", "archive", query))
    assert found.ok
    assert [match["PatientName"] for match in found.matches] == ["Doe^Jane", "Müller^Ann"]
    assert found.matches[0]["NumberOfStudyRelatedInstances"] == "12"
    assert found.matches[1]["ModalitiesInStudy"] == ("CT", "KO")
    (asked,) = server.queries
    assert asked == query


def test_find_in_the_worklist_keeps_sequences(world):
    server = world.servers["archive"]
    item = {"PatientName": "Doe^Jane", "ScheduledProcedureStepSequence": ({"Modality": "CT"},)}
    server.answer = Answer((item,))
    keys = {"PatientName": "", "ScheduledProcedureStepSequence": ({"Modality": "CT", "ScheduledStationAETitle": ""},)}
    found = wait_for(world, world.network.find("scanner", "archive", Query(keys, Model.WORKLIST, None)))
    assert found.matches == (item,)
    (asked,) = server.queries
    assert asked == Query(keys, Model.WORKLIST, None)


def test_a_failure_status_is_a_value(world):
    world.servers["archive"].answer = Answer((), Status(0xA900, "wrong level"))
    found = wait_for(world, world.network.find("scanner", "archive", Query({"PatientID": "1"})))
    assert not found.ok
    assert (found.status, found.comment, found.matches) == (0xA900, "wrong level", ())
    (record,) = records(world, "C-FIND")
    assert (record.status, record.failures, record.comment) == (0xA900, 1, "wrong level")


def test_no_answer_in_time_is_a_value(world):
    world.slow(world.servers["archive"], LONG)
    began = time.monotonic()
    found = wait_for(world, world.network.find("scanner", "archive", Query({"PatientID": "1"}), timeout=0.5))
    assert time.monotonic() - began < 10
    assert not found.ok
    assert (found.status, found.trouble) == (NO_STATUS, Trouble.TIMEOUT)
    assert found.finished - found.started >= 0.5
    (record,) = records(world, "C-FIND")
    assert (record.status, record.failures) == (NO_STATUS, 1)


@pytest.mark.parametrize("associations", [1, 3])
def test_store(world, associations):
    study = make_at_scanner(world)
    options = StoreOptions(associations)
    stored = wait_for(world, world.network.store("scanner", "archive", study, options))
    expected = {reference.sop_instance for reference in study}
    assert stored.ok
    assert stored.acknowledged == expected
    assert {reference.sop_instance for reference in world.servers["archive"].stored} == expected
    assert all(began <= ended for began, ended in zip(stored.rows.started, stored.rows.finished, strict=True))
    found, batches = world.recorder.drain()
    (record,) = [record for record in found if record.operation == "C-STORE"]
    (batch,) = batches
    assert (record.instances, record.failures, record.study) == (5, 0, study.uid)
    assert record.bytes == record.wire_bytes == sum(batch.rows.bytes) > 5 * 2000
    assert record.transfer_syntax == "1.2.840.10008.1.2.1"
    assert batch.rows == stored.rows


def test_what_goes_as_it_is_kept_is_not_transcoded(world):
    study = make_at_scanner(world)
    options = StoreOptions(propose=("1.2.840.10008.1.2.1",), default_syntax=False, mismatch="fail", encode="pipelined")
    stored = wait_for(world, world.network.store("scanner", "archive", study, options))
    assert stored.ok
    assert (stored.transcoded, stored.codec_seconds) == (0, 0.0)
    assert set(stored.rows.transfer_syntax) == {"1.2.840.10008.1.2.1"}
    (record,) = records(world, "C-STORE")
    assert (record.transcoded, record.codec_seconds) == (0, 0.0)


def test_store_of_a_selection(world):
    study = make_at_scanner(world).select([1, 3])
    stored = wait_for(world, world.network.store("scanner", "archive", study))
    assert stored.acknowledged == {study.reference(1).sop_instance, study.reference(3).sop_instance}


def test_refused_instances_are_told_apart(world):
    world.servers["archive"].store_status = Status(OUT_OF_RESOURCES, "disk full")
    study = make_at_scanner(world)
    stored = wait_for(world, world.network.store("scanner", "archive", study))
    assert not stored.ok
    assert stored.status == OUT_OF_RESOURCES
    assert stored.acknowledged == frozenset()
    assert stored.rows.status == [OUT_OF_RESOURCES] * 5
    (record,) = records(world, "C-STORE")
    assert (record.instances, record.failures, record.comment) == (5, 5, "disk full")
    assert (record.bytes, record.wire_bytes) == (0, sum(stored.rows.bytes))


def test_procedure_step(world):
    server = world.servers["archive"]
    attributes = {
        "PerformedProcedureStepStatus": "IN PROGRESS",
        "ScheduledStepAttributesSequence": ({"StudyInstanceUID": "2.25.1"},),
    }
    assert wait_for(world, world.network.create_step("scanner", "archive", "2.25.7", attributes)).ok
    server.step_status = Status(0x0110, "final", 0xA710)
    changed = wait_for(
        world,
        world.network.set_step(
            "scanner", "archive", "2.25.7", {"PerformedProcedureStepStatus": "COMPLETED"}, instances=3
        ),
    )
    assert [record.instances for record in records(world, "N-SET")] == [3]
    assert (changed.status, changed.comment) == (0x0110, "final")
    assert server.steps[0] == ("create", "2.25.7", attributes)
    assert server.steps[1] == ("set", "2.25.7", {"PerformedProcedureStepStatus": "COMPLETED"})


@pytest.mark.parametrize(("hold", "same"), [(0.0, True), (5.0, True), (5.0, False)])
def test_commitment(world, hold, same):
    archive, scanner = world.servers["archive"], world.servers["scanner"]
    study = make_study(3)
    requests = simpy.Store(world.env)
    archive.on_request = lambda request: world.notify(lambda: requests.put(request))
    outcomes = []

    def ask():
        outcomes.append((yield world.network.request_commitment("scanner", "archive", "2.25.77", study, hold=hold)))

    def report():
        request = yield requests.get()
        yield world.env.timeout(0.2)  # long after the response, so that an association that is not held is gone
        failed = (FailedReference(request.references[2], 0x0112),)
        answer = CommitmentReport(request.transaction, request.references[:2], failed)
        on = request.association if same else None
        outcomes.append((yield world.network.report_commitment("archive", "scanner", answer, on=on, study=study.uid)))

    world.env.run(until=world.env.process(ask()) & world.env.process(report()))
    (request,) = archive.requests
    (told,) = scanner.reports
    assert (request.transaction, request.requester, request.references) == ("2.25.77", "SCANNER", study.references)
    assert (told.transaction, told.stored) == ("2.25.77", study.references[:2])
    assert told.failed == (FailedReference(study.references[2], 0x0112),)
    asked, reported = outcomes
    assert asked.ok
    assert reported.ok
    on_the_same = "association of the request" in reported.comment
    found, _ = world.recorder.drain()
    assert {(record.operation, record.study) for record in found} == {
        ("N-ACTION", study.uid),
        ("N-EVENT-REPORT", study.uid),
    }
    assert on_the_same == (same and hold > 0)


def test_report_to_somebody_who_does_not_listen(live_world):  # in virtual time everybody listens
    world = live_world
    world.network._acceptors["scanner"].close()
    report = CommitmentReport("2.25.1", make_study(1).references)
    outcome = wait_for(world, world.network.report_commitment("archive", "scanner", report))
    assert outcome.trouble is Trouble.UNREACHABLE


def test_move_to_a_third_node(world):
    study = store_at_archive(world)
    query = Query({"StudyInstanceUID": study.uid})
    moved = wait_for(world, world.network.move("scanner", "archive", query, "reader", study=study.uid))
    assert moved.ok
    assert (moved.completed, moved.failed, moved.remaining, moved.pending_responses) == (5, 0, 0, 4)
    assert {r.sop_instance for r in world.servers["reader"].stored} == {r.sop_instance for r in study}
    found, _ = world.recorder.drain()
    by_operation = {record.operation: record for record in found}
    assert (by_operation["C-MOVE"].node, by_operation["C-MOVE"].peer) == ("scanner", "archive")
    assert (by_operation["C-STORE"].node, by_operation["C-STORE"].peer) == ("archive", "reader")


def test_move_whose_destination_refuses(world):
    study = store_at_archive(world)
    world.servers["reader"].store_status = Status(OUT_OF_RESOURCES)
    query = Query({"StudyInstanceUID": study.uid})
    moved = wait_for(world, world.network.move("scanner", "archive", query, "reader"))
    assert not moved.ok
    assert (moved.status, moved.completed, moved.failed) == (0xA702, 0, 5)


def test_get(world):
    study = store_at_archive(world)
    query = Query({"StudyInstanceUID": study.uid})
    got = wait_for(world, world.network.get("reader", "archive", query, study=study.uid))
    assert got.ok
    assert set(got.received) == {reference.sop_instance for reference in study}
    assert got.completed == 5
    (record,) = records(world, "C-GET")
    assert record.bytes > 5 * 2000


def test_every_operation_names_its_sop_class(world):
    study = store_at_archive(world)
    network, query = world.network, Query({"StudyInstanceUID": study.uid})
    wait_for(world, network.echo("scanner", "archive"))
    wait_for(world, network.find("scanner", "archive", query))
    wait_for(world, network.store("scanner", "archive", study))
    wait_for(world, network.move("scanner", "archive", query, "reader"))
    wait_for(world, network.get("scanner", "archive", query))
    wait_for(world, network.create_step("scanner", "archive", "2.25.7", {"Modality": "CT"}))
    wait_for(world, network.set_step("scanner", "archive", "2.25.7", {"Modality": "CT"}))
    wait_for(world, network.request_commitment("scanner", "archive", "2.25.77", study))
    named = {record.operation: record.sop_class for record in world.recorder.drain()[0]}
    assert named == {
        "C-ECHO": "1.2.840.10008.1.1",
        "C-FIND": "1.2.840.10008.5.1.4.1.2.2.1",
        "C-STORE": "1.2.840.10008.5.1.4.1.1.2",
        "C-MOVE": "1.2.840.10008.5.1.4.1.2.2.2",
        "C-GET": "1.2.840.10008.5.1.4.1.2.2.3",
        "N-CREATE": "1.2.840.10008.3.1.2.3.3",
        "N-SET": "1.2.840.10008.3.1.2.3.3",
        "N-ACTION": "1.2.840.10008.1.20.1",
    }


def test_local_work(world):
    study = make_study(4)
    made = wait_for(world, world.network.make("scanner", study))
    assert (made.study, made.instances) == (study, 4)
    derived = wait_for(world, world.network.derive("reader", study.uid, "reformat"))
    assert (derived.ok, derived.instances) == (True, 2)
    discarded = wait_for(world, world.network.discard("scanner", study.uid))
    assert discarded.bytes == 1234
    assert world.servers["scanner"].discarded == [study.uid]
    found, batches = world.recorder.drain()
    assert [record.operation for record in found] == ["make", "derive", "discard"]
    assert [(batch.operation, len(batch.rows)) for batch in batches] == [("make", 4), ("derive", 2)]
    assert batches[0].rows.sop_instance == [reference.sop_instance for reference in study]


def test_many_operations_at_once(world):
    study = make_at_scanner(world, 10)
    events = [world.network.store("scanner", "archive", study.select([index])) for index in range(10)]
    events += [world.network.echo("reader", "archive") for _ in range(10)]
    wait_for(world, world.env.all_of(events))
    assert all(event.value.ok for event in events)
    assert len(world.servers["archive"].stored) == 10
