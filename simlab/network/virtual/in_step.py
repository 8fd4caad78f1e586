"""Trains that meet in a queue, first come, first served: how they fall into step.

Processor sharing takes associations to meet at random. But a line with a queue sends one instance after the other, and
instances of one size and round trips of one length are like clockwork. Whoever had to wait once comes when the line is
free ever after; and small instances that had to wait behind a large one come back in its company, and wait again. No
formula of means tells that: rates were seen of 0.6 to 1.7 times those in turns. So those who meet at a link go round,
instance by instance, until it is seen how fast they are. That takes some milliseconds, and is remembered.

Responses go back over the link's other line. They take no time of it, but wait in its queue behind the instances that
come that way, so trains in both directions go round together.

What an instance needs besides the lines is a delay: round trips are always the same, the work of computers varies a
little, as it does live. An instance goes in parts: where the queue is full, those that wait before it have turns.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple, TypeAlias

from simlab.network.virtual.sharing import Demand, Shares

VARIATION = 0.2
"""Coefficient of variation of what computers take for an instance."""

DIGITS = 3
"""Significant ones of what they take on average that matter."""

PARTS, MOST_PARTS = 16, 64
"""That fit into a queue, and of an instance at most."""

WARMING_UP, ROUNDS = 10, 80
"""Times that the slowest goes round until all are in step, and in all."""

WARM, MOST_STEPS = 5_000, 50_000
"""Steps after which all are taken to be in step, and after which nobody goes on, where some are far slower."""

REMEMBERED = 20_000
"""Combinations whose rates are kept."""

Share: TypeAlias = Callable[[Mapping[Demand, int]], Shares]


class Cycle(NamedTuple):
    """What an association does for each instance. Seconds."""

    delay: float
    """Always the same."""
    work: float
    """On average."""
    line: float
    """On the line; more than 0."""
    way: int = 0
    """Which line that is; responses come back over the other one, if there are two."""

    @property
    def alone(self) -> float:
        """If nobody else is there."""
        return self.delay + self.work + self.line


class Seen(NamedTuple):
    """What is seen of those who go round."""

    rates: Mapping[Cycle, float]
    """Instances a second of each association."""
    backlogs: tuple[float, ...]
    """Seconds of work in the queue of each line, on average."""


def in_step(customers: Mapping[Demand, int], queues: Mapping[Hashable, float], share: Share) -> Shares:
    """How fast associations are together, some of whose places have a queue, of so many seconds of work each.

    ``share`` tells it without any.
    """
    came = share(customers)
    rates, backlogs = dict(came.rates), dict[Hashable, float]()
    for lines in _links(customers, queues):
        users = {each: count for each, count in customers.items() if any(_need(each, line) for line in lines)}
        if sum(users.values()) < 2:
            continue
        delayed = {each: _as_delay(each, lines) for each in customers}
        others = Counter[Demand]()
        for each, count in customers.items():
            others[delayed[each]] += count
        unhindered = share(others).rates
        cycles = {each: _cycle(each, 1 / unhindered[delayed[each]], lines) for each in users}
        together = Counter[Cycle]()
        for each, count in users.items():
            together[cycles[each]] += count
        seen = go_round(tuple(sorted(together.items())), *(queues[line] for line in lines))
        rates.update((each, seen.rates[cycles[each]]) for each in users)
        backlogs.update(zip(lines, seen.backlogs, strict=True))
    gained = dict.fromkeys(came.loads, 0.0)
    for each, count in customers.items():
        for place, seconds in each.needs:
            gained[place] += count * (rates[each] - came.rates[each]) * seconds
    loads = {
        place: load._replace(
            utilisation=load.utilisation + gained[place] / getattr(place, "servers", 1),
            backlog=backlogs.get(place, load.backlog),
        )
        for place, load in came.loads.items()
    }
    return Shares(rates, loads)


def _links(customers: Mapping[Demand, int], queues: Mapping[Hashable, float]) -> Iterator[tuple[Hashable, ...]]:
    """The lines that have a queue: two of them together, where the responses of one come back over the other."""
    used = {line: [each for each in customers if _need(each, line)] for line in queues}
    left = [line for line in queues if used[line]]
    while left:
        line = left.pop()
        back = next((each.back for each in used[line] if each.back in left), None)
        if back is None:
            yield (line,)
        else:
            left.remove(back)
            yield line, back


def _need(each: Demand, place: Hashable) -> float:
    return next((seconds for needed, seconds in each.needs if needed is place), 0.0)


def _as_delay(each: Demand, lines: Sequence[Hashable]) -> Demand:
    """The same demand if nobody else were on these lines."""
    needs = tuple((needed, seconds) for needed, seconds in each.needs if needed not in lines)
    return Demand(each.think + sum(_need(each, line) for line in lines), needs)


def _cycle(each: Demand, alone: float, lines: Sequence[Hashable]) -> Cycle:
    """What a demand does if a cycle takes so long without others on the lines."""
    way, line = next((way, need) for way, line in enumerate(lines) if (need := _need(each, line)))
    return Cycle(each.think, float(f"{max(0.0, alone - each.think - line):.{DIGITS}g}"), line, way)


@lru_cache(REMEMBERED)
def go_round(together: tuple[tuple[Cycle, int], ...], *rooms: float) -> Seen:
    """Let so many of each cycle share a line, or the two of a link, whose queues take so many seconds of work."""
    cycles = [cycle for cycle, count in together for _ in range(count)]
    rates = dict.fromkeys((cycle for cycle, _ in together), 0.0)
    link = _Link(cycles, rooms)
    for cycle, rate in zip(cycles, link.rates(), strict=True):
        rates[cycle] += rate / dict(together)[cycle]
    busy = [0.0 for _ in rooms]
    for cycle, count in together:
        busy[cycle.way] += count * rates[cycle] * cycle.line
    return Seen({cycle: rate / max(1.0, busy[cycle.way]) for cycle, rate in rates.items()}, link.backlogs)


class _Link:
    """One or two lines, and those who go round."""

    def __init__(self, cycles: Sequence[Cycle], rooms: Sequence[float]) -> None:
        self._cycles = cycles
        self._seconds = 0.0
        self._lines = [
            _Line(room, max(cycle.line for cycle in cycles if cycle.way == way)) for way, room in enumerate(rooms)
        ]

    def rates(self) -> list[float]:
        """Instances a second of each."""
        cycles, lines = self._cycles, self._lines
        turn = max(cycle.alone for cycle in cycles) + sum(cycle.line for cycle in cycles)
        begins, ends = WARMING_UP * turn, ROUNDS * turn
        first, last, ended = [0.0] * len(cycles), [0.0] * len(cycles), [-1] * len(cycles)
        # Who comes with how much to which line, and when; a part that leaves a line comes as nobody.
        events: list[tuple[float, int, int, float, int]] = []
        for number, cycle in enumerate(cycles):
            heappush(events, (cycle.alone * (number * _GOLDEN % 1.0), number, number, cycle.line, cycle.way))
        order, now = len(cycles), 0.0
        while now < ends and order < MOST_STEPS:
            before, (now, _, who, seconds, way) = now, heappop(events)
            if before > begins or order > WARM:
                self._seconds += now - before
                for each in lines:
                    each.pass_by(now - before)
            line = lines[way]
            if who != _NOBODY:
                line.come(who, seconds)
            elif (who := line.leave()) != _NOBODY:
                cycle = cycles[who]
                if way != cycle.way:  # the response
                    heappush(events, (now + cycle.delay / 2, order, who, cycle.line, cycle.way))
                else:
                    if now > begins or order > WARM:
                        first[who] = first[who] or now
                        last[who], ended[who] = now, ended[who] + 1
                    work = cycle.work * _VARIED[order % len(_VARIED)]
                    if len(lines) == 1:
                        heappush(events, (now + cycle.delay + work, order, who, cycle.line, way))
                    else:
                        heappush(events, (now + cycle.delay / 2 + work, order, who, 0.0, 1 - way))
                order += 1
            if (takes := line.begin()) is not None:
                heappush(events, (now + takes, order, _NOBODY, 0.0, way))
                order += 1
        return [
            count / (until - since) if count > 0 else 1 / turn
            for count, since, until in zip(ended, first, last, strict=True)
        ]

    @property
    def backlogs(self) -> tuple[float, ...]:
        """Seconds of work in the queue of each line, on average."""
        return tuple(line.waited / self._seconds if self._seconds else 0.0 for line in self._lines)


class _Line:
    """A line, and the queue before it. Parts of instances leave it one after the other."""

    def __init__(self, room: float, largest: float) -> None:
        """``largest``: seconds of the largest instance."""
        self.waited = 0.0
        """Integral of the work in the queue over time."""
        self._room = room
        self._part = max(room / PARTS, largest / MOST_PARTS)
        self._outside: dict[int, float] = {}
        """Seconds of what is under way that are not yet in the queue."""
        self._queue: deque[tuple[int, float, bool]] = deque()
        """Whose part of an instance, the seconds that it takes, and whether it is the last one."""
        self._in_line: deque[int] = deque()
        """Who waits for room in the queue."""
        self._backlog = 0.0
        self._on_line = _NOTHING

    def pass_by(self, seconds: float) -> None:
        """So many seconds pass without anything happening."""
        self.waited += seconds * self._backlog

    def come(self, who: int, seconds: float) -> None:
        """An instance comes, or a response: what there is room for goes into the queue, the rest stands in line."""
        self._outside[who] = seconds
        while who in self._outside:
            if self._in_line or not self._has_room(who):
                self._in_line.append(who)
                return
            self._enter(who)

    def begin(self) -> float | None:
        """Send the next part, if the line is free and there is one. Returns the seconds that it takes."""
        if self._on_line is not _NOTHING or not self._queue:
            return None
        self._on_line = self._queue.popleft()
        return self._on_line[1]

    def leave(self) -> int:
        """A part has left the line: who stands in line has a turn each. Returns whose last one it was, or nobody."""
        (who, seconds, is_last), self._on_line = self._on_line, _NOTHING
        self._backlog = max(0.0, self._backlog - seconds) if self._queue else 0.0
        while self._in_line and self._has_room(self._in_line[0]):
            waiting = self._in_line.popleft()
            self._enter(waiting)
            if waiting in self._outside:
                self._in_line.append(waiting)
        return who if is_last else _NOBODY

    def _has_room(self, who: int) -> bool:
        """Whether one's next part may enter the queue: an idle line takes any."""
        return not self._backlog or self._backlog + min(self._part, self._outside[who]) <= self._room

    def _enter(self, who: int) -> None:
        """Put one's next part into the queue."""
        seconds = min(self._part, self._outside[who])
        left = self._outside.pop(who) - seconds
        if left:
            self._outside[who] = left
        self._queue.append((who, seconds, not left))
        self._backlog += seconds


_NOBODY = -1
_NOTHING = _NOBODY, 0.0, False

_GOLDEN = 0.6180339887498949
"""Multiples of it are spread evenly over a cycle, however many there are (Weyl)."""


def _varied() -> tuple[float, ...]:
    """What work takes, over its mean: always the same numbers."""
    draws, shape = Random(1), VARIATION**-2
    return tuple(draws.gammavariate(shape, 1 / shape) for _ in range(4099))


_VARIED = _varied()
