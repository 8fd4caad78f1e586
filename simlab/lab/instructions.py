"""Where nodes are, for people and for other people's tools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from simlab.network.live.directory import Peer
from simlab.topology.model import Topology
from simlab.topology.references import talks


def address_table(peers: Iterable[Peer]) -> dict[str, dict[str, str | int]]:
    """Node to ``{ae_title, host, port}``, ready for JSON."""
    return {peer.node: {"ae_title": peer.ae_title, "host": peer.host, "port": peer.port} for peer in peers}


def call_back_lines(topology: Topology) -> Iterator[str]:
    """What the administrator of an external AE must enter there, so that it can call our nodes back."""
    for ours, theirs in _pairs_with_external(topology):
        spec, external = topology.nodes[ours], topology.nodes[theirs]
        if spec.port is not None:
            yield f"add {spec.ae_title} at {spec.host}:{spec.port} to {external.ae_title}"


def _pairs_with_external(topology: Topology) -> Iterator[tuple[str, str]]:
    for pair in talks(topology):
        for ours, theirs in (pair, pair[::-1]):
            if topology.nodes[theirs].kind == "external" and topology.nodes[ours].kind != "external":
                yield ours, theirs


def how_to_reach(topology: Topology, peers: Mapping[str, Peer]) -> Iterator[str]:
    """A table of the nodes, and commands of DCMTK's tools that work on them as they are."""
    width = max(map(len, peers))
    yield f"{topology.name} is up; Ctrl-C stops it"
    yield ""
    for name, peer in peers.items():
        yield f"  {name:<{width}}  {peer.ae_title:<16}  {peer.host}:{peer.port}  {topology.nodes[name].kind}"
    yield ""
    yield "DCMTK's tools can talk to them, in another terminal:"
    if any(spec.callers == "known" for spec in topology.nodes.values()):
        yield "(`callers: known`: only AE titles of this topology are let in, so -aet borrows one)"
    yield ""
    yield from call_back_lines(topology)
    for name, peer in peers.items():
        if topology.nodes[name].kind != "external":
            yield from _commands(topology, peer, peers)
    for name, peer in peers.items():
        if topology.nodes[name].kind == "external" and not _is_called(topology, name):
            yield from _move_commands(topology, peer, peers)


def _commands(topology: Topology, peer: Peer, peers: Mapping[str, Peer]) -> Iterator[str]:
    """Commands for a node of ours."""
    kind, called = topology.nodes[peer.node].kind, _association(topology, peer, peers)
    if kind == "worklist":
        step = '-k "ScheduledProcedureStepSequence[0].Modality"'
        yield f"  findscu -W {called} -k PatientName -k AccessionNumber {step}"
    elif kind == "archive":
        yield f"  storescu {called} FILE.dcm"
        yield f"  findscu -S {called} -k QueryRetrieveLevel=STUDY -k PatientName -k StudyInstanceUID"
        yield f"  getscu -S {called} -k QueryRetrieveLevel=STUDY -k StudyInstanceUID=UID"
    else:
        yield f"  echoscu {called}"


def _move_commands(topology: Topology, destination: Peer, peers: Mapping[str, Peer]) -> Iterator[str]:
    """How to make each archive send to an AE that is there for people to play."""
    for peer in peers.values():
        if topology.nodes[peer.node].kind == "archive":
            called = _association(topology, peer, peers)
            study = "-k QueryRetrieveLevel=STUDY -k StudyInstanceUID=UID"
            yield ""
            yield f"  storescp -aet {destination.ae_title} {destination.port}   # keep it running; then, elsewhere:"
            yield f"  movescu -S {called} -aem {destination.ae_title} {study}"


def _association(topology: Topology, peer: Peer, peers: Mapping[str, Peer]) -> str:
    """The options that reach a node; one that knows its callers must be called by one of them."""
    caller = next((other.ae_title for other in peers.values() if other.node != peer.node), "")
    known = f"-aet {caller} " if caller and topology.nodes[peer.node].callers == "known" else ""
    return f"{known}-aec {peer.ae_title} {peer.host} {peer.port}"


def _is_called(topology: Topology, node: str) -> bool:
    return any(node in pair for pair in talks(topology))
