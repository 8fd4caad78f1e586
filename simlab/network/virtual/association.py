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
from simlab.network.virtual.path import MESSAGE_BYTES, SMALL_MESSAGE, Freight, Path
from simlab.network.virtual.traffic import Traffic
from simlab.studies.study import Study

MAXIMUM_LENGTH = 1 << 20
"""Of a P-DATA-TF, in bytes (PS3.8 annex D.1); that of the live world."""

PDV_HEADER = 6
"""Bytes before each fragment of a message (PS3.8 section 9.3.5.1 and annex E.2)."""

REFERENCE_BYTES = 130
"""Of an item of a Referenced SOP Sequence, about: two UIDs, and the tags and lengths of all of it."""

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

NO_FAULT, NO_REQUEST_FAULT = AssociationFault(), RequestFault()

NO_ANSWER = "no answer to the association request"

T = TypeVar("T")
Steps = Generator[Event, Any, T]
Serve = Callable[[RequestFault], T]


class _Request(NamedTuple):
    asked: Asked
    pdus: int
    sending: float
    """Seconds until its last byte is sent."""
    answer: int
    """Bytes of the response; 0: they do not count."""
    service: float
    """Seconds that it takes the other AE to do it, once its turn has come."""
    unanswered: str
    """What to say if there is no answer in time."""


def released(env: simpy.Environment, path: Path) -> Steps[None]:
    """Wait until an association has been released: whoever called it is told only then."""
    if seconds := path.release():
        yield env.timeout(seconds)


class AssociationError(Exception):
    """No association, or no response on it."""

    def __init__(self, trouble: Trouble, comment: str = "") -> None:
        super().__init__(trouble, comment)
        self.trouble = trouble
        self.comment = comment


