"""When is a run over? When every study that was ordered has come to its end, told from the records alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from simlab.analysis.hours import is_read
from simlab.analysis.mentions import mentions
from simlab.records import MILESTONES, Record
from simlab.topology.model import NodeSpec, Topology

BITS = {milestone: 1 << place for place, milestone in enumerate(MILESTONES)}


class Completion:
    """Follows the milestones of every study."""

    def __init__(self, topology: Topology) -> None:
        self._last = {name: _last_milestone(spec, topology) for name, spec in topology.nodes.items()}
        self._reads = {name: spec.kind == "workstation" for name, spec in topology.nodes.items()}
        self._reached: dict[str, int] = {}
        """By study, a bit for each milestone."""
        self._wanted: dict[str, int] = {}
        """By study that has not come to its end, what it must have reached then; known once it was started."""
        self._open: set[str] = set()
        self._counts = dict.fromkeys(MILESTONES, 0)

    def take(self, records: Iterable[Record]) -> None:
        """Take note of what records say."""
        for milestone, node, study, _ in mentions(records, MILESTONES):
            before = self._reached.get(study, 0)
            reached = self._reached[study] = before | BITS[milestone]
            if reached != before:
                self._counts[milestone] += 1
            if before and study not in self._open:
                continue  # it has come to its end
            if milestone == "started":
                self._wanted[study] = self._last[node]
            elif milestone == "failed":
                self._wanted[study] = self._wanted.get(study, 0) & ~self._waived(node, reached)
            if self._ended(study, reached):
                self._open.discard(study)
                self._wanted.pop(study, None)
            else:
                self._open.add(study)

    @property
    def studies(self) -> int:
        """How many studies were ordered or started."""
        return len(self._reached)

    @property
    def open(self) -> AbstractSet[str]:
        """Studies that have not come to their end."""
        return self._open

    def _ended(self, study: str, reached: int) -> bool:
        wanted = self._wanted.get(study)
        return wanted is not None and reached & wanted == wanted

    def _waived(self, node: str, reached: int) -> int:
        """What is not waited for once a node has failed: its own part. What was not stored is nobody else's either."""
        if self._reads[node]:
            return BITS["read"]
        return BITS["safe"] if reached & BITS["stored"] else sum(BITS.values())

    def counts(self) -> Mapping[str, int]:
        """How many studies have reached each milestone."""
        return dict(self._counts)


def _last_milestone(spec: NodeSpec, topology: Topology) -> int:
    """What a study acquired by a node must have reached in the end, a bit for each milestone."""
    wanted = {"stored"}
    if getattr(spec, "commit", None) is not None:
        wanted.add("safe")
    if is_read(spec, topology):
        wanted.add("read")
    return sum(BITS[milestone] for milestone in wanted)
