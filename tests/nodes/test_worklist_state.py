from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime

import pytest

from simlab.network.query import Model, Query
from simlab.network.seam import SUCCESS
from simlab.network.worklist_items import UNKNOWN_BIRTH_DATE, order_from_item, worklist_item
from simlab.nodes.worklist.order_book import OrderBook, StepStatus, assign_station, step_of
from simlab.nodes.worklist.procedure_steps import NO_LONGER_UPDATABLE, ProcedureSteps
from simlab.nodes.worklist.state import WorklistState
from simlab.studies.study import Order, Patient

MIDNIGHT = datetime(2026, 1, 15)


def order(number, **changes):
    plain = Order(
        number=number,
        accession=f"ACC{number}",
        study_uid=f"2.25.{number}",
        step_id=f"SPS{number}",
        patient=Patient(f"SIM-{number}", f"Doe^Jane{number}", date(1960, 2, 3), "F"),
        protocol="ct-chest",
        description="Chest CT",
        modality="CT",
        station="CT1",
        scheduled=datetime(2026, 1, 15, 8, number),
        referring_physician="House^Gregory",
    )
    return replace(plain, **changes)


def performed(*orders, **changes):
    items = tuple({"StudyInstanceUID": each.study_uid, "ScheduledProcedureStepID": each.step_id} for each in orders)
    return {
        "ScheduledStepAttributesSequence": items,
        "PerformedProcedureStepID": "PPS1",
        "PerformedStationAETitle": "CT1",
        "PerformedProcedureStepStartDate": "20260115",
        "PerformedProcedureStepStartTime": "080000",
        "PerformedProcedureStepStatus": "IN PROGRESS",
        "Modality": "CT",
        **changes,
    }


ENDED = {"PerformedProcedureStepEndDate": "20260115", "PerformedProcedureStepEndTime": "081000"}
COMPLETED = {
    "PerformedProcedureStepStatus": "COMPLETED",
    "PerformedSeriesSequence": ({"SeriesInstanceUID": "2.25.77", "ProtocolName": "ct-chest"},),
    **ENDED,
}
DISCONTINUED = {"PerformedProcedureStepStatus": "DISCONTINUED", **ENDED}


def ask(book, step=None, **keys):
    step = {"ScheduledProcedureStepStatus": "", **(step or {})}
    query = Query({"AccessionNumber": "", "ScheduledProcedureStepSequence": (step,), **keys}, Model.WORKLIST, None)
    found = book.worklist(query)
    assert found.status.code == SUCCESS
    return {
        item["AccessionNumber"]: item["ScheduledProcedureStepSequence"][0]["ScheduledProcedureStepStatus"]
        for item in found.matches
    }


@pytest.fixture
def book():
    book = OrderBook()
    for number in (1, 2, 3):
        book.add(order(number, station="CT2" if number == 3 else "CT1"), planned=600)
    return book


def test_the_worklist_answers_by_station_time_and_patient(book):
    assert ask(book).keys() == {"ACC1", "ACC2", "ACC3"}
    assert ask(book, {"ScheduledStationAETitle": "CT1"}).keys() == {"ACC1", "ACC2"}
    after_eight = {"ScheduledProcedureStepStartDate": "20260115", "ScheduledProcedureStepStartTime": "0802-"}
    assert ask(book, after_eight).keys() == {"ACC2", "ACC3"}
    assert ask(book, {"Modality": "MR"}) == {}
    assert ask(book, PatientName="doe^jane2").keys() == {"ACC2"}
    assert ask(book, {"ScheduledProtocolCodeSequence": ({"CodeValue": "ct-chest"},)}).keys() == {"ACC1", "ACC2", "ACC3"}
    assert ask(book, {"ScheduledProtocolCodeSequence": ({"LongCodeValue": "ct-chest"},)}) == {}


def test_keys_that_the_worklist_does_not_support_are_ignored(book):
    assert len(ask(book, {"ScheduledSpecimenSequence": ({"SpecimenIdentifier": "7"},)}, MilitaryRank="General")) == 3


def test_another_model_is_refused(book):
    assert book.worklist(Query({}, Model.STUDY_ROOT)).status.code == 0xA900


def test_a_performed_step_moves_its_order(book):
    steps = ProcedureSteps(book)
    first, second, _ = book.pending()
    assert steps.create("2.25.9", performed(first)).code == SUCCESS
    assert ask(book)["ACC1"] == "STARTED"
    assert "ACC1" not in ask(book, {"ScheduledProcedureStepStatus": "SCHEDULED"})
    assert steps.in_progress() == {"2.25.9"}
    assert steps.set("2.25.9", {"PerformedProcedureStepDescription": "so far"}).code == SUCCESS
    assert steps.attributes("2.25.9")["PerformedProcedureStepDescription"] == "so far"
    assert steps.set("2.25.9", COMPLETED).code == SUCCESS
    assert ask(book).keys() == {"ACC2", "ACC3"}
    assert book.status(step_of(first)) is StepStatus.COMPLETED
    assert steps.attributes("2.25.9") == {"PerformedProcedureStepStatus": "COMPLETED"}
    assert steps.in_progress() == frozenset()

    assert steps.create("2.25.10", performed(second)).code == SUCCESS
    assert steps.set("2.25.10", DISCONTINUED).code == SUCCESS
    assert book.status(step_of(second)) is StepStatus.DISCONTINUED
    assert len(book.pending()) == 1


