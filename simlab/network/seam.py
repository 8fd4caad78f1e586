"""The seam between what happens and how the bytes move.

Workflows (the control plane) see :class:`Network` and nothing else of a world. Nodes answer through :class:`Server`.
Both worlds implement the same contract, and one test suite holds both to it:

- every operation returns a SimPy event at once, whose value is an :class:`Outcome`;
- what goes wrong between AEs is a value, never an exception;
- every operation is bounded by ``timeout`` seconds, after which the data plane gives up and returns what it has;
- every finished operation leaves one record (``poll`` is one C-FIND after the other, without end if nothing is new).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Literal, NamedTuple, Protocol, TypeAlias

from simpy import Event

from simlab.network.query import Identifier, Poll, Query
from simlab.studies.fingerprint import Fingerprint
from simlab.studies.study import InstanceReference, Study

SUCCESS = 0x0000
NO_STATUS = -1
"""Stands where a DIMSE status would, when no response was received."""

DEFAULT_TIMEOUT = 30.0
"""Seconds after which an operation gives up unless its workflow says otherwise."""


class Trouble(Enum):
    """Why an operation got no DIMSE status."""

    NONE = ""
    UNREACHABLE = "unreachable"
    REJECTED = "association rejected"
    NO_CONTEXT = "no presentation context accepted"
    ABORTED = "association aborted"
    TIMEOUT = "no response in time"


class Status(NamedTuple):
    """A DIMSE status with its optional companions (PS3.7 annex C)."""

    code: int
    comment: str = ""
    """Error Comment (0000,0902), at most 64 characters on the wire."""
    error_id: int | None = None
    """Error ID (0000,0903)."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an operation. Times are run seconds as the data plane measured them."""

    operation: str
    status: int = SUCCESS
    """Final DIMSE status, or ``NO_STATUS``."""
    trouble: Trouble = Trouble.NONE
    comment: str = ""
    started: float = 0.0
    finished: float = 0.0

    @property
    def ok(self) -> bool:
        """Success, or success with a warning (0001, 0107, 0116, Bxxx)."""
        return self.trouble is Trouble.NONE and is_success(self.status)

    @property
    def why(self) -> str:
        """How it ended, in words: what the trouble was, or the status, and the comment."""
        told = self.trouble.value or f"status {self.status:04X}H"
        return f"{told}: {self.comment}" if self.comment else told

    def __str__(self) -> str:
        told = self.trouble.value or f"status {self.status:04X}H"
        return f"{self.operation}: {told} after {(self.finished - self.started) * 1000:.3g} ms"


