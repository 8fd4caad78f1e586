"""A calibration from its start to its end: ``simlab.calibrate(...)`` and ``simlab calibrate``."""

from __future__ import annotations

from pathlib import Path

from simlab.lab.calibration.measurements import Measurements, Watch, unwatched
from simlab.lab.lab import Lab
from simlab.topology.calibration import Calibration
from simlab.topology.model import Topology


def calibrate(
    topology: Topology | Lab | str | Path,
    *,
    node: str | None = None,
    time: str | float = 120.0,
    out: str | Path | None = None,
    watch: Watch = unwatched,
) -> Calibration:
    """Measure the servers of a topology live, and fit the times of both ends to what was seen.

    Each archive, workstation and worklist of ours is brought up as the topology has it, on this machine and without
    links and faults; one that is not ours is called where the topology says. Its scanners store studies there, one to
    eight at a time, small instances and large ones, ask questions, and ask for commitment to what they stored.
    Everything that is stored at an AE that is not ours stays there. ``node`` measures that one only. It takes about
    ``time`` ("2 min", or seconds).

    With ``out`` the calibration is saved there. Ctrl-C ends it; the result holds what there is, and says so. Raises
    UserError for what cannot be, in one line, GroupError if a process fails.
    """
    measurements = Measurements(Lab.of(topology).topology, node)
    measurements.go_on(time, watch)
    calibration = measurements.calibration
    if out is not None and calibration.nodes:
        calibration.save(out)
    return calibration
