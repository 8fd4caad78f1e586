"""Trains that meet in a queue, first come, first served: how they fall into step.

Processor sharing takes associations to meet at random. But a line with a queue sends one instance after the other, and
instances of one size and round trips of one length are like clockwork. Whoever had to wait once comes when the line is
free ever after; and small instances that had to wait behind a large one come back in its company, and wait again. No
formula of means tells that: rates were seen of 0.6 to 1.7 times those in turns. So those who meet at a line go round,
instance by instance, until it is seen how fast they are. That takes some milliseconds, and is remembered.

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
    busy = sum(count * rates[cycle] * cycle.line for cycle, count in together)
    return {cycle: rate / max(1.0, busy) for cycle, rate in rates.items()}


class _Queue:
    """A line, the queue before it, and those who go round. Parts of instances leave the line one after the other."""

    def __init__(self, cycles: Sequence[Cycle], room: float) -> None:
        self._cycles = cycles
        self._room = room
        self._part = max(room / PARTS, max(cycle.line for cycle in cycles) / MOST_PARTS)
        self._outside = [0.0] * len(cycles)
        """Seconds of the instance under way that are not yet in the queue."""
        self._queue: deque[tuple[int, float, bool]] = deque()
        """Whose part of an instance, the seconds that it takes, and whether it is the last one."""
        self._in_line: deque[int] = deque()
        """Who waits for room in the queue."""
        self._backlog = 0.0

    def rates(self) -> list[float]:
        """Instances a second of each."""
        cycles, queue = self._cycles, self._queue
        turn = max(cycle.alone for cycle in cycles) + sum(cycle.line for cycle in cycles)
        begins, ends = WARMING_UP * turn, ROUNDS * turn
        first, last, ended = [0.0] * len(cycles), [0.0] * len(cycles), [-1] * len(cycles)
        # Who comes, and when; a part that leaves the line comes as nobody.
        events: list[tuple[float, int, int]] = []
        for number, cycle in enumerate(cycles):
            heappush(events, (cycle.alone * (number * _GOLDEN % 1.0), number, number))
        order, now, on_line = len(cycles), 0.0, _NOTHING
        while now < ends and order < MOST_STEPS:
            now, _, who = heappop(events)
            if who != _NOBODY:
                self._come(who)
            else:
                who, seconds, is_last = on_line
                on_line = _NOTHING
                self._leave(seconds)
                if is_last:
                    if now > begins or order > WARM:
                        first[who] = first[who] or now
                        last[who], ended[who] = now, ended[who] + 1
                    cycle = cycles[who]
                    again = now + cycle.delay + cycle.work * _VARIED[order % len(_VARIED)]
                    heappush(events, (again, order, who))
                    order += 1
            if on_line is _NOTHING and queue:
                on_line = queue.popleft()
                heappush(events, (now + on_line[1], order, _NOBODY))
                order += 1
        return [
            count / (until - since) if count > 0 else 1 / turn
            for count, since, until in zip(ended, first, last, strict=True)
        ]

    def _come(self, who: int) -> None:
        """An instance comes: what there is room for goes into the queue, the rest stands in line."""
        self._outside[who] = self._cycles[who].line
        while self._outside[who]:
            if self._in_line or not self._has_room(who):
                self._in_line.append(who)
                return
            self._enter(who)

    def _leave(self, seconds: float) -> None:
        """A part has left the line: who stands in line has a turn each."""
        self._backlog = max(0.0, self._backlog - seconds) if self._queue else 0.0
        while self._in_line and self._has_room(self._in_line[0]):
            who = self._in_line.popleft()
            self._enter(who)
            if self._outside[who]:
                self._in_line.append(who)

    def _has_room(self, who: int) -> bool:
        """Whether one's next part may enter the queue: an idle line takes any."""
        return not self._backlog or self._backlog + min(self._part, self._outside[who]) <= self._room

    def _enter(self, who: int) -> None:
        """Put one's next part into the queue."""
        seconds = min(self._part, self._outside[who])
        self._outside[who] -= seconds
        self._queue.append((who, seconds, not self._outside[who]))
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