def is_success(status: int) -> bool:
    """True for success and warning statuses (PS3.7 annex C.1 and C.3)."""
    return status in (0x0000, 0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF


class StoreStatus(Enum):
    """What a C-STORE status means to the sender (PS3.4 table B.2-1, PS3.7 annex C)."""

    SUCCESS = "success"
    WARNING = "warning"
    """Stored, but not as sent, or not as it should be."""
    REFUSED = "refused"
    """Out of resources: worth another try."""
    FAILURE = "failure"
    """Another try would end the same."""

    @classmethod
    def of(cls, status: int) -> StoreStatus:
        """The class of a status."""
        if status == SUCCESS:
            return cls.SUCCESS
        if is_success(status):
            return cls.WARNING
        return cls.REFUSED if status & 0xFF00 == 0xA700 else cls.FAILURE


@dataclass(frozen=True, kw_only=True)
class Found(Outcome):
    """Outcome of a C-FIND."""

    matches: tuple[Identifier, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Retrieved(Outcome):
    """Outcome of a C-MOVE or C-GET, with the sub-operation counts of its final response."""

    completed: int = 0
    failed: int = 0
    warning: int = 0
    remaining: int = 0
    pending_responses: int = 0
    received: Mapping[str, Fingerprint] = field(default_factory=dict)
    """What came over this association (C-GET only), by SOP Instance UID; the virtual world has no fingerprints."""


@dataclass(frozen=True, kw_only=True)
class Made(Outcome):
    """Outcome of making or deriving instances: the study (or the derived selection of it) and its size."""

    study: Study | None = None
    instances: int = 0
    bytes: int = 0
    codec_seconds: float = 0.0
    """Processor time that decoding and encoding took, where instances are made in a compressed transfer syntax."""
    fingerprints: Mapping[str, Fingerprint] = field(default_factory=dict)
    """Of the instances, by SOP Instance UID; empty in the virtual world, which has no bytes."""


AssociationHandle: TypeAlias = str
"""Names an association on which a request came in, so that a report can be sent on the same one."""


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """Storage commitment N-ACTION as it reaches the archive (PS3.4 J.3.2)."""

    transaction: str
    references: Sequence[InstanceReference]
    requester: str
    """AE title of the requester."""
    association: AssociationHandle


class FailedReference(NamedTuple):
    """An instance that the archive does not commit to, with its Failure Reason (PS3.3 C.14-1)."""

    reference: InstanceReference
    reason: int


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """Storage commitment N-EVENT-REPORT (PS3.4 J.3.3): the complete answer to one transaction."""

    transaction: str
    stored: Sequence[InstanceReference]
    failed: tuple[FailedReference, ...] = ()

    @property
    def sop_instances(self) -> tuple[str, ...]:
        """SOP Instance UIDs of all that it is on."""
        return (*(each.sop_instance for each in self.stored), *(each.reference.sop_instance for each in self.failed))


Mismatch: TypeAlias = Literal["transcode", "fail"]
Encode: TypeAlias = Literal["stored", "per-instance", "pipelined"]


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How a study is stored."""

    associations: int = 1
    outstanding: int = 1
    """C-STOREs that may wait for their response on each association, if the peer agrees; 0 for any number."""
    propose: tuple[str, ...] = ()
    """Transfer syntax UIDs in order of preference; empty: as each instance is kept, and Explicit VR Little Endian."""
    default_syntax: bool = True
    """Whether Implicit VR Little Endian is proposed behind these (PS3.5 section 10.1)."""
    mismatch: Mismatch = "transcode"
    """What becomes of an instance when it is not accepted as it is kept."""
    encode: Encode = "stored"
    """When instances are compressed: never but where it must be, each when its turn comes, or ahead, on another thread.
    With ``stored``, an instance goes as it is kept if it can, whatever is preferred."""


class Answer(NamedTuple):
    """A server's answer to a query: matches, or a failure status without any."""

    matches: Iterable[Identifier]
    status: Status = Status(SUCCESS)


class Located(NamedTuple):
    """A server's answer to a retrieve request: the instances it will send, or a failure status."""

    references: Sequence[InstanceReference]
    status: Status = Status(SUCCESS)


class Network(Protocol):
    """All that a workflow sees of a world. Nodes are named as in the topology.

    ``intended`` is the run second at which the operation should have started; None means now.
    """

    def echo(self, source: str, target: str, *, timeout: float = DEFAULT_TIMEOUT) -> Event:
        """C-ECHO. Value: :class:`Outcome`."""

    def find(self, source: str, target: str, query: Query, *, timeout: float = DEFAULT_TIMEOUT) -> Event:
        """C-FIND. Value: :class:`Found`."""

    def poll(
        self, source: str, target: str, poll: Poll, *, deadline: float = inf, timeout: float = DEFAULT_TIMEOUT
    ) -> Event:
        """C-FIND again and again, until there are news, one fails, or one was asked at run second ``deadline``.

        Value: :class:`Found` of the last one; unless that failed, its ``matches`` are only those that are new or have
        changed since ``poll`` last saw them. The first query of a poll is asked at once, every other one ``poll.every``
        seconds after the one before, also across calls. ``timeout`` bounds each. A world may leave out queries of which
        it knows that they would bring no news; these leave no records.
        """

    def store(
        self,
        source: str,
        target: str,
        study: Study,
        options: StoreOptions = StoreOptions(),
        *,
        intended: float | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """C-STORE of every selected instance; ``timeout`` bounds each response. Value: ``Stored`` (stored.py)."""

    def move(
        self,
        source: str,
        target: str,
        query: Query,
        destination: str,
        *,
        study: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """C-MOVE to ``destination`` (a node name); ``timeout`` bounds each response. Value: :class:`Retrieved`."""

    def get(
        self,
        source: str,
        target: str,
        query: Query,
        *,
        known: Mapping[str, Fingerprint] | None = None,
        study: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """C-GET; the instances are looked at, not kept. Value: :class:`Retrieved`.

        ``known`` says what they should be: what comes in other bytes is decoded, so that its content can be compared.
        """

    def create_step(
        self,
        source: str,
        target: str,
        step: str,
        attributes: Identifier,
        *,
        study: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """MPPS N-CREATE of SOP instance ``step``. Value: :class:`Outcome`."""

    def set_step(
        self,
        source: str,
        target: str,
        step: str,
        attributes: Identifier,
        *,
        study: str = "",
        instances: int = 0,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """MPPS N-SET of SOP instance ``step``; its attributes name so many instances. Value: :class:`Outcome`."""

    def request_commitment(
        self,
        source: str,
        target: str,
        transaction: str,
        study: Study,
        *,
        hold: float = 0.0,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """N-ACTION for the selected instances; the association is kept open up to ``hold`` seconds for the report.

        Value: :class:`Outcome`, as soon as the N-ACTION is answered. The report comes as a notification.
        """

    def report_commitment(
        self,
        source: str,
        target: str,
        report: CommitmentReport,
        *,
        on: AssociationHandle | None = None,
        astray: bool = False,
        study: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Event:
        """N-EVENT-REPORT, on association ``on`` if it is still open, else on a new one. Value: :class:`Outcome`.

        ``astray`` calls a port of the target's host at which nobody listens: an archive that was told a wrong one.
        """

    def make(self, node: str, study: Study) -> Event:
        """Acquire: the node makes the instances and keeps them locally. Value: :class:`Made`."""

    def derive(self, node: str, study_uid: str, recipe: str) -> Event:
        """Reconstruct from what the node received of a study. Value: :class:`Made` with the derived instances."""

    def discard(self, node: str, study_uid: str) -> Event:
        """The node deletes its local copy of a study. Value: :class:`Outcome`."""


class Server(Protocol):
    """What a world asks of a node: the decisions, without their timing. Methods are called from any thread.

    A node implements all of it by deriving from :class:`simlab.nodes.node.Refusing` and overriding what it offers.
    """

    def find(self, query: Query) -> Answer:
        """Answer a C-FIND."""

    def locate(self, query: Query) -> Located:
        """Which instances a C-MOVE or C-GET asks for."""

    def create_step(self, step: str, attributes: Identifier) -> Status:
        """Answer an MPPS N-CREATE."""

    def set_step(self, step: str, attributes: Identifier) -> Status:
        """Answer an MPPS N-SET."""

    def commitment_requested(self, request: CommitmentRequest) -> Status:
        """Answer a storage commitment N-ACTION; the report is the business of the node's workflow."""

    def commitment_reported(self, report: CommitmentReport) -> Status:
        """Answer a storage commitment N-EVENT-REPORT."""
