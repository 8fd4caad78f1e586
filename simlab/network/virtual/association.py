"""Associations in simulated time: what a requestor sees of them, whatever the other AE does wrong."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from math import ceil, inf
from typing import Any, NamedTuple, TypeVar

import simpy
from simpy import Event

from simlab.network.faults import REJECTIONS, Asked, AssociationFault, Faults, Rejection, RequestFault
from simlab.network.negotiation import UNCOMPRESSED
from simlab.network.seam import SUCCESS, Status, Trouble
from simlab.network.sop_classes import VERIFICATION
from simlab.network.virtual.path import SMALL_MESSAGE, Path, ServiceTimes
from simlab.studies.study import Study

MAXIMUM_LENGTH = 1 << 20
"""Of a P-DATA-TF, in bytes (PS3.8 annex D.1); that of the live world."""

PDV_HEADER = 6
"""Bytes before each fragment of a message (PS3.8 section 9.3.5.1 and annex E.2)."""

WITHOUT_DATA_SET = 1
WITH_DATA_SET = 2
"""P-DATA-TF PDUs of a request: command set and data set go in PDUs of their own."""

_WORDED: Mapping[Rejection, str] = {
    REJECTIONS["no-reason"]: "No reason given",
    REJECTIONS["application-context"]: "Application context name not supported",
    REJECTIONS["calling-ae-title"]: "Calling AE title not recognised",
    REJECTIONS["called-ae-title"]: "Called AE title not recognised",
    REJECTIONS["acse-no-reason"]: "No reason given",
    REJECTIONS["protocol-version"]: "Protocol version not supported",
    REJECTIONS["temporary-congestion"]: "Temporary congestion",
    REJECTIONS["local-limit"]: "Local limit exceeded",
}
"""As PS3.8 table 9-21 has it."""

T = TypeVar("T")
Steps = Generator[Event, Any, T]
Serve = Callable[[RequestFault], T]


class _Request(NamedTuple):
    asked: Asked
    pdus: int
    sending: float
    """Seconds until its last byte is sent."""
    service: float
    """Seconds that it takes the other AE to do it."""
    unanswered: str
    """What to say if there is no answer in time."""


class AssociationError(Exception):
    """No association, or no response on it."""

    def __init__(self, trouble: Trouble, comment: str = "") -> None:
        super().__init__(trouble, comment)
        self.trouble = trouble
        self.comment = comment


class Association:
    """An association with an AE that has faults. Every wait for it is bounded by ``timeout`` (seconds)."""

    def __init__(
        self, env: simpy.Environment, path: Path, times: ServiceTimes, faults: Faults, calling: str, timeout: float
    ) -> None:
        """``calling`` is the requestor's AE title. Nothing is requested yet."""
        self.fault = AssociationFault()
        self._env = env
        self._path = path
        self._times = times
        self._faults = faults
        self._calling = calling
        self._timeout = timeout
        self._received = 0
        """P-DATA-TF PDUs that the other AE has received."""

    def request(self, proposed: Iterable[tuple[str, str]]) -> Steps[None]:
        """Associate, for pairs of SOP class and transfer syntax. Raises AssociationError."""
        deadline = self._env.now + self._timeout
        unanswered = "no answer to the association request"
        self._path.connect()
        # TCP's set-up takes a round trip.
        yield from self._wait(self._path.round_trip + self._path.latency, deadline, unanswered)
        fault = self.fault = self._faults.of_association(self._calling)
        yield from self._wait(fault.delay + self._times.association + self._path.latency, deadline, unanswered)
        if fault.closes:
            raise AssociationError(Trouble.ABORTED, "during negotiation")
        if fault.rejection is not None:
            numbers = "/".join(map(str, fault.rejection))
            raise AssociationError(Trouble.REJECTED, f"{numbers} {_WORDED.get(fault.rejection, '')}")
        if not any(self.accepts(*pair) for pair in proposed):
            raise AssociationError(Trouble.NO_CONTEXT, "every presentation context was rejected")

    def accepts(self, sop_class: str, transfer_syntax: str) -> bool:
        """Whether there is a presentation context for these."""
        refused = self.fault.refused
        if refused is None:
            return sop_class == VERIFICATION
        return refused.isdisjoint((sop_class, transfer_syntax))

    def returned(self, study: Study) -> Study:
        """What the other AE can send back of a study on this association (C-GET), for which it needs the SCU role."""
        if not self.fault:
            return study
        back = (
            index
            for index in study.indices
            if not self.fault.refuses_role
            and any(self.accepts(study.locate(index)[0].sop_class, syntax) for syntax in UNCOMPRESSED)
        )
        return study.select(back)

    def aborts(self, pdus: int) -> bool:
        """Whether the other AE aborts at one of so many PDUs that it receives next."""
        self._received += pdus
        return self.fault.aborts_at is not None and self._received >= self.fault.aborts_at

    def ask(
        self, asked: Asked, serve: Serve[T], answer: Callable[[Status], T], *, pdus: int = WITH_DATA_SET
    ) -> Steps[T]:
        """Send a request, and wait for what the other AE makes of it.

        ``serve`` is how it does what it is asked, ``answer`` what comes of a status that it gives without having done
        that. Raises AssociationError; the association is of no use then.
        """
        sending, unanswered = self._path.cross(SMALL_MESSAGE), f"none within {self._timeout:g} s"
        request = _Request(asked, pdus, sending, self._times.message, unanswered)
        return (yield from self._exchange(request, serve, answer))

    def store(self, asked: Asked, size: int, serve: Serve[T], answer: Callable[[Status], T]) -> Steps[T]:
        """As :meth:`ask`, for a C-STORE of so many bytes. The time-out counts from when they have been sent."""
        pdus = 1 + ceil(size / (MAXIMUM_LENGTH - PDV_HEADER))
        unanswered = f"the peer neither read nor answered within {self._timeout:g} s"
        yield self._path.burst(self._env, size)
        request = _Request(asked, pdus, 0.0, self._times.instance, unanswered)
        return (yield from self._exchange(request, serve, answer))

    def _exchange(self, request: _Request, serve: Serve[T], answer: Callable[[Status], T]) -> Steps[T]:
        deadline, back = self._env.now + request.sending + self._timeout, self._path.latency
        yield from self._wait(request.sending + self._path.latency, deadline, request.unanswered)
        if self.aborts(request.pdus):
            yield from self._wait(back, deadline, request.unanswered)
            raise AssociationError(Trouble.ABORTED, "the peer aborted")
        fault = self._faults.of_request(request.asked)
        acts = fault.delay + request.service
        if fault.ignores or fault.closes:
            yield from self._wait(inf if fault.ignores else acts + back, deadline, request.unanswered)
            raise AssociationError(Trouble.ABORTED, "the peer disconnected")

        def act() -> T:
            if fault.answer is not None or fault.drops:
                return answer(fault.answer or Status(SUCCESS))
            return serve(fault)

        answers = fault.response_delay + fault.spread + back
        if self._env.now + acts + answers > deadline:  # what nobody waits for is done all the same
            self._env.process(self._late(acts, act))
            yield from self._wait(inf, deadline, request.unanswered)
        yield self._env.timeout(acts)
        done = act()
        yield self._env.timeout(answers)
        return done

    def _late(self, seconds: float, act: Callable[[], object]) -> Steps[None]:
        yield self._env.timeout(seconds)
        act()

    def _wait(self, seconds: float, deadline: float, unanswered: str) -> Steps[None]:
        """Raises AssociationError at the deadline, if that comes first."""
        left = max(0.0, deadline - self._env.now)
        yield self._env.timeout(min(seconds, left))
        if seconds > left:
            raise AssociationError(Trouble.TIMEOUT, unanswered)
