"""A run of the benchmarks: what it has to work with, and rounds that interleave the contestants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from benchmarks.corpus import Corpus
from benchmarks.native import Native
from benchmarks.peers import FailedError, UnavailableError
from benchmarks.results import Figures, Key, Results


@dataclass(frozen=True)
class Bench:
    """What every part needs."""

    native: Native
    corpus: Corpus
    folder: Path
    """For what senders say."""
    rounds: int
    quick: bool
    """Small runs, that show whether everything works; their figures are rough."""
    console: Console
    results: Results = field(default_factory=Results)

    def contest(self, contestants: Mapping[Key, Callable[[], Figures]]) -> None:
        """Let contestants take turns, round by round."""
        for key in contestants:
            self.results.enter(key)
        absent: set[Key] = set()
        for number in range(self.rounds):
            for key, measure in contestants.items():
                if key in absent:
                    continue
                try:
                    figures = measure()
                except UnavailableError as error:
                    absent.add(key)
                    self.results.notes[key] = str(error)
                    self._say(key, number, f"skipped: {error}")
                except FailedError as error:
                    self.results.notes[key] = f"round {number + 1}: {error}"
                    self._say(key, number, f"failed: {error}")
                else:
                    self.results.add(key, number, figures)
                    told = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
                    self._say(key, number, told)

    def _say(self, key: Key, number: int, what: str) -> None:
        subject = " ".join(part for part in (key.part, key.subject, key.against) if part)
        self.console.print(f"[{number + 1}/{self.rounds}] {subject}: {key.name}: {what}", soft_wrap=True)
