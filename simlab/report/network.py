"""The network as a picture: sites, the nodes in them, the links between them, and who talks to whom."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Polygon
from matplotlib.path import Path

from simlab.report.conversations import Conversation, conversations
from simlab.report.glyphs import Point, draw_glyph, rounded
from simlab.report.layout import MARGIN, Box, Layout, arrange
from simlab.report.style import INK, KIND_COLOURS, MUTED, OTHER_COLOUR, PANEL, PAPER, RULE, Drawing, blank, styled
from simlab.topology.model import LinkSpec, Topology
from simlab.units import format_bandwidth, format_duration, format_share

LEGEND_ROW = 0.26
LINE_SPACING = 0.09
"""Between the lines that run along one link, in inches."""
FADED = 0.18
FITTING_NAME, FITTING_TITLE = 12, 22
"""Letters that fit into a card: of a name, which is else set smaller, and of a title with its kind."""


class _End(NamedTuple):
    """Where a line meets something: the point, and the direction in which the line leaves it (+1 right, -1 left)."""

    point: Point
    direction: int


@dataclass(frozen=True, slots=True)
class _Span:
    """A link as drawn: its level line between two sites."""

    link: LinkSpec
    left: Point
    right: Point
    vertical: bool


def draw_network(topology: Topology, *, highlight: Collection[str] | None = None) -> Drawing:
    """Draw a topology. If ``highlight`` names nodes, all others fade."""
    talks = conversations(topology)
    layout = arrange(topology, talks)
    legend = _legend_entries(topology, talks)
    rows = _wrap(legend, layout.width - 2 * MARGIN)
    foot = LEGEND_ROW * len(rows) + (0.1 if rows else 0.0)
    with styled():
        drawing, axes = blank(layout.width, layout.height + foot)
        # The legend stands below y = 0, so that the layout's coordinates hold as they are.
        axes.set_ylim(-foot, layout.height)
        for name, box in layout.sites.items():
            label = topology.sites[name].label if name in topology.sites else ""
            _draw_site(axes, box, label or name)
        spans = _spans(topology, layout)
        for span in spans:
            _draw_link(axes, span, _lines_along(span, topology, talks))
        _draw_talks(axes, topology, layout, talks, spans, highlight)
        for name, box in layout.nodes.items():
            _draw_node(axes, topology, name, box, _shown(highlight, name))
        for row, entries in enumerate(rows):
            _draw_legend_row(axes, entries, -LEGEND_ROW * (row + 0.5))
    return drawing


def network_svg(topology: Topology) -> str:
    """The drawing as an SVG element; the same topology gives the same text."""
    return draw_network(topology).svg()


def save_network(topology: Topology, path: FilePath) -> None:
    """Write the drawing as ``.svg`` or ``.png``."""
    draw_network(topology).save(path)


def _shown(highlight: Collection[str] | None, *names: str) -> float:
    """Opacity of what belongs to these nodes."""
    return 1.0 if highlight is None or all(name in highlight for name in names) else FADED


def _draw_site(axes: Axes, box: Box, label: str) -> None:
    axes.add_patch(rounded(*box, 0.16, facecolor=PANEL, edgecolor=RULE, linewidth=1.0, zorder=0))
    axes.text(box.left + 0.2, box.top - 0.24, label, color=MUTED, fontsize=10, fontweight="bold", va="center")


def _draw_node(axes: Axes, topology: Topology, name: str, box: Box, alpha: float) -> None:
    node = topology.nodes[name]
    colour = KIND_COLOURS.get(node.kind, OTHER_COLOUR)
    axes.add_patch(rounded(*box, 0.08, facecolor=PAPER, edgecolor="none", zorder=4))
    axes.add_patch(rounded(*box, 0.08, facecolor="none", edgecolor=colour, linewidth=1.2, alpha=alpha, zorder=5))
    draw_glyph(axes, node.kind, (box.left + 0.29, box.middle), 0.38, colour, alpha, 6)
    text: dict[str, Any] = {"va": "center", "alpha": alpha, "zorder": 6}
    size = 9.5 * min(1.0, FITTING_NAME / len(name))
    axes.text(box.left + 0.56, box.middle + 0.1, name, color=INK, fontsize=max(size, 5.0), fontweight="bold", **text)
    both = f"{node.ae_title} · {node.kind}"
    title = node.ae_title if node.kind == name or len(both) > FITTING_TITLE else both
    axes.text(box.left + 0.56, box.middle - 0.11, title, color=MUTED, fontsize=7, **text)


def _spans(topology: Topology, layout: Layout) -> list[_Span]:
    spans = []
    for link in topology.links:
        if not all(site in layout.sites for site in link.between):
            continue
        first, second = sorted((layout.sites[site] for site in link.between), key=lambda box: (box.left, -box.top))
        if first.right < second.left:
            spans.append(_Span(link, (first.right, first.middle), (second.left, first.middle), vertical=False))
        else:
            spans.append(_Span(link, (first.centre, first.bottom), (second.centre, second.top), vertical=True))
    return spans


def _lines_along(span: _Span, topology: Topology, talks: Sequence[Conversation]) -> list[Conversation]:
    ends = set(span.link.between)
    return [talk for talk in talks if {topology.nodes[talk.source].site, topology.nodes[talk.target].site} == ends]


def _draw_link(axes: Axes, span: _Span, lines: Sequence[Conversation]) -> None:
    thickness = max(0.16, (len(lines) + 1) * LINE_SPACING)
    (left, bottom), (right, top) = span.left, span.right
    latency, bandwidth = _latency(span.link), format_bandwidth(span.link.bandwidth)
    style = {"facecolor": PANEL, "edgecolor": RULE, "linewidth": 1.0, "zorder": 0.5}
    if span.vertical:
        axes.add_patch(rounded(left - thickness / 2, top, thickness, bottom - top, 0.01, **style))
        label = f"{latency} · {bandwidth}"
        axes.text(left + thickness / 2 + 0.1, (bottom + top) / 2, label, color=INK, fontsize=8.5, va="center")
        return
    axes.add_patch(rounded(left, bottom - thickness / 2, right - left, thickness, 0.01, **style))
    for text, offset, weight in ((latency, 0.27, "bold"), (bandwidth, 0.1, "normal")):
        height = bottom + thickness / 2 + offset
        axes.text(
            (left + right) / 2, height, text, color=INK, fontsize=8.5, fontweight=weight, ha="center", va="center"
        )


def _latency(link: LinkSpec) -> str:
    """A link's latency, with its profile and its loss where it has any."""
    loss = f"{format_share(link.loss)} loss" if link.loss else ""
    return " \N{MIDDLE DOT} ".join(part for part in (link.profile, format_duration(link.latency), loss) if part)


