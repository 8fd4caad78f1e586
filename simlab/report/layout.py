"""Where things stand in the drawing of a network. All in inches, y upwards.

Other sites are stacked on the left; on the right stands the hub, the site that is talked to most, with its servers
facing them. So the lines of the common case, many scanners and one archive, run from left to right without crossing a
card.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from simlab.report.conversations import Conversation
from simlab.topology.model import Topology

CARD_WIDTH, CARD_HEIGHT = 1.78, 0.56
ROW_GAP = 0.2
COLUMN_GAP = 1.1
FOLD_GAP = 0.3
"""Between the columns that one tall column was folded into."""
SITE_PADDING = 0.26
SITE_HEADER = 0.36
SITE_GAP = 0.45
LINK_LENGTH = 1.35
FAN = 0.55
"""Room beside a link, in which its lines fan out to the nodes."""
MARGIN = 0.12
MOST_ROWS = 6


class Box(NamedTuple):
    """A rectangle."""

    left: float
    bottom: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """X of the right edge."""
        return self.left + self.width

    @property
    def top(self) -> float:
        """Y of the upper edge."""
        return self.bottom + self.height

    @property
    def middle(self) -> float:
        """Y halfway up."""
        return self.bottom + self.height / 2

    @property
    def centre(self) -> float:
        """X halfway along."""
        return self.left + self.width / 2


@dataclass(frozen=True, slots=True)
class Layout:
    """Boxes of sites and nodes, and the size of what holds them all."""

    width: float
    height: float
    hub: str
    sites: Mapping[str, Box]
    nodes: Mapping[str, Box]


Columns = Sequence[Sequence[Sequence[str]]]
"""Columns from left to right, each folded into one or more stacks of nodes from top to bottom."""

_ORDER_ALONE = ("modality",), ("router",), ("worklist", "archive", "external"), ("workstation",)
_ORDER_BESIDE_LINK = ("worklist", "archive", "external", "router"), ("modality", "workstation")
"""On either side of a link: at the hub its servers are next to it, elsewhere the many that ask are."""


def arrange(topology: Topology, talks: Sequence[Conversation]) -> Layout:
    """Place every site and node of a topology."""
    members: dict[str, list[str]] = {}
    for name, node in topology.nodes.items():
        members.setdefault(node.site, []).append(name)
    asked = Counter(topology.nodes[talk.target].site for talk in talks)
    hub = max(members, key=lambda site: asked[site])
    others = [site for site in members if site != hub]

    def columns(site: str) -> Columns:
        order = _ORDER_BESIDE_LINK if others else _ORDER_ALONE
        return _columns(topology, members[site], order)

    fan = FAN if others else 0.0
    sizes = {site: _site_size(columns(site), fan) for site in members}
    left_width = max((sizes[site][0] for site in others), default=0.0)
    stacked = sum(sizes[site][1] for site in others) + SITE_GAP * max(len(others) - 1, 0)
    inner_height = max(stacked, sizes[hub][1])
    # Sites on the left share the height of the hub, so that every link runs level.
    slack = (inner_height - stacked) / len(others) if others else 0.0

    sites: dict[str, Box] = {}
    top = MARGIN + inner_height
    for site in others:
        height = sizes[site][1] + slack
        sites[site] = Box(MARGIN, top - height, left_width, height)
        top -= height + SITE_GAP
    hub_left = MARGIN + (left_width + LINK_LENGTH if others else 0.0)
    sites[hub] = Box(hub_left, MARGIN, sizes[hub][0], inner_height)
    nodes = {
        name: box
        for site in members
        for name, box in _place(columns(site), sites[site], fan if site == hub else 0.0).items()
    }
    return Layout(sites[hub].right + MARGIN, inner_height + 2 * MARGIN, hub, sites, nodes)


def _columns(topology: Topology, names: Sequence[str], order: Sequence[Sequence[str]]) -> Columns:
    rank = {kind: position for position, kinds in enumerate(order) for kind in kinds}
    # A kind that is not known here stands among the servers, as an external system does.
    by_rank: dict[int, list[str]] = {}
    for name in names:
        by_rank.setdefault(rank.get(topology.nodes[name].kind, rank["external"]), []).append(name)
    return [_fold(by_rank[position]) for position in sorted(by_rank)]


def _fold(names: Sequence[str]) -> list[Sequence[str]]:
    rows = ceil(len(names) / ceil(len(names) / MOST_ROWS))
    return [names[start : start + rows] for start in range(0, len(names), rows)]


def _stack_height(rows: int) -> float:
    return rows * CARD_HEIGHT + (rows - 1) * ROW_GAP


def _site_size(columns: Columns, fan: float) -> tuple[float, float]:
    """Width and height in inches."""
    width = sum(len(stacks) * CARD_WIDTH + (len(stacks) - 1) * FOLD_GAP for stacks in columns)
    rows = max(len(stack) for stacks in columns for stack in stacks)
    inner = width + (len(columns) - 1) * COLUMN_GAP
    return inner + 2 * SITE_PADDING + fan, _stack_height(rows) + 2 * SITE_PADDING + SITE_HEADER


def _place(columns: Columns, site: Box, indent: float) -> dict[str, Box]:
    places: dict[str, Box] = {}
    left = site.left + SITE_PADDING + indent
    middle = site.middle - SITE_HEADER / 2
    for stacks in columns:
        for stack in stacks:
            top = middle + _stack_height(len(stack)) / 2
            for row, name in enumerate(stack):
                places[name] = Box(left, top - CARD_HEIGHT - row * (CARD_HEIGHT + ROW_GAP), CARD_WIDTH, CARD_HEIGHT)
            left += CARD_WIDTH + FOLD_GAP
        left += COLUMN_GAP - FOLD_GAP
    return places
