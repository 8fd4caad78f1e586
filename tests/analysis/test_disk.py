"""How full scanners' local disks were, from records made by hand."""

import numpy as np

from simlab.analysis.disk import HALT_COLUMNS, OCCUPANCY_COLUMNS, halt_sentences, halts, occupancy
from simlab.analysis.frames import records_frame
from simlab.records import Record


def record(operation, at, node="ct1", *, size=0, comment=""):
    return Record("virtual", node, "", operation, at - 0.5, at, at, bytes=size, comment=comment)


def test_without_records_nothing_stopped_and_nothing_was_kept():
    nothing = records_frame([])
    assert tuple(halts(nothing).columns) == HALT_COLUMNS
    assert tuple(occupancy(nothing).columns) == OCCUPANCY_COLUMNS
    assert len(halts(nothing)) == len(occupancy(nothing)) == 0
    assert halt_sentences(nothing) == []


def test_what_is_acquired_adds_up_until_it_is_deleted():
    records = [
        record("make", 3.0, size=10),
        record("make", 5.0, size=20),
        record("discard", 6.0, size=10),
        record("make", 4.0, "mr1", size=7),
        record("discard", 9.0, "reader", size=100),  # it received that, and made nothing
        record("C-STORE", 5.5, size=10),
    ]
    table = occupancy(records_frame(records))
    assert list(table.itertuples(index=False, name=None)) == [
        ("ct1", 0.0, 0),
        ("ct1", 3.0, 10),
        ("ct1", 5.0, 30),
        ("ct1", 6.0, 20),
        ("mr1", 0.0, 0),
        ("mr1", 4.0, 7),
    ]


def test_a_halt_lasts_until_the_same_scanner_goes_on():
    records = records_frame(
        [
            record("halt", 10.0, comment="local disk full"),
            record("halt", 11.0, "mr1", comment="local disk too small"),
            record("resume", 12.0),
            record("halt", 13.04, comment="local disk full"),
        ]
    )
    table = halts(records)
    assert list(table["node"]) == ["ct1", "mr1", "ct1"]
    assert list(table["halted"]) == [10.0, 11.0, 13.04]
    np.testing.assert_array_equal(table["resumed"], [12.0, np.nan, np.nan])
    assert halt_sentences(records) == [
        "ct1 stopped scanning at 13.0 s, as once before: local disk full (it never went on).",
        "mr1 stopped scanning at 11.0 s: local disk too small (it never went on).",
    ]
