"""What an archive decides, as pure functions over what it holds: shared by its live and its virtual half."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from simlab.faults import Known
from simlab.network.query import Query
from simlab.network.seam import SUCCESS, Answer, CommitmentReport, CommitmentRequest, FailedReference, Status
from simlab.studies.study import InstanceReference, References

PROCESSING_FAILURE = 0x0110
RESOURCE_LIMITATION = 0x0213
"""Statuses of an N-ACTION (PS3.7 section 10.1.4.1.10); the latter is a Failure Reason, too."""

NO_SUCH_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119
DUPLICATE_TRANSACTION = 0x0131
"""Failure Reasons of a storage commitment (PS3.3 C.14.1.1)."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A commitment request that was accepted: a report is owed."""

    number: int
    request: CommitmentRequest
    duplicate: bool = False
    """Whether its Transaction UID was in use: accepted before, and not yet reported on."""


def decide_commitment(
    transaction: str,
    references: Iterable[InstanceReference],
    held: AbstractSet[InstanceReference],
    conflicting: AbstractSet[InstanceReference] = frozenset(),
    waiting: AbstractSet[InstanceReference] = frozenset(),
) -> CommitmentReport:
    """Commit to every reference that is held, and give the reason for every other one (PS3.4 J.3.3).

    ``conflicting`` are references whose instance is held, but under another SOP class; ``waiting`` were acknowledged,
    and there is no room for them yet. The report covers each reference once, in the order of the request.
    """
    if isinstance(references, References) and held == references:
        return CommitmentReport(transaction, references)
    stored: list[InstanceReference] = []
    failed: list[FailedReference] = []
    for reference in dict.fromkeys(references):
        if reference in held:
            stored.append(reference)
        elif reference in conflicting:
            failed.append(FailedReference(reference, CLASS_INSTANCE_CONFLICT))
        else:
            reason = RESOURCE_LIMITATION if reference in waiting else NO_SUCH_INSTANCE
            failed.append(FailedReference(reference, reason))
    return CommitmentReport(transaction, tuple(stored), tuple(failed))


def truth(holdings: Holdings, accepted: Accepted) -> CommitmentReport:
    """What is to be reported on a request. Under a Transaction UID that was in use, nothing is committed to."""
    transaction, references = accepted.request.transaction, accepted.request.references
    if accepted.duplicate:
        failed = (FailedReference(reference, DUPLICATE_TRANSACTION) for reference in dict.fromkeys(references))
        return CommitmentReport(transaction, (), tuple(failed))
    waiting = holdings.waiting(references)  # asked first: what is entered meanwhile is held
    held = holdings.holds(references)
    conflicting = holdings.conflicts(references) if len(held) < len(references) else frozenset()
    return decide_commitment(transaction, references, held, conflicting, waiting)


def described(references: Collection[InstanceReference], known: Mapping[str, Known]) -> dict[str, Known]:
    """What is known of each reference, by SOP Instance UID; what is not held goes with the study of what is."""
    accession = next((known[uid].accession for _, uid in references if uid in known), "")
    return {uid: known.get(uid, Known(accession, None)) for _, uid in references}


def judge_request(request: CommitmentRequest, *, new_association: bool, known: bool) -> Status:
    """The answer to a commitment request: accepted, unless the report could reach nobody.

    A report on a new association needs an address, and a stranger (an AE title that is not in the topology) has none.
    Success would promise a report (PS3.4 J.3.2.2), so such a request fails: 0110, and the comment says why.
    """
    if new_association and not known:
        return Status(PROCESSING_FAILURE, f"nobody knows where {request.requester} listens")
    return Status(SUCCESS)


class Holdings(Protocol):
    """What an archive holds, however it holds it."""

    def holds(self, references: Iterable[InstanceReference]) -> AbstractSet[InstanceReference]:
        """Those of the references that can really be given back."""

    def search(self, query: Query) -> Answer:
        """Answer a C-FIND."""

    def conflicts(self, references: Iterable[InstanceReference]) -> AbstractSet[InstanceReference]:
        """Those whose instance is held under another SOP class."""

    def waiting(self, references: Iterable[InstanceReference]) -> AbstractSet[InstanceReference]:
        """Those that were acknowledged, and cannot be given back yet: there is no room, or the index is locked."""

    def describe(self, references: Collection[InstanceReference]) -> Mapping[str, Known]:
        """What the fault plan goes by, for each of these SOP Instance UIDs."""

    def forget(self, references: Iterable[InstanceReference]) -> None:
        """Lose instances, as if they had never come."""

    @property
    def requests(self) -> Requests:
        """Commitment requests for which a report is owed."""


class Requests(Protocol):
    """Commitment requests that were accepted and not yet reported on."""

    def accept(self, request: CommitmentRequest) -> Accepted | Status:
        """Owe a report from now on; a status if that cannot be promised."""

    def owed(self) -> Sequence[Accepted]:
        """What is still to be reported on, in the order in which it was accepted."""

    def done(self, accepted: Accepted) -> None:
        """Owe the report no longer: it was delivered, or finally given up."""


class HoldsInstances(Protocol):
    """Either half of an archive."""

    @property
    def holdings(self) -> Holdings:
        """What it holds."""
