"""How fast associations are that share lines and computers: pure rates, no clock.

A C-STORE is synchronous, so an association is a customer that goes round: its instance takes the sender's time, crosses
a line, takes the receiver's, and for the rest of the cycle (round trips, mostly) needs nothing that others need too.
Lines and computers work in turns, a chunk or an instant each, which is processor sharing among the instances that are
there. So while the same associations are open, they are a closed queueing network of processor-sharing places and one
delay. It has a product form, and its rates depend on the means only, whatever the distributions (Baskett, Chandy, Muntz
and Palacios 1975).

With N_c customers of class c that think for Z_c and need place r for s_cr seconds, the normalising constant is (McKenna
and Mitra 1982)

    G(N) = integral over all t_r from 0 to infinity of
           exp(-sum over r of t_r) * product over c of (Z_c + sum over r of s_cr t_r)^N_c / N_c!

and a customer of class c completes G(N - 1_c) / G(N) / N_c instances a second, the mean of 1 / (Z_c + sum of s_cr t_r)
under that integrand; the mean of s_cr t_r over the same is how much of it is at r. In each t_r the integrand is
a polynomial under exp(-t_r), which Gauss-Laguerre quadrature of N_r/2 + 1 nodes gets exactly, if N_r customers need r.
So this is exact mean-value analysis without its recursion; approximations are not needed (that of Schweitzer and Bard
makes trains up to a fifth too slow here). Who needs a place that nobody else needs has it as a delay.

A place of c servers alike works on c instances at a time, so that n of them there count for 1 / product of min(i, c)
over i to n, where one server counts for 1. All that the integral does for a place is to turn t^n into n!; so any rule
does that turns t^n into n! over that product, up to n = N_r. From n = c - 1 on, that is what one server does that is
c times as fast, times c^c / c!. What is wrong with this below is taken away, coefficient by coefficient of t^n, each of
which is a mean over N_r + 1 points of the unit circle. So weights may be negative, or complex in conjugate pairs. If no
more customers than servers need the place, it is a delay.

Where that would be too many points, or would lose too many digits, a place with c servers is taken for one that is
c times as fast, behind a delay of (c - 1) / c of the work (Seidmann, Schweitzer and Shalev-Oren 1987): exact for one
customer and for very many, up to a fifth too slow in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from functools import cache
from math import lgamma, log, pi
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

LARGE = 1e100
"""What is divided out of a polynomial's values before they overflow."""

MOST_STEPS = 10
"""Of Newton's method, which needs about four."""

MOST_NODES = 4096
"""Of the quadrature. Where so many share several places, it is no longer exact; nobody will see the difference."""

MOST_SERVERS = 16
"""Of a place. With more the rule loses more than seven digits of sixteen."""

TINY = 1e-200
"""Seconds, in place of none: where the unit circle passes through a cycle of nothing."""

ONE_EACH: Mapping[Hashable, int] = MappingProxyType({})
"""Nothing is told of anybody's servers."""

Numbers: TypeAlias = npt.NDArray[np.inexact[Any]]
"""Real where all places have one server, else complex."""


class Demand(NamedTuple):
    """What an association needs for each instance, in seconds."""

    think: float
    """Without any place that is shared."""
    needs: tuple[tuple[Hashable, float], ...] = ()
    """Places, and what each takes if nobody else is there: more than 0."""

    @property
    def alone(self) -> float:
        """Instances a second if nobody else is there."""
        return 1 / (self.think + sum(seconds for _, seconds in self.needs))


class Load(NamedTuple):
    """How a place is loaded, on average."""

    utilisation: float = 0.0
    present: float = 0.0
    """Instances that are there."""
    backlog: float = 0.0
    """Seconds of work that is there: who waits its turn has all of it left, who has it half."""

    def more(self, rate: float, present: float, seconds: float) -> Load:
        """The load with some more associations of one kind, whose instances take so many seconds each."""
        busy = rate * seconds
        return Load(
            self.utilisation + busy, self.present + present, self.backlog + max(0.0, present - busy / 2) * seconds
        )


IDLE = Load()


class Shares(NamedTuple):
    """What comes of so many associations that share places."""

    rates: Mapping[Demand, float]
    """Instances a second of each association, by what it demands."""
    loads: Mapping[Hashable, Load]
    """Of each place."""


