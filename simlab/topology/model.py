"""What exists: nodes, sites and links, as frozen values. Nothing here runs.

A node's own settings are declared by its kind (``nodes/<kind>/spec.py``), derived from :class:`NodeSpec`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NaiveDatetime,
    SerializeAsAny,
    WithJsonSchema,
    model_validator,
)

from simlab.errors import UnitError
from simlab.topology.faults import FaultSpec
from simlab.topology.frozen import Frozen, Mistake
from simlab.topology.profiles import ProfileName
from simlab.topology.replicas import replica_names, with_replicas
from simlab.units import Bandwidth, Duration, Share, Size, parse_threshold
from simlab.wording import shown

LEAST_MAXIMUM_LENGTH = 1024
"""Bytes of a P-DATA-TF that every node must be able to receive."""


@dataclass(frozen=True, slots=True)
class Refers:
    """Marks a field that names another node, and the kinds that this node may be of.

    Two nodes that refer to one another talk; if their sites differ, a link must join them.
    """

    kinds: tuple[str, ...]


def _ae_title(title: str) -> str:
    """Check the AE value representation (PS3.5 section 6.2).

    Leading and trailing spaces are not significant on the wire, so a title that has them would never compare equal.
    """
    expected = "expected 1 to 16 printable ASCII characters, no backslash, no space at either end"
    if not 1 <= len(title) <= 16:
        raise ValueError(f"AE title {shown(title)} has {len(title)} characters; {expected}")
    if title != title.strip(" ") or any(not " " <= c <= "~" or c == "\\" for c in title):
        raise ValueError(f"AE title {shown(title)} is not allowed; {expected}")
    return title


def _threshold(text: str) -> str:
    if text:
        try:
            parse_threshold(text)
        except UnitError as error:
            raise ValueError(str(error)) from None
    return text


def _maximum_length(size: int) -> int:
    """Refuse what would drown everybody in PDUs; senders of ours would not send to such a node at all."""
    if 0 < size < LEAST_MAXIMUM_LENGTH:
        raise ValueError(f"{size} B is too little; expected at least {LEAST_MAXIMUM_LENGTH} B, or 0 B for any length")
    return size


AETitle = Annotated[
    str,
    AfterValidator(_ae_title),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$",
            "description": "Application Entity title: 1 to 16 printable ASCII characters without a backslash",
        }
    ),
]
Port = Annotated[int, Field(ge=1, le=65535)]
NodeName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
LocalTime = Annotated[
    NaiveDatetime,
    # Not JSON schema's "date-time", which demands a time zone.
    WithJsonSchema({"type": "string", "description": "a date and time", "examples": ["2026-01-15T08:00"]}),
]
ThresholdText = Annotated[
    str,
    AfterValidator(_threshold),
    WithJsonSchema({"type": "string", "description": "a bound on a duration", "examples": ["< 2 s", ">= 100 ms"]}),
]
"""Text for :func:`simlab.units.parse_threshold`; empty expects nothing."""


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
    """Above this, association requests are rejected for now."""
    maximum_length: Annotated[Size, Field(le=2**32 - 1), AfterValidator(_maximum_length)] = 2**20
    """Of a P-DATA-TF PDU that the node receives, as it announces it to its peers; 0 for any."""
    outstanding: Annotated[int, Field(ge=0, le=65535)] = 1
    """Operations that may wait for their response on one association (asynchronous operations window), 0 for any
    number: asked for where the node stores, granted where it receives. More than one only if the peer agrees."""
    idle_timeout: Annotated[Duration, Field(gt=0)] = 60.0
    """Seconds without a message after which the node aborts an association that it accepted."""
    backlog: Annotated[int, Field(ge=1, le=65535)] = 128
    """Connections that may wait to be taken in."""

    def check(self, topology: Topology, name: str) -> Iterator[Mistake]:
        """Yield what is wrong with this node, called ``name``, as part of the whole. Paths start at the node.

        Called once every reference of the topology is known to be good.
        """
        del topology, name  # the kinds that need them override this
        return iter(())

    def check_experiment(self, experiment: ExperimentSpec) -> Iterator[Mistake]:
        """Yield what is wrong with an experiment in which this node sends. Paths start at the experiment."""
        del experiment
        return iter(())


class BackSpec(Frozen):
    """What is different in a link's direction from its second site to its first; the rest is as in the other one."""

    latency: Duration | None = None
    jitter: Duration | None = None
    bandwidth: Annotated[Bandwidth, Field(gt=0)] | None = None
    loss: Annotated[Share, Field(lt=1)] | None = None
    queue: Size | None = None


