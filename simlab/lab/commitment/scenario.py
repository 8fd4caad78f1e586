"""What a topology says of a commitment matrix: the scanner, its archive, what lies between; the rest is left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simlab.errors import TopologyError, UserError
from simlab.lab.lab import Lab
from simlab.lab.variations import with_node, with_settings
from simlab.nodes.specs import SPECS
from simlab.studies.protocols import PROTOCOLS, get_protocol
from simlab.topology.loader import parse_topology
from simlab.topology.model import LinkSpec, Topology
from simlab.topology.profiles import with_profile
from simlab.topology.references import references
from simlab.units import format_bandwidth, format_duration
from simlab.wording import advice, shown

DEFAULT = """\
simlab: 1
name: commitment
nodes:
  ris: {kind: worklist, ae_title: RIS, site: north, orders: {rate: 20 /h, mix: {ct-head: 1}}}
  ct1:
    {kind: modality, modality: CT, ae_title: CT1, site: north, worklist: ris, store: archive, commit: archive,
     commit_timeout: 3 s, back_off: 0.5 s}
  archive: {kind: archive, ae_title: ARCHIVE}
links:
  - {between: [north, main], latency: 20 ms, bandwidth: 50 Mbit/s}
"""
"""What is tried where no topology is given."""

SOON = 0.5
"""Run seconds during which orders arrive: only one does."""

QUICK = 600.0
"""Clinical time passes so many times as fast, at least: what matters begins when the study has been acquired."""

LONGEST = 300.0
"""Run seconds within which a study must have come to its end."""


@dataclass(frozen=True)
class Scenario:
    """One study of one scanner on its way to an archive."""

    topology: Topology
    scanner: str
    archive: str
    protocol: str

    def __str__(self) -> str:
        """Say, in a line, what is stored where, over what."""
        link = self.topology.link(self.topology.nodes[self.scanner].site, self.topology.nodes[self.archive].site)
        over = "on one LAN"
        if link is not None:
            back = link.latency if link.back.latency is None else link.back.latency
            figures = f"{format_bandwidth(link.bandwidth)}, {format_duration(link.latency + back)} there and back"
            over = f"over {link.name} ({figures})"
        return f"{self.scanner} stores {self.protocol} at {self.archive} {over}, and asks it for commitment"

    @property
    def external(self) -> bool:
        """The archive is not ours."""
        return self.topology.nodes[self.archive].kind == "external"

    @property
    def side_by_side(self) -> bool:
        """Whether cells can run side by side: not where somebody else knows the one port of a node of ours."""
        return not any(spec.port is not None for spec in self.topology.nodes.values() if spec.kind != "external")

    @property
    def instances(self) -> int:
        """In a study."""
        return sum(plan.instances for plan in PROTOCOLS[self.protocol].series)

    def scanner_setting(self, name: str) -> Any:
        """What the scanner's part of the topology says."""
        return getattr(self.topology.nodes[self.scanner], name)

    def with_scanner(self, **settings: Any) -> Topology:
        """The topology with some settings of the scanner changed. Raises TopologyError."""
        return with_node(self.topology, self.scanner, **settings)


def read_scenario(
    topology: Topology | Lab | str | Path | None = None,
    *,
    scanner: str | None = None,
    protocol: str | None = None,
    seed: int | None = None,
    rtt: float | None = None,
    bandwidth: float | None = None,
    profile: str | None = None,
) -> Scenario:
    """What a topology says; None: one of our own. ``scanner`` names who sends, else the first that asks for commitment.

    ``rtt`` (seconds), ``bandwidth`` (bytes per second) and ``profile`` are of the link between the scanner and the
    archive, in place of the topology's. Raises TopologyError or UserError, in one line.
    """
    if topology is None:
        topology = parse_topology(DEFAULT, SPECS)
    if isinstance(topology, str | Path):
        topology = Lab.load(topology)
    if isinstance(topology, Lab):
        topology = topology.topology
    asking = [name for name, spec in topology.nodes.items() if getattr(spec, "commit", None) is not None]
    if not asking:
        raise TopologyError(f"{topology.name}: nobody asks for storage commitment; expected a modality with `commit`")
    if scanner is not None and scanner not in asking:
        raise UserError(f"{shown(scanner)} does not ask for storage commitment; {advice(scanner, asking)}")
    name = scanner or asking[0]
    spec: Any = topology.nodes[name]
    if spec.store != spec.commit:
        raise TopologyError(
            f"{topology.name}: nodes.{name}.commit: {spec.commit} is asked for what {spec.store} stores"
        )
    chosen = _protocol(topology, name, protocol)
    reduced = _reduced(topology, name, chosen)
    if rtt is not None or bandwidth is not None or profile is not None:
        reduced = _relinked(reduced, name, spec.store, rtt=rtt, bandwidth=bandwidth, profile=profile)
    if seed is not None:
        reduced = with_settings(reduced, seed=seed)
    return Scenario(reduced, name, spec.store, chosen)


def _protocol(topology: Topology, scanner: str, asked: str | None) -> str:
    """What the scanner acquires: what is asked for, or the first that it could."""
    spec: Any = topology.nodes[scanner]
    if asked is None:
        return str(spec.sending(topology).protocols[0])
    protocol = get_protocol(asked)
    if protocol.modality != spec.modality:
        raise UserError(f"protocol {asked}: {scanner} is a {spec.modality} scanner and cannot acquire it")
    return protocol.name


def _reduced(topology: Topology, scanner: str, protocol: str) -> Topology:
    """The scanner, whom it talks to, and a single order."""
    kept = {scanner, *(reference.target for reference in references(topology.nodes[scanner]))}
    nodes = {name: spec for name, spec in topology.nodes.items() if name in kept}
    for name, spec in nodes.items():
        if (single := getattr(spec, "single", None)) is not None:
            nodes[name] = single(protocol)
    if all(spec.kind != "external" for spec in nodes.values()):
        # Nobody else has to know where ours are, and cells run side by side.
        nodes = {name: spec.model_copy(update={"port": None}) for name, spec in nodes.items()}
    sites = {spec.site for spec in nodes.values()}
    return topology.model_copy(
        update={
            "nodes": nodes,
            "links": tuple(link for link in topology.links if set(link.between) <= sites),
            "sites": {name: site for name, site in topology.sites.items() if name in sites},
            "faults": (),
            "expect": (),
            "experiment": None,
            "duration": SOON,
            "finish_within": LONGEST,
            "compress": max(topology.compress, QUICK),
        }
    )


def _relinked(
    topology: Topology, scanner: str, archive: str, *, rtt: float | None, bandwidth: float | None, profile: str | None
) -> Topology:
    """The topology with another link between scanner and archive."""
    sites = topology.nodes[scanner].site, topology.nodes[archive].site
    link = topology.link(*sites)
    if link is None:
        raise UserError(f"{scanner} and {archive} stand at one site; expected a topology with a link between them")
    if profile is not None:
        link = LinkSpec.model_validate(with_profile({"between": link.between, "profile": profile}))
    figures: dict[str, Any] = {}
    if rtt is not None:
        figures["latency"] = rtt / 2
    if bandwidth is not None:
        figures["bandwidth"] = bandwidth
    same_back = link.back.model_copy(update=dict.fromkeys(figures))
    changed = link.model_copy(update={**figures, "back": same_back})
    links = tuple(changed if set(each.between) == set(sites) else each for each in topology.links)
    return topology.model_copy(update={"links": links})
