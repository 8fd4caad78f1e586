"""The worklist manager's part of the topology file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from simlab.nodes.fields import ProtocolName
from simlab.studies.protocols import PROTOCOLS
from simlab.topology.frozen import Frozen, Mistake
from simlab.topology.model import NodeSpec, Topology
from simlab.topology.references import references
from simlab.units import Duration, Rate

Weight = Annotated[float, Field(gt=0)]


class OrdersSpec(Frozen):
    """Which orders arrive, and how often (a Poisson process)."""

    rate: Annotated[Rate, Field(gt=0)]
    """Arrivals after the first, per second of scenario time, on average."""
    mix: Annotated[dict[ProtocolName, Weight], Field(min_length=1)]
    """How often each protocol is ordered, relative to the others."""
    count: Annotated[int, Field(ge=1)] | None = None
    """At most so many orders; None: as many as arrive."""
    first: Duration = 0.0
    """Clinical seconds before the first order."""


class WorklistSpec(NodeSpec):
    """A worklist manager with its order book."""

    kind: Literal["worklist"]
    orders: OrdersSpec

    def check(self, topology: Topology, name: str) -> Iterator[Mistake]:
        """Yield every protocol of the mix that no modality of this worklist acquires: its orders would wait forever."""
        served = {
            getattr(spec, "modality", None)
            for spec in topology.nodes.values()
            if any(r.field == "worklist" and r.target == name for r in references(spec))
        }
        for protocol in self.orders.mix:
            modality = PROTOCOLS[protocol].modality
            if modality not in served:
                yield Mistake(
                    ("orders", "mix", protocol),
                    f"nobody acquires {protocol}; expected a modality ({modality}) with `worklist: {name}`",
                )
