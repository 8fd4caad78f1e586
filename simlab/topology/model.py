"""What exists: nodes, sites and links, as frozen values. Nothing here runs.

A node's own settings are declared by its kind (``nodes/<kind>/spec.py``), derived from :class:`NodeSpec`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

from simlab.units import Bandwidth, Duration


class Frozen(BaseModel):
    """A value: immutable, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Refers:
    """Marks a field that names another node, and the kinds that this node may be of.

    Two nodes that refer to one another talk; if their sites differ, a link must join them.
    """

    kinds: tuple[str, ...]


AETitle = Annotated[str, Field(min_length=1, max_length=16)]
Port = Annotated[int, Field(ge=1, le=65535)]


class NodeSpec(Frozen):
    """What every node declares."""

    kind: str
    ae_title: AETitle
    site: str = "main"
    host: str = "127.0.0.1"
    port: Port | None = None
    """None: any free port. Declare one where a system that is not ours must call back."""
    callers: Literal["any", "known"] = "any"
    """``known`` rejects association requests from AE titles that are not in the topology."""
    maximum_associations: Annotated[int, Field(ge=1)] = 100


class LinkSpec(Frozen):
    """A link between two sites, shared by all associations on it."""

    between: tuple[str, str]
    latency: Duration = 0.0002
    """One way, in seconds."""
    bandwidth: Bandwidth = 125e6
    """Per direction, in bytes per second."""


class SiteSpec(Frozen):
    """A place. Nodes at one site share its LAN."""

    label: str = ""


class Expectation(Frozen):
    """A threshold that decides the exit code. Durations are compared in seconds."""

    node: str = ""
    """The node that asks; empty for all."""
    operation: str = ""
    p50: str = ""
    p95: str = ""
    p99: str = ""
    failures: int | None = None
    lost: int | None = None


class Topology(Frozen):
    """A scenario: what exists, for how long it runs, and what is expected of it."""

    simlab: Literal[1]
    name: str
    description: str = ""
    seed: int = 1
    duration: Duration = 60.0
    """Run seconds during which orders are placed; what was ordered is then finished."""
    finish_within: Duration = 120.0
    """Run seconds after ``duration`` within which everything ordered must have come to its end."""
    compress: Annotated[float, Field(gt=0)] = 1.0
    """Divides clinical waits (arrivals, acquisition, reading), never the network or a protocol's time-outs."""
    epoch: datetime = datetime(2026, 1, 15, 8, 0)
    """Scenario time at run second 0."""
    sites: dict[str, SiteSpec] = {}
    nodes: dict[str, SerializeAsAny[NodeSpec]]
    links: tuple[LinkSpec, ...] = ()
    expect: tuple[Expectation, ...] = ()
