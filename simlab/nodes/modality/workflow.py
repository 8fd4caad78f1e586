"""What a scanner does: one patient after the other on the table, and their studies on their way meanwhile.

    worklist --> room on the local disk --> N-CREATE --> acquire --> next patient
                                                            |
                                                            +--> store --> N-SET --> request commitment --> report
                                                                                             ^                |
                                                                                             +-- send again --+
                                                                                                              |
                                                                                           delete the local copy

What was not acknowledged is sent again; what becomes of what the archive does not commit to is the scanner's policy
(:mod:`simlab.nodes.modality.commitment`). Between attempts the scanner backs off, longer each time: a link that is down
for a while costs nothing but time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import Any, cast

from simpy import Event

from simlab.network.query import Poll
from simlab.network.seam import CommitmentReport, Found, Made, Outcome, Trouble
from simlab.network.stored import Stored
from simlab.nodes.modality.commitment import Commitment, Policy
from simlab.nodes.modality.orders import order_from, worklist_query
from simlab.nodes.modality.space import Space
from simlab.nodes.modality.spec import ModalitySpec
from simlab.nodes.modality.steps import completed_step, created_step, discontinued_step
from simlab.nodes.node import Node
from simlab.nodes.options import store_options
from simlab.nodes.queues import Turns
from simlab.studies.protocols import exam_seconds, get_protocol, plan_study
from simlab.studies.study import Study
from simlab.studies.uids import derive_uid

Steps = Generator[Event, Any, Any]


def run(node: Node, _: object = None) -> Steps:
    """Take patients from the worklist, for ever."""
    scanner = Scanner(node)
    node.env.process(scanner.receive_reports())
    while True:
        order = yield from scanner.next_order()
        study = plan_study(order, node.scenario_time())
        yield from scanner.make_room(study)
        yield from scanner.examine(replace(study, started=node.scenario_time()))


def listen(node: Node, _: object = None) -> Steps:
    """Only hear of commitments: people play the scanner's part, and nobody here has asked for any."""
    yield from Scanner(node).receive_reports()


class Copy:
    """The local copy of a study. It is not deleted while it is being sent."""

    def __init__(self, node: Node, study: Study) -> None:
        self.study = study
        self.there = True
        self.in_use = Turns(node.env)


class Talk:
    """What a scanner and an archive have to say to each other about the commitment to a study."""

    def __init__(self, node: Node, archive: str, copy: Copy) -> None:
        spec = cast("ModalitySpec", node.spec)
        self.node = node
        self.archive = archive
        self.copy = copy
        self.commitment = Commitment(copy.study, Policy(spec.resend, spec.escalate))
        self.settled = node.env.event()
        """Succeeds when there is nothing left to ask for."""
        self.complete = node.env.event()
        """Succeeds when every instance is safe, with the run second."""
        self.reported: dict[str, Event] = {}
        """By Transaction UID; succeeds with the report."""

    def begin(self, transaction: str) -> Event:
        """A transaction begins. Returns the event of its report."""
        self.commitment.request(transaction)
        reported = self.reported[transaction] = self.node.env.event()
        return reported

    def take(self, report: CommitmentReport) -> None:
        """Take in a report on one of the transactions, be it in time or late."""
        node, study = self.node, self.copy.study.uid
        judgement = self.commitment.report(report, copy=self.copy.there)
        if judgement is None:
            node.remark("report", self.archive, "already reported", report.transaction, study=study)
            return
        stored, failed = self.commitment.relevant(report)
        node.committed(self.archive, study, stored, failed)
        for remark in judgement.remarks:
            node.remark("report", self.archive, remark, study=study)
        for alarm in judgement.alarms:
            node.remark("alarm", self.archive, alarm, study=study)
        self.reported[report.transaction].succeed(report)
        if self.commitment.settled and not self.settled.triggered:
            self.settled.succeed()
        if self.commitment.complete and not self.complete.triggered:
            self.complete.succeed(node.env.now)