class Association:
    """An association with an AE that has faults. Every wait for it is bounded by ``timeout`` (seconds)."""

    __slots__ = ("_calling", "_env", "_faults", "_open", "_path", "_received", "_takes", "_timeout", "fault")

    def __init__(
        self,
        env: simpy.Environment,
        path: Path,
        faults: Faults,
        calling: str,
        timeout: float,
        takes: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """``calling`` is the requestor's AE title, ``takes`` says which transfer syntaxes are accepted at all.

        Nothing is requested yet.
        """
        self.fault = NO_FAULT
        self._takes = takes
        self._env = env
        self._path = path
        self._faults = faults
        self._calling = calling
        self._timeout = timeout
        self._received = 0
        """P-DATA-TF PDUs that the other AE has received."""
        self._open = False

    def request(self, proposed: Iterable[tuple[str, str]]) -> Steps[None]:
        """Associate, for pairs of SOP class and transfer syntax. Raises AssociationError.

        One that is accepted counts for the other AE until it is released (:meth:`release`).
        """
        env, path, host = self._env, self._path, self._path.target
        deadline, asking = env.now + self._timeout, path.source.times.asking
        yield from self._wait(asking.association + path.connect(), deadline, NO_ANSWER)
        yield from self._wait(path.cross(SMALL_MESSAGE) + path.latency, deadline, NO_ANSWER)
        fault = self.fault = self._faults.of_association(self._calling)
        answers = fault.delay + host.visit(host.times.serving.association)
        answers += path.cross_back(SMALL_MESSAGE) + path.latency
        crowded = host.associations >= host.maximum_associations
        host.associations += not crowded
        self._open = not crowded
        try:
            yield from self._wait(answers, deadline, NO_ANSWER)
            self._judge(crowded, proposed)
        except AssociationError:
            self.release()
            raise

    def _judge(self, crowded: bool, proposed: Iterable[tuple[str, str]]) -> None:
        """Raises AssociationError if the other AE does not accept it."""
        if self.fault.closes:
            raise AssociationError(Trouble.ABORTED, "during negotiation")
        rejection = self.fault.rejection or (REJECTIONS["local-limit"] if crowded else None)
        if rejection is not None:
            numbers = "/".join(map(str, rejection))
            raise AssociationError(Trouble.REJECTED, f"{numbers} {_WORDED.get(rejection, '')}")
        if not any(self.accepts(*pair) for pair in proposed):
            raise AssociationError(Trouble.NO_CONTEXT, "every presentation context was rejected")

    def is_smooth(self, operation: str, alike: int = 1) -> bool:
        """Whether nothing can go wrong with so many, nor with an operation on them: times can be told at once."""
        faults, host = self._faults, self._path.target
        return (
            host.associations + alike <= host.maximum_associations
            and not faults.concern("association")
            and not faults.concern(operation)
        )

    def establish(self) -> Steps[None]:
        """Request it where that is smooth. Raises AssociationError if the other AE is too slow."""
        opened = self.open()
        yield self._env.timeout(min(opened, self._timeout))
        if opened > self._timeout:
            self.release()
            raise AssociationError(Trouble.TIMEOUT, NO_ANSWER)

    def open(self, message: float = 0.0) -> float:
        """Request it where that is smooth. Returns the seconds until it is established.

        So many seconds of work on a ``message`` follow at once: the other AE has its time for both together.
        """
        path, host = self._path, self._path.target
        host.associations += 1
        self._open = True
        asking = path.source.take(path.source.times.asking.association)
        there = asking + path.connect() + path.cross(SMALL_MESSAGE) + path.latency
        accepted = there + host.visit(host.times.serving.association + message, there) - message
        return accepted + path.cross_back(SMALL_MESSAGE) + path.latency

    def exchange(self, serve: Serve[T], references: int = 0, *, tells_first: bool = False) -> Steps[T]:
        """Request it, ask (as :meth:`ask`), and release it, all in one, where that is smooth.

        With ``tells_first`` what came of it is told before it is released.
        """
        message = self._serving(references)
        opened = self.open(message)
        try:
            if opened > self._timeout:
                yield self._env.timeout(self._timeout)
                raise AssociationError(Trouble.TIMEOUT, NO_ANSWER)
            return (yield from self._smoothly(self._sending(references), message, serve, opened, not tells_first))
        finally:
            self.release()

    def _sending(self, references: int) -> float:
        """Seconds until a request is sent that names so many instances."""
        source, size = self._path.source, SMALL_MESSAGE + references * REFERENCE_BYTES
        asking = source.times.asking
        return source.take(asking.message + references * asking.reference) + self._path.cross(size)

    def _serving(self, references: int) -> float:
        """Seconds of the other AE's time for such a request."""
        serving = self._path.target.times.serving
        return serving.message + references * serving.reference

    def _smoothly(
        self, sending: float, served: float, serve: Serve[T], ahead: float = 0.0, releases: bool = False
    ) -> Steps[T]:
        """Ask in so many seconds, where nothing can go wrong but that the other AE is too slow.

        It is ``served`` in so many seconds once the request is there. Then it may be released.
        """
        env, path = self._env, self._path
        acts = ahead + sending + path.latency + served
        back = path.cross_back(SMALL_MESSAGE) + path.latency
        patience = ahead + sending + self._timeout
        if acts + back > patience:  # what nobody waits for is done all the same
            env.process(self._late(acts, lambda: serve(NO_REQUEST_FAULT)))
            yield env.timeout(patience)
            raise AssociationError(Trouble.TIMEOUT, f"none within {self._timeout:g} s")
        yield env.timeout(acts)
        done = serve(NO_REQUEST_FAULT)
        if releases:
            back += path.release()
        if back:
            yield env.timeout(back)
        return done

    def release(self) -> None:
        """End it, if it was accepted."""
        self._path.target.associations -= self._open
        self._open = False

    def accepts(self, sop_class: str, transfer_syntax: str) -> bool:
        """Whether there is a presentation context for these."""
        refused = self.fault.refused
        if not self._takes(transfer_syntax):
            return False
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
        self,
        asked: Asked,
        serve: Serve[T],
        answer: Callable[[Status], T],
        *,
        pdus: int = WITH_DATA_SET,
        references: int = 0,
    ) -> Steps[T]:
        """Send a request, and wait for what the other AE makes of it.

        ``serve`` is how it does what it is asked, ``answer`` what comes of a status that it gives without having done
        that; ``references`` is how many instances the request names. Raises AssociationError; the association is of no
        use then.
        """
        path, sending = self._path, self._sending(references)
        if not self.fault and not self._faults.concern(asked.operation):
            served = path.target.visit(self._serving(references), sending + path.latency)
            return (yield from self._smoothly(sending, served, serve))
        unanswered = f"none within {self._timeout:g} s"
        request = _Request(asked, pdus, sending, SMALL_MESSAGE, self._serving(references), unanswered)
        return (yield from self._exchange(request, serve, answer))

    def store(
        self, traffic: Traffic, asked: Asked, freight: Freight, serve: Serve[T], answer: Callable[[Status], T]
    ) -> Steps[T]:
        """As :meth:`ask`, for a C-STORE. The time-out counts from when it has been sent."""
        path, times = self._path, self._path.target.times.serving
        pdus = 1 + ceil(freight.size / (MAXIMUM_LENGTH - PDV_HEADER))
        unanswered = f"the peer neither read nor answered within {self._timeout:g} s"
        yield traffic.carry(path.sending(freight), 1)
        if path.line is not None:
            path.line.payload += round(freight.size) + MESSAGE_BYTES
        request = _Request(asked, pdus, 0.0, 0, times.instance + times.byte * freight.size, unanswered)
        return (yield from self._exchange(request, serve, answer))

    def _exchange(self, request: _Request, serve: Serve[T], answer: Callable[[Status], T]) -> Steps[T]:
        deadline = self._env.now + request.sending + self._timeout
        back = self._path.cross_back(request.answer) + self._path.latency if request.answer else self._path.latency
        yield from self._wait(request.sending + self._path.latency, deadline, request.unanswered)
        if self.aborts(request.pdus):
            yield from self._wait(back, deadline, request.unanswered)
            raise AssociationError(Trouble.ABORTED, "the peer aborted")
        fault = self._faults.of_request(request.asked)
        acts = fault.delay + self._path.target.visit(request.service)
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
