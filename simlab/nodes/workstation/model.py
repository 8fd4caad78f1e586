"""The workstation's virtual half: what it received, as studies."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from simlab.network.seam import SUCCESS, Status
from simlab.nodes.halves import VirtualHalf
from simlab.nodes.node import Node
from simlab.nodes.workstation.recipes import KEY_OBJECTS, REFORMAT
from simlab.nodes.workstation.spec import WorkstationSpec
from simlab.studies.key_objects import plan_key_objects
from simlab.studies.reformat import plan_reformat
from simlab.studies.study import Study

_PLANS = {REFORMAT: plan_reformat, KEY_OBJECTS: plan_key_objects}


class WorkstationModel(VirtualHalf):
    """Plans what the live half would make of the pixels."""

    def __init__(self, node: Node) -> None:
        self._key_images = cast("WorkstationSpec", node.spec).key_images
        self._received: dict[str, Study] = {}

    def take(self, study: Study) -> Status:
        """Hold a retrieved study; what comes of it later adds to what has come."""
        held = self._received.get(study.uid)
        if held is not None and held.series == study.series:
            study = study.select(sorted({*held.indices, *study.indices}))
        self._received[study.uid] = study
        return Status(SUCCESS)

    def derive(self, study_uid: str, recipe: str) -> Study | None:
        """The derived series as a study of its own."""
        study = self._received.get(study_uid)
        if study is None:
            return None
        planned = _PLANS[recipe](study)
        return None if planned is None else replace(study, series=(planned,), selected=None)

    def discard(self, study_uid: str) -> int:
        """Drop a study."""
        study = self._received.pop(study_uid, None)
        return study.nominal_bytes if study is not None else 0
