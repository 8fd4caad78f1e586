"""What a ladder diagram shows of one study, row by row; how it is drawn is in ``ladder.py``."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import permutations, zip_longest
from typing import cast

import pandas as pd

from simlab.analysis.measurements import NO_STATUS
from simlab.records import DIMSE_OPERATIONS, REMARKS, Record
from simlab.units import format_duration, format_size

SHOWN_MILESTONES = ("acquired", "stored", "safe", "failed", "read")
SHOWN_WORK = ("derive", "discard")
"""Local work; that of acquiring ends in a milestone."""
SHOWN_REMARKS = tuple(remark for remark in REMARKS if remark != "no-show")
"""Who did not come has no study."""
SHOWN = (*DIMSE_OPERATIONS, *SHOWN_WORK, *SHOWN_MILESTONES, *SHOWN_REMARKS)

_ALIKE = ("node", "peer", "operation", "instances", "failures", "status", "comment")

LINE = 0.14
"""Inches of a further line of text."""
LETTERS = 58
"""In a line of a remark."""

LONG = 0.04
"""As a share of the whole: after so long a silence the lines are broken."""

MOST_ARRANGED = 7
"""Up to so many nodes are put into the order that makes arrows short; more stand as the study met them."""


class Shape(Enum):
    """What a row shows; the value is its height in inches."""

    EXCHANGE = (0.43, "a request and its response")
    REQUEST = (0.3, "a request whose response comes later")
    RESPONSE = (0.25, "the response to an earlier request")
    LOCAL = (0.24, "local work")
    REMARK = (0.25, "a remark")
    MILESTONE = (0.24, "a milestone")
    PAUSE = (0.34, "a time in which nothing happens")
    FOLD = (0.34, "what is left out")

    @property
    def height(self) -> float:
        """Inches."""
        return self.value[0]


@dataclass(frozen=True, slots=True)
class Row:
    """What stands at one height of the ladder."""

    shape: Shape
    at: float
    """Run second."""
    record: Record | None = None
    text: str = ""
    answer: str = ""
    """How it ended, where the row shows a response."""
    bad: bool = False
    """It failed, or tells of failures."""
    until: float = 0.0
    """Run second at which it was over, if that is later."""

    @property
    def height(self) -> float:
        """Inches."""
        return self.shape.height + LINE * self.text.count("\n")


@dataclass(frozen=True, slots=True)
class _Step:
    """Something that happened: one record, or several alike at once or one after the other."""

    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        return self.records[0]

    @property
    def finished(self) -> float:
        return max(record.finished for record in self.records)

    def is_joined_by(self, record: Record) -> bool:
        """Whether a record that begins later belongs to this: the same while it is under way, or the next poll."""
        same = all(getattr(record, name) == getattr(self.first, name) for name in _ALIKE)
        return same and record.operation in DIMSE_OPERATIONS and record.started < self.finished


def ladder_rows(
    records: pd.DataFrame, instances: pd.DataFrame, study: str, commitments: pd.DataFrame | None, most: int
) -> tuple[list[str], list[Row]]:
    """The nodes from left to right, and at most ``most`` rows from top to bottom."""
    shown = _shown(records, instances, study)
    told = _committed(instances if commitments is None else commitments, study, shown)
    rows = _with_pauses(_rows(_steps(shown), told | _sent_again(instances, study, shown)))
    return _arranged(shown), _folded(rows, most)


# ---- what is shown


def _shown(records: pd.DataFrame, instances: pd.DataFrame, study: str) -> list[Record]:
    """The study's operations, milestones and remarks, in the order in which they began."""
    known = records[records["operation"].isin(SHOWN)].sort_values("started", kind="stable")
    ours = _as_records(known[known["study"] == study])
    if not ours:
        return []
    begin, end = ours[0].started, max(record.finished for record in ours)
    talking = {frozenset((record.node, record.peer)) for record in ours if record.peer}
    present = {name for pair in talking for name in pair}
    others = _names_of_others(records, instances, study)

    def is_ours(record: Record) -> bool:
        if record.study or record.operation not in (*REMARKS, "N-EVENT-REPORT"):
            return record.study == study
        concerns = frozenset((record.node, record.peer)) in talking if record.peer else record.node in present
        return begin <= record.started <= end and concerns and record.comment.rpartition(": ")[2] not in others

    return [record for record in _as_records(known[known["study"].isin(("", study))]) if is_ours(record)]


def _as_records(rows: pd.DataFrame) -> list[Record]:
    return [Record(**{str(name): value for name, value in row.items()}) for row in rows.to_dict("records")]


def _names_of_others(records: pd.DataFrame, instances: pd.DataFrame, study: str) -> set[str]:
    """SOP Instance UIDs and accession numbers of the other studies: what a remark is about, if it is about them."""
    named = records[records["operation"].isin(("ordered", "started")) & (records["study"] != study)]
    accessions = {comment.split(" ")[0] for comment in named["comment"] if comment}
    return accessions | set(instances.loc[instances["study"] != study, "sop_instance"])


