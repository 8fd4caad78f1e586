"""What somebody else's AE does in virtual time: it reports what it commits to, on a new association.

In the live world it does whatever it does; no workflow of ours runs for it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol

from simpy import Event

from simlab.nodes.archive.decisions import Accepted, HoldsInstances
from simlab.nodes.archive.workflow import Reporting, report
from simlab.nodes.node import Node


class Reports(HoldsInstances, Protocol):
    """What stands in for it."""

    report_delay: float
    """Seconds for which it lets requests lie."""


def run(node: Node, model: Reports) -> Generator[Event, Any, None]:
    """Answer commitment requests as they come, side by side."""
    while True:
        accepted: Accepted = yield node.notifications.get()
        node.env.process(report(node, model.holdings, accepted, Reporting(delay=model.report_delay)))
