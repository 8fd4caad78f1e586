"""The kinds of node with both their halves: the one table that adding a kind extends."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from simpy import Event

from simlab.nodes.archive import workflow as archive_workflow
from simlab.nodes.archive.model import ArchiveModel
from simlab.nodes.archive.service import ArchiveService
from simlab.nodes.external import workflow as external_workflow
from simlab.nodes.external.model import ExternalModel
from simlab.nodes.halves import LiveHalf, VirtualHalf
from simlab.nodes.modality import workflow as modality_workflow
from simlab.nodes.modality.model import ModalityModel
from simlab.nodes.modality.service import ModalityService
from simlab.nodes.node import Node
from simlab.nodes.worklist import workflow as worklist_workflow
from simlab.nodes.worklist.model import WorklistModel
from simlab.nodes.worklist.service import WorklistService
from simlab.nodes.workstation import workflow as workstation_workflow
from simlab.nodes.workstation.model import WorkstationModel
from simlab.nodes.workstation.service import WorkstationService

Workflow: TypeAlias = Callable[[Node, Any], Generator[Event, Any, None]]


@dataclass(frozen=True, slots=True)
class Kind:
    """How nodes of one kind come to life."""

    model: Callable[[Node], VirtualHalf]
    service: Callable[[Node], LiveHalf] | None
    """None: it runs elsewhere, and only the virtual world stands in for it."""
    workflow: Workflow | None
    """Called with the node and whichever half of it the world has made."""
    initiates: bool = False
    """Acts on its own account and not only in answer to others, so it rests where people are to play its part."""
    at_rest: Workflow | None = None
    """What it does all the same then."""

    def does(self, *, works: bool) -> Workflow | None:
        """What it does, if scanners and workstations work, or if they rest."""
        return self.workflow if works or not self.initiates else self.at_rest


KINDS = {
    "worklist": Kind(WorklistModel, WorklistService, worklist_workflow.run),
    "modality": Kind(ModalityModel, ModalityService, modality_workflow.run, True, modality_workflow.listen),
    "archive": Kind(ArchiveModel, ArchiveService, archive_workflow.run),
    "workstation": Kind(WorkstationModel, WorkstationService, workstation_workflow.run, initiates=True),
    "external": Kind(ExternalModel, None, external_workflow.run),
}
