"""Replicas: ``count: 3`` in a node of a topology file stands for three of them, each a node like any other.

The first bears the name and AE title that are written, ``ct1`` and ``CT1``; the others have a number more, ``ct1-2``
and ``CT1_2``. A topology always holds all of them. What they are follows from the one that was written, so a change of
it is a change of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from simlab.topology.frozen import Frozen

SpecT = TypeVar("SpecT", bound=Frozen)


def replica_names(name: str, spec: Frozen) -> tuple[str, ...]:
    """What the replicas of a node are called besides the first, which has its name."""
    return tuple(f"{name}-{number}" for number in range(2, _count(spec) + 1))


def replicas(name: str, spec: SpecT) -> Iterator[tuple[str, SpecT]]:
    """Yield the replicas of a node besides the first: name and settings."""
    title = getattr(spec, "ae_title", "")
    for number, replica in enumerate(replica_names(name, spec), 2):
        yield replica, spec.model_copy(update={"ae_title": f"{title}_{number}", "count": 1})


def with_replicas(nodes: dict[str, SpecT]) -> dict[str, SpecT]:
    """Put the replicas of each node behind it. What has such a name already stays as it is."""
    found: dict[str, SpecT] = {}
    for name, spec in nodes.items():
        found[name] = spec
        for replica, its in replicas(name, spec):
            found[replica] = nodes.get(replica, its)
    return found


def as_written(nodes: Mapping[str, SpecT]) -> dict[str, SpecT]:
    """The nodes without the replicas of others."""
    others = {replica for name, spec in nodes.items() for replica in replica_names(name, spec)}
    return {name: spec for name, spec in nodes.items() if name not in others}


def _count(spec: Frozen) -> int:
    """How many there are of a node; of most kinds there is one."""
    return int(getattr(spec, "count", 1))
