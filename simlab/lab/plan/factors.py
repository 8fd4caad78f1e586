"""What a plan varies: ``ct1.associations=1,2,4``, ``link.north-main.bandwidth=50,100Mbit/s``, ``*.poll=1,5s``.

Fields and levels are as in :mod:`simlab.lab.plan.settings`. Bare numbers have the unit of the list's last level.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from simlab.errors import UserError
from simlab.lab.plan.settings import told, with_field
from simlab.lab.variations import checked
from simlab.topology.model import Topology
from simlab.wording import shown

Vary: TypeAlias = "str | Sequence[str] | Mapping[str, Any]"
"""``"ct1.associations=1,2"``, several of them, or ``{"ct1.associations": [1, 2]}``."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_EXAMPLE = '"ct1.associations=1,2,4" or "link.north-main.bandwidth=50,100 Mbit/s"'


@dataclass(frozen=True, slots=True)
class Factor:
    """A field of a topology, and the levels that it takes."""

    name: str
    """As it was written: ``ct1.associations``."""
    levels: tuple[Any, ...]
    """As they were written, or Python's values."""

    def applied(self, topology: Topology, level: Any) -> Topology:
        """The topology with the field at a level. Raises UserError or TopologyError, in one line."""
        return checked(with_field(topology, self.name, level))

    def told(self, topology: Topology) -> str:
        """The field's value in a topology, as a file would have it."""
        return told(topology, self.name)


def read_factors(topology: Topology, vary: Vary) -> tuple[Factor, ...]:
    """The factors that were asked for, each tried on the topology. Raises UserError for the first that cannot be."""
    given = _pairs(vary)
    factors: dict[str, Factor] = {}
    for name, levels in given:
        if name in factors:
            raise UserError(f"{name} is varied twice; expected all its levels in one list")
        items = tuple(_with_units(levels) if isinstance(levels, str) else _sequence(levels))
        if not items or "" in items:
            raise UserError(f"{name}: a level is missing; expected levels as in {_EXAMPLE}")
        factors[name] = factor = Factor(name, items)
        for level in items:
            factor.applied(topology, level)
    return tuple(factors.values())


def _pairs(vary: Vary) -> list[tuple[str, Any]]:
    if isinstance(vary, Mapping):
        return list(vary.items())
    pairs = []
    for text in [vary] if isinstance(vary, str) else vary:
        name, sign, levels = text.partition("=")
        if not sign or not name.strip():
            raise UserError(f"{shown(text)}: expected a field and its levels, as in {_EXAMPLE}")
        pairs.append((name.strip(), levels))
    return pairs


def _sequence(levels: Any) -> list[Any]:
    return list(levels) if isinstance(levels, list | tuple) else [levels]


def _with_units(levels: str) -> list[str]:
    """The levels of a list; numbers without a unit have that of the last level."""
    items = [item.strip() for item in levels.split(",")]
    number = _NUMBER.match(items[-1])
    unit = items[-1][number.end() :].strip() if number else ""
    return [f"{item} {unit}" if unit and _NUMBER.fullmatch(item) else item for item in items]
