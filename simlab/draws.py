"""Keyed random draws.

Every draw is a pure function of (seed, purpose, entity): the entity is an arrival, a UID or an attempt, never
"the next number of a stream". Live timing jitters and processes are placed differently from run to run; keyed draws
give the same orders, studies and decisions all the same.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Draws:
    """Random draws under one seed."""

    seed: int

    def _integer(self, purpose: str, entity: object) -> int:
        """64 bits that depend on nothing but (seed, purpose, entity)."""
        key = f"{self.seed}\x1f{purpose}\x1f{entity}".encode()
        return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")

    def uniform(self, purpose: str, entity: object, low: float = 0.0, high: float = 1.0) -> float:
        """A number in [low, high)."""
        # 53 bits: what a float can hold, so that 1.0 itself never comes out.
        return low + (high - low) * ((self._integer(purpose, entity) >> 11) / 2**53)

    def exponential(self, purpose: str, entity: object, mean: float) -> float:
        """An exponential variate with the given mean (the gap between two Poisson arrivals)."""
        return -mean * math.log1p(-self.uniform(purpose, entity))

    def choice(self, purpose: str, entity: object, options: Sequence[T]) -> T:
        """One of the options, all equally likely."""
        return options[int(self.uniform(purpose, entity) * len(options))]

    def weighted(self, purpose: str, entity: object, weights: Mapping[T, float]) -> T:
        """One of the keys, each as likely as its weight. Weights are positive; the order of keys matters."""
        mark = self.uniform(purpose, entity, 0.0, math.fsum(weights.values()))
        for option, weight in weights.items():
            mark -= weight
            if mark < 0:
                return option
        return list(weights)[-1]

    def generator(self, purpose: str, entity: object) -> np.random.Generator:
        """A numpy generator of its own for one entity (the noise of one image, say)."""
        return np.random.default_rng(self._integer(purpose, entity))
