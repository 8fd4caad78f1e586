"""What can go wrong where an AE is asked for something, as values that both worlds act out.

Whether it does is the decision of a :class:`Faults`, which is asked about every association and every request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from simlab.network.seam import Status


class Rejection(NamedTuple):
    """An A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    result: int
    """1 for good, 2 for now."""
    source: int
    """1 service user, 2 service provider (ACSE), 3 service provider (presentation)."""
    diagnostic: int


REJECTIONS: Mapping[str, Rejection] = {
    "no-reason": Rejection(1, 1, 1),
    "application-context": Rejection(1, 1, 2),
    "calling-ae-title": Rejection(1, 1, 3),
    "called-ae-title": Rejection(1, 1, 7),
    "acse-no-reason": Rejection(1, 2, 1),
    "protocol-version": Rejection(1, 2, 2),
    "temporary-congestion": Rejection(2, 3, 1),
    "local-limit": Rejection(2, 3, 2),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationFault:
    """What an AE does wrong when it is asked for an association; by default nothing."""

    delay: float = 0.0
    """Seconds before it answers."""
    closes: bool = False
    """It closes the connection instead of answering."""
    rejection: Rejection | None = None
    refused: frozenset[str] | None = frozenset()
    """UIDs of SOP classes and transfer syntaxes that it does not accept; None: nothing but Verification is accepted."""
    refuses_role: bool = False
    """It does not let the requestor take the SCP role."""
    aborts_at: int | None = None
    """It aborts at this P-DATA-TF PDU that it receives, counted from 1."""

    def __bool__(self) -> bool:
        """Whether anything goes wrong."""
        return self != _NO_ASSOCIATION_FAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFault:
    """What an AE does wrong when it is asked for an operation; by default nothing."""

    delay: float = 0.0
    """Seconds before it looks at the request."""
    answer: Status | None = None
    """It answers with this instead of doing it."""
    drops: bool = False
    """It answers with success, and keeps nothing."""
    values: Mapping[str, str] = field(default_factory=dict)
    """What it puts into every match, by keyword."""
    response_delay: float = 0.0
    """Seconds between having done it and answering."""
    spread: float = 0.0
    """Seconds over which the bytes of the response are spread."""
    ignores: bool = False
    """It never answers. It has not done it either."""
    closes: bool = False
    """It closes the connection instead of doing it."""
    twice: bool = False
    """It answers twice."""

    def __bool__(self) -> bool:
        """Whether anything goes wrong."""
        return self != _NO_REQUEST_FAULT


_NO_ASSOCIATION_FAULT = AssociationFault()
_NO_REQUEST_FAULT = RequestFault()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as it matters to a fault."""

    operation: str
    calling: str
    """AE title of whoever asks."""
    entities: tuple[str, ...] = ()
    """What it is about: SOP Instance UIDs, a step, a transaction. Nothing: it is about whoever asks."""
    accession: str = ""
    """Of its study, where the request tells it."""
    number: int | None = None
    """Instance number of a C-STORE."""


class Faults(Protocol):
    """Decides what an AE does wrong. Called from any thread; every call counts as one occurrence."""

    def concern(self, operation: str) -> bool:
        """Whether there is any fault of an operation at all: if not, nobody needs to ask."""

    def of_association(self, calling: str) -> AssociationFault:
        """What goes wrong with an association that ``calling`` (an AE title) requests."""

    def of_request(self, asked: Asked) -> RequestFault:
        """What goes wrong with a request."""


class NoFaults:
    """For an AE that does nothing wrong."""

    def concern(self, operation: str) -> bool:
        """None."""
        del operation
        return False

    def of_association(self, calling: str) -> AssociationFault:
        """Nothing."""
        del calling
        return _NO_ASSOCIATION_FAULT

    def of_request(self, asked: Asked) -> RequestFault:
        """Nothing."""
        del asked
        return _NO_REQUEST_FAULT


NO_FAULTS = NoFaults()
