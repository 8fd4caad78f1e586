"""Progress on the terminal: how far the run is, and what each node did last."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from simlab.lab.happened import Progress
from simlab.records import Record
from simlab.topology.model import Topology
from simlab.units import format_duration, format_size

PHASES = {
    "working": "orders arrive, for {duration}",
    "finishing": "no more orders after {now}; finishing what was ordered",
    "auditing": "all done after {now}; asking the archives for everything back",
}

SHOWN = ("ordered", "started", "acquired", "stored", "safe", "read", "failed")


class Watching:
    """A live display while a run goes on; on anything but a terminal, a line at each change of phase."""

    def __init__(self, console: Console, topology: Topology) -> None:
        self._console = console
        self._topology = topology
        self._phase = ""
        self._before: tuple[float, int] = (0.0, 0)
        self._rate = 0.0
        self._live = Live(console=console, transient=True, refresh_per_second=4)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        self._console.print(f"{self._topology.name}: starting {len(self._topology.nodes)} nodes")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Show how far the run is."""
        if progress.phase != self._phase:
            self._phase = progress.phase
            if not self._console.is_terminal:
                told = PHASES[progress.phase].format(
                    now=format_duration(max(progress.now, 0.0)), duration=format_duration(progress.duration)
                )
                self._console.print(f"{self._topology.name}: {told}", soft_wrap=True)
        if self._console.is_terminal:
            self._live.update(self._picture(progress))

    def _picture(self, progress: Progress) -> Group:
        before, stored = self._before
        if progress.now - before >= 1.0:
            self._rate = (progress.stored_bytes - stored) / (progress.now - before)
            self._before = progress.now, progress.stored_bytes
        counts = "  ".join(f"{name} {progress.milestones.get(name, 0)}" for name in SHOWN)
        heading = Text(f"{progress.phase}  {format_duration(max(progress.now, 0.0))}  ", style="bold")
        heading.append(f"{counts}  {format_size(self._rate)}/s", style="")
        bar = ProgressBar(total=progress.duration, completed=min(progress.now, progress.duration), width=60)
        table = Table(box=None, show_header=False, pad_edge=False)
        for node, record in sorted(progress.latest.items()):
            table.add_row(Text(node, style="bold"), *_told(record))
        return Group(heading, bar, table)


def _told(record: Record) -> tuple[str, str, str]:
    size = format_size(record.bytes) if record.bytes else ""
    target = f"> {record.peer}" if record.peer else ""
    return f"{record.operation} {target}", size, record.comment if record.failures else ""
