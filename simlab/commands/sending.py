"""``simlab send`` in a terminal: progress while it goes on, a table when it is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from simlab.units import format_duration, format_size


class Sending:
    """A progress bar for what is being done; a new one for each kind of thing. A context manager."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=console, refresh_per_second=5, disable=not console.is_terminal,
        )  # fmt: skip
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, doing: str, done: int, total: int) -> None:
        """Show that so much has been done of so much (0: nobody knows)."""
        if doing not in self._tasks:
            self._tasks[doing] = self._progress.add_task(doing, total=total or None)
        self._progress.update(self._tasks[doing], completed=done, total=total or None)


def load_table(figures: Mapping[str, Any]) -> Table:
    """The figures of a load, for people."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    for name, text in _rows(figures):
        table.add_row(name, text)
    return table


def _rows(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    warnings = f", {figures['warnings']} with a warning" if figures["warnings"] else ""
    yield "stored", f"{figures['instances']} of {figures['requested']} instances{warnings}"
    if figures["failures"]:
        lost = {name: figures[name] for name in ("in_doubt", "unsent") if figures[name]}
        answers = {f"status {status}H": count for status, count in figures["statuses"].items() if status[0] not in "0B"}
        yield "not stored", ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in (answers | lost).items())
    if figures["send_s"]:
        yield "rate", f"{figures['instances_per_s']:.4g} instances/s, {format_size(round(figures['bytes_per_s']))}/s"
        yield "sending", f"{format_duration(figures['send_s'])} for {format_size(figures['bytes'])}"
        around = {"established": figures["associate_s"], "released": figures["release_s"]}
        told = " and ".join(f"{what} in {format_duration(seconds)}" for what, seconds in around.items())
        yield "associations", f"{figures['associations']}, {told}; not part of the above"
    if figures["p50"] is not None:
        waits = ", ".join(f"{name} {format_duration(figures[name])}" for name in ("p50", "p95", "p99"))
        yield "to the response", waits
    if figures["cpu_s_per_gb"] is not None:
        seconds = figures["cpu_s_per_gb"]
        yield "our CPU", f"{seconds:.3g} s per GB" if seconds < 1000 else f"{seconds:,.0f} s per GB"
    if figures["outstanding_requested"] != 1 and figures["outstanding_negotiated"] is not None:
        asked, agreed = ("any number" if figures[f"outstanding_{way}"] == 0 else figures[f"outstanding_{way}"]
                         for way in ("requested", "negotiated"))  # fmt: skip
        yield "outstanding", f"{agreed}, of {asked} asked for"
    prepared = f"{figures['prepare_s']:.3g} s, {figures['prepare_cpu_s']:.3g} s of CPU; not part of the above"
    if figures["corpus"] == "pre-encoded":
        yield "prepared", f"pre-encoded corpus: {prepared}"
        yield "seed", str(figures["seed"])
    else:
        skipped = f", {figures['skipped_files']} passed over that are not DICOM" if figures["skipped_files"] else ""
        yield "prepared", f"list of files{skipped}: {prepared}"
