"""Orders arrive, and each step is scheduled to one station."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from string import ascii_uppercase
from typing import Any, cast

from simpy import Event

from simlab.nodes.node import Node
from simlab.nodes.worklist.order_book import OrderBook, assign_station
from simlab.nodes.worklist.spec import WorklistSpec
from simlab.nodes.worklist.state import WorklistState
from simlab.studies.patients import make_order
from simlab.studies.protocols import exam_seconds, get_protocol


def run(node: Node, desk: WorklistState) -> Generator[Event, Any, None]:
    """Place a first order, and then more as a Poisson process, until the duration is over or the count is reached."""
    orders = cast("WorklistSpec", node.spec).orders
    yield node.clinical(orders.first)
    number = 0
    while orders.count is None or number < orders.count:
        number += 1
        if number > 1:
            yield node.clinical(node.draws.exponential("arrival", f"{node.name} {number}", 1 / orders.rate))
        if node.env.now >= node.topology.duration:
            return
        place(node, desk.orders, number)


def place(node: Node, book: OrderBook, number: int) -> None:
    """Place order ``number``: all of it follows from the seed, the number, and the orders before it."""
    mix = cast("WorklistSpec", node.spec).orders.mix
    protocol = get_protocol(node.draws.weighted("protocol", f"{node.name} {number}", mix))
    order = make_order(
        node.draws,
        number,
        protocol=protocol.name,
        station="",
        scheduled=node.scenario_time().replace(microsecond=0),  # a worklist shows whole seconds
        run_id=node.run_id,
        book=f"{node.topology.name} {node.name}",
        letter=book_letter(node),
    )
    order = replace(order, station=assign_station(order.modality, stations(node), book.workload))
    book.add(order, exam_seconds(node.draws, order, protocol))
    node.milestone("ordered", order.study_uid, f"{order.accession} {order.protocol}")


def book_letter(node: Node) -> str:
    """What tells the accession numbers of several order books apart; a single one needs nothing."""
    books = [name for name, spec in node.topology.nodes.items() if spec.kind == node.spec.kind]
    return "" if len(books) == 1 else ascii_uppercase[books.index(node.name) % len(ascii_uppercase)]


def stations(node: Node) -> dict[str, str]:
    """AE title to modality of the scanners that take their work from this worklist."""
    return {
        spec.ae_title: getattr(spec, "modality", "")
        for spec in node.topology.nodes.values()
        if getattr(spec, "worklist", None) == node.name
    }