def _steps(records: Iterable[Record]) -> list[_Step]:
    """The same, with what is alike as one: operations side by side, and successful C-FINDs one after the other."""
    steps: list[_Step] = []
    for record in records:
        for place in range(len(steps) - 1, -1, -1):
            poll = record.operation == "C-FIND" and not is_bad(record) and place == len(steps) - 1
            last = steps[place].first
            polls = poll and (last.node, last.peer, last.operation) == (record.node, record.peer, record.operation)
            if polls or steps[place].is_joined_by(record):
                steps[place] = _Step((*steps[place].records, record))
                break
        else:
            steps.append(_Step((record,)))
    return steps


def _committed(ledger: pd.DataFrame, study: str, shown: Sequence[Record]) -> dict[Record, str]:
    """What commitment reports said, by their records: the ledger has when each was noted, and every failure reason."""
    reports = [record for record in shown if record.operation == "N-EVENT-REPORT"]
    ours = ledger[(ledger["operation"] == "N-EVENT-REPORT") & (ledger["study"] == study)]
    told: dict[Record, str] = {}
    for key, rows in ours.groupby(["node", "peer", "finished"]):
        asker, archive, noted = cast("tuple[str, str, float]", key)
        came = [
            record for record in reports if (record.node, record.peer) == (archive, asker) and record.started <= noted
        ]
        reasons = Counter(int(status) for status in rows["status"])
        failed = ", ".join(f"{count} failed {code:04X}H" for code, count in sorted(reasons.items()) if code)
        if came and failed:
            told[came[-1]] = f"{reasons[0]} + {failed}"
    return told


def _sent_again(instances: pd.DataFrame, study: str, shown: Sequence[Record]) -> dict[Record, str]:
    """How many instances of each C-STORE operation had been sent to the same node before, by the records of those."""
    ours = instances[(instances["operation"] == "C-STORE") & (instances["study"] == study)]
    ours = ours[ours["transfer_syntax"] != ""]  # others were never sent
    before: dict[tuple[str, str], set[str]] = {}
    told: dict[Record, str] = {}
    for record in shown:
        if record.operation == "C-STORE":
            same = (ours["node"] == record.node) & (ours["peer"] == record.peer)
            sent = set(ours.loc[same & ours["finished"].between(record.started, record.finished), "sop_instance"])
            known = before.setdefault((record.node, record.peer), set())
            if again := len(sent & known):
                told[record] = f"{again if again < len(sent) else 'all'} again"
            known |= sent
    return told


def _arranged(shown: Sequence[Record]) -> list[str]:
    """Nodes from left to right: who talks much stands side by side."""
    talks = Counter((record.node, record.peer) for record in shown if record.peer)
    met = list(dict.fromkeys(name for record in shown for name in (record.node, record.peer) if name))
    if len(met) > MOST_ARRANGED:
        return met

    def length(order: tuple[str, ...]) -> int:
        return sum(count * abs(order.index(node) - order.index(peer)) for (node, peer), count in talks.items())

    # Whoever is asked for work comes first: a worklist stands at the left of its scanners.
    asked = {record.peer for record in shown if record.operation in ("N-CREATE", "N-SET")}
    shortest = min(permutations(sorted(met, key=lambda name: name not in asked)), key=length)
    return list(shortest)


# ---- rows


def _rows(steps: Sequence[_Step], told: Mapping[Record, str]) -> list[Row]:
    """Every event as a row, in order. A response right after its request stands in the same row.

    ``told`` has what is known of some operations beyond their records.
    """
    tries: Counter[tuple[str, str, str]] = Counter()
    rows: list[Row] = []
    events = _events(steps)
    for (at, step, ends), following in zip_longest(events, events[1:]):
        record = step.first
        if record.operation in REMARKS:
            rows = _with_remark(rows, record)
        elif record.operation in SHOWN_MILESTONES:
            rows.append(Row(Shape.MILESTONE, at, record, _lines(_joined(record.operation, record.comment))))
        elif record.operation in SHOWN_WORK:
            taken = record.finished - record.started
            text = f"{_label(step)} · {format_duration(taken)}" if taken else _label(step)
            rows.append(Row(Shape.LOCAL, at, record, text, bad=record.failures > 0, until=record.finished))
        elif not ends:
            key = (record.node, record.peer, record.operation)
            tries[key] += 1
            more = next((told[each] for each in step.records if each in told), "")
            bad = is_bad(record) or (bool(more) and record.operation == "N-EVENT-REPORT")
            shape = Shape.EXCHANGE if following is not None and following[1] is step else Shape.REQUEST
            text = _label(step, more, 1 if record.operation in ("C-STORE", "C-FIND") else tries[key])
            rows.append(Row(shape, at, record, text, _answer(step), bad, step.finished))
        elif rows[-1].record is not record:
            answer = f"{record.operation}: {_answer(step)}"
            rows.append(Row(Shape.RESPONSE, at, record, answer=answer, bad=is_bad(record), until=at))
    return rows


