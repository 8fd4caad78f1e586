"""What an archive decides, as pure functions over what it holds: shared by its live and its virtual half."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Protocol

from simlab.network.query import Query
from simlab.network.seam import SUCCESS, Answer, CommitmentReport, CommitmentRequest, FailedReference, Status
from simlab.studies.study import InstanceReference

PROCESSING_FAILURE = 0x0110
"""Status of an N-ACTION (PS3.7 section 10.1.4.1.10)."""

NO_SUCH_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119
"""Failure Reasons of a storage commitment (PS3.3 C.14.1.1)."""


def decide_commitment(
    transaction: str,
    references: Iterable[InstanceReference],
    held: AbstractSet[InstanceReference],
    conflicting: AbstractSet[InstanceReference] = frozenset(),
) -> CommitmentReport:
    """Commit to every reference that is held, and give the reason for every other one (PS3.4 J.3.3).

    ``conflicting`` are references whose instance is held, but under another SOP class. The report covers each
    reference once, in the order of the request.
    """
    stored: list[InstanceReference] = []
    failed: list[FailedReference] = []
    for reference in dict.fromkeys(references):
        if reference in held:
            stored.append(reference)
        else:
            reason = CLASS_INSTANCE_CONFLICT if reference in conflicting else NO_SUCH_INSTANCE
            failed.append(FailedReference(reference, reason))
    return CommitmentReport(transaction, tuple(stored), tuple(failed))


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


class HoldsInstances(Protocol):
    """Either half of an archive."""

    @property
    def holdings(self) -> Holdings:
        """What it holds."""