def shares(
    customers: Mapping[Demand, int], servers: Mapping[Hashable, int] = ONE_EACH, negligible: float = 0.0
) -> Shares:
    """How fast so many associations of each demand are together. Each needs something, be it time or a place.

    A place has one server, unless ``servers`` tells otherwise.

    A place that would be busy for less than a ``negligible`` share of the time, even if nobody had to wait anywhere, is
    taken for a delay: who shares it would wait for less than that share of a visit.
    """
    if sum(customers.values()) == 1:
        (each,) = customers
        alone = each.alone
        by_all = {place: seconds / servers.get(place, 1) for place, seconds in each.needs}
        return Shares(
            {each: alone}, {place: IDLE.more(alone, seconds * alone, seconds) for place, seconds in by_all.items()}
        )
    needing = Counter[Hashable]()
    most_busy = dict.fromkeys((place for each in customers for place, _ in each.needs), 0.0)
    for each, count in customers.items():
        for place, seconds in each.needs:
            needing[place] += count
            most_busy[place] += count * seconds / servers.get(place, 1) * each.alone
    contended = [
        place for place, count in needing.items() if count > servers.get(place, 1) and most_busy[place] >= negligible
    ]
    times, weights = _grid([(needing[place], servers.get(place, 1)) for place in contended])
    axes = {place: times[axis] for axis, place in enumerate(contended)}
    cycles = {each: _cycle(each, axes) for each in customers}
    for each, count in customers.items():
        weights = weights + count * np.log(cycles[each])
    chances = np.exp(weights - weights.real.max())
    chances /= chances.sum()
    rates = {each: float((chances / cycle).sum().real) for each, cycle in cycles.items()}
    loads = dict.fromkeys(needing, IDLE)
    for each, count in customers.items():
        for place, seconds in each.needs:
            here = chances * axes[place] if place in axes else chances
            present = count * seconds * float((here / cycles[each]).sum().real)
            # Seen by others as a faster one behind a delay.
            by_all = seconds / servers.get(place, 1)
            present -= count * rates[each] * (seconds - by_all)
            loads[place] = loads[place].more(count * rates[each], present, by_all)
    return Shares(rates, loads)


def _cycle(each: Demand, axes: Mapping[Hashable, Numbers]) -> Numbers:
    cycle: Numbers = np.array([each.think])
    for place, seconds in each.needs:
        cycle = cycle + seconds * axes.get(place, 1.0)
    return np.where(cycle == 0, TINY, cycle)


def _grid(places: list[tuple[int, int]]) -> tuple[Numbers, Numbers]:
    """Nodes of the product of one quadrature for each place, (places, nodes), and the logarithms of their weights.

    ``places`` are how many customers need each, and its servers.
    """
    if not places:
        return np.zeros((0, 1)), np.zeros(1)
    rules = [_rule(*place) for place in places]
    if np.prod([len(nodes) for nodes, _ in rules], dtype=float) > MOST_NODES:
        counts = [size // 2 + 1 for size, _ in places]
        while np.prod(counts, dtype=float) > MOST_NODES:
            counts[counts.index(max(counts))] -= 1
        rules = [_as_one(count, servers) for count, (_, servers) in zip(counts, places, strict=True)]
    nodes = np.array([axis.ravel() for axis in np.meshgrid(*(rule[0] for rule in rules), indexing="ij")])
    weights = np.sum([axis.ravel() for axis in np.meshgrid(*(rule[1] for rule in rules), indexing="ij")], axis=0)
    return nodes, weights


@cache
def _rule(size: int, servers: int) -> tuple[Numbers, Numbers]:
    """Nodes and logarithms of weights for a place that so many customers need."""
    if servers == 1 or servers > MOST_SERVERS:
        return _as_one(size // 2 + 1, servers)
    nodes, logarithms = np.array(_laguerre(size // 2 + 1)).T
    below = np.arange(servers - 1)
    wrong = 1 - np.array([np.prod(servers / np.arange(number + 1, servers + 1)) for number in below])
    circle = np.exp(2j * pi * np.arange(size + 1) / (size + 1))
    weights = (wrong * circle[:, None] ** -below).sum(axis=1) / (size + 1)
    logarithms = logarithms + servers * log(servers) - lgamma(servers + 1)
    return np.concatenate([nodes / servers, circle]), np.concatenate([logarithms, np.log(weights)])


@cache
def _as_one(count: int, servers: int) -> tuple[Numbers, Numbers]:
    """The rule of so many nodes for a place with a single server that is as fast as all, behind a delay."""
    nodes, logarithms = np.array(_laguerre(count)).T
    return (nodes + servers - 1) / servers, logarithms


@cache
def _laguerre(count: int) -> tuple[tuple[float, float], ...]:
    """Nodes of Gauss-Laguerre quadrature, and the logarithms of their weights (Press et al., Numerical Recipes 4.6)."""
    nodes: list[float] = []
    rule: list[tuple[float, float]] = []
    for place in range(count):
        if place == 0:
            node = 3 / (1 + 2.4 * count)
        elif place == 1:
            node = nodes[0] + 15 / (1 + 2.5 * count)
        else:
            far = place - 1
            node = nodes[-1] + (1 + 2.55 * far) / (1.9 * far) * (nodes[-1] - nodes[-2])
        before = slope = shift = 0.0
        for _ in range(MOST_STEPS):  # Newton's method
            value, before, shift = 1.0, 0.0, 0.0
            for degree in range(count):
                value, before = ((2 * degree + 1 - node) * value - degree * before) / (degree + 1), value
                if abs(value) > LARGE:
                    value, before, shift = value / LARGE, before / LARGE, shift + log(LARGE)
            slope = count * (value - before) / node
            step = value / slope
            node -= step
            if abs(step) < 1e-12 * node:
                break
        nodes.append(node)
        rule.append((node, -log(-slope * count * before) - 2 * shift))
    return tuple(rule)
