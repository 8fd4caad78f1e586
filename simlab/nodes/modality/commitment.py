"""What a scanner makes of storage commitment reports (PS3.4 section J.3): decisions, without time and network.

What is done about an instance that an archive does not commit to depends on the scanner's policy:

- ``study``: anything but a complete success means that the whole study is sent again, and asked for again.
- ``failed``: what was reported as failed is sent again, whatever the reason.
- ``by-reason``: what the archive has not got is sent again; what it could not do now is asked for again later; what it
  will never commit to raises an alarm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from simlab.network.seam import CommitmentReport, FailedReference
from simlab.studies.study import NO_REFERENCES, InstanceReference, References, Study

PROCESSING_FAILURE = 0x0110
NO_SUCH_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119
CLASS_NOT_SUPPORTED = 0x0122
DUPLICATE_TRANSACTION = 0x0131
RESOURCE_LIMITATION = 0x0213
"""Failure Reasons (PS3.3 section C.14.1.1)."""

PERMANENT = {CLASS_INSTANCE_CONFLICT: "class and instance in conflict", CLASS_NOT_SUPPORTED: "SOP class not supported"}
"""Reasons that no further attempt will mend."""

Resend = Literal["study", "failed", "by-reason"]
Instances: TypeAlias = AbstractSet[InstanceReference]

NONE: Instances = NO_REFERENCES


@dataclass(frozen=True, slots=True)
class Policy:
    """How a scanner takes what it is told."""

    resend: Resend = "by-reason"
    escalate: int = 3
    """After so many reports in a row that say "later" of an instance it is sent again all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What follows from a report, or from none, for the instances that were asked for."""

    safe: Instances = NONE
    """Committed to."""
    send: Instances = NONE
    """To be sent again. They are asked for again as well."""
    ask: Instances = NONE
    """To be asked for again."""
    later: Instances = NONE
    """Of these, those whose reason says that asking again later is all it takes."""
    missing: Instances = NONE
    """The archive says that it has not got them."""
    permanent: Mapping[InstanceReference, int] = field(default_factory=dict)
    """Instances that will never be committed to, with the reason."""
    gone: Instances = NONE
    """Neither the archive nor the scanner has them."""
    remarks: tuple[str, ...] = ()
    """What is wrong with the report."""

    @property
    def alarms(self) -> tuple[str, ...]:
        """A sentence for each permanent reason."""
        counts = Counter(self.permanent.values())
        return tuple(
            f"{instances(count)} will never be committed to: {reason:04X}H, {PERMANENT[reason]}"
            for reason, count in sorted(counts.items())
        )


def judge(
    asked: Instances, report: CommitmentReport | None, policy: Policy, waited: Mapping[InstanceReference, int]
) -> Judgement:
    """What follows from a report on the instances that were asked for; None if no report came in time.

    ``waited`` has how many reports in a row have said "later" of an instance before. What the report leaves out is not
    safe, and what nobody asked for is passed over.
    """
    if report is None:
        return Judgement(send=asked if policy.resend == "study" else NONE, ask=asked)
    if not report.failed and as_set(report.stored) == asked:
        return Judgement(safe=asked)
    reasons = {reference: reason for reference, reason in report.failed if reference in asked}
    safe = (asked & as_set(report.stored)) - frozenset(reasons)
    found = Judgement(
        safe=safe,
        ask=asked - safe,
        missing=frozenset(reference for reference, reason in reasons.items() if reason == NO_SUCH_INSTANCE),
        remarks=_remarks(asked, report),
    )
    match policy.resend:
        case "study":
            again = asked if found.ask else NONE
            return replace(found, send=again, ask=again)
        case "failed":
            return replace(found, send=frozenset(reasons))
        case _:
            return _by_reason(found, reasons, policy, waited)


def _by_reason(
    found: Judgement, reasons: Mapping[InstanceReference, int], policy: Policy, waited: Mapping[InstanceReference, int]
) -> Judgement:
    permanent = {reference: reason for reference, reason in reasons.items() if reason in PERMANENT}
    others = {NO_SUCH_INSTANCE, DUPLICATE_TRANSACTION, *PERMANENT}
    later = frozenset(reference for reference, reason in reasons.items() if reason not in others)
    too_often = frozenset(reference for reference in later if waited.get(reference, 0) + 1 >= policy.escalate)
    return replace(
        found,
        send=found.missing | too_often,
        ask=found.ask - frozenset(permanent),
        later=later - too_often,
        permanent=permanent,
    )


def without_copy(judgement: Judgement) -> Judgement:
    """The same where there is no local copy left: nothing can be sent, and what the archive has not got is gone."""
    ask = judgement.ask - judgement.safe - judgement.missing
    return replace(judgement, send=NONE, ask=ask, gone=judgement.missing)


def _remarks(asked: Instances, report: CommitmentReport) -> tuple[str, ...]:
    stored, failed = as_set(report.stored), frozenset(reference for reference, _ in report.failed)
    wrong = {
        "missing": asked - stored - failed,
        "not asked for": (stored | failed) - asked,
        "both committed and failed": stored & failed & asked,
    }
    return tuple(f"{instances(len(which))} {what}" for what, which in wrong.items() if which)


def as_set(references: Sequence[InstanceReference]) -> Instances:
    """References of a report as a set."""
    return references if isinstance(references, References) else frozenset(references)


def instances(count: int) -> str:
    """How many instances, in words."""
    return f"{count} instance{'' if count == 1 else 's'}"


@dataclass(slots=True)
class Transaction:
    """One commitment request. Its UID is dead once it was reported on."""

    asked: Instances
    reported: bool = False
    sent_since: Instances = NONE
    """Instances that were sent again after it was asked for: that it says they failed is no longer true."""


class Commitment:
    """How far an archive has committed to a study, over all transactions."""

    def __init__(self, study: Study, policy: Policy) -> None:
        self.ask: Instances = study.references
        """What is still to be asked for."""
        self.send: Instances = NONE
        """What of that is to be sent first."""
        self.safe: Instances = NONE
        self.permanent: dict[InstanceReference, int] = {}
        self.gone: Instances = NONE
        self._all = self.ask
        self._policy = policy
        self._waited: dict[InstanceReference, int] = {}
        self._transactions: dict[str, Transaction] = {}

    @property
    def settled(self) -> bool:
        """Whether there is nothing left to ask for."""
        return not self.ask

    @property
    def complete(self) -> bool:
        """Whether every instance is safe."""
        return self.settled and self.safe == self._all

    @property
    def closed(self) -> bool:
        """Whether every instance is safe, and no report is still to come."""
        return self.complete and all(transaction.reported for transaction in self._transactions.values())

    @property
    def unsafe(self) -> str:
        """How many instances are not safe, in words, and how many requests nobody has reported on."""
        told = f"{len(self._all - self.safe)} of {len(self._all)} instances are not safe"
        number = len(self._transactions)
        silent = sum(not transaction.reported for transaction in self._transactions.values())
        return f"{told}; {silent} of {number} requests for commitment were never reported on" if silent else told

    def request(self, transaction: str) -> None:
        """A transaction begins: everything that is to be asked for is asked for."""
        self._transactions[transaction] = Transaction(self.ask)

    def sending(self) -> Instances:
        """What is sent now. Reports on earlier transactions no longer say anything against it."""
        sent, self.send = self.send, NONE
        for transaction in self._transactions.values():
            transaction.sent_since |= sent
        return sent

    def unanswered(self, transaction: str) -> None:
        """No report came in time. One that still comes is as good."""
        asked = self._transactions[transaction]
        self._take(asked, judge(asked.asked, None, self._policy, self._waited))

    def report(self, report: CommitmentReport, *, copy: bool) -> Judgement | None:
        """Take in a report on one of the transactions; None if it was already reported on.

        ``copy`` says whether the scanner still has what it would have to send again.
        """
        transaction = self._transactions[report.transaction]
        if transaction.reported:
            return None
        transaction.reported = True
        judgement = judge(transaction.asked, report, self._policy, self._waited)
        if judgement.missing:
            judgement = replace(judgement, missing=judgement.missing - transaction.sent_since)
        judgement = judgement if copy else without_copy(judgement)
        self._waited = {reference: self._waited.get(reference, 0) + 1 for reference in judgement.later}
        self._take(transaction, judgement)
        self.safe = (self.safe - self.ask) | judgement.safe
        known = {**self.permanent, **judgement.permanent}
        self.permanent = {reference: reason for reference, reason in known.items() if reference not in self.safe}
        self.gone = (self.gone | judgement.gone) - self.safe
        return judgement

    def _take(self, transaction: Transaction, judgement: Judgement) -> None:
        self.ask -= transaction.asked - judgement.ask
        self.send = (self.send | (judgement.send - transaction.sent_since)) & self.ask

    def relevant(self, report: CommitmentReport) -> tuple[Sequence[InstanceReference], list[FailedReference]]:
        """What a report on one of the transactions says of instances that were asked for: committed, and failed."""
        asked = self._transactions[report.transaction].asked
        if not report.failed and as_set(report.stored) == asked:
            return report.stored, []
        failed = [each for each in report.failed if each.reference in asked]
        stored = asked - {each.reference for each in failed}
        return [reference for reference in dict.fromkeys(report.stored) if reference in stored], failed
