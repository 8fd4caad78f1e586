"""The order book: which procedure steps are ordered, for which scanner, and how far each one is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from simlab.network.matching import has_wildcard, matches, narrowing_keys, return_keys, values_of
from simlab.network.query import Identifier, Model, Query
from simlab.network.seam import Answer, Status
from simlab.network.worklist_items import UNKNOWN_BIRTH_DATE, with_status, worklist_item
from simlab.studies.study import Order, Patient

STATION = "ScheduledStationAETitle"

Step: TypeAlias = tuple[str, str]
"""What identifies a scheduled step across systems: its study and its ID within that."""

_WRONG_IDENTIFIER = Status(0xA900, "not the modality worklist information model")


class StepStatus(Enum):
    """How far a scheduled procedure step is. The worklist shows the first two (PS3.3 C.4.10)."""

    SCHEDULED = "SCHEDULED"
    STARTED = "STARTED"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"

    @property
    def final(self) -> bool:
        """Whether the step has come to its end."""
        return self in {StepStatus.COMPLETED, StepStatus.DISCONTINUED}


def assign_station(modality: str, stations: Mapping[str, str], workload: Mapping[str, float]) -> str:
    """The station that gets the next step: of this modality the one with the least work so far, ties by name.

    A step is given to one station when it is ordered, so that no two scanners take the same patient. ``stations`` is
    AE title to modality, ``workload`` AE title to all planned exam seconds that it was ever given. Nothing here depends
    on how fast the scanners were, so both worlds assign alike. Raises LookupError if no station has the modality.
    """
    suitable = sorted(title for title, offered in stations.items() if offered == modality)
    if not suitable:
        raise LookupError(f"no station for modality {modality}")
    return min(suitable, key=lambda title: workload.get(title, 0.0))


class OrderBook:
    """The orders, and how far they are. Safe to use from any thread.

    A step stays on the worklist while it is SCHEDULED or STARTED, with that Scheduled Procedure Step Status, so a
    scanner that looks for work asks for SCHEDULED. Of a step that has been completed or discontinued, that is all that
    is remembered.
    """

    def __init__(self, changed: Callable[[Order], object] = lambda _: None) -> None:
        """``changed`` is told of every order of which the worklist shows something new."""
        self._changed = changed
        self._lock = threading.Lock()
        self._orders: dict[Step, Order] = {}
        """Those that have not come to their end."""
        self._statuses: dict[Step, StepStatus] = {}
        """Of all."""
        self._shown: dict[str, dict[Step, Identifier | None]] = {}
        """What the worklist shows, by station and in the order of ordering. None: not made up yet."""
        self._workload: dict[str, float] = {}

    @property
    def workload(self) -> dict[str, float]:
        """Planned exam seconds that each station was given so far, by AE title: what ``assign_station`` goes by."""
        with self._lock:
            return dict(self._workload)

    def add(self, order: Order, planned: float = 0.0) -> None:
        """Enter an order whose exam is planned to take ``planned`` seconds. Raises ValueError if it is in already."""
        step = step_of(order)
        with self._lock:
            if step in self._statuses:
                raise ValueError(f"step {order.step_id} of study {order.study_uid} is ordered already")
            self._orders[step] = order
            self._statuses[step] = StepStatus.SCHEDULED
            self._shown.setdefault(order.station, {})[step] = None
            self._workload[order.station] = self._workload.get(order.station, 0.0) + planned
        self._changed(order)

    def worklist(self, query: Query) -> Answer:
        """Answer a modality worklist C-FIND (PS3.4 K.4.1)."""
        if query.model is not Model.WORKLIST:
            return Answer((), _WRONG_IDENTIFIER)
        with self._lock:
            items = tuple(map(self._item, self._steps_for(query.read(stations_of), query.among)))
        keys = query.read(_narrowing)
        return Answer(tuple(return_keys(query.keys, item) for item in items if matches(keys, item)))

    def __contains__(self, step: Step) -> bool:
        """Whether a step was ever ordered."""
        return step in self._statuses

    def status(self, step: Step) -> StepStatus:
        """How far a step is. Raises KeyError if it was never ordered."""
        return self._statuses[step]

    def advance(self, step: Step, status: StepStatus) -> None:
        """Move a step on. One that has come to its end stays there, whatever is reported later.

        Raises KeyError if it was never ordered.
        """
        with self._lock:
            if self._statuses[step].final:
                return
            self._statuses[step] = status
            order = self._orders[step]
            if status.final:
                del self._shown[order.station][step]
                del self._orders[step]
            else:
                shown = self._shown[order.station]
                item = shown[step]
                shown[step] = None if item is None else with_status(item, status.value)
        if not status.final:
            self._changed(order)

    def pending(self) -> tuple[Order, ...]:
        """Orders whose step has not come to its end, in the order of ordering."""
        with self._lock:
            return tuple(self._orders.values())

    def _steps_for(self, stations: Collection[str] | None, studies: Collection[str] | None) -> Iterable[Step]:
        """Steps on the worklists of these stations, and of these studies, in the order of ordering; None: of all."""
        steps: Iterable[Step] = self._orders
        if stations is not None and len(stations) == 1:
            (station,) = stations
            steps = self._shown.get(station, {})
        return steps if studies is None else (step for step in steps if step[0] in studies)

    def _item(self, step: Step) -> Identifier:
        order = self._orders[step]
        shown = self._shown[order.station]
        item = shown[step]
        if item is None:
            item = shown[step] = worklist_item(order, self._statuses[step].value)
        return item


def stations_of(keys: Identifier) -> frozenset[str] | None:
    """AE titles of the stations that a worklist query with these keys is about; None if it is about any."""
    steps = keys.get("ScheduledProcedureStepSequence", ())
    titles = (step.get(STATION, "") for step in steps if not isinstance(step, str))
    stations = {title for key in titles for title in values_of(STATION, key)}
    return None if not stations or any(map(has_wildcard, stations)) else frozenset(stations)


def step_of(order: Order) -> Step:
    """What an order's step is known by."""
    return order.study_uid, order.step_id


_ITEM = worklist_item(
    Order(0, "", "", "", Patient("", "", UNKNOWN_BIRTH_DATE, ""), "", "", "", "", scheduled=datetime.min)
)
"""All items have the same attributes. Those of its code sequences, which it has none of, may be anything."""


def _narrowing(keys: Identifier) -> Identifier:
    """The keys that narrow: of those of the items, and within code sequences whatever is asked."""
    return narrowing_keys(keys, _ITEM)
