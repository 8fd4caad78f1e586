"""Trains that meet in a queue, first come, first served: how they fall into step, and wait less than in turns.

Processor sharing takes associations to meet at random. But a line with a queue sends one instance after the other, and
instances of one size and round trips of one length are like clockwork: whoever had to wait once comes when the line is
free ever after. If all are alike, nobody waits in the end until the line has no time left: k associations that need it
for s of every c seconds get the least of k / c and 1 / s together (the asymptotic bounds of a closed network: Denning
and Buzen 1978). Where sizes differ, what is in step with one is out of step with the other. How far that goes was
measured at the relay's link, with random mixes of trains (``tests/network/test_virtual_link.py``): it lies between the
two, at fixed shares of the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeAlias

from simlab.network.virtual.sharing import Demand, Shares

ALIKE = 0.8
"""Share of the way from sharing to its bound, where all trains on a line need the same of it."""

MIXED = 0.4
"""Where they do not."""

TOO_LARGE = 0.2
"""Where the instances of some do not fit into the queue: the rest of them have turns."""

SAME = 0.01
"""By how much of it the needs of trains may differ that are alike."""

Share: TypeAlias = Callable[[Mapping[Demand, int]], Shares]


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
        free = {each: unhindered[delayed[each]] for each in users}
        bounds = _bounds(users, free, place)
        needs = [_need(each, place) for each in users]
        mixed = MIXED if max(needs) <= room else TOO_LARGE
        way = ALIKE if _alike(needs) and _alike(free.values()) else mixed
        for each in users:
            rates[each] += way * (bounds[each] - came.rates[each])
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


def _bounds(users: Mapping[Demand, int], free: Mapping[Demand, float], place: Hashable) -> dict[Demand, float]:
    """The rates if nobody waited but for a line without a pause: then all get one instance each in turn."""
    left, busy = 1.0, sum(count * _need(each, place) for each, count in users.items())
    bounds: dict[Demand, float] = {}
    for each in sorted(users, key=lambda each: free[each]):
        bounds[each] = min(free[each], left / busy)
        taken = users[each] * _need(each, place)
        left, busy = left - bounds[each] * taken, busy - taken
    return bounds


def _alike(values: Iterable[float]) -> bool:
    found = list(values)
    return max(found) <= min(found) * (1 + SAME)
