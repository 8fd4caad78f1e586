"""What a calibration says of a topology, as the virtual world computes with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from simlab.network.virtual.times import UNCALIBRATED, Codec, Times
from simlab.studies.transfer_syntaxes import named
from simlab.topology.calibration import AskingTimes, Calibration, NodeTimes, ServingTimes
from simlab.topology.model import Topology
from simlab.topology.replicas import replica_names


def times_of(calibration: Calibration, topology: Topology) -> dict[str, Times]:
    """Return the times of every node of a topology; what was not measured is as in ``UNCALIBRATED``.

    Raises UserError for a transfer syntax in it that nobody knows.
    """
    codecs = {
        (each.modality, named(each.transfer_syntax).uid): Codec(each.ratio, each.encode, each.decode)
        for each in calibration.codecs
    }
    found: dict[str, Times] = {}
    measured = measured_of(calibration, topology)
    for name in topology.nodes:
        node = measured.get(name, NodeTimes())
        local = {field: getattr(node, field) for field in ("make_instance", "derive_instance")}
        found[name] = replace(
            UNCALIBRATED,
            serving=replace(UNCALIBRATED.serving, **_measured(node.serving)),
            asking=replace(UNCALIBRATED.asking, **_measured(node.asking)),
            codecs={**UNCALIBRATED.codecs, **codecs},
            **{field: seconds for field, seconds in local.items() if seconds is not None},
        )
    scanners = (found[name].serving for name, spec in topology.nodes.items() if spec.kind == "modality")
    told = next(scanners, UNCALIBRATED.serving)
    for name, node in measured.items():
        if node.report is not None:
            parts = found[name].asking, told
            itself = sum(part.association + part.message for part in parts)
            found[name] = replace(found[name], report=max(0.0, node.report - itself))
    return found


def measured_of(calibration: Calibration, topology: Topology) -> dict[str, NodeTimes]:
    """Return what was measured of the nodes of a topology.

    Replicas have what the first of them has, and who was not measured what another node of its kind and modality has.
    """
    found = dict(calibration.nodes)
    for name, spec in topology.nodes.items():
        if name in found:
            found = {**dict.fromkeys(replica_names(name, spec), found[name]), **found}
    alike = {(times.kind, times.modality): times for times in reversed(calibration.nodes.values())}
    for name, spec in topology.nodes.items():
        times = alike.get((spec.kind, getattr(spec, "modality", None)))
        if times is not None and spec.kind != "external":
            found.setdefault(name, times)
    return {name: times for name, times in found.items() if name in topology.nodes}


def _measured(times: ServingTimes | AskingTimes) -> dict[str, Any]:
    return {name: value for name, value in times if value is not None}
