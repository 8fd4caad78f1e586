"""What a node's spec says of storing, in terms of the network."""

from __future__ import annotations

from collections.abc import Iterable

from simlab.network.seam import StoreOptions
from simlab.nodes.storing import StoringSpec
from simlab.studies.transfer_syntaxes import named
from simlab.topology.model import Topology


def store_options(spec: StoringSpec, *, associations: int = 1) -> StoreOptions:
    """How a node stores."""
    return StoreOptions(
        associations, spec.outstanding, uids(spec.propose or ()), spec.default_syntax, spec.mismatch, spec.encode
    )


def syntaxes_in_use(topology: Topology) -> frozenset[str]:
    """UIDs of the transfer syntaxes in which nodes of a topology keep or send what they make."""
    specs = [spec for spec in topology.nodes.values() if isinstance(spec, StoringSpec)]
    return frozenset(
        uids(name for spec in specs for name in (*(spec.propose or ()), getattr(spec, "keep", "explicit")))
    )


def uids(names: Iterable[str]) -> tuple[str, ...]:
    """The UIDs of transfer syntaxes."""
    return tuple(named(name).uid for name in names)
