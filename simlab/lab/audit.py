"""The audit at the end of a run: what was acknowledged or committed to is asked back from whoever said so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from math import inf
from typing import Any, NamedTuple, TypeAlias

from simlab.analysis.mentions import mentions
from simlab.analysis.oracle import NO_SUCH_OBJECT_INSTANCE, Acknowledgement, Fates, Held, Ledger, reconcile
from simlab.lab.lots import Lot, Lots
from simlab.network.query import Level, Query
from simlab.network.seam import SUCCESS, Found, Outcome, Retrieved, Trouble, is_success
from simlab.records import InstanceBatch, InstanceRows, Record, StudyRows
from simlab.studies.fingerprint import Fingerprint, Likeness
from simlab.topology.model import Topology

KEEPERS = ("archive", "external")
"""Kinds of node that are expected to keep what they acknowledge."""

SURVEYED = 20
"""Studies that are asked about in one C-FIND; each of those found is compared with all of them."""

STUDY, INSTANCES = "StudyInstanceUID", "NumberOfStudyRelatedInstances"

OURS = "archive"
"""The kind that gives back byte for byte what it got."""


class Question(NamedTuple):
    """What the audit wants to know: what an archive holds of a study. A node that stored some of it there asks."""

    source: str
    archive: str
    study: str


class Request(NamedTuple):
    """The next operation of an interview, for :class:`simlab.network.seam.Network`."""

    operation: str
    source: str
    archive: str
    query: Query
    keywords: Mapping[str, Any] = {}


Interview: TypeAlias = Generator[Request, Outcome, None]
"""Asks one question, operation by operation, in either world."""


def proceed(interview: Interview, answer: Outcome | None) -> Request | None:
    """What is to be asked after an answer (None: at first). None if that was all."""
    try:
        return next(interview) if answer is None else interview.send(answer)
    except StopIteration:
        return None


@dataclass
class Audit:
    """What was promised, from the records, and what could be had back."""

    topology: Topology
    ledger: Ledger = field(default_factory=Ledger)
    held: dict[str, Held] = field(default_factory=dict)
    """By archive; empty before it was asked."""
    unanswered: list[str] = field(default_factory=list)
    """What an archive could not be asked, and why."""
    _lots: Lots = field(init=False)
    """What is whole; all else is in the ledger."""
    _questions: dict[tuple[str, str], Question] = field(default_factory=dict)
    _made: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """What a node has made of a study."""
    _fingerprints: dict[str, dict[str, Fingerprint]] = field(default_factory=dict)
    """By study and instance."""

    def __post_init__(self) -> None:
        self._lots = Lots([name for name in self.topology.nodes if self._keeps(name)])

    # ---- what was promised

    def take(self, records: Iterable[Record], batches: Iterable[InstanceBatch]) -> None:
        """Enter what has happened into the ledger."""
        for batch in batches:
            if not self._lots.take(batch):
                self._break_up(batch.study)
                self._take_instances(batch, batch.rows)
        for _, node, study, _ in mentions(records, ("discard",)):
            self._lots.discard(node, study)
            self.ledger.deleted.update(self._made.get((node, study), ()))

    def _break_up(self, study: str) -> None:
        """Enter a study that was whole so far into the ledger, instance by instance, and ask about it like that."""
        for lot in self._lots.break_up(study):
            self._take_lot(lot)

    def _take_lot(self, lot: Lot) -> None:
        """Enter the instances of a lot into the ledger.

        When each was acknowledged does not matter: everything that is to come was later than that.
        """
        uid, told = lot.study.uid, StudyRows(lot.study, at=-inf)
        rows = told.expanded()
        operation = "derive" if lot.derived else "make"
        self._take_instances(InstanceBatch("", lot.maker, "", uid, rows, operation), rows)
        for archive, bit in self._lots.bits.items():
            for promise, operation in ((lot.acknowledged, "C-STORE"), (lot.committed, "N-EVENT-REPORT")):
                if promise & bit:
                    self._take_instances(InstanceBatch("", lot.maker, archive, uid, rows, operation), rows)
        if lot.deleted:
            self.ledger.deleted.update(rows.sop_instance)

    def _take_instances(self, batch: InstanceBatch, rows: InstanceRows) -> None:
        self.ledger.studies.update(dict.fromkeys(rows.sop_instance, batch.study))
        if batch.operation in ("make", "derive"):
            made = self.ledger.generated if batch.operation == "make" else self.ledger.derived
            made.update(rows.sop_instance)
            self._made.setdefault((batch.node, batch.study), []).extend(rows.sop_instance)
            self._fingerprints.setdefault(batch.study, {}).update(batch.fingerprints)
        elif self._keeps(batch.peer):
            self._take_promises(batch, rows)

    def _take_promises(self, batch: InstanceBatch, rows: InstanceRows) -> None:
        if batch.operation == "N-EVENT-REPORT":
            promised = self._take_report(batch.peer, rows)
        else:
            promised = self._take_stores(batch.peer, rows)
        if promised and batch.study:
            question = Question(batch.node, batch.peer, batch.study)
            self._questions.setdefault((batch.peer, batch.study), question)

    def _take_report(self, archive: str, rows: InstanceRows) -> bool:
        committed = {uid for uid, reason in zip(rows.sop_instance, rows.status, strict=True) if reason == SUCCESS}
        self.ledger.committed.setdefault(archive, set()).update(committed)
        for uid, reason, when in zip(rows.sop_instance, rows.status, rows.finished, strict=True):
            if reason == NO_SUCH_OBJECT_INSTANCE:
                self.ledger.missed.setdefault(uid, []).append(when)
        return bool(committed)

    def _take_stores(self, archive: str, rows: InstanceRows) -> bool:
        acknowledged = self.ledger.acknowledged.setdefault(archive, {})
        stores = map(Acknowledgement, rows.started, rows.finished, rows.transfer_syntax)
        promised = False
        for uid, status, store in zip(rows.sop_instance, rows.status, stores, strict=True):
            if is_success(status):
                acknowledged.setdefault(uid, []).append(store)
                promised = True
        return promised

    def _keeps(self, node: str) -> bool:
        return self.topology.nodes[node].kind in KEEPERS

    # ---- what can be had back

    def survey(self) -> Interview:
        """Ask how many instances of each whole study its archives hold; where it is another number, it is not whole.

        A C-FIND for many studies at a time (list of UID matching, PS3.4 section C.2.2.2.2). It is enough in the virtual
        world, where there are no bytes that could have changed; elsewhere nothing is whole.
        """
        for archive in self._lots.bits:
            kept = self._lots.kept(archive)
            left = iter(kept)
            while studies := tuple(islice(left, SURVEYED)):
                wanted = Query({STUDY: studies, INSTANCES: ""}, level=Level.STUDY)
                found = yield Request("find", self._lots.maker(studies[0]), archive, wanted)
                counted = {str(match.get(STUDY)): str(match.get(INSTANCES)) for match in _listed(found) or ()}
                for study in studies:
                    if counted.get(study) != str(kept[study]):
                        self._break_up(study)

    def questions(self) -> tuple[Question, ...]:
        """What to ask: each study once of each archive that acknowledged some of it, or committed to some."""
        return tuple(self._questions.values())

    def interview(self, question: Question) -> Interview:
        """Ask a question: a C-FIND of the study's instances, and a C-GET of the study. Enters what it learns."""
        listed = yield from self._list(question)
        known = self._fingerprints.get(question.study, {})
        whole = Query({"StudyInstanceUID": question.study}, level=Level.STUDY)
        fetched = yield Request("get", question.source, question.archive, whole, {"known": known})
        self._enter(question, listed, fetched)

    def _list(self, question: Question) -> Generator[Request, Outcome, Counter[str] | None]:
        """The SOP Instance UIDs that the archive lists; None if it does not answer.

        A query for instances that names no series is a relational one (PS3.4 section C.4.1.2.2.1). An archive that
        knows none is asked for the instances of each series.
        """
        source, archive, study = question
        keys = {"StudyInstanceUID": study, "SeriesInstanceUID": ""}
        of_study = Query({**keys, "SOPInstanceUID": ""}, level=Level.IMAGE)
        listed = _instances(found := (yield Request("find", source, archive, of_study)))
        if listed:
            return listed
        if found.trouble is Trouble.NONE:
            series = _listed(found := (yield Request("find", source, archive, Query(keys, level=Level.SERIES))))
            for uid in sorted({str(match.get("SeriesInstanceUID", "")) for match in series or ()}):
                of_series = Query({**keys, "SeriesInstanceUID": uid, "SOPInstanceUID": ""}, level=Level.IMAGE)
                more = _instances(found := (yield Request("find", source, archive, of_series)))
                if more is None:
                    break
                listed = (listed or Counter()) + more
        if found.ok:
            return listed or Counter()
        if found.trouble is Trouble.NO_CONTEXT:
            self.unanswered.append(f"{archive} offers no C-FIND: whether it holds anything twice is not known")
        else:
            self.unanswered.append(f"{archive} did not list study {study}: {_why(found)}")
        return None

    def _enter(self, question: Question, listed: Counter[str] | None, fetched: Outcome) -> None:
        held = self.held.setdefault(question.archive, Held())
        if listed is not None:
            held.listed_twice.update(uid for uid, copies in listed.items() if copies > 1)
        if isinstance(fetched, Retrieved) and (fetched.ok or fetched.received):
            self._compare(question, held, fetched.received)
            if listed is not None:
                held.unlisted.update((held.given & fetched.received.keys()) - listed.keys())
            if fetched.trouble is not Trouble.NONE:
                held.unknown.update(self._promised(question))
                self.unanswered.append(
                    f"{question.archive} broke off giving study {question.study} back: {_why(fetched)}"
                )
        elif fetched.trouble is Trouble.NO_CONTEXT and listed is not None:
            held.given.update(listed)
            self.unanswered.append(f"{question.archive} offers no C-GET: what it lists (C-FIND) is taken to be there")
        elif fetched.trouble is Trouble.NO_CONTEXT:
            held.unknown.update(self._promised(question))  # it only stores: its word is all there is
            self.unanswered.append(
                f"{question.archive} offers no C-GET: whether it still has what it took is not known"
            )
        else:
            if fetched.trouble is not Trouble.NONE:
                held.unknown.update(self._promised(question))
            self.unanswered.append(f"{question.archive} did not give study {question.study} back: {_why(fetched)}")

    def _promised(self, question: Question) -> Iterator[str]:
        """What an archive has acknowledged, or committed to, of a study."""
        for uid in self._all_promised(question.archive):
            if self.ledger.studies.get(uid) == question.study:
                yield uid

    def _all_promised(self, archive: str) -> Iterator[str]:
        yield from self.ledger.acknowledged.get(archive, ())
        yield from self.ledger.committed.get(archive, ())

    def _compare(self, question: Question, held: Held, received: Mapping[str, Fingerprint]) -> None:
        """Tell what came as it was made from what did not."""
        known = self._fingerprints.get(question.study, {})
        for uid, came in received.items():
            likeness = known[uid].likeness(came) if uid in known else Likeness.UNKNOWN
            if likeness is Likeness.ALTERED and self._must_be_identical(question.archive, uid, came):
                likeness = Likeness.CORRUPT
            if likeness is Likeness.CORRUPT:
                held.corrupt.add(uid)
                continue
            held.given.add(uid)
            if likeness is Likeness.ALTERED:
                held.altered.add(uid)

    def _must_be_identical(self, archive: str, uid: str, came: Fingerprint) -> bool:
        """Whether this archive promises the bytes that it was sent, and got them in the syntax in which they come."""
        sent = self.ledger.acknowledged.get(archive, {}).get(uid, ())
        return self.topology.nodes[archive].kind == OURS and all(
            each.transfer_syntax == came.transfer_syntax for each in sent
        )

    def fates(self, *, asked: bool) -> Fates:
        """Reconcile. Without having asked, what was acknowledged or committed to counts as retrievable."""
        for lot in self._lots.take_out_missing():
            self._take_lot(lot)
        held: Mapping[str, Held] = self.held
        if not asked:
            archives = {*self.ledger.acknowledged, *self.ledger.committed}
            held = {archive: Held(set(self._all_promised(archive))) for archive in archives}
        fates = reconcile(self.ledger, held)
        whole = {name: getattr(fates.counts, name) + number for name, number in self._lots.counts().items()}
        return replace(fates, counts=replace(fates.counts, **whole))


def _listed(found: Outcome) -> list[Mapping[str, Any]] | None:
    return list(found.matches) if isinstance(found, Found) and found.ok else None


def _instances(found: Outcome) -> Counter[str] | None:
    matches = _listed(found)
    return None if matches is None else Counter(str(match.get("SOPInstanceUID", "")) for match in matches)


def _why(outcome: Outcome) -> str:
    return outcome.trouble.value or f"status {outcome.status:04X}H"
