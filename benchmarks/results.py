"""What was measured, by contestant and round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any, NamedTuple, TypeAlias

Figures: TypeAlias = Mapping[str, float]
"""By name: ``rate`` in instances (or associations) per second, ``cpu`` in CPU seconds per GB, and so on."""


class Key(NamedTuple):
    """Names a row of a table."""

    part: str
    subject: str
    """What is sent, mostly."""
    against: str
    """To whom, or by whom."""
    name: str
    """The contestant."""


class Results:
    """Figures of all rounds."""

    def __init__(self) -> None:
        self._rounds: dict[Key, dict[int, Figures]] = {}
        self.notes: dict[Key, str] = {}
        """Why figures are missing."""

    def enter(self, key: Key) -> None:
        """Give a contestant its row, before anything is measured."""
        self._rounds.setdefault(key, {})

    def add(self, key: Key, number: int, figures: Figures) -> None:
        """Add what a contestant did in a round."""
        self._rounds[key][number] = figures

    def keys(self) -> Iterator[Key]:
        """All rows, in the order in which they were entered."""
        return iter(self._rounds)

    def values(self, key: Key, figure: str) -> dict[int, float]:
        """A figure by round."""
        rounds = self._rounds.get(key, {})
        return {number: figures[figure] for number, figures in rounds.items() if figure in figures}

    def median(self, key: Key, figure: str) -> float | None:
        """The median over the rounds; None if there was none."""
        values = self.values(key, figure)
        return median(values.values()) if values else None

    def ratio(self, over: Key, under: Key, figure: str) -> float | None:
        """The median of the rounds' ratios; None if no round has both figures."""
        above, below = self.values(over, figure), self.values(under, figure)
        ratios = [above[number] / below[number] for number in above if below.get(number)]
        return median(ratios) if ratios else None

    def as_json(self) -> list[dict[str, Any]]:
        """All rows, ready for JSON."""
        return [
            {
                **key._asdict(),
                "rounds": {str(number + 1): dict(figures) for number, figures in rounds.items()},
                **({"note": self.notes[key]} if key in self.notes else {}),
            }
            for key, rounds in self._rounds.items()
        ]
