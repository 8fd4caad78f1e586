"""Senders and receivers: C-STORE, many instances, one after the other or side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from benchmarks.archive import Archive
from benchmarks.bench import Bench
from benchmarks.corpus import Kind
from benchmarks.results import Figures, Key
from benchmarks.senders import Dcmtk, Load, Pynetdicom, Raw, Sender, Simlab, read_report
from benchmarks.servers import Orthanc, ServerKind, Sink, Storescp, settle
from benchmarks.servers import Pynetdicom as PynetdicomServer
from benchmarks.timing import Timed, slope, time_side_by_side

SIZES = {Kind.CT: (480, 2400), Kind.MR: (960, 4800), Kind.TINY: (800, 8000)}
"""Instances of a small and of a large run, before weights."""

STORED = {Kind.CT: (240, 1440), Kind.MR: (320, 2400), Kind.TINY: (640, 4800)}
"""The same where instances are stored."""

SLOW = 0.4
"""Weight of a server that takes longer."""

WARM_UP = 16
"""Instances that every server gets before anything is timed."""

QUICK = 0.2
STEP = 16
"""Sizes are multiples of it, so that every number of processes divides them."""

BOUND = 180.0
"""Seconds that a run may take."""

SENDERS, RECEIVERS = "senders", "receivers"


def senders(bench: Bench) -> None:
    """All senders against a server that costs nothing, and some against servers that people use."""
    raw, sink = Sink(bench.native, raw=True), Sink(bench.native)
    with_processes = Simlab(associations=4, processes=4)
    everybody: list[tuple[Sender, ServerKind]] = [
        (Simlab(), sink),
        (Simlab(associations=4), sink),
        (Simlab(associations=16), sink),
        (Simlab(associations=2, processes=2), sink),
        (with_processes, sink),
        (Simlab(from_disk=True), sink),
        (Dcmtk(), sink),
        (Dcmtk(processes=4), sink),
        (Dcmtk("storescu"), sink),
        (Dcmtk("storescu", processes=4), sink),
        (Pynetdicom(), sink),
        # The limit stands beside those that it limits.
        (Raw(bench.native), raw),
        (Raw(bench.native, processes=4), raw),
    ]
    some: list[Sender] = [Simlab(), with_processes, Dcmtk(), Dcmtk(processes=4), Dcmtk("storescu")]
    for kind in Kind:
        bench.contest(
            {
                Key(SENDERS, kind.label, sink.name, sender.name): _measuring(
                    bench, kind, sender, server, scaled(SIZES[kind], sender.weight)
                )
                for sender, server in everybody
            }
        )
        for server, sizes in ((Storescp(ignore=True), SIZES[kind]), (Orthanc(), STORED[kind])):
            bench.contest(
                {
                    Key(SENDERS, kind.label, server.name, sender.name): _measuring(
                        bench, kind, sender, server, scaled(sizes, sender.weight if sizes is SIZES[kind] else SLOW)
                    )
                    for sender in some
                }
            )


def receivers(bench: Bench) -> None:
    """All servers that store, under one and many senders."""
    servers: list[tuple[ServerKind, float]] = [
        (Archive("none"), 1.0),
        (Archive("write"), 1.0),
        (Archive("fsync"), SLOW),
        (Storescp(), 1.0),
        (Storescp(bit_preserving=True), 1.0),
        (Orthanc(), SLOW),
        (PynetdicomServer(), SLOW),
    ]
    under: list[Sender] = [Dcmtk(), Dcmtk(processes=8), Simlab(associations=8)]
    for kind in Kind:
        for sender in under:
            bench.contest(
                {
                    Key(RECEIVERS, kind.label, sender.name, server.name): _measuring(
                        bench, kind, sender, server, scaled(STORED[kind], weight)
                    )
                    for server, weight in servers
                }
            )


def _measuring(
    bench: Bench, kind: Kind, sender: Sender, server: ServerKind, sizes: tuple[int, ...]
) -> Callable[[], Figures]:
    small, large = scaled(sizes, QUICK if bench.quick else 1.0)
    return partial(measure, bench, kind, sender, server, small, large)


def scaled(sizes: Iterable[int], factor: float) -> tuple[int, ...]:
    """Sizes by a factor, as multiples of ``STEP``."""
    return tuple(max(STEP, round(size * factor / STEP) * STEP) for size in sizes)


def measure(bench: Bench, kind: Kind, sender: Sender, server: ServerKind, small: int, large: int) -> Figures:
    """Send a small and a large load to a fresh server: what an instance more costs.

    Raises FailedError or UnavailableError.
    """
    report = bench.folder / "report.json"
    report.unlink(missing_ok=True)
    runs: list[Timed] = []
    server_cpu: list[float] = []
    with server.up() as at:
        for first, count in ((0, WARM_UP), (WARM_UP, small), (WARM_UP + small, large)):
            commands = sender.commands(at, Load(bench.corpus, kind, first, count), report)
            before = at.usage().cpu
            runs.append(time_side_by_side(commands, bench.folder, BOUND, partial(settle, at, first + count)))
            server_cpu.append(at.usage().cpu - before)
    each = slope(runs[1], runs[2], large - small)
    gigabytes = bench.corpus.bytes_each(kind) / 1e9
    figures = {
        "rate": 1 / each.seconds,
        "mb_per_s": gigabytes * 1e3 / each.seconds,
        "cpu": each.cpu / gigabytes,
        "server_cpu": max(0.0, server_cpu[2] - server_cpu[1]) / (large - small) / gigabytes,
    }
    told = read_report(report)
    if "instances_per_s" in told:
        figures["own_rate"] = told["instances_per_s"]
    if "outstanding_negotiated" in told:
        figures["outstanding"] = told["outstanding_negotiated"]
    return figures