class OutageSpec(Frozen):
    """A time without a link."""

    start: Duration
    """Run seconds at which it begins."""
    duration: Annotated[Duration, Field(gt=0)]
    how: Literal["stall", "reset", "refuse"] = "stall"
    """``stall``: all that is sent is lost, and TCP tries again. ``reset``: connections are reset, and new ones refused.
    ``refuse``: only new connections are refused."""


class LinkSpec(Frozen):
    """A link between two sites, shared by all associations on it."""

    between: tuple[str, str]
    profile: ProfileName | None = None
    """Figures of a kind of network, for what the link does not say itself: filled in when a file is read."""
    latency: Duration = 0.0002
    """One way, in seconds."""
    jitter: Duration = 0.0
    """Seconds that anything may be late besides."""
    bandwidth: Annotated[Bandwidth, Field(gt=0)] = 125e6
    """Per direction, in bytes per second."""
    loss: Annotated[Share, Field(lt=1)] = 0.0
    """Share of TCP segments that are lost."""
    queue: Size | None = None
    """Bytes that may wait for each direction; by default what is under way in a round trip, and 256 KiB at least."""
    window: Annotated[Size, Field(ge=1448)] = 4 * 2**20
    """Bytes that TCP has under way on a connection, at most."""
    congestion: Literal["ideal", "reno", "cubic"] = "cubic"
    """TCP's congestion control; ``ideal`` never reduces its window, and waits where the others lose."""
    backend: Literal["relay", "tun"] = "relay"
    """``relay`` models TCP. ``tun`` has the kernel's own cross the link, over two network namespaces (Linux, root)."""
    back: BackSpec = BackSpec()
    """What is different from the second site to the first."""
    outages: tuple[OutageSpec, ...] = ()

    @model_validator(mode="after")
    def _kernel_knows(self) -> Self:
        if self.backend == "tun" and self.congestion == "ideal":
            raise ValueError('congestion: "ideal"; expected cubic or reno with backend tun')
        return self

    @property
    def name(self) -> str:
        """What people call it: ``north-main``."""
        return "-".join(self.between)


class SiteSpec(Frozen):
    """A place. Nodes at one site share its LAN."""

    label: str = ""


class Expectation(Frozen):
    """A threshold that decides the exit code. Durations are compared in seconds."""

    node: str = ""
    """The node that asks or is asked; empty for all."""
    operation: str = ""
    """As in a record's ``operation``; empty for all that go over the wire."""
    p50: ThresholdText = ""
    p95: ThresholdText = ""
    p99: ThresholdText = ""
    failures: Annotated[int, Field(ge=0)] | None = None
    """At most so many failures."""
    lost: Annotated[int, Field(ge=0)] | None = None
    """At most so many instances that an archive has dropped, and at most so many that nobody has any more."""

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if not (self.p50 or self.p95 or self.p99) and self.failures is None and self.lost is None:
            raise ValueError("nothing is expected here; expected p50, p95, p99, failures or lost")
        return self


def _level_text(value: object) -> str:
    """Read a level as the command line has it, so that a file's numbers are held to the same."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str() | int() | float():
            return str(value)
        case list() | tuple():
            return "+".join(map(_level_text, value))
    raise ValueError(f"{shown(value)}; expected a value of that field")


_LEVEL = {"type": ["string", "number", "boolean", "null", "array"], "description": "a value of the field"}
LevelText = Annotated[str, BeforeValidator(_level_text), WithJsonSchema(_LEVEL)]


class PlannedSpec(Frozen):
    """What ``simlab plan`` compares, and how often it simulates; each may be said on the command line instead."""

    what_if: dict[str, Annotated[dict[str, LevelText], Field(min_length=1)]] = Field(default_factory=dict)
    """Changes by name, as in ``{two more CTs: {ct1.count: 3}}``; each is compared with the topology as it is, and all
    of them together."""
    vary: dict[str, Annotated[tuple[LevelText, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Fields and their levels, as in ``{ct1.associations: [1, 2]}``: every combination is compared."""
    replications: Annotated[int, Field(ge=1)] | None = None
    """Runs of each."""
    warm_up: Duration | None = None
    """Run seconds whose orders do not count; None: a tenth of the duration."""
    sla: tuple[str, ...] = ()
    """Service levels, as in ``read < 1 h`` or ``acquired to stored < 10 min``."""


