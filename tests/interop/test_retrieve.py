"""DCMTK's movescu, getscu and storescp against our archive: all arrives, and as it was sent."""

import pytest
from peers import require_free

from interop.conftest import TOPOLOGIES, department_up
from interop.dcmtk import Station, get, move, read_folder, store

pytestmark = pytest.mark.peers

STUDY, SERIES, IMAGE, PATIENT = (f"QueryRetrieveLevel={level}" for level in ("STUDY", "SERIES", "IMAGE", "PATIENT"))


def study_key(study):
    return f"StudyInstanceUID={study.study_uid}"


def final_counts(output):
    """Completed, failed and warning sub-operations of the last response."""
    last = output.rpartition("INCOMING DIMSE MESSAGE")[2]
    lines = [line for line in last.splitlines() if "Suboperations" in line]
    counts = {line.split()[1]: line.rpartition(":")[2].strip() for line in lines}
    return tuple(counts[name] for name in ("Completed", "Failed", "Warning"))


def test_a_move_to_a_third_device(archived, storescp, brain):
    done = move(archived, "STORESCP", STUDY, study_key(brain))
    assert done.code == 0, done.output
    assert final_counts(done.output) == (str(len(brain)), "0", "0")
    assert storescp.received() == brain.data_sets


def test_a_move_of_one_series_and_of_one_instance(archived, storescp, brain):
    series = f"SeriesInstanceUID={brain.first.SeriesInstanceUID}"
    one = f"SOPInstanceUID={brain.first.SOPInstanceUID}"
    assert move(archived, "STORESCP", IMAGE, study_key(brain), series, one).code == 0
    assert storescp.received() == {brain.first.SOPInstanceUID: brain.first}
    assert move(archived, "STORESCP", SERIES, study_key(brain), series).code == 0
    received = storescp.received()
    assert {data_set.SeriesInstanceUID for data_set in received.values()} == {brain.first.SeriesInstanceUID}
    assert len(received) == 24


def test_a_move_of_a_patient(archived, storescp, head):
    done = move(archived, "STORESCP", PATIENT, f"PatientID={head.first.PatientID}", model="-P")
    assert done.code == 0, done.output
    assert head.data_sets.items() <= storescp.received().items()


def test_a_move_to_nobody(archived, brain):
    done = move(archived, "NOWHERE", STUDY, study_key(brain))
    assert "DIMSE Status                  : 0xa801" in done.output


def test_a_move_to_an_ae_that_does_not_listen(archived, head):
    """The station of the clinic is a declared node, and not started here."""
    done = move(archived, "STORESCP", STUDY, study_key(head))
    assert "DIMSE Status                  : 0xa702" in done.output
    assert final_counts(done.output) == ("0", str(len(head)), "0")


def test_a_move_of_nothing(archived, storescp):
    done = move(archived, "STORESCP", STUDY, "StudyInstanceUID=1.2.3")
    assert done.code == 0, done.output
    assert storescp.received() == {}


@pytest.mark.parametrize("model", ["-S", "-P"])
def test_a_get(archived, head, tmp_path, model):
    done = get(archived, tmp_path / "got", STUDY, f"PatientID={head.first.PatientID}", study_key(head), model=model)
    assert done.code == 0, done.output
    assert read_folder(tmp_path / "got") == head.data_sets


@pytest.mark.slow
def test_a_move_to_a_third_device_in_the_clinic_as_shipped(head, tmp_path):
    with department_up(TOPOLOGIES / "clinic.yaml", tmp_path / "up") as clinic:
        require_free(clinic["station"].port)
        with Station.started(clinic["station"], tmp_path) as station:
            assert store(clinic["archive"], head.folder).code == 0
            assert move(clinic["archive"], clinic["station"].ae_title, STUDY, study_key(head)).code == 0
            assert station.received() == head.data_sets
