"""The network of a department that is up, for people: call, wait, look at the outcome."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from simlab.errors import GroupError, UserError
from simlab.lab.department import Department
from simlab.network.live.directory import Peer
from simlab.network.seam import Network, Outcome

OPERATIONS = ("echo", "find", "store", "move", "get", "create_step", "set_step", "request_commitment")
"""Operations from one node to another that people may ask for."""

LONGEST_CALL = 300.0
"""Seconds after which an operation that is still not over is given up: storing a study takes as long as it takes."""


class Facade:
    """Blocking operations between the nodes of a department: ``network.echo("ct1", "archive")``.

    The arguments are those of :class:`simlab.network.seam.Network`, whose operations these are.
    """

    def __init__(self, department: Department) -> None:
        self._department = department

    @property
    def peers(self) -> dict[str, Peer]:
        """Where every node can be reached, by name."""
        return dict(self._department.peers)

    @property
    def control(self) -> tuple[str, int] | None:
        """Where the links take commands (``simlab link --control``); None without links."""
        return self._department.links.control

    def set_link(self, site: str, other: str, **changes: Any) -> None:
        """Change the link between two sites while it runs: ``network.set_link("north", "main", latency="50 ms")``.

        ``latency``, ``jitter``, ``bandwidth``, ``loss`` and ``queue`` hold for both directions; with ``forth_`` before
        it, for the one from the first site to the second, with ``back_`` for the other. ``outage="3 s:stall"`` (or
        ``reset``, ``refuse``) begins now; ``down=True`` lasts until ``up=True``. Raises UserError.
        """
        self._department.links.change(site, other, changes)

    def link_counters(self) -> dict[str, Any]:
        """What passed each link so far, in bytes and seconds, by direction."""
        return self._department.links.counters()

    def check(self) -> None:
        """Raise GroupError if a process of the department has died. Lets go of the records so far."""
        self._department.drain()

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *OPERATIONS]

    def __getattr__(self, operation: str) -> Callable[..., Outcome]:
        if operation not in OPERATIONS:
            raise AttributeError(f"no operation {operation}; there are {', '.join(OPERATIONS)}")

        def call(source: str, target: str, *arguments: Any, **keywords: Any) -> Outcome:
            if target not in self._department.peers:
                raise UserError(f'no node "{target}"; there are {", ".join(self._department.peers)}')
            # Here, not in the group: there it would be a bug that ends the department.
            signature(getattr(Network, operation)).bind(self, source, target, *arguments, **keywords)
            future = self._department.call(source, operation, target, *arguments, **keywords)
            try:
                return future.result(LONGEST_CALL)
            except TimeoutError:
                raise GroupError(f"{operation} from {source} to {target} took over {LONGEST_CALL:g} s") from None

        return call
