"""A network lab for DICOM, on one laptop.

    import simlab

    lab = simlab.load("topologies/clinic.yaml")
    result = lab.run("live")        # real AEs over real TCP; "virtual" for the same in SimPy time
    result.summary()

A topology file describes a department; one command brings it to life. ``simlab --help`` lists the commands.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simlab.errors import SimlabError, UserError
    from simlab.lab.agreement.compare import compare
    from simlab.lab.agreement.result import AgreementResult
    from simlab.lab.calibration.calibrate import calibrate
    from simlab.lab.commitment.matrix import commitment
    from simlab.lab.commitment.result import CommitmentResult
    from simlab.lab.lab import Lab, load
    from simlab.lab.plan.capacity import capacity
    from simlab.lab.plan.capacity_result import CapacityResult
    from simlab.lab.plan.plan import plan
    from simlab.lab.plan.result import PlanResult
    from simlab.lab.result import Result
    from simlab.lab.wan.result import WanResult
    from simlab.lab.wan.run import wan

__all__ = [
    "AgreementResult",
    "CapacityResult",
    "CommitmentResult",
    "Lab",
    "PlanResult",
    "Result",
    "SimlabError",
    "UserError",
    "WanResult",
    "__version__",
    "calibrate",
    "capacity",
    "commitment",
    "compare",
    "load",
    "plan",
    "wan",
]

__version__ = version("simlab")

_HOMES = {
    "Lab": "simlab.lab.lab",
    "load": "simlab.lab.lab",
    "Result": "simlab.lab.result",
    "WanResult": "simlab.lab.wan.result",
    "wan": "simlab.lab.wan.run",
    "AgreementResult": "simlab.lab.agreement.result",
    "compare": "simlab.lab.agreement.compare",
    "calibrate": "simlab.lab.calibration.calibrate",
    "CommitmentResult": "simlab.lab.commitment.result",
    "commitment": "simlab.lab.commitment.matrix",
    "CapacityResult": "simlab.lab.plan.capacity_result",
    "capacity": "simlab.lab.plan.capacity",
    "PlanResult": "simlab.lab.plan.result",
    "plan": "simlab.lab.plan.plan",
    "SimlabError": "simlab.errors",
    "UserError": "simlab.errors",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are first asked for: the processes of a live run need no plots and tables."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
