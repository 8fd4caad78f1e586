"""Trains that meet in a queue, first come, first served: how they fall into step.

Processor sharing takes associations to meet at random. But a line with a queue sends one instance after the other, and
instances of one size and round trips of one length are like clockwork. Whoever had to wait once comes when the line is
free ever after; and small instances that had to wait behind a large one come back in its company, and wait again. No
formula of means tells that: rates are up to half as high as in turns, or twice as high. So those who meet at a line go
round, instance by instance, until it is seen how fast they are. That takes a millisecond or so, and is remembered.

What an instance needs besides the line is a delay: round trips are always the same, the work of computers varies a
little, as it does live. An instance goes in parts: where the queue is full, those that wait before it have turns.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple, TypeAlias

from simlab.network.virtual.sharing import Demand, Shares

VARIATION = 0.2
"""Coefficient of variation of what computers take for an instance."""

DIGITS = 3
"""Significant ones of what they take on average that matter."""

PARTS = 4
"""That fit into a queue."""

WARMING_UP, ROUNDS = 20, 120
"""Times that the slowest goes round until all are in step, and in all."""

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

    @property
    def alone(self) -> float:
        """If nobody else is there."""
        return self.delay + self.work + self.line


def in_step(customers: Mapping[Demand, int], queues: Mapping[Hashable, float], share: Share) -> Shares:
    """How fast associations are together, some of whose places have a queue, of so many seconds of work each.

    ``share`` tells it without any.
    """
    came = share(customers)
    rates = dict(came.rates)
    for place, room in queues.items():
        users = {each: count for each, count in customers.items() if _need(each, place)}
        if sum(users.values()) < 2:
            continue
        delayed = {each: _as_delay(each, place) for each in customers}
        others = Counter[Demand]()
        for each, count in customers.items():
            others[delayed[each]] += count
        unhindered = share(others).rates
        cycles = {each: _cycle(each, 1 / unhindered[delayed[each]], place) for each in users}
        together = Counter[Cycle]()
        for each, count in users.items():
            together[cycles[each]] += count
        found = go_round(tuple(sorted(together.items())), room)
        rates.update((each, found[cycles[each]]) for each in users)
    gained = dict.fromkeys(came.loads, 0.0)
    for each, count in customers.items():
        for place, seconds in each.needs:
            gained[place] += count * (rates[each] - came.rates[each]) * seconds
    loads = {
        place: load._replace(utilisation=load.utilisation + gained[place] / getattr(place, "servers", 1))
        for place, load in came.loads.items()
    }
    return Shares(rates, loads)


def _need(each: Demand, place: Hashable) -> float:
    return next((seconds for needed, seconds in each.needs if needed is place), 0.0)


def _as_delay(each: Demand, place: Hashable) -> Demand:
    """The same demand if nobody else were at a place."""
    needs = tuple((needed, seconds) for needed, seconds in each.needs if needed is not place)
    return Demand(each.think + _need(each, place), needs)


def _cycle(each: Demand, alone: float, place: Hashable) -> Cycle:
    """What a demand does if a cycle takes so long without others on the line."""
    line = _need(each, place)
    return Cycle(each.think, float(f"{max(0.0, alone - each.think - line):.{DIGITS}g}"), line)


@lru_cache(REMEMBERED)
def go_round(together: tuple[tuple[Cycle, int], ...], room: float) -> Mapping[Cycle, float]:
    """Instances a second of each association, where so many of each cycle share a line.

    Its queue takes ``room`` seconds of work.
    """
    cycles = [cycle for cycle, count in together for _ in range(count)]
    rates = dict.fromkeys((cycle for cycle, _ in together), 0.0)
    for cycle, rate in zip(cycles, _Queue(cycles, room).rates(), strict=True):
        rates[cycle] += rate / dict(together)[cycle]
    return rates


class _Queue:
    """A line, the queue before it, and those who go round. Parts of instances leave the line one after the other."""

    def __init__(self, cycles: Sequence[Cycle], room: float) -> None:
        part = room / PARTS
        self._cycles = cycles
        self._room = room
        self._parts = [-int(-cycle.line // part) for cycle in cycles]
        """Of an instance."""
        self._takes = [cycle.line / parts for cycle, parts in zip(cycles, self._parts, strict=True)]
        """Seconds of the line for a part."""
        self._outside = [0] * len(cycles)
        """Parts of the instance under way that are not yet in the queue."""
        self._under_way = [0] * len(cycles)
        """Parts that have not left the line."""
        self._queue: deque[int] = deque()
        self._in_line: deque[int] = deque()
        """Who waits for room in the queue."""
        self._backlog = 0.0

    def rates(self) -> list[float]:
        """Instances a second of each."""
        cycles, takes, queue = self._cycles, self._takes, self._queue
        turn = max(cycle.alone for cycle in cycles) + sum(cycle.line for cycle in cycles)
        begins, ends = WARMING_UP * turn, ROUNDS * turn
        first, last, ended = [0.0] * len(cycles), [0.0] * len(cycles), [-1] * len(cycles)
        # Who comes, and when; a part that leaves the line comes as nobody.
        events: list[tuple[float, int, int]] = []
        for number, cycle in enumerate(cycles):
            heappush(events, (cycle.alone * (number * _GOLDEN % 1.0), number, number))
        order, busy, now = len(cycles), _NOBODY, 0.0
        while now < ends:
            now, _, who = heappop(events)
            if who != _NOBODY:
                self._come(who)
            else:
                who, busy = busy, _NOBODY
                if self._leave(who):
                    if now > begins:
                        first[who] = first[who] or now
                        last[who], ended[who] = now, ended[who] + 1
                    cycle = cycles[who]
                    again = now + cycle.delay + cycle.work * _VARIED[order % len(_VARIED)]
                    heappush(events, (again, order, who))
                    order += 1
            if busy == _NOBODY and queue:
                busy = queue.popleft()
                heappush(events, (now + takes[busy], order, _NOBODY))
                order += 1
        return [
            count / (until - since) if count > 0 else 1 / turn
            for count, since, until in zip(ended, first, last, strict=True)
        ]

    def _come(self, who: int) -> None:
        """An instance comes: what there is room for goes into the queue, the rest stands in line."""
        self._outside[who] = self._under_way[who] = self._parts[who]
        if not self._in_line:
            while self._outside[who] and self._fits(who):
                self._enter(who)
        if self._outside[who]:
            self._in_line.append(who)

    def _leave(self, who: int) -> bool:
        """A part has left the line. Whether that was the last one of its instance."""
        self._backlog = max(0.0, self._backlog - self._takes[who])
        if not self._queue:
            self._backlog = 0.0
        while self._in_line and self._fits(self._in_line[0]):
            other = self._in_line.popleft()
            self._enter(other)
            if self._outside[other]:
                self._in_line.append(other)
        self._under_way[who] -= 1
        return not self._under_way[who]

    def _fits(self, who: int) -> bool:
        """Whether a part may enter the queue: an idle line takes any."""
        return not self._backlog or self._backlog + self._takes[who] <= self._room

    def _enter(self, who: int) -> None:
        self._queue.append(who)
        self._backlog += self._takes[who]
        self._outside[who] -= 1


_NOBODY = -1

_GOLDEN = 0.6180339887498949
"""Multiples of it are spread evenly over a cycle, however many there are (Weyl)."""


def _varied() -> tuple[float, ...]:
    """What work takes, over its mean: always the same numbers."""
    draws, shape = Random(1), VARIATION**-2
    return tuple(draws.gammavariate(shape, 1 / shape) for _ in range(4099))


_VARIED = _varied()
