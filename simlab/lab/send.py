"""``simlab send``: a load of C-STOREs for one AE, out of one or several processes, and what came of it.

Instances are made of templates, or read from files. What it takes to prepare them is told apart from the sending.
"""

from __future__ import annotations

import pickle
import secrets
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import ceil
from pathlib import Path
from queue import Empty, Queue
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from simlab.draws import Draws
from simlab.errors import GroupError, UserError
from simlab.lab.sender import AT_A_TIME, STORED, Consignment, Files, Sender, Sent, Synthetic
from simlab.network.live.directory import Peer
from simlab.network.live.receiving.descriptors import raise_descriptor_limit
from simlab.network.live.sending.files import find_files, recognise
from simlab.network.live.wire.upper_layer import AssociationError
from simlab.network.seam import StoreStatus
from simlab.studies.templates import TEMPLATES, StudyTemplate, synthetic_studies
from simlab.wording import advice

START_TIMEOUT = 60.0
"""Seconds that a process gets to start; a cold start imports a lot."""

_POLL = 0.1

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it has been done, and how much there is."""

Heeding = Callable[[], AbstractContextManager[threading.Event]]
"""Gives an event that ends the sending early, for as long as the block lasts."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be sent, and how."""

    source: str
    """The name of a template, or a folder or file."""
    peer: Peer
    calling: str
    instances: int | None = None
    """None: a study of a template, all that are found in a folder."""
    associations: int | None = None
    """In all; None: one for each process."""
    processes: int = 1
    syntax: str = "1.2.840.10008.1.2.1"
    outstanding: int = 1
    rate: float | None = None
    """Instances per second in all; None: as fast as may be."""
    timeout: float = 30.0
    seed: int | None = None


@dataclass(slots=True)
class Report:
    """What came of a load."""

    load: Load
    corpus: str
    """Where the instances came from: ``pre-encoded``, or ``files``."""
    requested: int
    skipped: int = 0
    """Files that are no DICOM files."""
    prepare_s: float = 0.0
    prepare_cpu_s: float = 0.0
    parts: list[Sent] = field(default_factory=list)
    """What each process has sent."""
    troubles: list[str] = field(default_factory=list)

    @property
    def statuses(self) -> Counter[int]:
        """How many instances were answered with which status."""
        return sum((part.statuses for part in self.parts), Counter())

    @property
    def stored(self) -> int:
        """Instances that were answered with success or a warning."""
        return sum(part.count(*STORED) for part in self.parts)

    @property
    def ok(self) -> bool:
        """Whether everything was stored."""
        return self.stored == self.requested > 0

    def figures(self) -> dict[str, Any]:
        """The figures, ready for JSON: seconds, bytes, and counts."""
        parts = self.parts
        latencies = np.concatenate([np.array(part.latencies) for part in parts] or [np.array([])])
        quantiles = np.quantile(latencies, (0.5, 0.95, 0.99)).tolist() if latencies.size else (None, None, None)
        send_s = max(part.finished for part in parts) - min(part.started for part in parts) if parts else 0.0
        answered, size = sum(part.answered for part in parts), sum(part.bytes for part in parts)
        cpu_s = sum(part.cpu for part in parts)
        return {
            "source": self.load.source,
            "corpus": self.corpus,
            "seed": self.load.seed,
            "processes": self.load.processes,
            "associations": self.load.associations,
            "prepare_s": self.prepare_s,
            "prepare_cpu_s": self.prepare_cpu_s,
            "associate_s": max((part.associate_s for part in parts), default=0.0),
            "release_s": max((part.release_s for part in parts), default=0.0),
            "send_s": send_s,
            "requested": self.requested,
            "instances": self.stored,
            "warnings": sum(part.count(StoreStatus.WARNING) for part in parts),
            "failures": self.requested - self.stored,
            "refused": sum(part.count(StoreStatus.REFUSED) for part in parts),
            "in_doubt": sum(part.in_doubt for part in parts),
            "unsent": self.requested - answered - sum(part.in_doubt for part in parts),
            "statuses": {f"{status:04X}": number for status, number in sorted(self.statuses.items())},
            "skipped_files": self.skipped,
            "bytes": size,
            "instances_per_s": self.stored / send_s if send_s else 0.0,
            "bytes_per_s": size / send_s if send_s else 0.0,
            "cpu_s": cpu_s,
            "cpu_s_per_gb": cpu_s / size * 1e9 if size else None,
            **{
                name: None if value is None else float(value) for name, value in zip(_QUANTILES, quantiles, strict=True)
            },
            "outstanding_requested": self.load.outstanding,
            "outstanding_negotiated": min((part.window for part in parts), key=lambda w: w or 1 << 16, default=None),
            "troubles": self.troubles,
        }


