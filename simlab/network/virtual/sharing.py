"""How fast associations are that share one direction of a link: pure rates, no clock.

A C-STORE is synchronous, so an association is a customer that alternates between two places: the *line*, which its
instance crosses, and *thinking*, all the while in which it needs nothing of the line (the round trip to the response,
and the work at both ends). The relay gives the line to its connections in turns, a chunk each, which is processor
sharing among the instances that are on it. So while the same associations are open, they are a closed queueing network
of one processor-sharing station and one delay. It has a product form, and its rates depend on the means of line and
thinking times only, whatever their distributions (Baskett, Chandy, Muntz and Palacios 1975).

With N_c customers of class c that need the line for s_c seconds and think for Z_c, the normalising constant is
(McKenna and Mitra 1982)

    G(N) = integral from 0 to infinity of  exp(-t) * product over c of (Z_c + s_c t)^N_c / N_c!  dt

and a customer of class c completes G(N - 1_c) / G(N) / N_c instances a second, the mean of 1 / (Z_c + s_c t) under that
integrand. Both integrals are polynomials under exp(-t), which Gauss-Laguerre quadrature of N/2 + 1 nodes gets exactly.
So this is exact mean-value analysis at the price of the square of the number of associations. Approximations are not
needed; that of Schweitzer and Bard makes trains up to a fifth too slow here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import ceil, exp, fsum, inf, log
from typing import NamedTuple

from simlab.network.link.settings import WIRE

MESSAGE_BYTES = 250
"""About what a C-STORE-RQ has besides its data set: command set and PDV headers (PS3.7 section 9.3.1)."""

LARGE = 1e100
"""What is divided out of a polynomial's values before they overflow."""

MOST_STEPS = 10
"""Of Newton's method, which needs about four."""


class Demand(NamedTuple):
    """What an association needs for each instance, in seconds."""

    line: float
    """Of a line that it has to itself."""
    think: float
    """Without the line."""

    @property
    def alone(self) -> float:
        """Instances a second if nobody else is on the line."""
        return 1 / (self.line + self.think)


def demand(
    size: float,
    bandwidth: float,
    *,
    round_trip: float = 0.0,
    work: float = 0.0,
    window: float = inf,
    outstanding: int = 1,
) -> Demand:
    """What C-STOREs of ``size`` bytes need of a line of ``bandwidth`` (IP bytes per second), and besides.

    ``work`` is what an instance costs both ends together. A TCP ``window`` (bytes) that does not fill the path makes
    the sender wait a round trip for each windowful but the last. While several requests may be ``outstanding``
    (0: any number), others of the association cross the line while one is waited for: a stream of bytes with fewer
    gaps in it, or with none. It has no more than a window under way, and the other end does one after the other.
    """
    payload = size + MESSAGE_BYTES
    line = payload * WIRE / bandwidth
    each = line + round_trip + work
    if window < payload:
        each += (ceil(payload / window) - 1) * max(0.0, round_trip - window * WIRE / bandwidth)
    if outstanding != 1:
        each = max(each / outstanding if outstanding else 0.0, line, work, payload / window * round_trip)
    return Demand(line, each - line)


def rates(customers: Mapping[Demand, int]) -> dict[Demand, float]:
    """Instances a second of each association, by what it demands, if so many of each share the line.

    All of them need some of it: ``line`` is more than 0.
    """
    total = sum(customers.values())
    if total == 1:
        return {each: each.alone for each in customers}
    weights = [
        (node, weight + fsum(count * log(each.think + each.line * node) for each, count in customers.items()))
        for node, weight in _laguerre(total // 2 + 1)
    ]
    largest = max(weight for _, weight in weights)
    shares = [(node, exp(weight - largest)) for node, weight in weights]
    whole = fsum(share for _, share in shares)
    return {each: fsum(share / (each.think + each.line * node) for node, share in shares) / whole for each in customers}


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