class ExperimentSpec(PlannedSpec):
    """What ``simlab plan`` compares; and what ``simlab wan`` varies: studies are sent in every combination.

    What is left out is as in the rest of the topology: the link's figures, and how the node sends that is named.
    """

    from_: Annotated[NodeName | None, Field(alias="from")] = None
    """Who sends, over the link to where it stores. None: the first node that stores over a link."""
    protocol: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """What is sent. None: all that the node acquires."""
    noise: Annotated[tuple[Annotated[float, Field(ge=0, le=100)], ...], Field(min_length=1)] | None = None
    """Of the images, as multiples of the protocol's own."""
    rtt: Annotated[tuple[Duration, ...], Field(min_length=1)] | None = None
    """Round trips in seconds."""
    bandwidth: Annotated[tuple[Annotated[Bandwidth, Field(gt=0)], ...], Field(min_length=1)] | None = None
    """Each way, in bytes per second."""
    syntax: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Transfer syntaxes, by any of their names; the others are compared with the first."""
    associations: Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(min_length=1)] | None = None
    outstanding: Annotated[tuple[Annotated[int, Field(ge=0, le=65535)], ...], Field(min_length=1)] | None = None
    """Instances that may wait for their response on one association; 0 for any number."""
    encode: Annotated[tuple[Literal["stored", "per-instance", "pipelined"], ...], Field(min_length=1)] | None = None
    crossover_rtt: Annotated[tuple[Duration, ...], Field(min_length=1)] | None = None
    """Round trips at which the bandwidth is searched for up to which a transfer syntax pays; None: the smallest."""
    crossovers: bool = True
    """Whether to search for it."""
    to: Literal["discard", "archive"] | None = None
    """Who receives: somebody who counts and lets go, or an archive of ours. None: the node itself where it is an
    external one, else discard."""
    instances: Annotated[int, Field(ge=1)] | None = None
    """In a study."""
    repetitions: Annotated[int, Field(ge=1)] | None = None
    """Of each combination."""

    @property
    def only_plans(self) -> bool:
        """Whether it is about ``simlab plan`` alone."""
        nothing = type(self)()
        said = {name for name in type(self).model_fields if getattr(self, name) != getattr(nothing, name)}
        return bool(said) and said <= PlannedSpec.model_fields.keys()


class Topology(Frozen):
    """A scenario: what exists, for how long it runs, and what is expected of it."""

    simlab: Literal[1]
    name: str
    description: str = ""
    seed: int = 1
    duration: Annotated[Duration, Field(gt=0)] = 60.0
    """Run seconds during which orders are placed; what was ordered is then finished."""
    finish_within: Duration = 120.0
    """Run seconds after ``duration`` within which everything ordered must have come to its end."""
    compress: Annotated[float, Field(gt=0)] = 1.0
    """Divides clinical waits (arrivals, acquisition, reading), never the network or a protocol's time-outs."""
    epoch: LocalTime = datetime(2026, 1, 15, 8, 0)
    """Scenario time at run second 0."""
    sites: dict[str, SiteSpec] = Field(default_factory=dict)
    """Sites with a label. If there are any, every site must be among them; otherwise the nodes' sites are all."""
    nodes: Annotated[dict[NodeName, SerializeAsAny[NodeSpec]], AfterValidator(with_replicas)]
    """With all replicas; see :mod:`simlab.topology.replicas`."""
    links: tuple[LinkSpec, ...] = ()
    faults: tuple[FaultSpec, ...] = ()
    """What goes wrong besides the links' outages."""
    expect: tuple[Expectation, ...] = ()
    experiment: ExperimentSpec | None = None

    def link(self, site: str, other: str) -> LinkSpec | None:
        """Return the link that joins two sites, in whichever order it names them; None within a site."""
        return next((link for link in self.links if set(link.between) == {site, other}), None)

    def replicas(self, name: str) -> tuple[str, ...]:
        """Return a node and all its replicas."""
        return (name, *replica_names(name, self.nodes[name]))
