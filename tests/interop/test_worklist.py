"""DCMTK's findscu -W against our worklist, while orders arrive."""

from datetime import datetime, timedelta

import pytest
from peers import wait_until

from interop.dcmtk import find

pytestmark = pytest.mark.peers

STEP = "ScheduledProcedureStepSequence[0]."
RETURNED = (
    *("PatientName", "PatientID", "AccessionNumber", "StudyInstanceUID", "RequestedProcedureID"),
    *(f"{STEP}Modality", f"{STEP}ScheduledStationAETitle", f"{STEP}ScheduledProcedureStepStatus"),
    *(f"{STEP}ScheduledProcedureStepStartDate", f"{STEP}ScheduledProcedureStepStartTime"),
)


def worklist(ris, *keys):
    """Accession numbers of what matches ``keys``, which stand in for the empty ones of the same name."""
    given = {key.partition("=")[0] for key in keys}
    answer = find(ris, *keys, *(key for key in RETURNED if key not in given), model="-W")
    return {match.AccessionNumber: match for match in answer.matches}


@pytest.fixture(scope="module")
def item(clinic):
    """A step that is on the worklist; nobody works here, so it stays there."""
    found = wait_until(lambda: worklist(clinic["ris"]), "an order")
    return found[min(found)]


@pytest.fixture(scope="module")
def step(item):
    [step] = item.ScheduledProcedureStepSequence
    return step


def test_an_item_is_complete(item, step):
    assert item.PatientName
    assert item.PatientID.startswith("SIM-")
    assert item.StudyInstanceUID.startswith("2.25.")
    assert item.RequestedProcedureID
    assert step.Modality in {"CT", "MR"}
    assert step.ScheduledStationAETitle == f"{step.Modality}1"
    assert step.ScheduledProcedureStepStatus == "SCHEDULED"


def test_by_modality(clinic, item, step):
    found = worklist(clinic["ris"], f"{STEP}Modality={step.Modality}")
    assert item.AccessionNumber in found
    assert {match.ScheduledProcedureStepSequence[0].Modality for match in found.values()} == {step.Modality}
    assert not worklist(clinic["ris"], f"{STEP}Modality=US")


def test_by_station(clinic, item, step):
    assert item.AccessionNumber in worklist(
        clinic["ris"], f"{STEP}ScheduledStationAETitle={step.ScheduledStationAETitle}"
    )
    assert not worklist(clinic["ris"], f"{STEP}ScheduledStationAETitle=CT99")


def test_by_date(clinic, item, step):
    day = step.ScheduledProcedureStepStartDate
    for key in (day, f"{day}-{day}", f"-{day}", f"{day}-"):
        assert item.AccessionNumber in worklist(clinic["ris"], f"{STEP}ScheduledProcedureStepStartDate={key}")
    assert not worklist(clinic["ris"], f"{STEP}ScheduledProcedureStepStartDate=19990101-19991231")


def test_by_time(clinic, item, step):
    start = datetime.strptime(step.ScheduledProcedureStepStartTime, "%H%M%S")
    before, after = (f"{start + timedelta(minutes=minutes):%H%M%S}" for minutes in (-5, 5))
    assert before < after, "the clinic's day does not begin at midnight"
    date = f"{STEP}ScheduledProcedureStepStartDate={step.ScheduledProcedureStepStartDate}"
    time = f"{STEP}ScheduledProcedureStepStartTime"
    assert item.AccessionNumber in worklist(clinic["ris"], date, f"{time}={before}-{after}")
    assert item.AccessionNumber not in worklist(clinic["ris"], date, f"{time}=000000-{before}")


def test_by_name(clinic, item):
    family = item.PatientName.family_name
    assert item.AccessionNumber in worklist(clinic["ris"], f"PatientName={family[:2]}*")
    assert item.AccessionNumber in worklist(clinic["ris"], f"PatientName=?{family[1:]}^*")
    assert not worklist(clinic["ris"], "PatientName=No Such*")


def test_within_the_sequence_all_keys_must_match_one_step(clinic, item, step):
    both = (f"{STEP}Modality={step.Modality}", f"{STEP}ScheduledStationAETitle={step.ScheduledStationAETitle}")
    assert item.AccessionNumber in worklist(clinic["ris"], *both)
    other = "CT1" if step.Modality == "MR" else "MR1"
    assert not worklist(clinic["ris"], both[0], f"{STEP}ScheduledStationAETitle={other}")


def test_by_accession_number(clinic, item):
    assert set(worklist(clinic["ris"], f"AccessionNumber={item.AccessionNumber}")) == {item.AccessionNumber}
    assert not worklist(clinic["ris"], "AccessionNumber=NONE")
