"""Simulated means with intervals narrow enough to be held against queueing theory."""

from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

REPLICATIONS = 20

PERCENT = 99.9


class Estimate(NamedTuple):
    """A mean, and half the width of its 99.9 % interval."""

    mean: float
    half_width: float

    @property
    def precision(self):
        """Half the width as a share of the mean."""
        return self.half_width / self.mean

    def holds(self, value):
        return abs(value - self.mean) <= self.half_width


def student(freedom):
    """Student's t for a two-sided interval of 99.9 % (Hill's expansion: Abramowitz and Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(0.5 + PERCENT / 200)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def estimate(means, control, expected):
    """The mean over replications, corrected by what chance has drawn in them (a control variate).

    ``control`` is what came out of something else with the same draws in each replication, and ``expected`` what that
    is in theory. A least-squares line tells how much of a replication's mean comes of its draws, and takes it away; the
    interval is that of what is left. It cannot make a wrong mean right: whatever is wrong with it, and not with the
    control, stays (Lavenberg and Welch 1981; A. M. Law, "Simulation Modeling and Analysis", section 11.4).
    """
    means, off = np.asarray(means), np.asarray(control) - expected
    slope, constant = np.polyfit(off, means, 1)
    freedom = len(means) - 2
    variance = np.sum((means - constant - slope * off) ** 2) / freedom
    spread = 1 / len(means) + off.mean() ** 2 / np.sum((off - off.mean()) ** 2)
    return Estimate(float(constant), student(freedom) * sqrt(variance * spread))


def single_server_waits(gaps, services):
    """How long each waits for a single server, who comes first first (Lindley 1952). The first gap does not matter."""
    walk = np.concatenate([[0.0], np.cumsum(services[:-1] - gaps[1:])])
    return walk - np.minimum.accumulate(walk)


def m_g_1_wait(utilisation, cv, service=1.0):
    """The mean wait for a single server, from Poisson arrivals (Pollaczek 1930, Khinchine 1932).

    ``cv`` is the coefficient of variation of service times, and ``service`` their mean.
    """
    return service * utilisation / (1 - utilisation) * (1 + cv**2) / 2
