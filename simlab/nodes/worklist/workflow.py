"""Patients arrive, with and without appointments; each step is ordered and scheduled to one station."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from dataclasses import replace
from datetime import timedelta
from heapq import merge
from itertools import islice
from string import ascii_uppercase
from typing import Any, NamedTuple, cast

from simpy import Event

from simlab.nodes.arrivals import Arrival, Week, appointments, poisson_arrivals
from simlab.nodes.node import Node
from simlab.nodes.worklist.order_book import OrderBook, assign_station
from simlab.nodes.worklist.spec import AppointmentsSpec, OrdersSpec, WorklistSpec
from simlab.nodes.worklist.state import WorklistState
from simlab.studies.patients import make_order
from simlab.studies.protocols import exam_seconds, get_protocol


class Expected(NamedTuple):
    """A patient on the way, and what brings such patients."""

    arrival: Arrival
    source: OrdersSpec | AppointmentsSpec


def run(node: Node, desk: WorklistState) -> Generator[Event, Any, None]:
    """Place an order whenever a patient arrives, until the duration is over."""
    scheduling, number, now = Scheduling(node, desk.orders), 0, 0.0
    for expected in expectations(node):
        arrival = expected.arrival
        yield node.clinical(arrival.seconds - now)
        now = arrival.seconds
        if node.env.now >= node.topology.duration:
            return
        if arrival.shows:
            number += 1
            scheduling.place(number, expected)
        else:
            node.remark("no-show", arrival.scanner, "nobody came for an appointment")


def expectations(node: Node) -> Iterator[Expected]:
    """All patients in the order of arrival; those who come at the same moment, in the order of the file."""
    spec = cast("WorklistSpec", node.spec)
    return merge(
        *(_expected(node, " ".join((node.name, *map(str, path[1:]))), source) for path, source in spec.sources.items()),
        key=lambda expected: expected.arrival.seconds,
    )


def _expected(node: Node, key: str, source: OrdersSpec | AppointmentsSpec) -> Iterator[Expected]:
    """The patients from one source. ``key`` names it in all draws."""
    epoch = node.topology.epoch
    if isinstance(source, AppointmentsSpec):
        scanners = tuple(_replicas(node, source.scanners))
        arrivals = appointments(node.draws, key, epoch, replace(source.grid, scanners=scanners))
    else:
        profile = {name: value for name in ("hours", "weekdays") if (value := getattr(source, name)) is not None}
        week = Week.of(**profile) if profile else None
        process = poisson_arrivals(
            node.draws, key, epoch, source.rate, week=week, growth=source.growth, first=source.first
        )
        arrivals = islice(process, source.count)
    return (Expected(arrival, source) for arrival in arrivals)


class Scheduling:
    """Places orders: all of each follows from the seed, the arrival, and the orders before it."""

    def __init__(self, node: Node, book: OrderBook) -> None:
        self._node = node
        self._book = book
        self._letter = book_letter(node)
        self._stations: dict[tuple[str, tuple[str, ...] | None], dict[str, str]] = {}
        """AE title to modality of the stations that a step can be given to, by scanner booked and scanners named."""

    def place(self, number: int, expected: Expected) -> None:
        """Place order ``number``."""
        node, (arrival, source) = self._node, expected
        protocol = get_protocol(node.draws.weighted("protocol", arrival.entity, source.mix))
        scheduled = node.topology.epoch + timedelta(seconds=arrival.scheduled)
        order = make_order(
            node.draws,
            number,
            protocol=protocol.name,
            station=assign_station(protocol.modality, self._stations_for(expected), self._book.workload),
            scheduled=scheduled.replace(microsecond=0),  # a worklist shows whole seconds
            run_id=node.run_id,
            entity=f"{node.topology.name} {arrival.entity}",
            letter=self._letter,
        )
        self._book.add(order, exam_seconds(node.draws, order, protocol))
        node.milestone("ordered", order.study_uid, f"{order.accession} {order.protocol}")

    def _stations_for(self, expected: Expected) -> dict[str, str]:
        booked, named = key = expected.arrival.scanner, expected.source.scanners
        if key not in self._stations:
            among = (booked,) if booked else named and tuple(_replicas(self._node, named))
            self._stations[key] = stations(self._node, among)
        return self._stations[key]


def _replicas(node: Node, names: Collection[str]) -> Iterator[str]:
    """Scanners with all their replicas, each once."""
    return iter(dict.fromkeys(replica for name in names for replica in node.topology.replicas(name)))


def book_letter(node: Node) -> str:
    """What tells the accession numbers of several order books apart; a single one needs nothing."""
    books = [name for name, spec in node.topology.nodes.items() if spec.kind == node.spec.kind]
    return "" if len(books) == 1 else ascii_uppercase[books.index(node.name) % len(ascii_uppercase)]


def stations(node: Node, among: Collection[str] | None = None) -> dict[str, str]:
    """AE title to modality of the scanners that take their work from this worklist; of those named, if any are."""
    return {
        spec.ae_title: getattr(spec, "modality", "")
        for name, spec in node.topology.nodes.items()
        if getattr(spec, "worklist", None) == node.name and (among is None or name in among)
    }
