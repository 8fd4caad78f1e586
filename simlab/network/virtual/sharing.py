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
So this is exact mean-value analysis without its recursion. Who needs a place that nobody else needs has it as a delay.
Given the t of a place, those who do not meet elsewhere are independent, so each such group is summed up by itself: over
the place that most of them need last, given its t over the next, and so on (a relative of tree convolution, Lam and
Lien 1983).

A place of c servers alike works on c instances at a time, so that n of them there count for 1 / product of min(i, c)
over i to n, where one server counts for 1. All that the integral does for a place is to turn t^n into n!; so any rule
does that turns t^n into n! over that product, up to n = N_r. From n = c - 1 on, that is what one server does that is
c times as fast, times c^c / c!. What is wrong with this below is taken away, coefficient by coefficient of t^n, each of
which is a mean over N_r + 1 points of the unit circle. So weights may be negative, or complex in conjugate pairs. If no
more customers than servers need the place, it is a delay.

Where that would lose too many digits, or be too many points, a place with c servers is taken for one that is c times as
fast, behind a delay of (c - 1) / c of the work (Seidmann, Schweitzer and Shalev-Oren 1987): exact for one customer and
for very many, too slow by up to a seventh in between. Where even that is too many points, the approximation of
Schweitzer and Bard takes over: who arrives finds what is there on average, but for their own share. Both together are
up to a quarter too slow where few meet, and the closer the more they are.
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

MOST_NODES = 32_768
"""Of the quadrature, for all demands together: a millisecond, or ten where some places have several servers."""

MOST_ROUNDS = 200
"""Of the approximation."""

CLOSE = 1e-6
"""Of instances: what changes less in a round is there."""

MOST_SERVERS = 16
"""Of a place. With more the rule loses more than seven digits of sixteen."""

TINY = 1e-200
"""Seconds, in place of none: where the unit circle passes through a cycle of nothing."""

ONE_EACH: Mapping[Hashable, int] = MappingProxyType({})
"""Nothing is told of anybody's servers."""

Numbers: TypeAlias = npt.NDArray[np.inexact[Any]]
"""Real where all places have one server, else complex."""

Rules: TypeAlias = Mapping[Hashable, tuple[Numbers, Numbers]]
"""Nodes of a quadrature, and the logarithms of their weights, for each place."""


class Demand(NamedTuple):
    """What an association needs for each instance, in seconds."""

    think: float
    """Without any place that is shared."""
    needs: tuple[tuple[Hashable, float], ...] = ()
    """Places, and what each takes if nobody else is there: more than 0."""
    back: Hashable | None = None
    """Where responses come through, which take no time there; they may have to wait in its queue."""

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
        together = {place: seconds / servers.get(place, 1) for place, seconds in each.needs}
        return Shares(
            {each: alone}, {place: IDLE.more(alone, seconds * alone, seconds) for place, seconds in together.items()}
        )
    needing = Counter[Hashable]()
    most_busy = dict.fromkeys((place for each in customers for place, _ in each.needs), 0.0)
    for each, count in customers.items():
        for place, seconds in each.needs:
            needing[place] += count
            most_busy[place] += count * seconds / servers.get(place, 1) * each.alone
    contended = {
        place: (count, servers.get(place, 1))
        for place, count in needing.items()
        if count > servers.get(place, 1) and most_busy[place] >= negligible
    }
    branches = _branches(list(customers), list(contended))
    for rule in (_rule, _rule_as_one):
        rules = {place: rule(*crowd) for place, crowd in contended.items()}
        if sum(branch.cost(rules) for branch in branches) <= MOST_NODES:
            found: Found = {}
            for branch in branches:
                part = _Sum(branch, customers, rules, {}, 1)
                part.tell(-part.logarithms, found)
            break
    else:
        found = _approximate(customers, contended)
    loads = dict.fromkeys(needing, IDLE)
    for each, count in customers.items():
        rate, present = found[each]
        for place, seconds in each.needs:
            # Seen by others as a faster one behind a delay.
            by_all = seconds / servers.get(place, 1)
            here = present.get(place, rate * seconds) - rate * (seconds - by_all)
            loads[place] = loads[place].more(count * rate, count * here, by_all)
    return Shares({each: rate for each, (rate, _) in found.items()}, loads)


Found: TypeAlias = dict[Demand, tuple[float, dict[Hashable, float]]]
"""Of one association of each demand: instances a second, and how many are at each contended place."""


class _Branch(NamedTuple):
    """Those who meet, given the t of some places."""

    place: Hashable
    """That most of them need besides; None for a single demand that meets nobody."""
    demands: list[Demand]
    branches: list[_Branch]
    """Given its t too."""

    def cost(self, rules: Rules) -> int:
        """Nodes, for all demands together."""
        if self.place is None:
            return 1
        return len(rules[self.place][0]) * sum(branch.cost(rules) for branch in self.branches)


def _branches(demands: list[Demand], places: list[Hashable]) -> list[_Branch]:
    branches = []
    for group, here in _groups(demands, places):
        if not here:
            branches.append(_Branch(None, group, []))
            continue
        needed = Counter(place for each in group for place, _ in each.needs)
        most = max(here, key=lambda place: needed[place])
        branches.append(_Branch(most, group, _branches(group, [place for place in here if place != most])))
    return branches