def _draw_talks(
    axes: Axes,
    topology: Topology,
    layout: Layout,
    talks: Sequence[Conversation],
    spans: Sequence[_Span],
    highlight: Collection[str] | None,
) -> None:
    level = {name: box.middle for name, box in layout.nodes.items()}
    lanes: dict[Conversation, tuple[_Span, float]] = {}
    for span in spans:
        lines = _lines_along(span, topology, talks)
        # From top to bottom as the nodes stand, so that lines do not cross within the link.
        lines.sort(key=lambda talk: (-level[_left_end(talk, layout)], -level[_right_end(talk, layout)]))
        for position, talk in enumerate(lines):
            lanes[talk] = span, ((len(lines) - 1) / 2 - position) * LINE_SPACING
    starts, ends = _ports(layout, talks, lanes)
    for talk in talks:
        kind = topology.nodes[talk.target].kind
        alpha = _shown(highlight, talk.source, talk.target)
        _draw_line(axes, starts[talk], ends[talk], lanes.get(talk), KIND_COLOURS.get(kind, OTHER_COLOUR), alpha)


def _left_end(talk: Conversation, layout: Layout) -> str:
    return min(talk.source, talk.target, key=lambda name: layout.nodes[name].left)


def _right_end(talk: Conversation, layout: Layout) -> str:
    return max(talk.source, talk.target, key=lambda name: layout.nodes[name].left)


