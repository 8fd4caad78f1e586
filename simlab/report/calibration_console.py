"""The end of a calibration in a terminal: the times that were fitted, and what they make of what was measured."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group
from rich.table import Table
from rich.text import Text

from simlab.topology.calibration import AskingTimes, Calibration, NodeTimes, Point, ServingTimes
from simlab.units import format_duration, format_share, format_size

MUCH = 0.2
"""A relative error of a prediction from which on it stands out."""


def calibration_tables(calibration: Calibration) -> Group:
    """Everything that the command prints when it is over."""
    parts: list[Text | Table] = [Text(calibration.sentence)]
    parts += [Text(f"! {note}", style="yellow") for note in calibration.notes]
    if calibration.nodes:
        parts += [Text(), _times(calibration)]
    if calibration.codecs:
        parts += [Text(), _codecs(calibration)]
    if calibration.points:
        parts += [Text(), _points(calibration.points)]
    if not calibration.measured.complete:
        parts += [Text(), Text("interrupted: what is above is all that there was time for", style="bold yellow")]
    return Group(*parts)


def _times(calibration: Calibration) -> Table:
    """A row per end of its associations for each node; those whose times are the same share them."""
    columns = ("association", "message", "and per UID", "C-STORE", "and per MB")
    table = _table("node", "is", "servers", *columns, "cv of trains", "image")
    alike: dict[NodeTimes, list[str]] = {}
    for name, node in calibration.nodes.items():
        alike.setdefault(node, []).append(name)
    for node, (first, *others) in alike.items():
        name = f"{first} and {len(others)} more" if others else first
        image = node.make_instance if node.make_instance is not None else node.derive_instance
        rows = [row for row in (("asked", node.serving), ("asking", node.asking)) if _any(row[1])]
        for number, (role, times) in enumerate(rows or [("", node.asking)]):
            table.add_row("" if number else name, role, *_cells(times), "" if number else _duration(image))
    return table


def _any(times: ServingTimes | AskingTimes) -> bool:
    return any(value is not None for _, value in times)


def _cells(times: ServingTimes | AskingTimes) -> Iterator[str]:
    yield str(times.servers) if isinstance(times, ServingTimes) and times.servers is not None else ""
    yield from map(_duration, (times.association, times.message, times.reference, times.instance))
    yield "" if times.byte is None else format_duration(times.byte * 1e6)
    yield format_share(times.cv) if isinstance(times, ServingTimes) and times.cv is not None else ""


def _codecs(calibration: Calibration) -> Table:
    table = _table("transfer syntax", "of", "ratio", "encoding", "decoding")
    for each in calibration.codecs:
        rates = [f"{1e-6 / seconds:.3g} MB/s" if seconds else "" for seconds in (each.encode, each.decode)]
        table.add_row(each.transfer_syntax, each.modality, f"{each.ratio:.3g}", *rates)
    return table


def _points(points: tuple[Point, ...]) -> Table:
    """A row per combination: what was measured, and what the fitted times predict."""
    table = _table("measured at", "operation", "at a time", "of", "p50", "p95", "per second", "predicted", "off by")
    for point in points:
        what = f"{point.modality} {format_size(point.bytes)}" if point.modality else ""
        table.add_row(
            point.node,
            point.operation,
            str(point.associations),
            what,
            format_duration(point.p50),
            format_duration(point.p95),
            f"{point.throughput:.4g}",
            f"{point.predicted:.4g}",
            Text(f"{point.error:+.0%}", style="bold yellow" if abs(point.error) > MUCH else ""),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < 2 else "right", no_wrap=True)
    return table


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else format_duration(seconds)