def _groups(demands: list[Demand], places: list[Hashable]) -> list[tuple[list[Demand], list[Hashable]]]:
    """Those who meet at these places, directly or through others, and where."""
    groups: list[tuple[list[Demand], set[Hashable]]] = []
    for each in demands:
        group, here = [each], {place for place, _ in each.needs if place in places}
        apart = []
        for others, theirs in groups:
            if here.isdisjoint(theirs):
                apart.append((others, theirs))
            else:
                group, here = others + group, here | theirs
        groups = [*apart, (group, here)]
    return [(group, [place for place in places if place in here]) for group, here in groups]


class _Sum:
    """What a branch contributes to the integrand, for so many nodes of the places around it."""

    def __init__(
        self,
        branch: _Branch,
        customers: Mapping[Demand, int],
        rules: Rules,
        axes: Mapping[Hashable, Numbers],
        count: int,
    ) -> None:
        self.branch = branch
        self.axes = axes
        self.parts: list[_Sum] = []
        if branch.place is None:
            (each,) = branch.demands
            self.cycle = np.broadcast_to(_cycle(each, axes), (count,))
            self.logarithms: Numbers = customers[each] * np.log(self.cycle)
            return
        nodes, weights = rules[branch.place]
        self.inner = len(nodes)
        axes = {place: np.repeat(axis, self.inner) for place, axis in axes.items()}
        axes[branch.place] = np.tile(nodes, count)
        self.parts = [_Sum(each, customers, rules, axes, count * self.inner) for each in branch.branches]
        self.integrand = np.tile(weights, count)
        for part in self.parts:
            self.integrand = self.integrand + part.logarithms
        self.logarithms = _logarithms_of_sums(self.integrand.reshape(count, self.inner))

    def tell(self, others: Numbers, found: Found) -> None:
        """Say how those of the branch fare, if all others contribute what is given by its logarithms."""
        if self.parts:
            around = np.repeat(others, self.inner) + self.integrand
            for part in self.parts:
                part.tell(around - part.logarithms, found)
            return
        (each,) = self.branch.demands
        here = np.exp(others + self.logarithms) / self.cycle
        present = {
            place: seconds * float((here * self.axes[place]).sum().real)
            for place, seconds in each.needs
            if place in self.axes
        }
        found[each] = float(here.sum().real), present


def _logarithms_of_sums(weights: Numbers) -> Numbers:
    """Of each row of weights, which are given by their logarithms."""
    most = weights.real.max(axis=1)
    sums = np.exp(weights - most[:, None]).sum(axis=1)
    logarithms: Numbers = np.log(np.where(sums == 0, TINY, sums)) + most
    return logarithms


def _cycle(each: Demand, axes: Mapping[Hashable, Numbers]) -> Numbers:
    cycle: Numbers = np.array([each.think])
    for place, seconds in each.needs:
        cycle = cycle + seconds * axes.get(place, 1.0)
    return np.where(cycle == 0, TINY, cycle)


def _approximate(customers: Mapping[Demand, int], contended: Mapping[Hashable, tuple[int, int]]) -> Found:
    """Schweitzer's and Bard's approximation, with several servers taken for one."""
    counts = np.array(list(customers.values()), dtype=float)
    servers = np.array([servers for _, servers in contended.values()], dtype=float)
    needs = np.array([[dict(each.needs).get(place, 0.0) for place in contended] for each in customers])
    alone = np.array([1 / each.alone for each in customers])
    by_all = needs / servers
    present = needs / alone[:, None]
    for _ in range(MOST_ROUNDS):
        before = present
        waits = by_all * (counts @ present - present)
        rates = 1 / (alone + waits.sum(axis=1))
        present = rates[:, None] * (by_all + waits)
        if abs(present - before).max() < CLOSE:
            break
    present += rates[:, None] * (needs - by_all)
    return {
        each: (float(rate), dict(zip(contended, map(float, here), strict=True)))
        for each, rate, here in zip(customers, rates, present, strict=True)
    }


@cache
def _rule(size: int, servers: int) -> tuple[Numbers, Numbers]:
    """Nodes and logarithms of weights for a place that so many customers need."""
    if servers == 1 or servers > MOST_SERVERS:
        return _rule_as_one(size, servers)
    nodes, logarithms = np.array(_laguerre(size // 2 + 1)).T
    below = np.arange(servers - 1)
    wrong = 1 - np.array([np.prod(servers / np.arange(number + 1, servers + 1)) for number in below])
    circle = np.exp(2j * pi * np.arange(size + 1) / (size + 1))
    weights = (wrong * circle[:, None] ** -below).sum(axis=1) / (size + 1)
    logarithms = logarithms + servers * log(servers) - lgamma(servers + 1)
    return np.concatenate([nodes / servers, circle]), np.concatenate([logarithms, np.log(weights)])


@cache
def _rule_as_one(size: int, servers: int) -> tuple[Numbers, Numbers]:
    """The same, if the place were a single server that is as fast as all, behind a delay."""
    nodes, logarithms = np.array(_laguerre(size // 2 + 1)).T
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
