"""The fields of a topology by name, as a plan changes them.

``ct1.associations``       a field of a node, and of all its replicas
``modality.associations``  of all nodes of a kind
``ct*.associations``       of all nodes whose names fit, and that have it; ``*`` alone fits all
``link.north-main.bandwidth``, ``link.*.bandwidth``  of a link, or of all
``finish_within``            of the topology itself

A level is text, and is held to what a topology file is held to, so what a field takes is what its model says. ``+``
joins the items of a list, and ``null`` is nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

from simlab.errors import UserError
from simlab.lab.variations import changed_node, with_settings
from simlab.topology.model import Topology
from simlab.topology.replicas import as_written
from simlab.wording import advice, nearest, shown

NOT_VARIED = {
    "simlab": "the version of a file is no setting",
    "seed": "every cell gets the same seeds, so that cells can be compared; see --replications",
    "name": "patients are drawn by it, so that cells would differ by chance",
    "compress": "times are seconds of a run, so that cells would differ by the clock",
    "duration": "every cell runs equally long; see --until",
    "kind": "another kind of node is another topology",
    "between": "a link between other sites is another topology",
}
"""Fields that cannot be changed, by their last step, and why."""

WHATEVER = "*"


class Place(NamedTuple):
    """A field of one part of a topology."""

    owner: BaseModel
    """A node, a link, or the topology."""
    key: str | int | None
    """The node's name, the link's number; None for the topology."""
    path: tuple[str, ...]
    """The way to the field in it."""


def with_field(topology: Topology, name: str, level: Any) -> Topology:
    """The topology with a field at a level, wherever the name says. Raises UserError or TopologyError, in one line.

    Whether its parts still go together is left to :func:`simlab.lab.variations.checked`.
    """
    for owner, key, path in list(_places(topology, name)):
        change = {path[0]: _value(owner, path, level)}
        if isinstance(key, str):
            topology = changed_node(topology, key, **change)
        elif key is None:
            topology = with_settings(topology, **change)
        else:
            links = [{**dict(link), **change} if index == key else link for index, link in enumerate(topology.links)]
            topology = with_settings(topology, links=tuple(links))
    return topology


def told(topology: Topology, name: str) -> str:
    """What a field is in a topology, as a file would have it; where places differ, all that there is."""
    return " / ".join(dict.fromkeys(_told(place) for place in _places(topology, name)))


def _told(place: Place) -> str:
    plain: Any = place.owner.model_dump(mode="json", by_alias=True)
    for step in place.path:
        plain = plain.get(step) if isinstance(plain, dict) else None
    if plain is None:
        return "null"
    if isinstance(plain, bool):
        return str(plain).lower()
    return "+".join(map(str, plain)) if isinstance(plain, list) else str(plain).removesuffix(".0")


def _places(topology: Topology, name: str) -> Iterator[Place]:
    """Yield one place at least. Raises UserError if there is none, or none that can be changed."""
    head, *path = name.split(".")
    why_not = NOT_VARIED.get((path or [head])[-1])
    if why_not:
        raise UserError(f"{name} cannot be varied: {why_not}")
    if head == "link":
        yield from _in_links(topology, name)
    elif path:
        yield from _in_nodes(topology, head, tuple(path))
    elif head in Topology.model_fields:
        yield Place(topology, None, (head,))
    else:
        raise UserError(
            f"{name}: no setting of a topology; expected NODE.field, link.A-B.field or one such as finish_within"
        )


def _in_nodes(topology: Topology, head: str, path: tuple[str, ...]) -> Iterator[Place]:
    """Yield the nodes of a name, else of a kind, else those that fit a pattern and have the field."""
    name, nodes = ".".join((head, *path)), as_written(topology.nodes)
    if head in topology.nodes:
        found = [head]
    elif found := [node for node, spec in nodes.items() if spec.kind == head]:
        pass
    else:
        fitting = [node for node in nodes if fnmatchcase(node, head)]
        found = [node for node in fitting if path[0] in type(nodes[node]).model_fields]
        if fitting and not found:
            known = dict.fromkeys(field for node in fitting for field in type(nodes[node]).model_fields)
            problem = f"{name}: no node that {shown(head)} fits has {shown(path[0])}"
            meant = nearest(path[0], known)
            raise UserError(
                f"{problem}; {f'did you mean {shown(meant)}?' if meant else 'see the schema of topologies'}"
            )
        if not found:
            kinds = dict.fromkeys(spec.kind for spec in nodes.values())
            raise UserError(f"{name}: no node {shown(head)}; {advice(head, [*nodes, *kinds, 'link'])}")
    for node in found:
        yield Place(topology.nodes[node], node, path)


def _in_links(topology: Topology, name: str) -> Iterator[Place]:
    """Sites may have any name, so the link is found by trying each, in whichever order its sites are named."""
    rest, found = name.removeprefix("link").removeprefix("."), False
    for index, link in enumerate(topology.links):
        for start in (*("-".join(sites) for sites in (link.between, link.between[::-1])), WHATEVER):
            if rest.startswith(f"{start}."):
                yield Place(link, index, tuple(rest.removeprefix(f"{start}.").split(".")))
                found = True
                break
    if not found:
        names = [link.name for link in topology.links]
        raise UserError(f"{name}: no such link; {advice(rest.rpartition('.')[0], names)}")


def _value(owner: Any, path: tuple[str, ...], level: Any) -> Any:
    """What the first step of a path must become for the last to have a level: the rest is as it was."""
    field, *deeper = path
    if not deeper:
        return _level(owner, field, level)
    before = owner.get(field) if isinstance(owner, dict) else getattr(owner, field, None)
    if not isinstance(before, BaseModel | dict):
        raise UserError(f"{'.'.join(path)}: {field} has no parts that could be varied")
    return {**dict(before), deeper[0]: _value(before, tuple(deeper), level)}


def _level(owner: Any, field: str, level: Any) -> Any:
    """A level as models take it. Where a list of words is declared, or where items are joined, a list is meant."""
    if level == "null":
        return None
    declared = type(owner).model_fields.get(field) if isinstance(owner, BaseModel) else None
    lists_words = declared is not None and _lists_words(declared.annotation)
    if isinstance(level, str) and ("+" in level or lists_words):
        return tuple(item.strip() for item in level.split("+"))
    return level


def _lists_words(annotation: Any) -> bool:
    """Whether a field takes a list of words, such as the transfer syntaxes that are proposed."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        return _is_word(arguments[0])
    return origin in (Annotated, Union, UnionType) and any(_lists_words(argument) for argument in arguments)


def _is_word(annotation: Any) -> bool:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation is str or get_origin(annotation) is Literal
