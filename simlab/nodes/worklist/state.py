"""What the worklist node holds, in both worlds: orders, and the procedure steps that are performed for them."""

from __future__ import annotations

from collections.abc import Callable

from simlab.network.query import Identifier, Query
from simlab.network.seam import Answer, Status
from simlab.nodes.worklist.order_book import OrderBook
from simlab.nodes.worklist.procedure_steps import ProcedureSteps
from simlab.studies.study import Order


class WorklistState:
    """Order book and performed steps, with the decisions that a server needs. Safe to use from any thread."""

    def __init__(self, *, accept_unscheduled: bool = True, changed: Callable[[Order], object] = lambda _: None) -> None:
        """``changed`` is told of every order of which the worklist shows something new."""
        self.orders = OrderBook(changed)
        self.steps = ProcedureSteps(self.orders, accept_unscheduled=accept_unscheduled)

    def find(self, query: Query) -> Answer:
        """Answer a modality worklist C-FIND."""
        return self.orders.worklist(query)

    def create_step(self, step: str, attributes: Identifier) -> Status:
        """Answer an MPPS N-CREATE."""
        return self.steps.create(step, attributes)

    def set_step(self, step: str, attributes: Identifier) -> Status:
        """Answer an MPPS N-SET."""
        return self.steps.set(step, attributes)
