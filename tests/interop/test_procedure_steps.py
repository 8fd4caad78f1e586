"""Performed procedure steps (MPPS) on the wire: each status of the state machine, with pynetdicom as the modality."""

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from interop.scanner import associated

pytestmark = pytest.mark.peers

SUCCESS, INVALID_ATTRIBUTE_VALUE, PROCESSING_FAILURE, DUPLICATE, NO_SUCH_INSTANCE = 0, 0x0106, 0x0110, 0x0111, 0x0112
NO_LONGER_UPDATABLE = 0xA710


class Steps:
    """N-CREATE and N-SET on one association; each returns the data set of the response's status."""

    def __init__(self, association):
        self._association = association

    def create(self, uid, **changes):
        return self._association.send_n_create(started(**changes), ModalityPerformedProcedureStep, uid)[0]

    def set(self, uid, **changes):
        return self._association.send_n_set(ended(**changes), ModalityPerformedProcedureStep, uid)[0]


@pytest.fixture
def steps(clinic):
    with associated("SCANNER", clinic["ris"], ModalityPerformedProcedureStep) as requestor:
        yield Steps(requestor.association)


def started(**changes):
    scheduled = Dataset()
    scheduled.StudyInstanceUID = generate_uid()
    scheduled.ReferencedStudySequence = []
    scheduled.AccessionNumber = ""
    scheduled.ScheduledProcedureStepID = ""
    step = Dataset()
    step.ScheduledStepAttributesSequence = [scheduled]
    step.PatientName, step.PatientID = "Test^Interoperability", "SIM-TEST"
    step.PerformedProcedureStepID, step.PerformedStationAETitle = "PPS1", "SCANNER"
    step.PerformedProcedureStepStartDate, step.PerformedProcedureStepStartTime = "20260115", "080000"
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    step.Modality, step.StudyID = "MR", "1"
    step.PerformedSeriesSequence = []
    step.update(changes)
    return step


def ended(**changes):
    series = Dataset()
    series.SeriesInstanceUID = generate_uid()
    series.ProtocolName, series.SeriesDescription = "mr-brain", "T1 sag"
    series.ReferencedImageSequence = []
    step = Dataset()
    step.PerformedProcedureStepStatus = "COMPLETED"
    step.PerformedProcedureStepEndDate, step.PerformedProcedureStepEndTime = "20260115", "081000"
    step.PerformedSeriesSequence = [series]
    step.update(changes)
    return step


def test_a_step_from_beginning_to_end(steps):
    uid = generate_uid()
    assert steps.create(uid).Status == SUCCESS
    assert steps.set(uid, PerformedProcedureStepStatus="IN PROGRESS").Status == SUCCESS
    assert steps.set(uid).Status == SUCCESS


@pytest.mark.parametrize("final", ["COMPLETED", "DISCONTINUED"])
def test_a_step_that_has_ended_is_not_updated(steps, final):
    uid = generate_uid()
    steps.create(uid)
    assert steps.set(uid, PerformedProcedureStepStatus=final).Status == SUCCESS
    response = steps.set(uid)
    assert (response.Status, response.ErrorID) == (PROCESSING_FAILURE, NO_LONGER_UPDATABLE)


def test_a_step_is_created_once(steps):
    uid = generate_uid()
    assert steps.create(uid).Status == SUCCESS
    assert steps.create(uid).Status == DUPLICATE


def test_a_step_that_was_never_created(steps):
    assert steps.set(generate_uid()).Status == NO_SUCH_INSTANCE


@pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
def test_a_step_is_created_in_progress(steps, status):
    uid = generate_uid()
    assert steps.create(uid, PerformedProcedureStepStatus=status).Status == INVALID_ATTRIBUTE_VALUE
    assert steps.set(uid).Status == NO_SUCH_INSTANCE
