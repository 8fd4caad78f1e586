"""What a plan is asked for: by the caller, or else by the topology's own ``experiment``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simlab.analysis.service_level import ServiceLevel
from simlab.lab.plan.factors import Factor, Vary, read_factors
from simlab.lab.plan.service_levels import read_service_level
from simlab.lab.plan.what_if import WhatIf, WhatIfs, read_what_ifs
from simlab.topology.model import ExperimentSpec, Topology
from simlab.units import parse_duration

REPLICATIONS = 20
"""Unless others are asked for: fewer make intervals wide, and twice as many only a third narrower."""

WARM_UP = 0.1
"""The share of a run that is deleted, unless something else is asked for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is compared with the base case, how often, and how it is judged."""

    factors: tuple[Factor, ...]
    what_ifs: tuple[WhatIf, ...]
    replications: int
    warm_up: float
    """Run seconds."""
    levels: tuple[ServiceLevel, ...]


def read_asked(
    base: Topology,
    *,
    vary: Vary | None = None,
    what_if: WhatIfs | None = None,
    replications: int | None = None,
    warm_up: str | float | None = None,
    sla: str | Sequence[str] = (),
) -> Asked:
    """Read what is given, and what is not from the topology's experiment.

    Who names anything to compare is asked about that alone. Raises UserError, in one line.
    """
    ours = base.experiment or ExperimentSpec()
    if vary is None and what_if is None:
        vary, what_if = ours.vary, ours.what_if
    begins = ours.warm_up if warm_up is None else parse_duration(warm_up) if isinstance(warm_up, str) else warm_up
    return Asked(
        factors=read_factors(base, vary or ()),
        what_ifs=read_what_ifs(base, what_if or ()),
        replications=(ours.replications or REPLICATIONS) if replications is None else replications,
        warm_up=base.duration * WARM_UP if begins is None else float(begins),
        levels=tuple(map(read_service_level, words(sla) or ours.sla)),
    )


def words(given: str | Sequence[str]) -> Sequence[str]:
    """A text, or several."""
    return [given] if isinstance(given, str) else given
