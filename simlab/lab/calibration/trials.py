"""What is tried at a server, what was seen, and what that says once it is put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

import numpy as np

from simlab.lab.calibration.fit import Observation
from simlab.network.seam import Outcome
from simlab.network.stored import Stored
from simlab.studies.protocols import PROTOCOLS


class Cell(NamedTuple):
    """A combination of what is varied."""

    operation: str
    associations: int
    """At a time, each a study, or one message after another."""
    protocol: str = ""
    """Of C-STOREs."""

    @property
    def modality(self) -> str:
        """Of what is stored."""
        return PROTOCOLS[self.protocol].modality if self.protocol else ""

    def __str__(self) -> str:
        what = f" of {self.protocol}" if self.protocol else ""
        return f"{self.operation}{what}, {self.associations} at a time"


@dataclass(frozen=True, slots=True)
class Trial:
    """One repetition of a cell, as it was seen. Seconds."""

    throughput: float
    """Per second, while all associations were at work."""
    latencies: Sequence[float]
    """From request to response; of messages, with their association."""
    gaps: Sequence[float]
    """Between a response and the next request of the same association."""
    size: float = 0.0
    """Bytes of an instance."""
    trains: Sequence[float] = ()
    """What each association took from its first request to its last response."""
    around: Sequence[float] = ()
    """To request an association, and to release it."""

    def seconds_an_instance(self) -> list[float]:
        """Mean of each train."""
        return [seconds * len(self.trains) / len(self.latencies) for seconds in self.trains]


def seen_stores(outcomes: Sequence[Stored]) -> Trial | None:
    """What studies show that were stored side by side, one association each; None if they hardly met."""
    rows = [outcome.rows for outcome in outcomes]
    ends = [list(each.finished) for each in rows]
    starts = [list(each.started) for each in rows]
    throughput = _throughput(starts, ends)
    if throughput is None:
        return None
    return Trial(
        throughput,
        [
            end - start
            for began, ended in zip(starts, ends, strict=True)
            for start, end in zip(began, ended, strict=True)
        ],
        _gaps(starts, ends),
        float(np.mean([size for each in rows for size in each.bytes])),
        [ended[-1] - began[0] for began, ended in zip(starts, ends, strict=True)],
        [
            began[0] - outcome.started + outcome.finished - ended[-1]
            for began, ended, outcome in zip(starts, ends, outcomes, strict=True)
        ],
    )


def seen_messages(lanes: Sequence[Sequence[Outcome]]) -> Trial | None:
    """What messages show that were sent in some lanes side by side, one after another, each on its own association.

    None if they hardly met.
    """
    starts = [[outcome.started for outcome in lane] for lane in lanes]
    ends = [[outcome.finished for outcome in lane] for lane in lanes]
    latencies = [outcome.finished - outcome.started for lane in lanes for outcome in lane]
    throughput = _throughput(starts, ends)
    return None if throughput is None else Trial(throughput, latencies, _gaps(starts, ends))


def _throughput(starts: Sequence[Sequence[float]], ends: Sequence[Sequence[float]]) -> float | None:
    """How many a second ended while all lanes were at work; None if that was too short for one each."""
    began, ended = max(lane[0] for lane in starts), min(lane[-1] for lane in ends)
    inside = sum(began < end <= ended for lane in ends for end in lane)
    return inside / (ended - began) if inside >= len(ends) and ended > began else None


def _gaps(starts: Sequence[Sequence[float]], ends: Sequence[Sequence[float]]) -> list[float]:
    return [
        start - end
        for began, ended in zip(starts, ends, strict=True)
        for start, end in zip(began[1:], ended, strict=False)
    ]


@dataclass
class Seen:
    """All that was seen at one server."""

    trials: dict[Cell, list[Trial]] = field(default_factory=dict)
    made: dict[str, list[float]] = field(default_factory=dict)
    """Seconds an instance, by modality, each time that a study was made."""
    requested: dict[int, list[float]] = field(default_factory=dict)
    """Seconds that a commitment request took with its association, by the instances that it named."""
    reported: dict[int, list[float]] = field(default_factory=dict)
    """Seconds from the answer to such a request until the report had come, by the same."""
    derived: list[float] = field(default_factory=list)
    """Seconds an instance, each time that a workstation derived some."""
    studies: int = 0
    """That were left with the server."""
    bytes: int = 0

    def add(self, cell: Cell, trial: Trial) -> None:
        """Take down a repetition."""
        self.trials.setdefault(cell, []).append(trial)

    def cells(self, *operations: str) -> list[Cell]:
        """The cells that were tried, in order."""
        return sorted(cell for cell in self.trials if cell.operation in operations)

    def throughput(self, cell: Cell) -> float:
        """The median over the repetitions."""
        return median(trial.throughput for trial in self.trials[cell])

    def size(self, cell: Cell) -> float:
        """Mean bytes of an instance."""
        return float(np.mean([trial.size for trial in self.trials[cell]]))

    def latency(self, cell: Cell, quantile: float) -> float:
        """A quantile of all latencies of a cell, in seconds."""
        return float(np.quantile([each for trial in self.trials[cell] for each in trial.latencies], quantile))

    def gap(self, cell: Cell) -> float:
        """Mean seconds between a response and the next request: the median over the repetitions."""
        return median(float(np.mean(trial.gaps)) if trial.gaps else 0.0 for trial in self.trials[cell])

    def around(self) -> float | None:
        """Seconds for an association without its C-STOREs, where there was one at a time; None if none was seen."""
        alone = [each for cell, trials in self.trials.items() if cell.associations == 1 for each in _around(trials)]
        return median(alone) if alone else None

    def reference(self) -> float | None:
        """Seconds more that a request takes for each instance that it names, at both ends; None if it was not seen."""
        line = _line(self.requested)
        return None if line is None else line[1]

    def report(self) -> tuple[float, float] | None:
        """Seconds from the answer to a commitment request until the report on it has come, and for each instance more.

        None if that was not seen.
        """
        return _line(self.reported)

    def cv(self) -> float:
        """Coefficient of variation of what an instance takes on average, from one train of a cell to the next."""
        squares, freedom = 0.0, 0
        for trials in self.trials.values():
            each = [seconds for trial in trials for seconds in trial.seconds_an_instance()]
            if len(each) > 1:
                squares += float(np.square(np.divide(each, np.mean(each)) - 1).sum())
                freedom += len(each) - 1
        return float(np.sqrt(squares / freedom)) if freedom else 0.0

    def observations(self, *operations: str) -> list[Observation]:
        """What the fit needs of some operations."""
        return [
            Observation(
                cell.associations,
                self.size(cell),
                self.throughput(cell),
                self.gap(cell) if cell.protocol and cell.associations == 1 else None,
            )
            for cell in self.cells(*operations)
        ]


def _line(seconds: Mapping[int, Sequence[float]]) -> tuple[float, float] | None:
    """What is always taken, and for each instance more; neither is less than nothing."""
    if len(seconds) < 2:
        return None
    fewest, most = min(seconds), max(seconds)
    least = median(seconds[fewest])
    each = max(0.0, (median(seconds[most]) - least) / (most - fewest))
    return max(0.0, least - fewest * each), each


def _around(trials: Iterable[Trial]) -> Iterable[float]:
    return (each for trial in trials for each in trial.around)
