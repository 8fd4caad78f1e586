"""Service levels as people write them: "read < 1 h", "acquired to stored < 10 min"."""

from __future__ import annotations

from simlab.analysis.service_level import ServiceLevel
from simlab.errors import UnitError, UserError
from simlab.records import MILESTONES
from simlab.units import parse_threshold
from simlab.wording import advice, shown

_REACHABLE = tuple(name for name in MILESTONES if name != "failed")
_EXPECTED = 'expected one such as "read < 1 h" or "acquired to stored < 10 min"'


def read_service_level(text: str) -> ServiceLevel:
    """Read "read < 1 h", which counts from the order, or "acquired to stored < 10 min".

    Raises UserError, in one line, for what is no milestone, and for what is no upper bound.
    """
    about = f"service level {shown(text)}"
    place = min((text.find(sign) for sign in "<>" if sign in text), default=0)
    match text[:place].split():
        case [end]:
            start = "ordered"
        case [start, "to", end]:
            pass
        case _:
            raise UserError(f"{about}: {_EXPECTED}")
    for name in (start, end):
        if name not in _REACHABLE:
            raise UserError(f"{about}: unknown milestone {shown(name)}; {advice(name, _REACHABLE)}")
    if _REACHABLE.index(start) >= _REACHABLE.index(end):
        raise UserError(f"{about}: {end} does not come after {start}")
    try:
        threshold = parse_threshold(text[place:])
    except UnitError as error:
        raise UserError(f"{about}: {error}") from error
    if threshold.operator not in ("<", "<="):
        raise UserError(f"{about}: that is no upper bound; {_EXPECTED}")
    return ServiceLevel(start, end, threshold)
