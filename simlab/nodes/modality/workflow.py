"""What a scanner does: one patient after the other on the table, and their studies on their way meanwhile.

    worklist --> N-CREATE --> acquire --> next patient
                                 |
                                 +--> store --> N-SET --> request commitment --> report --> delete the local copy

What was not acknowledged, and what the archive does not commit to, is sent again; what got no answer is asked again.
Between attempts the scanner backs off, longer each time: a link that is down for a while costs nothing but time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from typing import Any, cast

from simpy import Event

from simlab.network.query import Identifier, Model, Query
from simlab.network.seam import CommitmentReport, Found, Made, Outcome, Stored, Trouble
from simlab.network.worklist_items import order_from_item
from simlab.nodes.modality.spec import ModalitySpec
from simlab.nodes.modality.steps import completed_step, created_step, discontinued_step
from simlab.nodes.node import Node
from simlab.nodes.options import store_options
from simlab.studies.protocols import exam_seconds, get_protocol, plan_study
from simlab.studies.study import Order, Study
from simlab.studies.uids import derive_uid

Steps = Generator[Event, Any, Any]

WANTED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyInstanceUID"),
    *("ReferringPhysicianName", "RequestedProcedureID", "RequestedProcedureDescription"),
)
"""What a study must carry on from its worklist item."""


def run(node: Node, _: object = None) -> Steps:
    """Take patients from the worklist, for ever."""
    scanner = Scanner(node)
    node.env.process(scanner.receive_reports())
    while True:
        order = yield from scanner.next_order()
        yield from scanner.examine(order)


class Scanner:
    """A modality at work. Everything it knows, it knows from the worklist and from answers."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.spec = cast("ModalitySpec", node.spec)
        self.steps_to = self.spec.reports_steps_to(node.topology)
        self._taken: set[str] = set()
        self._awaited: dict[str, Event] = {}
        """Transaction UID to the event that succeeds with its report."""

    # ---- worklist

    def next_order(self) -> Steps:
        """Query until there is a step for this station; take the one scheduled first."""
        while True:
            found: Found = yield self.node.network.find(self.node.name, self.spec.worklist, self.worklist_query())
            orders = [order for order in map(self.order_from, found.matches) if order is not None]
            if orders:
                order = min(orders, key=lambda order: (order.scheduled, order.accession))
                self._taken.add(order.study_uid)
                return order
            yield self.node.protocol(self.spec.poll)

    def worklist_query(self) -> Query:
        """Steps scheduled to this station and not begun; all that a study needs is asked back (PS3.4 table K.6-1)."""
        step: Identifier = {
            "ScheduledStationAETitle": self.spec.ae_title,
            "Modality": self.spec.modality,
            "ScheduledProcedureStepStartDate": "",
            "ScheduledProcedureStepStartTime": "",
            "ScheduledProcedureStepDescription": "",
            "ScheduledProcedureStepID": "",
            "ScheduledProcedureStepStatus": "",
            "ScheduledProtocolCodeSequence": (),
        }
        keys: Identifier = {**dict.fromkeys(WANTED, ""), "ScheduledProcedureStepSequence": (step,)}
        return Query(keys, Model.WORKLIST, None)

    def order_from(self, item: Identifier) -> Order | None:
        """The order in a worklist item, if it is one that can be started here."""
        steps = item.get("ScheduledProcedureStepSequence", ())
        status = next((step.get("ScheduledProcedureStepStatus", "") for step in steps if not isinstance(step, str)), "")
        order = order_from_item(item, scheduled=self.node.scenario_time(), station=self.spec.ae_title)
        order = replace(order, protocol=order.protocol or self.spec.protocol or "", modality=self.spec.modality)
        if order.study_uid in self._taken or not order.protocol or status not in ("", "SCHEDULED", "ARRIVED", "READY"):
            return None
        return order

    # ---- examination

    def examine(self, order: Order) -> Steps:
        """Acquire the study; it goes on its way while the next patient is fetched."""
        node, network = self.node, self.node.network
        study = plan_study(order, node.scenario_time())
        step = derive_uid(study.uid, "performed procedure step", node.name)
        node.milestone("started", study.uid, f"{order.accession} {order.protocol}")
        if self.steps_to is not None:
            attributes = created_step(study, self.spec.ae_title)
            yield from self.persist(
                partial(network.create_step, node.name, self.steps_to, step, attributes, study=study.uid)
            )
        acquisition = node.clinical(exam_seconds(node.draws, order, get_protocol(order.protocol)))
        made = network.make(node.name, study)
        yield acquisition & made
        node.milestone("acquired", study.uid)
        node.env.process(self.deliver(cast("Made", made.value), step))

    def deliver(self, made: Made, step: str) -> Steps:
        """Store, complete the step, see the study safe, and delete the local copy."""
        node, study = self.node, cast("Study", made.study)
        missing = yield from self.store(study)
        yield from self.end_step(study, step, missing)
        if missing:
            node.milestone("failed", study.uid, f"{missing} of {study.count} instances were not stored")
            return
        node.milestone("stored", study.uid)
        if self.spec.commit is not None:
            unsafe = yield from self.commit(study, self.spec.commit)
            if unsafe:
                # The local copy stays: nobody else is known to have one.
                node.milestone("failed", study.uid, f"{unsafe} of {study.count} instances are not safe")
                return
            node.milestone("safe", study.uid)
        yield node.network.discard(node.name, study.uid)

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
        outcome: Outcome = yield from self.persist(
            partial(self.node.network.set_step, self.node.name, self.steps_to, step, attributes, study=study.uid)
        )
        if outcome.ok and not missing:
            self.node.milestone("completed", study.uid)

    # ---- commitment

    def commit(self, study: Study, archive: str) -> Steps:
        """Ask for commitment until every instance is safe. Returns how many are not in the end."""
        unsafe = study
        for attempt in range(self.spec.attempts):
            if attempt:
                yield self.backed_off(attempt)
            report = yield from self.ask(unsafe, archive, attempt)
            if report is None:
                continue  # no answer says nothing about the instances: ask again, send nothing
            asked = {ref.sop_instance for ref in unsafe}
            safe = {ref.sop_instance for ref in report.stored} & asked
            self.node.committed(archive, study.uid, (ref for ref in report.stored if ref.sop_instance in asked))
            unsafe = unsafe.select_instances(asked - safe)
            if not unsafe.count:
                break
            yield from self.store(unsafe)
        return unsafe.count

    def ask(self, study: Study, archive: str, attempt: int) -> Steps:
        """One transaction. Returns the report, or None if the request failed or the report did not come in time."""
        transaction = derive_uid(study.uid, "commitment", self.node.name, attempt)
        # Waited for before it is asked for: the report may overtake the N-ACTION response.
        awaited = self._awaited[transaction] = self.node.env.event()
        outcome: Outcome = yield self.node.network.request_commitment(
            self.node.name, archive, transaction, study, hold=self.spec.hold
        )
        if outcome.ok:
            yield awaited | self.node.protocol(self.spec.commit_timeout)
        del self._awaited[transaction]
        return awaited.value if awaited.triggered else None

    def receive_reports(self) -> Steps:
        """Hand each commitment report to the transaction that waits for it; others are too late, or nobody's."""
        while True:
            report: CommitmentReport = yield self.node.notifications.get()
            awaited = self._awaited.get(report.transaction)
            if awaited is not None and not awaited.triggered:
                awaited.succeed(report)
