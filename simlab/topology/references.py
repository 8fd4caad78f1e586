"""Who talks to whom: what the nodes' references say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from simlab.topology.model import LinkSpec, NodeSpec, Refers, Topology


class Reference(NamedTuple):
    """One node's field names another node."""

    field: str
    target: str
    kinds: tuple[str, ...]
    """The kinds that the target may be of."""


def references(spec: NodeSpec) -> Iterator[Reference]:
    """Yield every reference of a node that is set."""
    for name, field in type(spec).model_fields.items():
        for mark in field.metadata:
            target = getattr(spec, name)
            if isinstance(mark, Refers) and target is not None:
                yield Reference(name, target, mark.kinds)


def talks(topology: Topology) -> tuple[tuple[str, str], ...]:
    """Return the pairs of nodes that talk, each once and in the order of the file.

    Whichever of the two opens an association: an archive that reports a commitment or answers a C-MOVE calls back the
    node that refers to it.
    """
    pairs: dict[frozenset[str], tuple[str, str]] = {}
    for name, spec in topology.nodes.items():
        for reference in references(spec):
            pairs.setdefault(frozenset((name, reference.target)), (name, reference.target))
    return tuple(pairs.values())


class StorePath(NamedTuple):
    """A way on which studies cross a link."""

    source: str
    """The node that stores."""
    target: str
    link: LinkSpec
    forward: bool
    """Whether they go from the link's first site to its second."""


def store_paths(topology: Topology) -> Iterator[StorePath]:
    """Yield the ways from a node to its ``store`` at another site, in the order of the file."""
    for source, spec in topology.nodes.items():
        for reference in references(spec):
            link = topology.link(spec.site, topology.nodes[reference.target].site)
            if reference.field == "store" and link is not None:
                yield StorePath(source, reference.target, link, link.between[0] == spec.site)
