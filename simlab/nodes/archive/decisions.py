"""What an archive decides, as pure functions over what it holds: shared by its live and its virtual half."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Protocol

from simlab.network.query import Query
from simlab.network.seam import Answer, CommitmentReport, FailedReference
from simlab.studies.study import InstanceReference

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