def _events(steps: Sequence[_Step]) -> list[tuple[float, _Step, bool]]:
    """Beginnings and, of operations, ends, in order: (run second, step, whether it is an end).

    At the same moment what ends comes first, that which began last before the others, of which it was part; then what
    takes no time; then what begins, and last what a node did wrong to a request.
    """
    asked = {(step.first.started, step.first.peer) for step in steps if step.first.operation in DIMSE_OPERATIONS}
    asking = {(step.first.started, step.first.node) for step in steps if step.first.operation in DIMSE_OPERATIONS}
    events: list[tuple[tuple[float, int, int], _Step]] = []
    for place, step in enumerate(steps):
        record, here = step.first, (step.first.started, step.first.node)
        if record.operation in DIMSE_OPERATIONS:
            events.append(((record.started, 2, place), step))
            events.append(((max(step.finished, record.started + 1e-9), 0, -place), step))
        else:
            late = record.operation == "fault" and here in asked and here not in asking
            events.append(((record.started, 3 if late else 1, place), step))
    return [(at, step, kind == 0) for (at, kind, _), step in sorted(events, key=lambda event: event[0])]


def _with_remark(rows: list[Row], record: Record) -> list[Row]:
    """The rows and a remark; the same remark again, on whatever instance, is counted."""
    text = _joined(record.operation, _comment(record))
    for place in range(len(rows) - 1, -1, -1):
        row = rows[place]
        if place < len(rows) - 1 and row.at != record.started:
            break
        if row.record is not None and row.shape is Shape.REMARK and _is_same(row.record, record):
            count = int(row.answer or 1) + 1
            told = replace(row, text=_lines(f"{text}, {count} times"), answer=str(count))
            return [*rows[:place], *rows[place + 1 :], told]
    return [*rows, Row(Shape.REMARK, record.started, record, _lines(text))]


def _is_same(one: Record, other: Record) -> bool:
    return (one.node, one.operation, _comment(one)) == (other.node, other.operation, _comment(other))


_ABOUT_UID = re.compile(r": [0-9]+(\.[0-9]+)+$")


def _comment(record: Record) -> str:
    """What a remark says, without the UID that it is about: that says nothing to a reader."""
    return _ABOUT_UID.sub("", record.comment)


def _lines(text: str) -> str:
    return textwrap.fill(text, LETTERS, max_lines=3, placeholder=" …")


def _joined(word: str, comment: str) -> str:
    return f"{word}: {comment}" if comment else word


def _label(step: _Step, told: str = "", tries: int = 1) -> str:
    """What a request asks for: ``C-STORE x30, 15.8 MB``."""
    record, times = step.first, len(step.records)
    text = record.operation
    match record.operation:
        case "C-STORE" | "derive":
            text += f" \N{MULTIPLICATION SIGN}{record.instances}" if record.instances else ""
            text += f", {format_size(record.bytes)}" if record.bytes else ""
            text += f", {record.failures} not stored" if record.failures and record.instances else ""
            text += f", {told}" if told else ""
        case "N-EVENT-REPORT" if told:
            text += f" {told}"
        case _:
            text += f" {record.instances} instance{'s' * (record.instances > 1)}" if record.instances else ""
    text += f", {times} times" if times > 1 else ""
    return f"{text} ({_ordinal(tries)})" if tries > 1 else text


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"


def _answer(step: _Step) -> str:
    """How an operation ended, and how long it took."""
    record = step.first
    taken = format_duration(step.finished - record.started)
    if is_unanswered(record):
        return f"{record.comment or 'no response'} · {taken}"
    told = f"{record.status:04X}H" if record.status else "success"
    return f"{_joined(told, record.comment)} · {taken}"


def is_bad(record: Record) -> bool:
    """An operation failed, or some of its instances did."""
    return record.failures > 0 or is_unanswered(record)


def is_unanswered(record: Record) -> bool:
    """No response came."""
    return record.status == NO_STATUS


def _with_pauses(rows: Sequence[Row]) -> list[Row]:
    """The same, with a row wherever nothing happens for long, and no response is waited for."""
    if not rows:
        return []
    span = max(_end(row) for row in rows) - rows[0].at
    broken: list[Row] = []
    busy_until = rows[0].at
    for row in rows:
        silence = row.at - busy_until
        if silence > LONG * span:
            broken.append(Row(Shape.PAUSE, busy_until, text=format_duration(silence)))
        broken.append(row)
        busy_until = max(busy_until, _end(row))
    return broken


def _end(row: Row) -> float:
    return max(row.at, row.until)


def _folded(rows: list[Row], most: int) -> list[Row]:
    """At most so many rows; what is left out is in the middle, for the end is what it is about."""
    if len(rows) <= most:
        return rows
    first = most * 3 // 4
    last = len(rows) - (most - first - 1)
    return [*rows[:first], Row(Shape.FOLD, rows[first].at, text=f"… {last - first} more"), *rows[last:]]
