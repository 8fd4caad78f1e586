"""The ways in which storage commitment fails, by name: what the fault plan must say, and what a modality notices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simlab.analysis.commitment import Effect, Struck
from simlab.errors import UserError
from simlab.studies.protocols import PROTOCOLS
from simlab.topology.faults import FaultSpec
from simlab.wording import advice, shown

SEVERAL = 10
"""A fault that strikes some instances strikes every tenth."""

BEFORE_ABORT = 9
"""Instances that get through on an association that is aborted at the data of the next."""

COPIES = 10

IMPATIENT = 1.0
"""Seconds by which a late report is late."""


@dataclass(frozen=True, eq=False)
class Mode:
    """One way of failing."""

    name: str
    about: str
    operation: str
    do: str
    effect: Effect = Effect.NONE
    effect_once: Effect | None = None
    """What is noticed if it happens once only; None: the same."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    at_scanner: bool = False
    """The scanner does it, not the archive."""
    scanner: Mapping[str, Any] = field(default_factory=dict)
    """How the scanner must be set for it."""
    heard_in_the_end: bool = False

    def faults(self, archive: str, scanner: str, occurrence: str, commit_timeout: float) -> tuple[FaultSpec, ...]:
        """What the topology says of it, where the scanner waits ``commit_timeout`` seconds for a report."""
        node, peer = (scanner, archive) if self.at_scanner else (archive, scanner)
        times = 1 if occurrence == "once" else None
        spec: dict[str, Any] = {"node": node, "peer": peer, "operation": self.operation, "do": self.do, "times": times}
        if self.do == "late":
            spec["delay"] = commit_timeout + IMPATIENT
        return (FaultSpec.model_validate({**spec, **self.parameters}),)

    def struck(self, protocol: str, occurrence: str) -> Struck:
        """What a modality notices of it when it acquires ``protocol``."""
        effect = self.effect_once if occurrence == "once" and self.effect_once is not None else self.effect
        if effect is Effect.CUT:
            return Struck(effect, BEFORE_ABORT)
        every = self.parameters.get("every", 1)
        instances = sum(plan.instances // every for plan in PROTOCOLS[protocol].series)
        reason = self.parameters.get("status", 0x0112)
        return Struck(effect, instances, reason, self.heard_in_the_end)


def _failed(name: str, about: str, reason: int, every: int) -> Mode:
    return Mode(name, about, "commitment", "fail", Effect.FAILURES, parameters={"status": reason, "every": every})


MODES: tuple[Mode, ...] = (
    # What happens before anybody asks for commitment.
    Mode("dropped", "acknowledges every tenth instance, and drops it", "C-STORE", "drop", Effect.FAILURES,
         parameters={"every": SEVERAL}),
    Mode("store-refused", "refuses every tenth instance: out of resources (A700H)", "C-STORE", "answer",
         Effect.REFUSALS, parameters={"every": SEVERAL, "status": 0xA700}),
    Mode("store-failed", "fails every tenth instance for good (C000H)", "C-STORE", "answer",
         parameters={"every": SEVERAL, "status": 0xC000}),
    Mode("aborted", "aborts associations in the middle of their tenth instance", "association", "abort", Effect.CUT,
         parameters={"pdu": 2 * (BEFORE_ABORT + 1)}),
    Mode("rejected", "rejects associations: temporary congestion", "association", "refuse",
         parameters={"reason": "temporary-congestion"}),
    # Reports that say no.
    _failed("failed-0112", "reports every tenth instance as unknown (no such object instance)", 0x0112, SEVERAL),
    _failed("failed-0213", "reports every other instance as failed: resource limitation", 0x0213, 2),
    _failed("failed-0110", "reports all as failed: processing failure", 0x0110, 1),
    _failed("failed-0119", "reports every tenth instance as of another SOP class", 0x0119, SEVERAL),
    _failed("failed-0122", "reports all as failed: SOP class not supported", 0x0122, 1),
    _failed("failed-0131", "reports all as failed: duplicate transaction UID", 0x0131, 1),
    # Reports that do not come, or not as they should.
    Mode("never", "never reports", "commitment", "never", Effect.SILENCE),
    Mode("late", "reports when the scanner has lost patience", "commitment", "late", Effect.SILENCE,
         heard_in_the_end=True),
    Mode("closed-port", "reports to a port at which nobody listens", "commitment", "closed-port", Effect.SILENCE),
    Mode("unknown-transaction", "reports a transaction that nobody began", "commitment", "unknown-transaction",
         Effect.SILENCE),
    Mode("missing", "leaves every tenth instance out of the report", "commitment", "missing", Effect.GAPS,
         parameters={"every": SEVERAL}),
    Mode("extra", "reports instances that nobody asked for", "commitment", "extra", parameters={"copies": 3}),
    Mode("duplicate", "reports twice", "commitment", "duplicate"),
    Mode("storm", "reports ten times at once", "commitment", "storm", parameters={"copies": COPIES}),
    Mode("same-association", "reports on the association of the request", "commitment", "same-association",
         scanner={"hold": "10 s"}),
    Mode("early", "reports before it answers the request", "N-ACTION", "delay-response", parameters={"delay": 1.0}),
    Mode("liar", "commits to all, and loses every tenth instance", "commitment", "lie", parameters={"every": SEVERAL}),
    # Requests that are not taken.
    Mode("request-refused", "refuses the request: processing failure (0110H)", "N-ACTION", "answer", Effect.SILENCE,
         parameters={"status": 0x0110}),
    Mode("request-cut", "closes the connection instead of answering the request", "N-ACTION", "close", Effect.SILENCE),
    # What the scanner does to the report.
    Mode("role-refused", "the scanner does not let the archive take the SCP role", "association", "reject-role",
         Effect.SILENCE, Effect.NONE, at_scanner=True),
    Mode("report-refused", "the scanner refuses the report (0110H)", "N-EVENT-REPORT", "answer", Effect.SILENCE,
         Effect.NONE, parameters={"status": 0x0110}, at_scanner=True),
    Mode("report-unanswered", "the scanner does not answer the report", "N-EVENT-REPORT", "ignore", Effect.SILENCE,
         at_scanner=True),
)  # fmt: skip

HEALTHY = "none"
"""Nothing goes wrong: what the others are compared with."""

_BY_NAME = {mode.name: mode for mode in MODES}


def chosen(names: Sequence[str] | None, *, external: bool) -> Iterator[Mode]:
    """The modes of these names; None: all. An archive that is not ours does nothing at our bidding.

    Raises UserError for a name that there is not, or a fault that an ``external`` archive would have to act out.
    """
    for name in names if names is not None else _BY_NAME:
        if name == HEALTHY:
            continue
        if name not in _BY_NAME:
            raise UserError(f"unknown fault {shown(name)}; {advice(name, [HEALTHY, *_BY_NAME])}")
        mode = _BY_NAME[name]
        if not external or mode.at_scanner:
            yield mode
        elif names is not None:
            ours = ", ".join(mode.name for mode in MODES if mode.at_scanner)
            raise UserError(f"fault {name}: the archive is not ours, and does what it likes; expected {ours}")
