"""What a workstation does: find what has become stable, retrieve, reconstruct, read, and store the results back.

DICOM has no end of study. A study counts as complete when its number of instances has not changed for ``stable_after``
seconds; each is read once. What the archive held before is somebody else's business, and is left alone.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, cast

import simpy
from simpy import Event

from simlab.network.query import Identifier, Level, Query
from simlab.network.seam import Found, Made, Retrieved, Stored
from simlab.nodes.calendar import seconds_until_open
from simlab.nodes.node import Node
from simlab.nodes.options import store_options
from simlab.nodes.workstation.recipes import KEY_OBJECTS, REFORMAT
from simlab.nodes.workstation.spec import WorkstationSpec

Steps = Generator[Event, Any, Any]


def run(node: Node, _: object = None) -> Steps:
    """Look for stable studies, for ever; read them in the order in which they were found."""
    reader = Reader(node)
    yield from reader.open()
    while True:
        yield node.protocol(reader.spec.poll)
        yield from reader.look()


class Reader:
    """A workstation at work, with the people before it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.spec = cast("WorkstationSpec", node.spec)
        self._options = store_options(self.spec)
        self._counts: dict[str, tuple[str, float]] = {}
        """Study UID to its number of instances, and since when it has been that."""
        self._done: set[str] = set()
        """Studies that are read, being read, or not ours to read."""
        self._people = simpy.Resource(node.env, capacity=self.spec.people)

    def open(self) -> Steps:
        """Note what the archive held before."""
        matches: list[Identifier] = yield from self.query()
        self._done.update(str(match["StudyInstanceUID"]) for match in matches)

    def look(self) -> Steps:
        """One poll of the archive."""
        matches: list[Identifier] = yield from self.query()
        for match in matches:
            uid, count = str(match["StudyInstanceUID"]), str(match.get("NumberOfStudyRelatedInstances", ""))
            if uid in self._done:
                continue
            # None, not "": an archive that does not count has shown the study for the first time all the same.
            before, since = self._counts.get(uid, (None, 0.0))
            if count != before:
                self._counts[uid] = (count, self.node.env.now)
            elif self.node.env.now - since >= self.spec.stable_after:
                self._done.add(uid)
                self.node.env.process(self.read(uid))

    def query(self) -> Steps:
        """Synthetic studies of the modalities that are read here."""
        keys = {
            "PatientID": "SIM-*",
            "StudyInstanceUID": "",
            "ModalitiesInStudy": "",
            "NumberOfStudyRelatedInstances": "",
        }
        found: Found = yield self.node.network.find(self.node.name, self.spec.archive, Query(keys))
        return [match for match in found.matches if self.is_ours(match)]

    def is_ours(self, match: Identifier) -> bool:
        """Whether one of the study's modalities is read here; an archive that does not tell is believed."""
        modalities = match.get("ModalitiesInStudy", "")
        told = {modalities} if isinstance(modalities, str) else set(cast("tuple[str, ...]", modalities))
        return told <= {""} or not told.isdisjoint(self.spec.reads)

    def read(self, uid: str) -> Steps:
        """Retrieve, reconstruct, mark key images, store both, and read."""
        node, network = self.node, self.node.network
        with self._people.request() as turn:
            yield turn
            yield node.clinical(seconds_until_open(node.scenario_time(), self.spec.open, self.spec.days))
            query = Query({"StudyInstanceUID": uid}, level=Level.STUDY)
            retrieved: Retrieved = yield network.move(node.name, self.spec.archive, query, node.name, study=uid)
            if not retrieved.ok or retrieved.failed:
                node.milestone("failed", uid, f"not retrieved: {retrieved.failed} instances failed")
                return
            for recipe in (REFORMAT, KEY_OBJECTS) if self.spec.key_images else (REFORMAT,):
                derived: Made = yield network.derive(node.name, uid, recipe)
                if derived.study is None:
                    node.milestone("failed", uid, f"{recipe}: {derived.comment}")
                    return
                stored: Stored = yield network.store(node.name, self.spec.archive, derived.study, self._options)
                if not stored.ok:
                    node.milestone("failed", uid, f"{recipe} was not stored: {stored.comment}")
                    return
            node.milestone("reconstructed", uid)
            yield node.clinical(self.spec.reading)
            node.milestone("read", uid)
            yield network.discard(node.name, uid)