def _ports(
    layout: Layout, talks: Sequence[Conversation], lanes: dict[Conversation, tuple[_Span, float]]
) -> tuple[dict[Conversation, _End], dict[Conversation, _End]]:
    """Where each line leaves its source and meets its target, spread along the cards' sides without crossing."""
    sides: dict[tuple[str, int], list[tuple[float, Conversation, bool]]] = {}
    for talk in talks:
        source, target = layout.nodes[talk.source], layout.nodes[talk.target]
        for is_source, name, here, there in ((True, talk.source, source, target), (False, talk.target, target, source)):
            # Cards in one column are joined by a loop on their right.
            direction = -1 if there.left < here.left else 1
            towards = there.middle
            if talk in lanes:
                span, offset = lanes[talk]
                towards = span.left[1] + offset
            sides.setdefault((name, direction), []).append((towards, talk, is_source))
    starts: dict[Conversation, _End] = {}
    ends: dict[Conversation, _End] = {}
    for (name, direction), lines in sides.items():
        box = layout.nodes[name]
        lines.sort(key=lambda line: -line[0])
        spacing = min(0.11, box.height * 0.8 / len(lines))
        for position, (_, talk, is_source) in enumerate(lines):
            y = box.middle + ((len(lines) - 1) / 2 - position) * spacing
            end = _End((box.right if direction > 0 else box.left, y), direction)
            (starts if is_source else ends)[talk] = end
    return starts, ends


def _draw_line(axes: Axes, start: _End, end: _End, lane: tuple[_Span, float] | None, colour: str, alpha: float) -> None:
    head = 0.09
    tip = end.point
    foot = (tip[0] + end.direction * head, tip[1])
    vertices, codes = [start.point], [Path.MOVETO]

    def curve(begin: Point, finish: Point, leave: int, arrive: int) -> None:
        reach = 0.45 if leave == arrive else abs(finish[0] - begin[0]) / 2
        vertices.extend(((begin[0] + leave * reach, begin[1]), (finish[0] + arrive * reach, finish[1]), finish))
        codes.extend([Path.CURVE4] * 3)

    if lane is None or lane[0].vertical:
        curve(start.point, foot, start.direction, end.direction)
    else:
        span, offset = lane
        entry, leaving = ((x, y + offset) for x, y in (span.left, span.right))
        if start.direction < 0:
            entry, leaving = leaving, entry
        curve(start.point, entry, start.direction, -start.direction)
        vertices.append(leaving)
        codes.append(Path.LINETO)
        curve(leaving, foot, start.direction, end.direction)
    axes.add_patch(
        PathPatch(Path(vertices, codes), facecolor="none", edgecolor=colour, linewidth=1.1, alpha=alpha, zorder=2)
    )
    corners = [tip, (foot[0], tip[1] + 0.042), (foot[0], tip[1] - 0.042)]
    axes.add_patch(Polygon(corners, facecolor=colour, edgecolor="none", alpha=alpha, zorder=5.5))


def _legend_entries(topology: Topology, talks: Sequence[Conversation]) -> list[tuple[str, str]]:
    """Pairs of text and colour: each kind of node that is talked to, and what for."""
    purposes: dict[str, dict[str, None]] = {}
    for talk in talks:
        purposes.setdefault(topology.nodes[talk.target].kind, {}).update(dict.fromkeys(talk.purposes))
    entries = []
    for kind, names in purposes.items():
        others = ", ".join(name for name in names if name != kind)
        entries.append((f"{kind} ({others})" if others else kind, KIND_COLOURS.get(kind, OTHER_COLOUR)))
    return entries


def _entry_width(text: str) -> float:
    """Room for an entry in inches: the line, and about 0.075 inches a letter at this size."""
    return 0.7 + 0.075 * len(text)


def _wrap(entries: Sequence[tuple[str, str]], width: float) -> list[list[tuple[str, str]]]:
    rows: list[list[tuple[str, str]]] = []
    room = 0.0
    for entry in entries:
        needed = _entry_width(entry[0])
        if not rows or needed > room:
            rows.append([])
            room = width
        rows[-1].append(entry)
        room -= needed
    return rows


def _draw_legend_row(axes: Axes, entries: Sequence[tuple[str, str]], y: float) -> None:
    left = MARGIN + 0.05
    for text, colour in entries:
        _draw_line(axes, _End((left, y), 1), _End((left + 0.36, y), -1), None, colour, 1.0)
        axes.text(left + 0.45, y, text, color=MUTED, fontsize=8, va="center")
        left += _entry_width(text)
