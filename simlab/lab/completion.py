"""When is a run over? When every study that was ordered has come to its end, told from the records alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from simlab.records import MILESTONES, Record
from simlab.topology.model import NodeSpec, Topology


class Completion:
    """Follows the milestones of every study."""

    def __init__(self, topology: Topology) -> None:
        self._last = {name: _last_milestone(spec, topology) for name, spec in topology.nodes.items()}
        self._reached: dict[str, set[str]] = {}
        self._scanner: dict[str, str] = {}
        self._open: set[str] = set()
        self._counts = dict.fromkeys(MILESTONES, 0)

    def take(self, records: Iterable[Record]) -> None:
        """Take note of what records say."""
        for record in records:
            if record.operation not in MILESTONES:
                continue
            reached = self._reached.setdefault(record.study, set())
            if record.operation not in reached:
                reached.add(record.operation)
                self._counts[record.operation] += 1
            if record.operation == "started":
                self._scanner[record.study] = record.node
            if self._ended(record.study, reached):
                self._open.discard(record.study)
            else:
                self._open.add(record.study)

    @property
    def studies(self) -> int:
        """How many studies were ordered or started."""
        return len(self._reached)

    @property
    def open(self) -> frozenset[str]:
        """Studies that have not come to their end."""
        return frozenset(self._open)

    def _ended(self, study: str, reached: set[str]) -> bool:
        if "failed" in reached:
            return True
        scanner = self._scanner.get(study)
        return scanner is not None and self._last[scanner] <= reached

    def counts(self) -> Mapping[str, int]:
        """How many studies have reached each milestone."""
        return dict(self._counts)


def _last_milestone(spec: NodeSpec, topology: Topology) -> frozenset[str]:
    """What a study acquired by a node must have reached in the end."""
    wanted = {"stored"}
    if getattr(spec, "commit", None) is not None:
        wanted.add("safe")
    store, modality = getattr(spec, "store", None), getattr(spec, "modality", None)
    for other in topology.nodes.values():
        if getattr(other, "archive", None) == store and modality in getattr(other, "reads", ()):
            wanted.add("read")
    return frozenset(wanted)
