"""The fault plan: decides what a node does wrong. Shared by both worlds.

Every decision is a function of the fault, the seed and what it is about (an instance, a study, a peer), never of the
order in which things happen to come: the same faults meet the same instances in both worlds and under any placement.
What is counted (``times``, and ``every`` where nothing has a number) is counted by entity.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from simlab.draws import Draws
from simlab.network.faults import REJECTIONS, Asked, AssociationFault, RequestFault
from simlab.network.seam import Status
from simlab.topology.faults import OF_INSTANCES, FaultSpec
from simlab.topology.model import Topology

EXTRA_INSTANCES = 1
"""How many instances a report has too many, unless the fault says otherwise."""

_LAST_NUMBER = re.compile(r"(\d+)\D*$")

Note = Callable[[str, str, str], object]
"""Told of a fault that happens: (the peer's node or AE title, the fault's label, what it is about)."""


class Known(NamedTuple):
    """What an archive knows of an instance that it is asked to commit to."""

    accession: str
    number: int | None
    """Instance number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFault:
    """What is wrong with a commitment report; by default nothing. Instances are SOP Instance UIDs."""

    failed: Mapping[str, int] = field(default_factory=dict)
    """Failure reasons of instances that are held all the same."""
    missing: frozenset[str] = frozenset()
    """Left out of the report."""
    lies: frozenset[str] = frozenset()
    """Committed to, and lost after that."""
    extra: int = 0
    """Instances that nobody asked for."""
    never: bool = False
    delay: float = 0.0
    """Seconds by which it is late."""
    same_association: bool = False
    closed_port: bool = False
    unknown_transaction: bool = False
    copies: int = 1
    """How many reports are made, one after the other."""
    at_once: bool = False
    """All copies at once."""


