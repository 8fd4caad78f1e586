"""Who talks to whom, as the drawing of a network tells it: one line per pair, labelled with what is said."""

from __future__ import annotations

from dataclasses import dataclass

from simlab.topology.model import Topology
from simlab.topology.references import references


@dataclass(frozen=True, slots=True)
class Conversation:
    """One node that refers to another, and the fields in which it does ("store", "commit")."""

    source: str
    target: str
    purposes: tuple[str, ...]


def conversations(topology: Topology) -> tuple[Conversation, ...]:
    """Every pair of nodes of which the first refers to the second, in the order of the topology."""
    purposes: dict[tuple[str, str], list[str]] = {}
    for source, spec in topology.nodes.items():
        for reference in references(spec):
            if reference.target in topology.nodes:
                purposes.setdefault((source, reference.target), []).append(reference.field.replace("_", " "))
    return tuple(Conversation(source, target, tuple(fields)) for (source, target), fields in purposes.items())
