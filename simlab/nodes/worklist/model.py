"""The worklist manager's virtual half."""

from __future__ import annotations

from simlab.network.polling import Watch
from simlab.network.query import Query
from simlab.nodes.halves import VirtualHalf
from simlab.nodes.node import Node
from simlab.nodes.worklist.order_book import stations_of
from simlab.nodes.worklist.state import WorklistState
from simlab.studies.study import Order


class WorklistModel(WorklistState, VirtualHalf):
    """The same decisions, without a wire."""

    def __init__(self, _: Node) -> None:
        super().__init__(changed=self._tell)
        self._watches: dict[str | None, list[Watch]] = {}
        """By the station that is asked for; None: any."""

    def watch(self, query: Query) -> Watch:
        """Tell of orders for the stations that are asked for."""
        watch = Watch()
        for station in query.read(stations_of) or (None,):
            self._watches.setdefault(station, []).append(watch)
        return watch

    def _tell(self, order: Order) -> None:
        for station in (order.station, None):
            for watch in self._watches.get(station, ()):
                watch.tell(order.study_uid)
