"""What simlab is meant to reach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.archive import OUTSTANDING
from benchmarks.associations import ASSOCIATIONS, IDLE
from benchmarks.bench import Bench
from benchmarks.corpus import Kind
from benchmarks.jobs import JOB, TEMPLATES, job_label
from benchmarks.results import Key
from benchmarks.senders import Dcmtk, Simlab
from benchmarks.transfers import RECEIVERS, SENDERS
from benchmarks.windows import LINE, WINDOW

DISCARDING, IGNORING, STORESCP = "discarding sink", "storescp --ignore --fork", "storescp --fork"
CT, MR, TINY = (kind.label for kind in Kind)
ONE, ONE_DCMSEND = Simlab().name, Dcmtk().name
FOUR, FOUR_DCMSEND = Simlab(associations=4, processes=4).name, Dcmtk(processes=4).name
ARCHIVE, SAFE_ARCHIVE = "simlab archive (write)", "simlab archive (fsync)"


class Goal(NamedTuple):
    """One thing that is to be reached."""

    name: str
    value: float | None
    """What was measured; None if it was not."""
    bound: float
    at_least: bool = True

    @property
    def met(self) -> bool | None:
        """Whether it is reached; None if it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def goals(bench: Bench) -> Iterator[Goal]:
    """All goals, with what was measured."""
    ratio = bench.results.ratio

    def against(sink: str, kind: str, over: str, under: str, figure: str = "rate") -> float | None:
        return ratio(Key(SENDERS, kind, sink, over), Key(SENDERS, kind, sink, under), figure)

    for sink, bounds in ((DISCARDING, (2.0, 1.6, 1.6)), (IGNORING, (1.7, 1.4, 1.25))):
        for kind, bound in zip((CT, MR, TINY), bounds, strict=True):
            yield Goal(
                f"one association, simlab / dcmsend, {kind}, {sink}", against(sink, kind, ONE, ONE_DCMSEND), bound
            )
    for kind, bound in ((CT, 0.35), (MR, 0.5)):
        value = against(DISCARDING, kind, ONE, ONE_DCMSEND, "cpu")
        yield Goal(f"sender's CPU per GB, simlab / dcmsend, {kind}", value, bound, at_least=False)
    for kind in (CT, MR):
        yield Goal(f"4 processes, simlab / 4 x dcmsend, {kind}", against(DISCARDING, kind, FOUR, FOUR_DCMSEND), 2.0)
    yield Goal("one association, simlab / raw sockets, CT", against(DISCARDING, CT, ONE, "raw sockets"), 0.8)
    from_disk = Simlab(from_disk=True).name
    yield Goal("same files from disk, simlab / dcmsend, CT", against(DISCARDING, CT, from_disk, ONE_DCMSEND), 1.0)
    subject = job_label(bench)
    whole = ratio(Key(JOB, subject, DISCARDING, ONE_DCMSEND), Key(JOB, subject, DISCARDING, ONE), "seconds")
    yield Goal(f"whole job, {subject}: dcmsend's time / simlab's", whole, 1.0)

    echo = [Key(ASSOCIATIONS, "C-ECHO", "4 clients", name) for name in (ARCHIVE, STORESCP)]
    yield Goal("associations per second, archive / storescp --fork", ratio(echo[0], echo[1], "rate"), 0.5)
    eight = Dcmtk(processes=8).name
    for kind in (CT, MR):
        stored = [Key(RECEIVERS, kind, eight, name) for name in (ARCHIVE, STORESCP, SAFE_ARCHIVE, "Orthanc")]
        name = f"8 senders, {kind}"
        yield Goal(f"{name}, archive (write) / storescp --fork", ratio(stored[0], stored[1], "rate"), 0.8)
        yield Goal(f"{name}, archive (fsync) / Orthanc", ratio(stored[2], stored[3], "rate"), 2.0)
    thousand = Key(IDLE, "1000 open", "", ARCHIVE)
    for name, figure, bound in (("% of a core", "core_percent", 5.0), ("seconds to open", "open_s", 10.0)):
        value = bench.results.median(thousand, figure)
        yield Goal(f"1000 idle associations on the archive, {name}", value, bound, at_least=False)

    windowed = [Key(WINDOW, TINY, LINE, Simlab(outstanding=number).name) for number in (OUTSTANDING, 1)]
    yield Goal(f"{OUTSTANDING} outstanding / 1, 1 KB, {LINE}", ratio(windowed[0], windowed[1], "rate"), 8.0)
    for kind in (CT, MR, TINY):
        made, sent = Key(TEMPLATES, kind, "", "simlab's templates"), Key(SENDERS, kind, DISCARDING, ONE)
        yield Goal(f"making instances of templates / sending them, {kind}", ratio(made, sent, "rate"), 5.0)
