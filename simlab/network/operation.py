"""One operation under way, in either world: what is known of it so far, and how it ends as outcome and record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import compress
from typing import Any, Generic, TypeVar

from simlab.network.seam import NO_STATUS, SUCCESS, Outcome, Status, Trouble, is_success
from simlab.records import Recorder, Rows, StudyRows

OutcomeT = TypeVar("OutcomeT", bound=Outcome)

WELL = Status(SUCCESS)


@dataclass
class Operation(Generic[OutcomeT]):
    """An operation from ``source`` to ``target``; its outcome is of class ``kind``. Times are run seconds."""

    kind: type[OutcomeT]
    name: str
    source: str
    target: str = ""
    timeout: float = 0.0
    sop_class: str = ""
    study: str = ""
    instances: int = 0
    bytes: int = 0
    sent: int | None = None
    """Bytes that went over the wire; None: all ``bytes``, and no others."""
    failures: int | None = None
    """Failed instances; None if the operation succeeds or fails as a whole."""
    transfer_syntax: str = ""
    transcoded: int = 0
    codec_seconds: float = 0.0
    intended: float | None = None
    """None: as soon as it was asked for."""
    started: float = 0.0

    def outcome(self, status: Status = WELL, **values: Any) -> OutcomeT:
        """An outcome with a status."""
        return self.kind(operation=self.name, status=status.code, comment=status.comment, **values)

    def failed(self, trouble: Trouble, comment: str = "") -> OutcomeT:
        """An outcome without a status."""
        return self.kind(operation=self.name, status=NO_STATUS, trouble=trouble, comment=comment)

    def tally(self, told: Rows, requested: int) -> None:
        """Note what C-STOREs came to; of ``requested`` instances, what was not acknowledged has failed."""
        self.instances, self.sent = len(told), told.size
        if isinstance(told, StudyRows) and told.study.selected is None:
            accepted = is_success(told.status)
            self.failures = requested - self.instances * accepted
            self.bytes = self.sent * accepted
            self.sop_class = _joined(series.sop_class for series in told.study.series)
            self.transfer_syntax = told.transfer_syntax
            return
        rows = told.expanded()
        successes = list(map(is_success, rows.status))
        self.failures = requested - sum(successes)
        self.bytes = sum(compress(rows.bytes, successes))
        self.sop_class, self.transfer_syntax = _joined(rows.sop_class), _joined(rows.transfer_syntax)

    def finish(self, outcome: OutcomeT, world: str, finished: float, recorder: Recorder) -> OutcomeT:
        """Leave the record, and put the times into the outcome, which nobody has seen yet."""
        failures = int(not outcome.ok) if self.failures is None else self.failures
        intended = self.started if self.intended is None else self.intended
        kind = (
            world,
            self.source,
            self.target,
            self.name,
            self.sop_class,
            self.transfer_syntax,
            failures,
            outcome.status,
        )
        recorder.enter(
            kind,
            self.study,
            self.started,
            finished,
            self.instances,
            self.bytes,
            outcome.comment if outcome.trouble is Trouble.NONE else _with_trouble(outcome),
            (intended, self.bytes if self.sent is None else self.sent, self.transcoded, self.codec_seconds),
        )
        # What a copy with other times would cost is a large part of all that an operation of the virtual world does.
        object.__setattr__(outcome, "started", self.started)
        object.__setattr__(outcome, "finished", finished)
        return outcome


def _with_trouble(outcome: Outcome) -> str:
    return ": ".join(part for part in (outcome.trouble.value, outcome.comment) if part)


def _joined(values: Iterable[str]) -> str:
    """The value that all share, or the distinct ones joined as DICOM joins several values."""
    return "\\".join(dict.fromkeys(values))
