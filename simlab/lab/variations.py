"""Variations of a topology made in code, held to everything that a file is held to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from simlab.errors import TopologyError, UserError
from simlab.topology.checks import check
from simlab.topology.explain import explain
from simlab.topology.faults import FaultSpec
from simlab.topology.frozen import FieldPath, Frozen, Mistake
from simlab.topology.model import Topology
from simlab.topology.replicas import as_written, with_replicas
from simlab.wording import advice

FrozenT = TypeVar("FrozenT", bound=Frozen)


def with_settings(topology: Topology, **settings: Any) -> Topology:
    """The topology with settings of its own changed. Raises TopologyError for the first that is wrong."""
    return _changed(topology, settings, ())


def with_node(topology: Topology, node: str, **settings: Any) -> Topology:
    """The topology with settings of one node changed. Raises TopologyError for the first that is wrong."""
    return checked(changed_node(topology, node, **settings))


def changed_node(topology: Topology, node: str, **settings: Any) -> Topology:
    """The same, but whether the node still goes together with the rest is left to :func:`checked`."""
    if node not in topology.nodes:
        raise UserError(f'no node "{node}"; {advice(node, topology.nodes)}')
    written = as_written(topology.nodes)
    if node not in written:
        raise UserError(f"{node} is a replica, and as the node is that has a count; expected a change of that one")
    spec = _changed(topology.nodes[node], settings, ("nodes", node))
    return topology.model_copy(update={"nodes": with_replicas({**written, node: spec})})


def with_faults(topology: Topology, faults: Iterable[Mapping[str, Any] | FaultSpec]) -> Topology:
    """The topology with other faults. Raises TopologyError for the first that makes no sense."""
    return checked(with_settings(topology, faults=tuple(faults)))


def checked(topology: Topology) -> Topology:
    """The topology if its parts go together. Raises TopologyError for the first that does not."""
    for mistake in check(topology):
        raise _refusal(mistake)
    return topology


def _changed(model: FrozenT, settings: dict[str, Any], place: FieldPath) -> FrozenT:
    """The model with some fields changed. Pydantic's own ``model_copy`` would take any value for them."""
    kind = type(model)
    try:
        return kind.model_validate({**dict(model), **settings})
    except ValidationError as error:
        mistake = next(explain(error, kind))
    raise _refusal(Mistake((*place, *mistake.path), mistake.message))


def _refusal(mistake: Mistake) -> TopologyError:
    return TopologyError(f"{'.'.join(map(str, mistake.path))}: {mistake.message}")
