"""The kinds of node: what each may say in a topology file. Imports nothing that runs."""

from __future__ import annotations

from simlab.nodes.archive.spec import ArchiveSpec
from simlab.nodes.external.spec import ExternalSpec
from simlab.nodes.modality.spec import ModalitySpec
from simlab.nodes.worklist.spec import WorklistSpec
from simlab.nodes.workstation.spec import WorkstationSpec
from simlab.topology.model import NodeSpec

SPECS: dict[str, type[NodeSpec]] = {
    "worklist": WorklistSpec,
    "modality": ModalitySpec,
    "archive": ArchiveSpec,
    "workstation": WorkstationSpec,
    "external": ExternalSpec,
}
"""Kind to model. The keys are the models' own ``kind``."""
