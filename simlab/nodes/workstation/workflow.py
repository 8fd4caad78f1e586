"""What a workstation does: find what has become stable, retrieve, reconstruct, read, and store the results back.

DICOM has no end of study. A study counts as complete when its number of instances has not changed for ``stable_after``
seconds; each is read once. What the archive held before is somebody else's business, and is left alone.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from math import inf
from typing import Any, cast

from simpy import Event

from simlab.network.query import Identifier, Level, Poll, Query
from simlab.network.seam import Found, Made, Retrieved
from simlab.network.stored import Stored
from simlab.nodes.calendar import seconds_until_open
from simlab.nodes.node import Node
from simlab.nodes.options import store_options
from simlab.nodes.queues import Turns
from simlab.nodes.workstation.recipes import KEY_OBJECTS, REFORMAT
from simlab.nodes.workstation.spec import WorkstationSpec

Steps = Generator[Event, Any, Any]


def studies_query(reads: Sequence[str]) -> Query:
    """Synthetic studies, and how many instances they have; of the one modality that is read, if it is only one."""
    keys = {
        "PatientID": "SIM-*",
        "StudyInstanceUID": "",
        "ModalitiesInStudy": reads[0] if len(reads) == 1 else "",
        "NumberOfStudyRelatedInstances": "",
    }
    return Query(keys)


def run(node: Node, _: object = None) -> Steps:
    """Look for stable studies, for ever; read them in the order in which they were found."""
    reader = Reader(node)
    yield from reader.open()
    while True:
        yield from reader.look()


class Reader:
    """A workstation at work, with the people before it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.spec = cast("WorkstationSpec", node.spec)
        self._options = store_options(self.spec)
        self._archive = Poll(studies_query(self.spec.reads), self.spec.poll)
        """What is read, being read, or not ours to read is left alone."""
        self._growing: dict[str, float] = {}
        """Study UID to the run second of the query since which the study has not changed."""
        self._people = Turns(node.env, self.spec.people)

    def open(self) -> Steps:
        """Note what the archive held before."""
        found: Found = yield self.poll(deadline=self.node.env.now)
        for uid in self.ours(found):
            self._archive.leave(uid)

    def look(self) -> Steps:
        """Wait for a change, or until a study may have become stable."""
        earliest = min(self._growing.values(), default=inf)
        found: Found = yield self.poll(deadline=earliest + self.spec.stable_after)
        if not found.ok:
            return
        for uid in self.ours(found):
            self._growing[uid] = self._archive.asked
        for uid, since in tuple(self._growing.items()):
            if uid not in self._archive:  # the archive has it no longer
                del self._growing[uid]
            elif self._archive.asked > since and self._archive.reached(since + self.spec.stable_after):
                del self._growing[uid]
                self._archive.leave(uid)
                self.node.env.process(self.read(uid))

    def poll(self, deadline: float) -> Event:
        """Wait for studies that are new or have changed."""
        return self.node.network.poll(self.node.name, self.spec.archive, self._archive, deadline=deadline)

    def ours(self, found: Found) -> Iterator[str]:
        """UIDs of the studies that are read here."""
        return (str(match["StudyInstanceUID"]) for match in found.matches if self.is_ours(match))

    def is_ours(self, match: Identifier) -> bool:
        """Whether one of the study's modalities is read here; an archive that does not tell is believed."""
        modalities = match.get("ModalitiesInStudy", "")
        told = {modalities} if isinstance(modalities, str) else set(cast("tuple[str, ...]", modalities))
        return told <= {""} or not told.isdisjoint(self.spec.reads)

    def read(self, uid: str) -> Steps:
        """Read a study as soon as somebody has time for it."""
        yield from self._people.turn()
        yield from self.work_on(uid)
        self._people.over()

    def work_on(self, uid: str) -> Steps:
        """Retrieve, reconstruct, mark key images, store both, and read."""
        node, network = self.node, self.node.network
        if closed := seconds_until_open(node.scenario_time(), self.spec.open, self.spec.days):
            yield node.clinical(closed)
        query = Query({"StudyInstanceUID": uid}, level=Level.STUDY)
        retrieved: Retrieved = yield network.move(node.name, self.spec.archive, query, node.name, study=uid)
        if not retrieved.ok or retrieved.failed:
            failed = f", {retrieved.failed} instances failed" if retrieved.failed else ""
            node.milestone("failed", uid, f"not retrieved: {retrieved.why}{failed}")
            return
        for recipe in (REFORMAT, KEY_OBJECTS) if self.spec.key_images else (REFORMAT,):
            derived: Made = yield network.derive(node.name, uid, recipe)
            if derived.study is None:
                node.milestone("failed", uid, f"{recipe}: {derived.comment}")
                return
            stored: Stored = yield network.store(node.name, self.spec.archive, derived.study, self._options)
            if not stored.ok:
                node.milestone("failed", uid, f"{recipe} was not stored: {stored.why}")
                return
        node.milestone("reconstructed", uid)
        yield node.clinical(self.spec.reading)
        node.milestone("read", uid)
        yield network.discard(node.name, uid)
