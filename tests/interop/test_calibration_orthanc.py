"""A calibration of somebody else's PACS: Orthanc."""

import pytest
from peers import free_ports

import simlab
from interop.departments import external, lab, modality, worklist
from interop.orthanc import fresh_orthanc

pytestmark = [pytest.mark.peers, pytest.mark.slow]


@pytest.mark.parametrize("told", [True, False])
def test_orthanc_is_measured(told, tmp_path):
    """It sends commitment reports to where it was told that the scanner is."""
    (port,) = free_ports(1)
    with fresh_orthanc(tmp_path, {"ct1": ("CT1", port)}) as orthanc:  # it answers queries of those whom it knows
        nodes = {
            "ris": worklist("ct-head", count=1),
            "ct1": modality("CT", store="archive", **({"port": port} if told else {})),
            "archive": external("ORTHANC", orthanc.dicom_port),
        }
        calibration = simlab.calibrate(lab(tmp_path, nodes), node="archive", time=8.0)
        held = len(orthanc.studies())
    assert calibration.measured.complete
    serving = calibration.nodes["archive"].serving
    assert 1e-4 < serving.instance + serving.byte * 5e5 < 1.0
    assert serving.message > 0
    assert {point.operation for point in calibration.points} == {"C-STORE", "C-FIND"}
    report = calibration.nodes["archive"].report
    assert (0.0 <= report < 1.0) if told else report is None
    assert any("archive sent no commitment report" in note for note in calibration.notes) is not told
    # Nothing that was sent was there before, and all of it is told of.
    (note,) = [note for note in calibration.notes if "were left at archive" in note]
    assert note.startswith(f"{held} studies of patients who do not exist")
