"""What is compared with what: cells of links and transfers, how they are measured, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from statistics import fmean, median
from typing import Any, NamedTuple

from benchmarks.corpus import Kind
from benchmarks.link_routes import Transfer
from simlab.analysis.closed_form import Encoding, Path, Way, Work, instance_time, study_time
from simlab.network.link.settings import Congestion, Direction, LinkSettings

TUN, RELAY, IDEAL = "TUN", "relay", "relay ideal"

MBIT = 1e6 / 8
"""Bytes per second."""

WINDOW = 4 << 20

DEEP = 1 << 20
"""Bytes of queue for each association: no less than one ever has under way, so that it does not overflow."""
SEEDS = 5

P50, STUDY = "p50", "study"


class Part(Enum):
    """What a cell is about; the value is for tables."""

    ONE = "one association"
    FOUR = "four associations"
    LOSS = "random loss of 0.001"
    SHORT = "one association, a queue that overflows"
    CROWDED = "four associations, a queue that overflows"


class Bounds(NamedTuple):
    """How far a ratio may be from 1."""

    share: float
    seconds: float = 0.0
    """Or how far the two may be apart."""

    def hold(self, value: float, other: float) -> bool:
        """Whether a value is near enough to the other."""
        return abs(value / other - 1) <= self.share or abs(value - other) <= self.seconds


@dataclass(frozen=True)
class Cell:
    """A link, and what is sent over it."""

    part: Part
    kind: Kind
    rtt: float
    """Seconds."""
    mbit: int
    """Bandwidth in Mbit/s."""

    @property
    def associations(self) -> int:
        """How many share the link."""
        return 4 if self.part in (Part.FOUR, Part.CROWDED) else 1

    @property
    def contestants(self) -> tuple[str, ...]:
        """Who takes part."""
        return (TUN, RELAY, IDEAL) if self.part in (Part.ONE, Part.SHORT) else (TUN, RELAY)

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.kind.label} {self.rtt * 1e3:g} ms {self.mbit} Mbit/s"

    @property
    def together(self) -> bool:
        """Whether contestants run at the same time: where they are so slow that they do not disturb each other."""
        return self.mbit <= 10 or (self.mbit <= 100 and self.rtt >= 0.05) or self.part is Part.LOSS

    def settings(self, contestant: str, seed: int) -> LinkSettings:
        """Its link."""
        loss = 1e-3 if self.part is Part.LOSS else 0.0
        one = Direction(latency=self.rtt / 2, bandwidth=self.mbit * MBIT, loss=loss)
        congestion: Congestion = "ideal" if contestant == IDEAL else "cubic"
        settings = LinkSettings(one, one, window=WINDOW, congestion=congestion, seed=seed)
        usual = int(settings.queue(one))
        deep = self.part in (Part.ONE, Part.FOUR)
        one = replace(one, queue=max(usual, DEEP * self.associations) if deep else usual)
        return replace(settings, forth=one, back=one)

    def count(self, size: float, *, quick: bool) -> int:
        """Instances of a run: enough for slow start to be a small part of it, and not more than a minute's worth."""
        each = self.rtt + size / (self.mbit * MBIT) * self.associations
        seconds = 1.5 if quick else {10: 10.0, 100: 8.0, 1000: 10.0}[self.mbit]
        if self.part is Part.SHORT or not self.together:
            seconds /= 2.0  # one behind the other takes longer
        least, most = (8, 60) if quick else (20, 80 if self.part is Part.LOSS else 240)  # losses take their time
        if self.associations > 1:
            least //= 2
        count = min(max(least, round(seconds / each)), most)
        return count * self.associations


class Baseline(NamedTuple):
    """What the two ends cost without a link."""

    server: float
    """Seconds for an instance of hardly any bytes."""
    setup: float
    """Seconds to associate and to release."""


