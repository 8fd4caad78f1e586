"""Studies of which everything is whole: made, stored and committed to as one. A few bits each instead of their UIDs.

What differs in any way (a part of a study, a failure, a second copy) is left to the ledger of instances
(:class:`simlab.analysis.oracle.Ledger`), together with all else that is known of that study.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simlab.network.seam import SUCCESS, is_success
from simlab.records import InstanceBatch, StudyRows
from simlab.studies.study import Study


@dataclass(slots=True)
class Lot:
    """Instances that were made together."""

    study: Study
    """All of them: nothing is selected."""
    maker: str
    derived: bool
    deleted: bool = False
    """Their maker has deleted its copy."""
    acknowledged: int = 0
    """A bit for each archive."""
    committed: int = 0

    def is_of(self, study: Study) -> bool:
        """Whether it is these instances: several studies may share a UID, but no series do."""
        return self.study.series is study.series or self.study.series == study.series


class Lots:
    """The lots of all studies that are whole so far."""

    def __init__(self, archives: Sequence[str]) -> None:
        """``archives`` are those who are expected to keep what they acknowledge."""
        self.bits = {archive: 1 << place for place, archive in enumerate(archives)}
        self._lots: dict[str, tuple[Lot, ...]] = {}
        self._broken: set[str] = set()

    def __iter__(self) -> Iterator[Lot]:
        return (lot for lots in self._lots.values() for lot in lots)

    def take(self, batch: InstanceBatch) -> bool:
        """Enter a batch. False if it leaves its study other than whole, or if the study was that before."""
        told = batch.told
        if not isinstance(told, StudyRows) or told.study.selected is not None or batch.fingerprints:
            return False
        if batch.study in self._broken:
            return False
        lots = self._lots.get(batch.study, ())
        lot = next((lot for lot in lots if lot.is_of(told.study)), None)
        if batch.operation in ("make", "derive"):
            if lot is None:
                made = Lot(told.study, batch.node, batch.operation == "derive")
                self._lots[batch.study] = (*lots, made)
            return lot is None
        bit = self.bits.get(batch.peer)
        if bit is None:
            return True  # nobody's promise
        if lot is None:
            return False
        before = lot.acknowledged & bit
        if batch.operation == "N-EVENT-REPORT":
            if before and told.status == SUCCESS:
                lot.committed |= bit
                return True
            return False
        if is_success(told.status) and before:
            return False  # twice
        if is_success(told.status):
            lot.acknowledged |= bit
        return True

    def discard(self, node: str, study: str) -> None:
        """Note that a node has deleted what it had made of a study."""
        for lot in self._lots.get(study, ()):
            lot.deleted = lot.deleted or lot.maker == node

    def break_up(self, study: str) -> tuple[Lot, ...]:
        """Take out what is known of a study that is not whole any more."""
        self._broken.add(study)
        return self._lots.pop(study, ())

    def take_out_missing(self) -> list[Lot]:
        """Take out the lots that no archive has acknowledged."""
        missing = [lot for lot in self if not lot.acknowledged]
        for study in {lot.study.uid for lot in missing}:
            self._lots[study] = tuple(lot for lot in self._lots[study] if lot.acknowledged)
        return missing

    def kept(self, archive: str) -> dict[str, int]:
        """How many instances of each study an archive has acknowledged."""
        bit, kept = self.bits[archive], dict[str, int]()
        for lot in self:
            if lot.acknowledged & bit:
                kept[lot.study.uid] = kept.get(lot.study.uid, 0) + lot.study.total
        return kept

    def maker(self, study: str) -> str:
        """Who has made a study, or the first part of it."""
        return self._lots[study][0].maker

    def counts(self) -> dict[str, int]:
        """How many instances were generated, derived, stored and committed."""
        counts = dict.fromkeys(("generated", "derived", "stored", "committed"), 0)
        for lot in self:
            total = lot.study.total
            counts["derived" if lot.derived else "generated"] += total
            counts["stored"] += total if lot.acknowledged else 0
            counts["committed"] += total if lot.committed else 0
        return counts
