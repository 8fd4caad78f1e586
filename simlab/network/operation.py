"""One operation under way, in either world: what is known of it so far, and how it ends as outcome and record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from simlab.network.seam import NO_STATUS, SUCCESS, Outcome, Status, Trouble, is_success
from simlab.records import InstanceRows, Record, Recorder

OutcomeT = TypeVar("OutcomeT", bound=Outcome)


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
    failures: int | None = None
    """Failed instances; None if the operation succeeds or fails as a whole."""
    transfer_syntax: str = ""
    transcoded: int = 0
    codec_seconds: float = 0.0
    intended: float | None = None
    """None: as soon as it was asked for."""
    started: float = 0.0

    def outcome(self, status: Status = Status(SUCCESS), **values: Any) -> OutcomeT:
        """An outcome with a status."""
        return self.kind(operation=self.name, status=status.code, comment=status.comment, **values)

    def failed(self, trouble: Trouble, comment: str = "") -> OutcomeT:
        """An outcome without a status."""
        return self.kind(operation=self.name, status=NO_STATUS, trouble=trouble, comment=comment)

    def tally(self, rows: InstanceRows, requested: int) -> None:
        """Note what C-STOREs came to; of ``requested`` instances, what was not acknowledged has failed."""
        self.instances, self.bytes = len(rows), sum(rows.bytes)
        self.failures = requested - sum(map(is_success, rows.status))
        # The value that all share, or the distinct ones joined as DICOM joins several values.
        self.sop_class = "\\".join(dict.fromkeys(rows.sop_class))
        self.transfer_syntax = "\\".join(dict.fromkeys(rows.transfer_syntax))

    def finish(self, outcome: OutcomeT, world: str, finished: float, recorder: Recorder) -> OutcomeT:
        """Leave the record, and put the times into the outcome."""
        recorder.add(
            Record(
                world=world,
                node=self.source,
                peer=self.target,
                operation=self.name,
                started=self.started,
                finished=finished,
                intended=self.started if self.intended is None else self.intended,
                sop_class=self.sop_class,
                transfer_syntax=self.transfer_syntax,
                instances=self.instances,
                bytes=self.bytes,
                wire_bytes=self.bytes,
                failures=int(not outcome.ok) if self.failures is None else self.failures,
                status=outcome.status,
                comment=": ".join(part for part in (outcome.trouble.value, outcome.comment) if part),
                study=self.study,
                transcoded=self.transcoded,
                codec_seconds=self.codec_seconds,
            )
        )
        return replace(outcome, started=self.started, finished=finished)
