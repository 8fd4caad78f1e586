"""Which segments are lost, and how late each chunk is: keyed draws, one connection's apart from another's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from simlab.draws import Draws
from simlab.network.link.settings import MSS


class Losses:
    """The chances of one direction of one connection."""

    def __init__(self, seed: int, entity: str) -> None:
        self._draws = Draws(seed)
        self._entity = entity
        self._number = 0
        self._loss = 0.0
        self._left = 0
        """Segments that get through before the next one that does not."""

    def split(self, data: Sequence[int], loss: float) -> Iterator[tuple[Sequence[int], bool]]:
        """Yield the parts of a chunk, and whether each is lost."""
        if not loss or not len(data):
            yield data, False
            return
        if loss != self._loss:
            self._loss = loss
            self._left = self._gap()
        while len(data):
            segments = -(-len(data) // MSS)
            if self._left >= segments:
                self._left -= segments
                yield data, False
                return
            if self._left:
                yield data[: self._left * MSS], False
                data = data[self._left * MSS :]
            self._left = self._gap()
            yield data[:MSS], True
            data = data[MSS:]

    def again(self, size: int, loss: float) -> bool:
        """Whether a chunk that is sent again is lost again."""
        return loss > 0 and self._draw("again") < 1 - (1 - loss) ** max(1, -(-size // MSS))

    def jitter(self, most: float, number: int) -> float:
        """Seconds that the chunk of a number is late."""
        return self._draws.uniform("jitter", (self._entity, number), 0.0, most) if most else 0.0

    def _gap(self) -> int:
        """Segments between two losses: a geometric variate."""
        return int(math.log1p(-self._draw("loss")) / math.log1p(-self._loss)) if self._loss < 1 else 0

    def _draw(self, purpose: str) -> float:
        self._number += 1
        return self._draws.uniform(purpose, (self._entity, self._number))
