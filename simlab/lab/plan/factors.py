"""What a plan varies: ``ct1.associations=1,2,4``, ``link.north-main.bandwidth=50,100Mbit/s``, ``compress=1,60``.

A level is text, and is held to what a topology file is held to, so what a field takes is what its model says. Bare
numbers have the unit of the list's last level, ``+`` joins the items of a list, and ``null`` is nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel

from simlab.errors import TopologyError, UserError
from simlab.lab.variations import with_node, with_settings
from simlab.topology.checks import check
from simlab.topology.model import Topology
from simlab.wording import advice, shown

Vary: TypeAlias = "str | Sequence[str] | Mapping[str, Any]"
"""``"ct1.associations=1,2"``, several of them, or ``{"ct1.associations": [1, 2]}``."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_EXAMPLE = '"ct1.associations=1,2,4" or "link.north-main.bandwidth=50,100 Mbit/s"'

NOT_VARIED = {
    "simlab": "the version of a file is no setting",
    "seed": "every cell gets the same seeds, so that cells can be compared; see --replications",
    "duration": "every cell runs equally long; see --until",
    "kind": "another kind of node is another topology",
    "between": "a link between other sites is another topology",
}
"""Fields that are no factors, by their last step, and why."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A field of a topology, and the levels that it takes."""

    name: str
    """As it was written: ``ct1.associations``."""
    levels: tuple[Any, ...]
    """As they were written, or Python's values."""

    def applied(self, topology: Topology, level: Any) -> Topology:
        """The topology with the field at a level. Raises UserError or TopologyError, in one line."""
        owner, path = _place(topology, self.name)
        value = _value(owner, path, level)
        if isinstance(owner, Topology):
            return _checked(with_settings(topology, **{path[0]: value}))
        if self.name.startswith("link."):
            links = tuple({**dict(link), path[0]: value} if link is owner else link for link in topology.links)
            return _checked(with_settings(topology, links=links))
        return with_node(topology, self.name.partition(".")[0], **{path[0]: value})

    def told(self, topology: Topology) -> str:
        """The field's value in a topology, as a file would have it."""
        owner, path = _place(topology, self.name)
        plain: Any = owner.model_dump(mode="json", by_alias=True)
        for step in path:
            plain = plain.get(step) if isinstance(plain, dict) else None
        if plain is None:
            return "null"
        if isinstance(plain, bool):
            return str(plain).lower()
        return "+".join(map(str, plain)) if isinstance(plain, list) else str(plain).removesuffix(".0")


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


def _place(topology: Topology, name: str) -> tuple[BaseModel, list[str]]:
    """The part of a topology that a factor is about (a link, a node, the whole), and the way to the field in it."""
    if name.startswith("link."):
        return _link(topology, name)
    head, *path = name.split(".")
    why_not = NOT_VARIED.get((path or [head])[-1])
    if why_not:
        raise UserError(f"{name} cannot be varied: {why_not}")
    if path and head in topology.nodes:
        return topology.nodes[head], path
    if not path and head in Topology.model_fields:
        return topology, [head]
    if path:
        raise UserError(f"{name}: no node {shown(head)}; {advice(head, [*topology.nodes, 'link'])}")
    raise UserError(f"{name}: no setting of a topology; expected NODE.field, link.A-B.field or one such as compress")


def _link(topology: Topology, name: str) -> tuple[BaseModel, list[str]]:
    """Sites may have any name, so the link is found by trying each, in whichever order its sites are named."""
    rest = name.removeprefix("link.")
    for link in topology.links:
        for sites in (link.between, link.between[::-1]):
            prefix = "-".join(sites) + "."
            if rest.startswith(prefix):
                path = rest.removeprefix(prefix).split(".")
                if path[-1] in NOT_VARIED:
                    raise UserError(f"{name} cannot be varied: {NOT_VARIED[path[-1]]}")
                return link, path
    names = [link.name for link in topology.links]
    raise UserError(f"{name}: no such link; {advice(rest.rpartition('.')[0], names)}")


def _value(owner: Any, path: list[str], level: Any) -> Any:
    """What the first step of a path must become for the last to have a level: the rest is as it was."""
    field, *deeper = path
    before = owner.get(field) if isinstance(owner, dict) else getattr(owner, field, None)
    if not deeper:
        return _level(before, level)
    if isinstance(before, BaseModel):
        before = dict(before)
    if not isinstance(before, dict):
        raise UserError(f"{'.'.join(path)}: {field} has no parts that could be varied")
    return {**before, deeper[0]: _value(before, deeper, level)}


def _level(before: Any, level: Any) -> Any:
    """A level as models take it. Where a list was, or where items are joined, a list is meant."""
    if level == "null":
        return None
    if isinstance(level, str) and ("+" in level or isinstance(before, tuple | list)):
        return tuple(item.strip() for item in level.split("+"))
    return level


def _checked(topology: Topology) -> Topology:
    """The topology if its parts go together. Raises TopologyError for the first that does not."""
    for mistake in check(topology):
        raise TopologyError(f"{'.'.join(map(str, mistake.path))}: {mistake.message}")
    return topology
