"""The audit at the end of a run: all that was acknowledged is asked back from whoever acknowledged it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from simlab.analysis.oracle import InstanceCounts, reconcile
from simlab.network.query import Level, Query
from simlab.network.seam import SUCCESS, Outcome, Retrieved, Trouble, is_success
from simlab.records import InstanceBatch
from simlab.topology.model import Topology

KEEPERS = ("archive", "external")
"""Kinds of node that are expected to keep what they acknowledge."""


class Question(NamedTuple):
    """One C-GET of the audit: a node that stored a study asks for all of it back."""

    source: str
    archive: str
    study: str

    @property
    def query(self) -> Query:
        """The whole study."""
        return Query({"StudyInstanceUID": self.study}, level=Level.STUDY)


@dataclass
class Audit:
    """What was promised, from the ledger, and what could be had back."""

    topology: Topology
    generated: set[str] = field(default_factory=set)
    derived: set[str] = field(default_factory=set)
    committed: set[str] = field(default_factory=set)
    acknowledged: dict[str, set[str]] = field(default_factory=dict)
    """By archive."""
    retrievable: dict[str, set[str]] = field(default_factory=dict)
    """By archive; empty before it was asked."""
    unanswered: list[str] = field(default_factory=list)
    """Why an archive could not be asked."""
    _questions: dict[tuple[str, str], Question] = field(default_factory=dict)

    def take(self, batches: Iterable[InstanceBatch]) -> None:
        """Enter instance rows into the ledger."""
        for batch in batches:
            uids = batch.rows.sop_instance
            if batch.operation == "make":
                self.generated.update(uids)
            elif batch.operation == "derive":
                self.derived.update(uids)
            elif batch.operation == "N-EVENT-REPORT":
                pairs = zip(uids, batch.rows.status, strict=True)
                self.committed.update(uid for uid, reason in pairs if reason == SUCCESS)
            elif self._keeps(batch.peer):
                stored = {uid for uid, status in zip(uids, batch.rows.status, strict=True) if is_success(status)}
                self.acknowledged.setdefault(batch.peer, set()).update(stored)
                if stored and batch.study:
                    question = Question(batch.node, batch.peer, batch.study)
                    self._questions.setdefault((batch.peer, batch.study), question)

    def _keeps(self, node: str) -> bool:
        return self.topology.nodes[node].kind in KEEPERS

    def questions(self) -> tuple[Question, ...]:
        """What to ask: each study once of each archive that acknowledged some of it."""
        return tuple(self._questions.values())

    def answer(self, question: Question, outcome: Outcome) -> None:
        """Take in what came back."""
        held = self.retrievable.setdefault(question.archive, set())
        if isinstance(outcome, Retrieved) and (outcome.ok or outcome.received):
            held.update(outcome.received)
        elif outcome.trouble is Trouble.NO_CONTEXT:
            # It only stores, and cannot be asked: its word is all there is.
            held.update(self.acknowledged[question.archive])
            self.unanswered.append(
                f"{question.archive} offers no C-GET: whether it still has what it took is not known"
            )
        else:
            why = outcome.trouble.value or f"status {outcome.status:04X}H"
            self.unanswered.append(f"{question.archive} did not give study {question.study} back: {why}")

    def counts(self, *, asked: bool) -> InstanceCounts:
        """Reconcile. Without having asked, what was acknowledged counts as retrievable."""
        retrievable = self.retrievable if asked else self.acknowledged
        counts = reconcile(self.generated, self.derived, _union(self.acknowledged), self.committed, _union(retrievable))
        # What two archives acknowledged must be had back from both.
        lost = sum(len(uids - retrievable.get(archive, set())) for archive, uids in self.acknowledged.items())
        return replace(counts, lost=lost)


def _union(by_archive: Mapping[str, set[str]]) -> set[str]:
    return {uid for uids in by_archive.values() for uid in uids}