_QUANTILES = ("p50", "p95", "p99")


def send(load: Load, progress: Progress, heeding: Heeding) -> Report:
    """Send a load; if that is ended early, what was measured until then is told.

    Raises UserError for a source that is not there, or has too little in it.
    """
    with ExitStack() as stack:
        began, cpu = time.perf_counter(), time.process_time()
        sources: Sequence[Synthetic | Files]
        if load.source in TEMPLATES:
            report, sources = _prepare_template(load, progress, stack)
        else:
            report, sources = _prepare_files(load, progress)
        report.prepare_s, report.prepare_cpu_s = time.perf_counter() - began, time.process_time() - cpu
        if (load.associations or 0) > report.requested:
            wanted = f"{load.associations} associations for {report.requested} instances"
            raise UserError(f"{wanted}; expected at most one for each")
        consignments = _divide(report.load, sources)
        associations = sum(consignment.associations for consignment in consignments)
        report.load = replace(report.load, processes=len(consignments), associations=associations)
        try:
            if len(consignments) == 1:
                _send_here(consignments[0], report, progress, heeding)
            else:
                _send_in_processes(consignments, report, progress, heeding)
        except AssociationError as error:
            report.troubles.append(": ".join(part for part in (error.trouble.value, error.comment) if part))
        for part in report.parts:
            report.troubles += part.troubles
        return report


# ---- preparing


def _prepare_template(load: Load, progress: Progress, stack: ExitStack) -> tuple[Report, list[Synthetic]]:
    seed = secrets.randbelow(2**31) if load.seed is None else load.seed
    template = StudyTemplate.compile(
        load.source, Draws(seed), load.syntax, on_progress=lambda done, total: progress("making", done, total)
    )
    study = next(synthetic_studies(load.source, seed))
    count = study.total if load.instances is None else load.instances
    processes = min(load.processes, count)
    shared: StudyTemplate | Path = template
    if processes > 1:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="simlab-", ignore_cleanup_errors=True)))
        shared = folder / load.source
        template.save(shared)
    classes = tuple(dict.fromkeys((series.sop_class, load.syntax) for series in study.series))
    starts = [count * number // processes for number in range(processes + 1)]
    sources = [Synthetic(shared, seed, start, end - start, classes) for start, end in pairwise(starts)]
    return Report(replace(load, seed=seed), "pre-encoded", count), sources


def _prepare_files(load: Load, progress: Progress) -> tuple[Report, list[Files]]:
    folder = Path(load.source)
    if not folder.exists():
        raise UserError(f'"{load.source}" is neither a file or folder nor a protocol: {advice(load.source, TEMPLATES)}')
    found, skipped = [], 0
    try:
        for path in find_files(folder):
            instance = recognise(path)
            if instance is None:
                skipped += 1
            else:
                found.append(instance)
                if len(found) == load.instances:
                    break
            if not len(found) % 100:
                progress("reading", len(found), load.instances or 0)
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror or error}") from error
    wanted = load.instances or 1
    if len(found) < wanted:
        raise UserError(f"DICOM files in {folder}: {len(found)}; expected at least {wanted}")
    processes = min(load.processes, len(found))
    sources = [Files(tuple(found[number::processes])) for number in range(processes)]
    return Report(load, "files", len(found), skipped), sources