@dataclass
class Outcome:
    """A cell, measured."""

    cell: Cell
    count: int
    size: float
    """Mean bytes of an instance."""
    baseline: Baseline
    rounds: list[dict[str, Transfer]] = field(default_factory=list)
    late: int = 0
    """Rounds that do not count because the bridge was late."""

    @property
    def path(self) -> Path:
        """The link as the closed form knows it."""
        return Path(self.cell.rtt, self.cell.mbit * MBIT, WINDOW)

    def theory(self, figure: str) -> float:
        """Seconds by the closed form."""
        work = Work(self.count, Encoding(self.size), server=self.baseline.server, setup=self.baseline.setup)
        if figure == P50:
            return instance_time(self.path, self.size, self.baseline.server)
        return study_time(self.path, work, Way(self.cell.associations)).total

    def seconds(self, contestant: str, figure: str) -> float:
        """What was measured: the median of the rounds, or their mean where each has its own losses."""
        values = [_figure(one[contestant], figure) for one in self.rounds]
        return fmean(values) if self.cell.part is Part.LOSS else median(values)

    def ratio(self, figure: str) -> float:
        """Relay over TUN: of the means where there are losses, else the median of the rounds' ratios."""
        if self.cell.part is Part.LOSS:
            return self.seconds(RELAY, figure) / self.seconds(TUN, figure)
        return median(_figure(one[RELAY], figure) / _figure(one[TUN], figure) for one in self.rounds)

    def over_theory(self, contestant: str, figure: str) -> float:
        """Measured over the closed form."""
        return self.seconds(contestant, figure) / self.theory(figure)

    @property
    def dropped(self) -> int:
        """Packets that found the bridge's queue full, in the worst round."""
        return max((one[TUN].notes.get("dropped", 0) for one in self.rounds), default=0)

    @property
    def overflows(self) -> bool:
        """Whether a queue overflowed."""
        return self.dropped > 0

    def verdicts(self) -> Iterator[Verdict]:
        """What is asked of this cell, and how it did."""
        cell = self.cell
        if cell.part in (Part.FOUR, Part.CROWDED, Part.LOSS):
            share = 0.25 if cell.part is Part.LOSS else 0.10
            yield self._against_tun(STUDY, Bounds(share))
            return
        yield self._against_tun(P50, Bounds(0.02, 0.5e-3))
        yield self._against_tun(STUDY, Bounds(0.03))
        if cell.rtt >= 0.01:
            bounds = Bounds(0.02 if cell.mbit <= 100 else 0.04)
            for figure in (P50, STUDY):
                measured, theory = self.seconds(IDEAL, figure), self.theory(figure)
                name = f"{figure}, relay ideal / theory"
                yield Verdict(name, measured / theory, bounds, bounds.hold(measured, theory), judged=not self.overflows)

    def _against_tun(self, figure: str, bounds: Bounds) -> Verdict:
        ratio, tun = self.ratio(figure), self.seconds(TUN, figure)
        judged = not self.overflows or self.cell.part in (Part.FOUR, Part.LOSS)
        return Verdict(f"{figure}, relay / TUN", ratio, bounds, bounds.hold(ratio * tun, tun), judged=judged)

    @property
    def met(self) -> bool:
        """Whether everything that is asked of it was reached."""
        return all(verdict.met for verdict in self.verdicts() if verdict.judged)

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        told = {"part": self.cell.part.value, "kind": self.cell.kind.label, "rtt": self.cell.rtt}
        contestants = self.cell.contestants
        return {
            **told,
            "mbit": self.cell.mbit,
            "associations": self.cell.associations,
            "count": self.count,
            "size": self.size,
            "dropped": self.dropped,
            "late_rounds": self.late,
            "theory": {figure: self.theory(figure) for figure in (P50, STUDY)},
            "measured": {who: {what: self.seconds(who, what) for what in (P50, STUDY)} for who in contestants},
            "relay_over_tun": {figure: self.ratio(figure) for figure in (P50, STUDY)},
            "over_theory": {who: {what: self.over_theory(who, what) for what in (P50, STUDY)} for who in contestants},
            "rounds": [
                {
                    who: {P50: one.p50, "longest": max(one.latencies), STUDY: one.study, **one.notes}
                    for who, one in numbers.items()
                }
                for numbers in self.rounds
            ],
            "verdicts": [{**verdict._asdict(), "bounds": asdict_of(verdict.bounds)} for verdict in self.verdicts()],
        }


class Verdict(NamedTuple):
    """One thing that is asked of a cell."""

    name: str
    ratio: float
    bounds: Bounds
    met: bool
    judged: bool
    """False where the queue overflows: the figure is shown, and no more is asked."""


def asdict_of(bounds: Bounds) -> Mapping[str, float]:
    """Bounds, ready for JSON."""
    return bounds._asdict()


def _figure(transfer: Transfer, figure: str) -> float:
    return transfer.p50 if figure == P50 else transfer.study


ROUND_TRIPS = (0.0, 0.01, 0.05, 0.1, 0.2)
MBITS = (10, 100, 1000)


def cells(*, quick: bool) -> Iterable[Cell]:
    """All of them, or a few."""
    if quick:
        yield Cell(Part.ONE, Kind.CT, 0.01, 100)
        yield Cell(Part.ONE, Kind.MR, 0.05, 1000)
        yield Cell(Part.FOUR, Kind.CT, 0.01, 100)
        yield Cell(Part.LOSS, Kind.CT, 0.01, 100)
        yield Cell(Part.SHORT, Kind.CT, 0.01, 100)
        return
    for mbit in MBITS:
        for rtt in ROUND_TRIPS:
            for kind in (Kind.CT, Kind.MR):
                yield Cell(Part.ONE, kind, rtt, mbit)
    for mbit in MBITS:
        for rtt in (0.01, 0.05, 0.2):
            yield Cell(Part.FOUR, Kind.CT, rtt, mbit)
    for mbit, rtt in ((10, 0.01), (10, 0.05), (10, 0.2), (100, 0.01), (100, 0.05), (1000, 0.01)):
        yield Cell(Part.CROWDED, Kind.CT, rtt, mbit)
    for mbit, rtt in ((10, 0.05), (100, 0.01), (100, 0.05), (1000, 0.01), (1000, 0.05)):
        yield Cell(Part.LOSS, Kind.CT, rtt, mbit)
    for mbit, rtt in ((10, 0.01), (10, 0.05), (10, 0.2), (100, 0.0), (100, 0.01), (1000, 0.0)):
        yield Cell(Part.SHORT, Kind.CT, rtt, mbit)
