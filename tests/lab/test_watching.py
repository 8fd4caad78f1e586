"""Progress, on a terminal and into a file."""

from io import StringIO

from rich.console import Console

from lab.samples import tiny_topology
from simlab.lab.happened import Progress
from simlab.lab.watching import Watching
from simlab.records import MILESTONES, Record

STORE = Record("live", "ct1", "archive", "C-STORE", 1.0, 2.0, 1.0, bytes=4_000_000, failures=1, comment="disk full")


def shown(*, terminal, milestones=None):
    console = Console(file=StringIO(), force_terminal=terminal, width=120)
    with Watching(console, tiny_topology()) as watching:
        for now, phase in ((-0.1, "working"), (0.9, "working"), (1.2, "finishing"), (3.0, "auditing")):
            counts = dict.fromkeys(MILESTONES, 1)
            watching.show(Progress(now, 1.0, phase, counts, {"ct1": STORE}, 4_000_000))
            watching._live.refresh()
    return console.file.getvalue()


def test_into_a_file_there_is_a_line_for_each_phase():
    assert shown(terminal=False).splitlines() == [
        "tiny: starting 3 nodes",
        "tiny: orders arrive, for 1 s",
        "tiny: no more orders after 1.2 s; finishing what was ordered",
        "tiny: all done after 3 s; asking the archives for everything back",
    ]


def test_on_a_terminal_it_says_what_each_node_did_last():
    drawn = shown(terminal=True)
    assert "-114000" not in drawn
    for text in (
        "working  0 s",
        "finishing",
        "auditing",
        "ordered 1",
        "C-STORE > archive",
        "4 MB",
        "disk full",
        "MB/s",
    ):
        assert text in drawn
