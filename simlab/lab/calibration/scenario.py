"""Who is measured, and the small department in which that is done: one server, and the scanners that call it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from simlab.errors import UserError
from simlab.nodes.kinds import KINDS
from simlab.nodes.specs import SPECS
from simlab.nodes.storing import ReceivingSpec, StoringSpec
from simlab.studies.compression import can_encode
from simlab.studies.protocols import PROTOCOLS
from simlab.studies.transfer_syntaxes import EXPLICIT, TransferSyntax, named
from simlab.topology.model import NodeSpec, Topology
from simlab.topology.references import references
from simlab.wording import advice

PROBE = "probe"
"""Who calls where a topology has no scanner."""

_PLACE = {"ae_title", "site", "host", "port"}
"""Settings that say where a node is, and not how fast."""


def servers(topology: Topology, node: str | None = None) -> list[str]:
    """Return who is measured: ``node``, or everybody who is asked for something, the archives first.

    An AE that is not ours is among them only if somebody stores there, or reads from there. Of several nodes that
    are the same but for where they are, only the first is. Raises UserError for a node that cannot be measured.
    """
    if node is not None:
        spec = topology.nodes.get(node)
        if spec is None:
            raise UserError(f'no node "{node}"; {advice(node, topology.nodes)}')
        if spec.kind == "modality":
            raise UserError(f"node {node} is a scanner, and asks; expected one that is asked, such as an archive")
        return [node]
    archives = {
        reference.target
        for spec in topology.nodes.values()
        for reference in references(spec)
        if reference.field in ("store", "archive")
    }
    called = [
        name for name, spec in topology.nodes.items()
        if name in archives or spec.kind in ("archive", "workstation", "worklist")
    ]  # fmt: skip
    first = [name for name in called if next(iter(alike(topology, name, called))) == name]
    if not first:
        raise UserError(f"{topology.name} has nobody to measure; expected an archive, or an external node")
    return sorted(first, key=lambda name: name not in archives)


def alike(topology: Topology, name: str, among: Iterable[str] | None = None) -> Iterator[str]:
    """Yield the nodes that take as long as one of them for what they are asked, itself among them."""
    spec = topology.nodes[name]
    for other in among if among is not None else topology.nodes:
        if other == name or (spec.kind != "external" and _manner(topology.nodes[other]) == _manner(spec)):
            yield other


def _manner(spec: NodeSpec) -> tuple[object, ...]:
    """What of a node's settings decides how long it takes for what it is asked."""
    of = type(spec) if spec.kind == "archive" else ReceivingSpec if isinstance(spec, ReceivingSpec) else NodeSpec
    return (spec.kind, *(getattr(spec, field) for field in of.model_fields if field not in _PLACE | {"kind"}))


def bench_topology(topology: Topology, server: str) -> Topology:
    """Return a department of the server as it is and the scanners, all at one place, without links and faults.

    Scanners keep what they make without compression, unless the server accepts nothing but.
    """
    spec = topology.nodes[server]
    here: dict[str, object] = {"site": "main"}
    if KINDS[spec.kind].service is not None:
        here |= {"host": "127.0.0.1", "port": None}
    if spec.kind == "archive":  # what a report takes, and not for how long the archive lets a request lie
        here |= {"report": "new", "report_delay": 0.0}
    if hasattr(spec, "archive"):  # nobody reads here
        here["archive"] = server
    if (single := getattr(spec, "single", None)) is not None:
        imaged = modalities(topology) or ["CT"]
        spec = single(next(name for name, protocol in PROTOCOLS.items() if protocol.modality == imaged[0]))
    nodes = {server: spec.model_copy(update=here)}
    probe = {
        "site": "main", "host": "127.0.0.1", "port": None, "worklist": server, "store": server, "commit": None,
        "procedure_steps": None, "keep": kept_in(spec).keyword, "propose": None, "encode": "stored", "outstanding": 1,
        "local_disk": None,
    }  # fmt: skip
    scanners = {name: each for name, each in topology.nodes.items() if each.kind == "modality"}
    if not scanners:
        settings = {"kind": "modality", "ae_title": "SIMLAB", "modality": "CT", "worklist": server, "store": server}
        scanners = {PROBE: SPECS["modality"].model_validate(settings)}
    if spec.kind == "external":  # it can send its reports only to where it knows them to be
        del probe["host"], probe["port"]
    nodes |= {name: each.model_copy(update=probe) for name, each in scanners.items()}
    nothing: dict[str, object] = {"sites": {}, "links": (), "faults": (), "expect": (), "experiment": None}
    return topology.model_copy(update={"nodes": nodes, **nothing})


def kept_in(spec: NodeSpec) -> TransferSyntax:
    """Return the transfer syntax in which instances are sent to a server."""
    accepted = [named(name) for name in getattr(spec, "accept", ())]
    if not accepted or EXPLICIT in accepted or getattr(spec, "default_syntax", True):
        return EXPLICIT
    return next((each for each in accepted if each.lossless and can_encode(each)), EXPLICIT)


def compressed_syntaxes(topology: Topology) -> list[TransferSyntax]:
    """Return the transfer syntaxes that compress, of all in which nodes keep or propose instances."""
    names = [
        name
        for spec in topology.nodes.values()
        if isinstance(spec, StoringSpec)
        for name in (*(spec.propose or ()), getattr(spec, "keep", EXPLICIT.keyword))
    ]
    return [
        each for each in map(named, dict.fromkeys(names)) if (each.encapsulated or each.deflated) and each.encodable
    ]


def modalities(topology: Topology) -> list[str]:
    """Return what is imaged, each once."""
    found = (getattr(spec, "modality", None) for spec in topology.nodes.values())
    return sorted({modality for modality in found if modality})