def test_what_has_come_to_its_end_stays_there(book):
    steps = ProcedureSteps(book)
    first = book.pending()[0]
    steps.create("2.25.9", performed(first))
    steps.set("2.25.9", COMPLETED)
    assert steps.set("2.25.9", DISCONTINUED) == NO_LONGER_UPDATABLE
    assert (NO_LONGER_UPDATABLE.code, NO_LONGER_UPDATABLE.error_id) == (0x0110, 0xA710)
    assert steps.create("2.25.10", performed(first)).code == SUCCESS
    assert book.status(step_of(first)) is StepStatus.COMPLETED
    assert "ACC1" not in ask(book)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"PerformedProcedureStepStatus": "COMPLETED"}, 0x0106),
        ({"PerformedProcedureStepStatus": ""}, 0x0121),
        ({"PerformedProcedureStepStatus": None}, 0x0120),
        ({"PerformedStationAETitle": None}, 0x0120),
        ({"PerformedProcedureStepID": None}, 0x0120),
        ({"ScheduledStepAttributesSequence": None}, 0x0120),
        ({"ScheduledStepAttributesSequence": ()}, 0x0121),
        ({"ScheduledStepAttributesSequence": ({"AccessionNumber": "1"},)}, 0x0120),
    ],
)
def test_steps_that_are_not_created(book, changes, code):
    changed = performed(book.pending()[0], **changes)
    attributes = {keyword: value for keyword, value in changed.items() if value is not None}
    status = ProcedureSteps(book).create("2.25.9", attributes)
    assert status.code == code
    assert len(status.comment) <= 64
    assert set(ask(book).values()) == {"SCHEDULED"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"PerformedProcedureStepStatus": "PAUSED"}, 0x0106),
        ({"PatientID": "somebody else"}, 0x0106),
        ({**COMPLETED, "PerformedSeriesSequence": ()}, 0x0121),
        ({"PerformedProcedureStepStatus": "COMPLETED", **ENDED}, 0x0121),
        ({"PerformedProcedureStepStatus": "DISCONTINUED"}, 0x0121),
        ({"Modality": "CT"}, SUCCESS),
        ({"PerformedProcedureStepStatus": "IN PROGRESS"}, SUCCESS),
    ],
)
def test_updates(book, changes, code):
    steps = ProcedureSteps(book)
    steps.create("2.25.9", performed(book.pending()[0]))
    before = steps.attributes("2.25.9")
    assert steps.set("2.25.9", changes).code == code
    assert steps.attributes("2.25.9") == before
    assert steps.in_progress() == {"2.25.9"}


def test_unknown_and_duplicate_steps():
    state = WorklistState()
    assert state.set_step("2.25.9", COMPLETED).code == 0x0112
    assert state.create_step("2.25.9", performed(order(42))).code == SUCCESS
    assert state.create_step("2.25.9", performed(order(42))).code == 0x0111
    assert state.set_step("2.25.9", COMPLETED).code == SUCCESS
    strict = WorklistState(accept_unscheduled=False)
    assert strict.create_step("2.25.9", performed(order(42))).code == 0x0106
    assert tuple(state.find(Query({"PatientID": ""}, Model.WORKLIST, None)).matches) == ()


def test_one_of_many_scanners_takes_each_step(book):
    steps = ProcedureSteps(book)
    first = book.pending()[0]
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: steps.create("2.25.9", performed(first)).code, range(32)))
    assert sorted(set(codes)) == [SUCCESS, 0x0111]
    assert codes.count(SUCCESS) == 1


def test_an_order_is_entered_once(book):
    with pytest.raises(ValueError, match="ordered already"):
        book.add(order(1))


def test_stations_share_the_work():
    stations = {"CT2": "CT", "CT1": "CT", "MR1": "MR"}
    book = OrderBook()
    for number, planned in enumerate((100, 300, 100, 50, 10), start=1):
        station = assign_station("CT", stations, book.workload)
        book.add(order(number, station=station), planned)
    assert [each.station for each in book.pending()] == ["CT1", "CT2", "CT1", "CT1", "CT1"]
    assert book.workload == {"CT1": 260, "CT2": 300}
    assert assign_station("MR", stations, book.workload) == "MR1"
    with pytest.raises(LookupError, match="US"):
        assign_station("US", stations, {})


@pytest.mark.parametrize("protocol", ["ct-chest", "ct-chest-abdomen-pelvis", ""])
def test_an_order_survives_the_worklist(protocol):
    ordered = order(7, protocol=protocol)
    assert order_from_item(worklist_item(ordered), scheduled=MIDNIGHT) == ordered


def test_items_of_other_systems_may_leave_things_out():
    step = {
        "Modality": "MR",
        "ScheduledProcedureStepStartDate": "19951015",
        "ScheduledProcedureStepStartTime": "08:56:07.5",
        "ScheduledProcedureStepID": "SPD1342",
        "ScheduledProtocolCodeSequence": ({"CodeValue": "ct-chest", "CodingSchemeDesignator": "99OTHER"},),
    }
    item = {"PatientName": "VIVALDI^ANTONIO", "StudyInstanceUID": "1.2.3", "ScheduledProcedureStepSequence": (step,)}
    rebuilt = order_from_item(item, scheduled=MIDNIGHT, station="MR1", number=4)
    assert rebuilt.protocol == ""
    assert rebuilt.scheduled == datetime(1995, 10, 15, 8, 56, 7)
    assert (rebuilt.station, rebuilt.number, rebuilt.study_uid) == ("MR1", 4, "1.2.3")
    assert (rebuilt.patient.sex, rebuilt.patient.birth_date) == ("O", UNKNOWN_BIRTH_DATE)
    nothing = order_from_item({}, scheduled=MIDNIGHT)
    assert nothing.scheduled == MIDNIGHT
    assert nothing.study_uid.startswith("2.25.")