class Plan:
    """The faults of one node. Safe to use from any thread."""

    def __init__(self, topology: Topology, node: str, clock: Callable[[], float], note: Note) -> None:
        """``clock`` tells the run second."""
        self._specs = [spec for spec in topology.faults if spec.node == node]
        self._concerned = frozenset(spec.operation for spec in self._specs)
        self._titles = {spec.ae_title: name for name, spec in topology.nodes.items()}
        self._draws = Draws(topology.seed)
        self._clock = clock
        self._note = note
        self._lock = threading.Lock()
        self._happened: Counter[tuple[int, str]] = Counter()
        """(which fault, entity): how often it has happened."""
        self._asked: Counter[tuple[int, str]] = Counter()
        """(which fault, peer): how often it has asked, where that is what ``every`` counts."""
        self._ended = False

    def end(self) -> None:
        """Do nothing wrong any more: the audit wants to know what is there, not what the node says of it."""
        self._ended = True

    def concern(self, operation: str) -> bool:
        """Whether there is any fault of an operation."""
        return operation in self._concerned

    def of_association(self, calling: str) -> AssociationFault:
        """What goes wrong with an association that ``calling`` (an AE title) requests."""
        fault = AssociationFault()
        for spec in self._applying(Asked("association", calling)):
            match spec.do:
                case "refuse":
                    fault = replace(fault, rejection=REJECTIONS[spec.reason or "no-reason"])
                case "reject-contexts":
                    fault = replace(fault, refused=None if spec.contexts is None else frozenset(spec.contexts))
                case "reject-role":
                    fault = replace(fault, refuses_role=True)
                case "abort":
                    fault = replace(fault, aborts_at=spec.pdu)
                case "delay":
                    fault = replace(fault, delay=fault.delay + (spec.delay or 0.0))
                case "close":
                    fault = replace(fault, closes=True)
        return fault

    def of_request(self, asked: Asked) -> RequestFault:
        """What goes wrong with a request."""
        fault = RequestFault()
        for spec in self._applying(asked):
            seconds = spec.delay or 0.0
            match spec.do:
                case "answer":
                    fault = replace(fault, answer=Status(spec.status or 0, "as the fault plan says"))
                case "delay":
                    fault = replace(fault, delay=fault.delay + seconds)
                case "delay-response":
                    fault = replace(fault, response_delay=fault.response_delay + seconds)
                case "slowly":
                    fault = replace(fault, spread=fault.spread + seconds)
                case "ignore":
                    fault = replace(fault, ignores=True)
                case "close":
                    fault = replace(fault, closes=True)
                case "duplicate":
                    fault = replace(fault, twice=True)
                case "drop":
                    fault = replace(fault, drops=True)
                case "wrong":
                    fault = replace(fault, values={**fault.values, **(spec.values or {})})
        return fault

    def of_report(self, requester: str, known: Mapping[str, Known]) -> ReportFault:
        """What goes wrong with the report for ``requester`` (an AE title), on these instances."""
        fault = ReportFault()
        accession = next((each.accession for each in known.values() if each.accession), "")
        whole = Asked("commitment", requester, tuple(known), accession)
        for index, spec in enumerate(self._specs):
            if spec.operation != "commitment":
                continue
            if spec.do in OF_INSTANCES:
                chosen = [
                    uid
                    for uid, (of, number) in known.items()
                    if self._applies(index, spec, Asked("commitment", requester, (uid,), of, number))
                ]
                if chosen:
                    self._note(self._titles.get(requester, requester), spec.label, f"{len(chosen)} instances")
                fault = _with_instances(fault, spec, chosen)
            elif self._applies(index, spec, whole):
                self._note(self._titles.get(requester, requester), spec.label, accession)
                fault = _with_report(fault, spec)
        return fault

    def _applying(self, asked: Asked) -> Iterable[FaultSpec]:
        for index, spec in enumerate(self._specs):
            if spec.operation == asked.operation and self._applies(index, spec, asked):
                about = asked.entities[0] if asked.entities else ""
                self._note(self._titles.get(asked.calling, asked.calling), spec.label, about)
                yield spec

    def _applies(self, index: int, spec: FaultSpec, asked: Asked) -> bool:
        """Whether a fault happens this time. Counts it if it does."""
        if self._ended:
            return False
        if spec.peer is not None and self._titles.get(asked.calling) != spec.peer:
            return False
        if spec.study is not None and spec.study != asked.accession:
            return False
        now = self._clock()
        # Nodes answer some moments before run second 0.
        if (spec.start and now < spec.start) or (spec.end is not None and now >= spec.end):
            return False
        entities = asked.entities or (asked.calling,)
        with self._lock:
            if spec.every is not None and self._number(index, asked) % spec.every:
                return False
            if spec.share is not None and self._draw(spec, asked, entities) >= spec.share:
                return False
            if spec.times is not None and max(self._happened[index, entity] for entity in entities) >= spec.times:
                return False
            self._happened.update((index, entity) for entity in entities)
        return True

    def _number(self, index: int, asked: Asked) -> int:
        """What ``every`` counts."""
        number = asked.number
        if number is None and asked.operation != "C-STORE":
            number = order_number(asked.accession)
        if number is not None:
            return number
        self._asked[index, asked.calling] += 1
        return self._asked[index, asked.calling]

    def _draw(self, spec: FaultSpec, asked: Asked, entities: tuple[str, ...]) -> float:
        """A draw for an entity: a number where there is one, else its name, else how often the peer has asked."""
        if asked.entities:
            entity: object = asked.accession if len(entities) > 1 and asked.accession else entities[0]
        else:
            key = (-1, f"{spec.operation} {spec.do} {asked.calling}")
            self._asked[key] += 1
            entity = f"{asked.calling} {self._asked[key]}"
        return self._draws.uniform(f"fault {spec.node} {spec.operation} {spec.do}", entity)


def order_number(accession: str) -> int | None:
    """The order's number in an accession number: its last digits. None if it has none."""
    match = _LAST_NUMBER.search(accession)
    return int(match[1]) if match else None


def _with_instances(fault: ReportFault, spec: FaultSpec, chosen: list[str]) -> ReportFault:
    match spec.do:
        case "fail":
            return replace(fault, failed={**fault.failed, **dict.fromkeys(chosen, spec.status or 0)})
        case "missing":
            return replace(fault, missing=fault.missing | frozenset(chosen))
        case _:
            return replace(fault, lies=fault.lies | frozenset(chosen))


def _with_report(fault: ReportFault, spec: FaultSpec) -> ReportFault:
    match spec.do:
        case "never":
            return replace(fault, never=True)
        case "late":
            return replace(fault, delay=fault.delay + (spec.delay or 0.0))
        case "same-association":
            return replace(fault, same_association=True)
        case "closed-port":
            return replace(fault, closed_port=True)
        case "unknown-transaction":
            return replace(fault, unknown_transaction=True)
        case "duplicate":
            return replace(fault, copies=max(fault.copies, 2))
        case "storm":
            return replace(fault, copies=max(fault.copies, spec.copies or 1), at_once=True)
        case _:
            return replace(fault, extra=spec.copies or EXTRA_INSTANCES)
