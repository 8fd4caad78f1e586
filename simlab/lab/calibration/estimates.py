"""From what was seen at a server to the times of both ends, and to what these would have predicted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from simlab.lab.calibration.fit import Fitted, fit
from simlab.lab.calibration.trials import Cell, Seen
from simlab.network.virtual.times import UNCALIBRATED
from simlab.topology.calibration import AskingTimes, Point, Residual, ServingTimes
from simlab.topology.frozen import Frozen

FrozenT = TypeVar("FrozenT", bound=Frozen)

DIGITS = 4
"""Significant ones that are kept: more than any measurement has."""

MOST_SHARE = 0.9
"""Of a message with its association, that is the association: where both take as long, the message takes something."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The times of a server, and of those who call it."""

    serving: ServingTimes
    asking: AskingTimes
    besides: float = 0.0
    """Seconds between two messages of the experiment that are nobody's: what it took to ask for the next one."""

    def covers(self, cell: Cell) -> bool:
        """Whether enough was seen to predict such cells."""
        return (self.serving.instance if cell.protocol else self.serving.message) is not None

    def predict(self, cell: Cell, size: float) -> float:
        """Return the throughput of a cell that is covered, with instances of so many bytes."""
        serving, asking = self.serving, self.asking
        if cell.protocol:
            times = (serving.instance, serving.byte, asking.instance, asking.byte)
            return Fitted(serving.servers or 1, *(each or 0.0 for each in times)).predict(cell.associations, size)
        service = (serving.association or 0.0) + (serving.message or 0.0)
        think = (asking.association or 0.0) + (asking.message or 0.0) + self.besides
        return Fitted(serving.servers or 1, service, 0.0, think, 0.0).predict(cell.associations, 0)


def estimate(seen: Seen, known: AskingTimes | None = None) -> Estimate:
    """Return the times that explain best what was seen.

    ``known`` is what the same callers took with another server. What was seen of one number of associations only
    cannot be told apart, and is left out. Of what naming an instance takes, half is given to each end.
    """
    serving, asking, besides = ServingTimes(), AskingTimes(), 0.0
    if _varied(seen.cells("C-STORE")):
        found = fit(seen.observations("C-STORE"))
        serving = ServingTimes(
            servers=found.servers, instance=found.serving, byte=found.serving_byte, cv=cut(seen.cv())
        )
        asking = AskingTimes(instance=found.asking, byte=found.asking_byte)
    message = "C-FIND" if seen.cells("C-FIND") else "C-ECHO"
    if _varied(seen.cells(message)) and (seen.around() is not None or seen.cells("C-ECHO")):
        besides = seen.gap(Cell(message, 1))
        theirs, ours, share = _of_messages(seen, message, serving.servers or 1, besides, known)
        serving = serving.model_copy(update={"association": share * theirs, "message": (1 - share) * theirs})
        asking = asking.model_copy(update={"association": share * ours, "message": (1 - share) * ours})
    if (reference := seen.reference()) is not None:
        serving = serving.model_copy(update={"reference": reference / 2})
        asking = asking.model_copy(update={"reference": reference / 2})
    together = {name: value for name, value in known if value is not None} if known is not None else {}
    return Estimate(_short(serving), _short(asking.model_copy(update=together)), besides)


def _of_messages(
    seen: Seen, operation: str, servers: int, besides: float, known: AskingTimes | None
) -> tuple[float, float, float]:
    """Seconds of serving and of asking that a message takes with its association, and the association's share of them.

    The same share is taken at both ends.
    """
    observed = seen.observations(operation)
    if known is not None and known.association is not None and known.message is not None:
        thinking = known.association + known.message + besides
        observed = [replace(each, gap=thinking if each.associations == 1 else None) for each in observed]
    found = fit(observed, servers=servers)
    # A C-ECHO is little else than its association; one for C-STOREs has other presentation contexts.
    around, echo = seen.around(), Cell("C-ECHO", 1)
    associations = [around] if around is not None else []
    associations += [seen.latency(echo, 0.5)] if echo in seen.trials else []
    share = min(min(associations) / seen.latency(Cell(operation, 1), 0.5), MOST_SHARE)
    return found.serving, max(0.0, found.asking - besides), share


def told_of_reports(seen: Seen, asking: AskingTimes) -> ServingTimes:
    """Return what a scanner takes for a report of an archive of ours, which takes ``asking`` for it itself.

    The association's share of it is the same at both ends; the usual one if the archive seems to take no time at all.
    """
    report, usual = seen.report(), UNCALIBRATED.asking
    if report is None or asking.association is None or asking.message is None:
        return ServingTimes()
    always, each = report
    theirs = asking.association + asking.message
    share = asking.association / theirs if theirs else usual.association / (usual.association + usual.message)
    ours = max(0.0, always - theirs)
    named = usual.reference if asking.reference is None else asking.reference
    times = ServingTimes(association=share * ours, message=(1 - share) * ours, reference=max(0.0, each - named))
    return _short(times)


def points(node: str, seen: Seen, estimated: Estimate, syntax: str) -> Iterator[Point]:
    """Yield what was measured at a node, and what was to be expected. ``syntax`` is that of the instances.

    A C-ECHO beside C-FINDs told what an association takes, and is not predicted; nor is what was interrupted too early.
    """
    asked = seen.cells("C-FIND") or seen.cells("C-ECHO")
    for cell in filter(estimated.covers, (*seen.cells("C-STORE"), *asked)):
        size = seen.size(cell)
        yield _short(
            Point(
                node=node,
                operation=cell.operation,
                associations=cell.associations,
                bytes=round(size),
                modality=cell.modality or None,
                transfer_syntax=syntax if cell.protocol else None,
                throughput=seen.throughput(cell),
                p50=seen.latency(cell, 0.5),
                p95=seen.latency(cell, 0.95),
                predicted=estimated.predict(cell, size),
            )
        )


def residuals(found: Iterable[Point]) -> dict[str, Residual]:
    """Return how far off predictions are, by operation."""
    errors: dict[str, list[float]] = {}
    for point in found:
        errors.setdefault(point.operation, []).append(abs(point.error))
    return {
        operation: _short(Residual(p50=float(np.median(each)), p95=float(np.quantile(each, 0.95)), worst=max(each)))
        for operation, each in errors.items()
    }


def _varied(cells: Iterable[Cell]) -> bool:
    levels = {cell.associations for cell in cells}
    return len(levels) > 1 and 1 in levels


def _short(value: FrozenT) -> FrozenT:
    """The value with a few digits of each number."""
    return value.model_copy(update={name: cut(number) for name, number in value if isinstance(number, float)})


def cut(number: float) -> float:
    """The number with a few digits."""
    return float(f"{number:.{DIGITS}g}")
