"""Clients that send: commands that are run as their users would run them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

from benchmarks.corpus import Corpus, Kind
from benchmarks.native import Native
from benchmarks.peers import HERE, LOOPBACK, SIMLAB, find, require_simlab
from benchmarks.servers import Server

STUDY = 32
"""Instances that a sender repeats: those of a CT of the head."""


class Load(NamedTuple):
    """What is sent in one run: instances ``first`` to ``first + total - 1`` of a kind."""

    corpus: Corpus
    kind: Kind
    first: int
    total: int

    def folders(self, parts: int) -> list[Path]:
        """The files in folders, one for each of so many processes."""
        bounds = [self.first + self.total * part // parts for part in range(parts + 1)]
        return [self.corpus.folder(self.kind, start, end - start) for start, end in pairwise(bounds)]


class Sender(Protocol):
    """A contestant among senders."""

    @property
    def name(self) -> str:
        """For tables."""

    @property
    def weight(self) -> float:
        """How much larger its runs are than those of one dcmsend, so that they can be told from its start-up."""

    def commands(self, server: Server, load: Load, report: Path) -> list[Sequence[str]]:
        """The commands that send a load, to be run side by side. What they report goes to a file, if they do.

        All that need not be timed is done here. Raises UnavailableError.
        """


@dataclass(frozen=True)
class Dcmtk:
    """One of DCMTK's senders, as several processes if need be."""

    program: str = "dcmsend"
    processes: int = 1

    @property
    def name(self) -> str:
        """For tables."""
        return self.program if self.processes == 1 else f"{self.processes} x {self.program}"

    @property
    def weight(self) -> float:
        """See Sender."""
        return 1.0 if self.processes == 1 else 2.0

    def commands(self, server: Server, load: Load, report: Path) -> list[Sequence[str]]:
        """See Sender."""
        del report
        program = find(self.program)
        called = ["-aec", server.title, LOOPBACK, str(server.port)]
        # -R: of 128 contexts that storescu could propose, those that it needs.
        options = ["-R"] if self.program == "storescu" else []
        return [[program, *options, "+sd", *called, str(folder)] for folder in load.folders(self.processes)]


@dataclass(frozen=True)
class Pynetdicom:
    """pynetdicom from memory."""

    name: str = "pynetdicom, from memory"
    weight: float = 0.2

    def commands(self, server: Server, load: Load, report: Path) -> list[Sequence[str]]:
        """See Sender."""
        del report
        few = load.corpus.folder(load.kind, 0, STUDY)
        script = str(HERE / "pynetdicom_send.py")
        numbers = [str(load.first), str(load.total)]
        return [[sys.executable, script, str(server.port), server.title, str(few), *numbers]]


@dataclass(frozen=True)
class Simlab:
    """``simlab send``: a pre-encoded corpus, or the same files as the others."""

    associations: int = 1
    processes: int = 1
    from_disk: bool = False
    outstanding: int = 1

    @property
    def name(self) -> str:
        """For tables."""
        parts = ["same files from disk"] if self.from_disk else []
        if self.associations > 1:
            parts.append(f"{self.associations} associations")
        if self.processes > 1:
            parts.append(f"{self.processes} processes")
        if self.outstanding > 1:
            parts.append(f"{self.outstanding} outstanding")
        return ", ".join(["simlab", *parts])

    @property
    def weight(self) -> float:
        """See Sender."""
        # Python takes longer to start, and not always the same time: the slope must be long in comparison.
        if self.from_disk:
            return 3.0
        return 6.0 if self.processes == 1 else 12.0

    def commands(self, server: Server, load: Load, report: Path) -> list[Sequence[str]]:
        """See Sender."""
        require_simlab("send")
        source = str(load.folders(1)[0]) if self.from_disk else load.kind.value
        # Another seed, other instances: no two loads for one server begin with the same one.
        made_up = [] if self.from_disk else ["--instances", str(load.total), "--seed", str(load.first + 1)]
        spread = ["--associations", str(self.associations), "--processes", str(self.processes)]
        window = ["--outstanding", str(self.outstanding)] if self.outstanding > 1 else []
        address = f"{server.title}@{LOOPBACK}:{server.port}"
        return [[*SIMLAB, "send", source, address, *made_up, *spread, *window, "--json", str(report)]]


@dataclass(frozen=True)
class Raw:
    """No DICOM: as many bytes out of as large a corpus, one answer of a C-STORE-RSP's size for each instance."""

    native: Native
    processes: int = 1
    weight: float = 6.0

    @property
    def name(self) -> str:
        """For tables."""
        return "raw sockets" if self.processes == 1 else f"{self.processes} x raw sockets"

    def commands(self, server: Server, load: Load, report: Path) -> list[Sequence[str]]:
        """See Sender."""
        del report
        count, size = load.total // self.processes, round(load.corpus.bytes_each(load.kind))
        return [[self.native.sink, "raw-send", str(server.port), str(count), str(size), str(STUDY)]] * self.processes


def read_report(report: Path) -> dict[str, float]:
    """The numbers that ``simlab send`` reports itself; empty if it was not the sender."""
    if not report.exists():
        return {}
    return {name: value for name, value in json.loads(report.read_text()).items() if isinstance(value, int | float)}
