"""What a topology says of faults: which node does what wrong, when, and to whom.

Which of them applies when is decided in :mod:`simlab.faults`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeAlias, get_args

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from simlab.topology.frozen import Frozen, Mistake
from simlab.units import Duration, Share
from simlab.wording import advice, shown

Operation: TypeAlias = Literal[
    "association",
    "C-ECHO",
    "C-FIND",
    "C-STORE",
    "C-MOVE",
    "C-GET",
    "N-CREATE",
    "N-SET",
    "N-ACTION",
    "N-EVENT-REPORT",
    "commitment",
]
"""What goes wrong: being asked for an association, an operation that the node is asked for, or ``commitment``, the
report that an archive makes of what it was asked to commit to."""

Deed: TypeAlias = Literal[
    "refuse",
    "reject-contexts",
    "reject-role",
    "abort",
    "answer",
    "delay",
    "delay-response",
    "slowly",
    "ignore",
    "close",
    "duplicate",
    "drop",
    "wrong",
    "fail",
    "never",
    "late",
    "same-association",
    "closed-port",
    "unknown-transaction",
    "missing",
    "extra",
    "lie",
    "storm",
]

Rejection: TypeAlias = Literal[
    "no-reason",
    "application-context",
    "calling-ae-title",
    "called-ae-title",
    "acse-no-reason",
    "protocol-version",
    "temporary-congestion",
    "local-limit",
]
"""Why an association is rejected (PS3.8 table 9-21)."""


class Rule(NamedTuple):
    """What can be done wrong with what, and what must, or may, be said of it besides."""

    operations: tuple[str, ...]
    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


_ASKED = ("C-ECHO", "C-FIND", "C-STORE", "C-MOVE", "C-GET", "N-CREATE", "N-SET", "N-ACTION", "N-EVENT-REPORT")
_ANSWERED_ONCE = ("C-ECHO", "C-STORE", "N-CREATE", "N-SET", "N-ACTION", "N-EVENT-REPORT")
_REPORT = ("commitment",)

RULES: Mapping[str, Rule] = {
    "refuse": Rule(("association",), ("reason",)),
    "reject-contexts": Rule(("association",), may=("contexts",)),
    "reject-role": Rule(("association",)),
    "abort": Rule(("association",), ("pdu",)),
    "answer": Rule(tuple(name for name in _ASKED if name != "C-ECHO"), ("status",)),
    "delay": Rule(("association", *_ASKED), ("delay",)),
    "delay-response": Rule(_ANSWERED_ONCE, ("delay",)),
    "slowly": Rule(_ANSWERED_ONCE, ("delay",)),
    "ignore": Rule(_ASKED),
    "close": Rule(("association", *_ASKED)),
    "duplicate": Rule((*_ANSWERED_ONCE, "commitment")),
    "drop": Rule(("C-STORE",)),
    "wrong": Rule(("C-FIND",), ("values",)),
    "fail": Rule(_REPORT, ("status",)),
    "never": Rule(_REPORT),
    "late": Rule(_REPORT, ("delay",)),
    "same-association": Rule(_REPORT),
    "closed-port": Rule(_REPORT),
    "unknown-transaction": Rule(_REPORT),
    "missing": Rule(_REPORT),
    "extra": Rule(_REPORT, may=("copies",)),
    "lie": Rule(_REPORT),
    "storm": Rule(_REPORT, ("copies",)),
}

OF_INSTANCES = ("fail", "missing", "lie")
"""Deeds of a commitment report that concern some of its instances; the others concern it as a whole."""

_PARAMETERS = ("reason", "status", "delay", "pdu", "contexts", "copies", "values")

_CODE = re.compile(r"(?:0x)?([0-9A-Fa-f]{4})[Hh]?")


def _code(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFFFF:
        return value
    match = _CODE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{shown(value)} is no status; expected four hexadecimal digits, such as "A700H"')
    return int(match[1], 16)


Code = Annotated[
    int,
    BeforeValidator(_code),
    PlainSerializer(lambda code: f"{code:04X}H", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^(0x)?[0-9A-Fa-f]{4}[Hh]?$", "examples": ["A700H", "0112H"]}),
]
"""A DIMSE status or failure reason, written as four hexadecimal digits."""


class FaultSpec(Frozen):
    """Something that a node does wrong; always, unless the fault says when.

    ``every`` counts instance numbers (C-STORE, and what a commitment report says of instances), order numbers
    (N-CREATE, and a commitment report as a whole), and otherwise what the same peer asks; ``share`` and ``times`` go by
    the same entities. So a fault meets the same instances and studies in both worlds, whatever comes first.
    """

    node: str
    """Who does it."""
    operation: Operation
    do: Deed
    """abort: at the `pdu`-th P-DATA-TF PDU that it receives on an association. answer: with this `status`, without
    doing it. delay: before it looks at the request. delay-response: after having done it. slowly: the response's bytes
    are spread over the `delay`. ignore: never answers. close: closes the connection instead of answering. duplicate:
    answers, or reports, twice. drop: answers with success, and does not keep the instance. wrong: these `values` in
    every match. Of commitment reports: fail gives `status` as failure reason; closed-port reports to where nobody
    listens; lie commits, and then loses the instance; missing and extra are instances too few and too many; storm:
    `copies` at once."""
    peer: str | None = None
    """The node that asks. None: whoever asks."""
    every: Annotated[int, Field(ge=1)] | None = None
    share: Annotated[Share, Field(gt=0, le=1)] | None = None
    """Drawn by the topology's seed."""
    study: str | None = None
    """Accession number, where the operation tells it: C-STORE, N-CREATE, commitment."""
    start: Duration = 0.0
    """Run seconds from which on it happens."""
    end: Duration | None = None
    """Run seconds up to which it happens."""
    times: Annotated[int, Field(ge=1)] | None = None
    """How often it happens to the same instance, study or peer. None: always."""
    status: Code | None = None
    reason: Rejection | None = None
    delay: Duration | None = None
    pdu: Annotated[int, Field(ge=1)] | None = None
    contexts: tuple[Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$")], ...] | None = None
    """UIDs of SOP classes or transfer syntaxes. None: all but Verification."""
    copies: Annotated[int, Field(ge=1, le=1000)] | None = None
    values: Mapping[str, str] | None = None
    """Attributes by keyword."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        rule = RULES[self.do]
        if self.operation not in rule.operations:
            raise ValueError(f"{self.do} is nothing to do to {self.operation}; {_expected(self.operation)}")
        for name in rule.needs:
            if getattr(self, name) is None:
                raise ValueError(f"do: {self.do} needs `{name}`")
        for name in _PARAMETERS:
            if getattr(self, name) is not None and name not in (*rule.needs, *rule.may):
                raise ValueError(f"do: {self.do} has no `{name}`")
        if self.study is not None and self.operation not in ("C-STORE", "N-CREATE", "commitment"):
            raise ValueError(f"nobody can tell which study a {self.operation} is about; expected no `study`")
        if self.end is not None and self.end <= self.start:
            raise ValueError(
                f"it ends at {self.end:g} s and starts at {self.start:g} s; expected an end after the start"
            )
        return self

    @property
    def label(self) -> str:
        """What it does, in short: ``C-STORE answer A700H``."""
        told = f"{self.operation} {self.do}"
        if self.status is not None:
            told += f" {self.status:04X}H"
        if self.reason is not None:
            told += f" {self.reason}"
        return told


def _expected(operation: str) -> str:
    return f"expected one of {', '.join(deed for deed in get_args(Deed) if operation in RULES[deed].operations)}"


def check_faults(faults: Iterable[FaultSpec], kinds: Mapping[str, str]) -> Iterator[Mistake]:
    """Yield what faults say of nodes that is not so. ``kinds`` has the kind of every node."""
    for index, fault in enumerate(faults):
        ours = [name for name, kind in kinds.items() if kind != "external"]
        for field, name, options in (("node", fault.node, ours), ("peer", fault.peer, list(kinds))):
            if name is not None and name not in kinds:
                yield Mistake(("faults", index, field), f"unknown node {shown(name)}; {advice(name, options)}")
        kind = kinds.get(fault.node, "")
        if kind == "external":
            message = f"{fault.node} is not ours, and does what it likes; expected one of {', '.join(ours)}"
            yield Mistake(("faults", index, "node"), message)
        elif fault.operation == "commitment" and kind and kind != "archive":
            message = f"{fault.node} is of kind {kind}, and commits to nothing; expected an archive"
            yield Mistake(("faults", index, "operation"), message)