def _divide(load: Load, sources: Sequence[Synthetic | Files]) -> list[Consignment]:
    """A consignment for each process; associations and rate are divided among them."""
    processes = len(sources)
    associations = load.associations or processes
    interval = processes / load.rate if load.rate else 0.0
    return [
        Consignment(
            load.calling,
            load.peer,
            source,
            max(1, (associations - number - 1) // processes + 1),
            load.outstanding,
            load.timeout,
            interval,
            interval * number / processes,
        )
        for number, source in enumerate(sources)
    ]


# ---- sending


def _send_here(consignment: Consignment, report: Report, progress: Progress, heeding: Heeding) -> None:
    raise_descriptor_limit()
    sender = Sender(consignment, lambda number: progress("associating", number, consignment.associations))
    finished = threading.Event()
    with heeding() as stopped:

        def look_after() -> None:
            while not finished.wait(_POLL):
                progress("sending", sender.answered, report.requested)
                if stopped.is_set():
                    sender.stop()

        beside = threading.Thread(target=look_after, name="progress", daemon=True)
        beside.start()
        try:
            report.parts.append(sender.run())
        finally:
            finished.set()
            beside.join()
        _end(report, progress, stopped)


def _end(report: Report, progress: Progress, stopped: threading.Event) -> None:
    progress("sending", sum(part.answered for part in report.parts), report.requested)
    if stopped.is_set() and not report.ok:
        report.troubles.append("interrupted")


class _Process:
    """A process that sends, and what it has said."""

    def __init__(self) -> None:
        self.said: Queue[Any] = Queue()
        self.answered = 0
        self.sent: Sent | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._listening = threading.Thread(target=self._listen, name="sender", daemon=True)

    def start(self, consignment: Consignment) -> None:
        """Have it associate for a consignment."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simlab.lab.sender_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # signals that are meant for all of us are the parent's to handle
        )
        self._listening.start()
        self.tell(pickle.dumps(consignment))

    def tell(self, message: bytes) -> None:
        """Write to it; it may have gone already."""
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(message)
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                self.said.put(pickle.load(self._process.stdout))  # noqa: S301 -- from our own child
        self.said.put(None)

    def hear(self, timeout: float) -> Any:
        """What it says next; None if it has ended. Raises queue.Empty."""
        return self.said.get(timeout=timeout)

    def close(self) -> None:
        """End it, if it was started."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        if self._listening.ident is not None:
            self._listening.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


def _send_in_processes(
    consignments: Sequence[Consignment], report: Report, progress: Progress, heeding: Heeding
) -> None:
    with ExitStack() as stack:
        processes = []
        for consignment in consignments:
            process = _Process()
            stack.callback(process.close)  # whenever we are interrupted
            process.start(consignment)
            processes.append(process)
        for number, (process, consignment) in enumerate(zip(processes, consignments, strict=True), 1):
            in_turn = ceil(consignment.associations / AT_A_TIME)
            _await_association(process, START_TIMEOUT + in_turn * 2 * report.load.timeout)
            progress("starting", number, len(processes))
        stopped = stack.enter_context(heeding())
        for process in processes:
            process.tell(b"g")
        told = False
        while any(process.sent is None for process in processes):
            if stopped.is_set() and not told:
                told = True
                for process in processes:
                    process.tell(b"s")
            for process in processes:
                _follow(process)
            progress("sending", sum(process.answered for process in processes), report.requested)
        report.parts += [process.sent for process in processes if process.sent is not None]
        _end(report, progress, stopped)


def _await_association(process: _Process, timeout: float) -> None:
    try:
        said = process.hear(timeout)
    except Empty:
        raise GroupError(f"a sending process has not associated within {timeout:g} s") from None
    if isinstance(said, AssociationError | UserError):
        raise said
    if said is None:
        raise GroupError("a sending process has ended before it associated; see above")


def _follow(process: _Process) -> None:
    """Take in what a process has said, waiting a little for it."""
    if process.sent is not None:
        return
    with suppress(Empty):
        said = process.hear(_POLL)
        if isinstance(said, Sent):
            process.sent, process.answered = said, said.answered
        elif isinstance(said, UserError):
            raise said
        elif said is None:
            raise GroupError("a sending process has ended before its time; see above")
        else:
            process.answered = said
