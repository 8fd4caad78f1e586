"""What of a topology a calibration has not seen: there its times are extrapolated."""

from __future__ import annotations

from collections.abc import Iterator

from simlab.lab.calibration.scenario import compressed_syntaxes, modalities
from simlab.lab.calibration.times import measured_of
from simlab.nodes.storing import StoringSpec
from simlab.studies.protocols import PROTOCOLS
from simlab.studies.transfer_syntaxes import named
from simlab.topology.calibration import Calibration
from simlab.topology.model import NodeSpec, Topology
from simlab.topology.references import Reference, references
from simlab.units import format_size

TOLERANCE = 0.05
"""Of sizes: the same images are not always of the same size to the byte."""

STORING = ("store", "archive")
"""What a node calls the one where it stores: scanners what they acquire, workstations what they reconstruct."""


def extrapolations(calibration: Calibration, topology: Topology) -> list[str]:
    """Say, in sentences, what of a topology lies outside of what was measured."""
    return [
        *_unknown_nodes(calibration, topology),
        *_associations(calibration, topology),
        *_instances(calibration, topology),
        *_syntaxes(calibration, topology),
    ]


def _unknown_nodes(calibration: Calibration, topology: Topology) -> Iterator[str]:
    measured = measured_of(calibration, topology)
    unknown: dict[str, list[str]] = {
        "Nothing was measured of": [],
        "Not measured is what a C-STORE takes at": [],
        "Not measured is what a question takes at": [],
    }
    nothing, stores, questions = unknown.values()
    for name, spec in topology.nodes.items():
        asked = {reference.field for reference, _ in _asked(topology, name)}
        times = measured.get(name)
        if times is None:
            if asked or spec.kind != "external":
                nothing.append(name)
        elif times.serving.instance is None and (spec.kind == "workstation" or not asked.isdisjoint(STORING)):
            stores.append(name)
        elif times.serving.message is None and asked:
            questions.append(name)
    for what, names in unknown.items():
        if names:
            yield f"{what} {', '.join(names)}; usual times stand in for it."


def _associations(calibration: Calibration, topology: Topology) -> Iterator[str]:
    for name, spec in topology.nodes.items():
        if spec.kind == "modality" and spec.outstanding != 1:
            yield f"{name} does not wait for each response (`outstanding`); what that takes was not measured."
    if calibration.range is None:
        return
    most: dict[str, int] = {}
    for point in calibration.points:
        if point.operation == "C-STORE":
            most[point.node] = max(point.associations, most.get(point.node, 0))
    for name in topology.nodes:
        together = sum(_at_once(spec) for reference, spec in _asked(topology, name) if reference.field in STORING)
        measured = most.get(name, calibration.range.associations[1])  # those of a node like it
        if together > measured:
            yield f"Up to {together} associations may store at {name} at a time; {measured} were measured."


def _instances(calibration: Calibration, topology: Topology) -> Iterator[str]:
    if calibration.range is None:
        return
    least, most = calibration.range.bytes
    protocols = {
        protocol
        for spec in topology.nodes.values()
        if isinstance(spec, StoringSpec) and (sending := spec.sending(topology)) is not None
        for protocol in sending.protocols
    }
    for name in sorted(protocols):
        sizes = [plan.nominal_bytes for plan in PROTOCOLS[name].series]
        if min(sizes) < least * (1 - TOLERANCE) or max(sizes) > most * (1 + TOLERANCE):
            told = f"{format_size(least)} to {format_size(most)}"
            yield f"Instances of {name} have up to {format_size(max(sizes))}; {told} were measured."


def _syntaxes(calibration: Calibration, topology: Topology) -> Iterator[str]:
    known = {(each.modality, named(each.transfer_syntax)) for each in calibration.codecs}
    for syntax in compressed_syntaxes(topology):
        unknown = [modality for modality in modalities(topology) if (modality, syntax) not in known]
        if unknown:
            yield f"What {syntax} does to images of {' and '.join(unknown)} was not measured."


def _asked(topology: Topology, name: str) -> Iterator[tuple[Reference, NodeSpec]]:
    """Yield who refers to a node, and how."""
    for spec in topology.nodes.values():
        for reference in references(spec):
            if reference.target == name:
                yield reference, spec


def _at_once(spec: NodeSpec) -> int:
    """How many associations a node may store over at a time."""
    return int(getattr(spec, "associations", 1)) * int(getattr(spec, "people", 1))