class Scanner:
    """A modality at work. Everything it knows, it knows from the worklist and from answers."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.spec = cast("ModalitySpec", node.spec)
        self.steps_to = self.spec.reports_steps_to(node.topology)
        self._worklist = Poll(worklist_query(self.spec.ae_title, self.spec.modality), self.spec.poll)
        self._taken: set[str] = set()
        self._space = Space(self.spec.local_disk)
        self._freed: Event | None = None
        """Succeeds when a study is deleted, if that is waited for."""
        self._talks: dict[str, Talk] = {}
        """By Transaction UID, until all of it is closed: a report may be late by any time."""
        self._closed: dict[str, str] = {}
        """Transaction UID to study, of all others."""

    # ---- worklist

    def next_order(self) -> Steps:
        """Query until there is a step for this station; take the one scheduled first."""
        self._worklist.forget()  # a look at the list before each patient
        while True:
            found: Found = yield self.node.network.poll(self.node.name, self.spec.worklist, self._worklist)
            now = self.node.scenario_time()
            judged = (
                order_from(item, now, self.spec.ae_title, self.spec.modality, self.spec.protocol or "")
                for item in found.matches
            )
            orders = [order for order in judged if order is not None and order.study_uid not in self._taken]
            if orders:
                order = min(orders, key=lambda order: (order.scheduled, order.accession))
                self._taken.add(order.study_uid)
                return order

    # ---- examination

    def make_room(self, study: Study) -> Steps:
        """Wait until a study will fit on the local disk; for ever, if nothing there may be deleted."""
        if not self._space.fits(study):
            self.node.remark("halt", "", self._space.why_not(study), study=study.uid)
            while not self._space.fits(study):
                self._freed = self.node.env.event()
                yield self._freed
            self.node.remark("resume", "", f"room on the local disk: {self._space.told()}", study=study.uid)
        self._space.take(study)

    def examine(self, study: Study) -> Steps:
        """Acquire a study; it goes on its way while the next patient is fetched."""
        node, network, order = self.node, self.node.network, study.order
        step = derive_uid(study.uid, "performed procedure step", node.name)
        node.milestone("started", study.uid, f"{order.accession} {order.protocol}")
        if self.steps_to is not None:
            attributes = created_step(study, self.spec.ae_title)
            yield from self.persist(
                partial(network.create_step, node.name, self.steps_to, step, attributes, study=study.uid)
            )
        acquisition = node.clinical(exam_seconds(node.draws, order, get_protocol(order.protocol)))
        made = network.make(node.name, study)
        yield acquisition
        kept: Made = yield made
        node.milestone("acquired", study.uid)
        node.env.process(self.deliver(kept, step))

    def deliver(self, made: Made, step: str) -> Steps:
        """Store, complete the step, see the study safe, and delete the local copy when it may go."""
        node, study = self.node, cast("Study", made.study)
        missing = yield from self.store(study)
        yield from self.end_step(study, step, missing)
        if missing:
            # The local copy stays: nobody else is known to have one. The same goes for what is not safe.
            node.milestone("failed", study.uid, f"{missing} of {study.count} instances were not stored")
            return
        node.milestone("stored", study.uid)
        copy = Copy(node, study)
        early = self.spec.commit is None or self.spec.delete_local == "after-store"
        if early:
            node.env.process(self.delete(copy))
        if self.spec.commit is not None:
            yield from self.commit(Talk(node, self.spec.commit, copy))
            if not early:
                yield from self.delete(copy)

    def delete(self, copy: Copy) -> Steps:
        """Delete the local copy of a study, once its time of grace is over."""
        yield self.node.protocol(self.spec.grace)
        yield from copy.in_use.turn()
        copy.there = False
        yield self.node.network.discard(self.node.name, copy.study.uid)
        copy.in_use.over()
        self._space.free(copy.study)
        if self._freed is not None:
            freed, self._freed = self._freed, None
            freed.succeed()

    def store(self, study: Study) -> Steps:
        """Store the selected instances; what failed is tried again, unless its status says that this is in vain.

        Returns how many were not acknowledged in the end.
        """
        options = store_options(self.spec, associations=self.spec.associations)
        intended = self.node.env.now
        in_vain = attempt = 0
        while True:
            stored: Stored = yield self.node.network.store(
                self.node.name, self.spec.store, study, options, intended=intended
            )
            if stored.complete:
                return in_vain
            in_vain += len(stored.failed)
            settled = stored.acknowledged | stored.failed
            study = study.select_instances(ref.sop_instance for ref in study if ref.sop_instance not in settled)
            attempt = 1 if stored.acknowledged else attempt + 1
            if not study.count or attempt >= self.spec.attempts:
                return in_vain + study.count
            yield self.backed_off(attempt)
            intended = self.node.env.now

    def persist(self, ask: Callable[[], Event]) -> Steps:
        """Ask until there is an answer, whatever it says. Returns the last outcome."""
        for attempt in range(1, self.spec.attempts + 1):
            outcome: Outcome = yield ask()
            if outcome.trouble is Trouble.NONE or attempt == self.spec.attempts:
                break
            yield self.backed_off(attempt)
        return outcome

    def backed_off(self, attempt: int) -> Event:
        """The wait after so many attempts in vain."""
        return self.node.protocol(min(self.spec.back_off * 2.0 ** (attempt - 1), self.spec.longest_back_off))

    def end_step(self, study: Study, step: str, missing: int) -> Steps:
        """Report the performed procedure step as completed, or as discontinued if its images did not get away."""
        if self.steps_to is None:
            return
        ended = self.node.scenario_time()
        attributes = discontinued_step(ended) if missing else completed_step(study, ended)
        set_step = partial(self.node.network.set_step, self.node.name, self.steps_to, step, attributes)
        outcome: Outcome = yield from self.persist(
            partial(set_step, study=study.uid, instances=0 if missing else study.total)
        )
        if outcome.ok and not missing:
            self.node.milestone("completed", study.uid)

    # ---- commitment

    def commit(self, talk: Talk) -> Steps:
        """Ask for commitment until every instance is safe; ends when they are."""
        node, copy = self.node, talk.copy
        for attempt in range(self.spec.attempts):
            if attempt and not talk.settled.triggered:
                yield self.backed_off(attempt) | talk.settled
                yield from self.send_again(talk)
            if talk.settled.triggered:
                break
            yield from self.ask(talk, attempt)
        if not talk.complete.triggered:
            lost = "" if copy.there else ", and the local copy is gone"
            node.milestone("failed", copy.study.uid, talk.commitment.unsafe + lost)
        # A report that comes after all is still good; nothing else waits here.
        safe_at = yield talk.complete
        # It may have come while some of the study was sent again in vain.
        node.milestone("safe", copy.study.uid, at=safe_at)

    def send_again(self, talk: Talk) -> Steps:
        """Send what the policy has sent again, if there is still a copy of it."""
        copy = talk.copy
        yield from copy.in_use.turn()
        if copy.there and talk.commitment.send:
            yield from self.store(copy.study.select_references(talk.commitment.sending()))
        copy.in_use.over()

    def ask(self, talk: Talk, attempt: int) -> Steps:
        """One transaction: ends when it is reported on, when nothing is left to ask for, or in good time."""
        node, study = self.node, talk.copy.study
        transaction = derive_uid(study.uid, "commitment", node.name, attempt)
        self._talks[transaction] = talk
        wanted = study.select_references(talk.commitment.ask)
        # Waited for before it is asked for: the report may overtake the N-ACTION response.
        reported = talk.begin(transaction)
        outcome: Outcome = yield node.network.request_commitment(
            node.name, talk.archive, transaction, wanted, hold=self.spec.hold
        )
        if outcome.ok:
            yield node.env.any_of((reported, talk.settled, node.protocol(self.spec.commit_timeout)))
        if not reported.triggered:
            talk.commitment.unanswered(transaction)

    def receive_reports(self) -> Steps:
        """Hand each commitment report to the talk that its transaction belongs to."""
        while True:
            report: CommitmentReport = yield self.node.notifications.get()
            talk, study = self._talks.get(report.transaction), self._closed.get(report.transaction, "")
            if talk is not None:
                talk.take(report)
                if talk.commitment.closed:
                    for transaction in talk.reported:
                        del self._talks[transaction]
                        self._closed[transaction] = talk.copy.study.uid
            else:
                what = "already reported" if study else "unknown transaction"
                self.node.remark("report", self.spec.commit or "", what, report.transaction, study=study)
