"""Remarks, counted."""

from simlab.analysis.frames import records_frame
from simlab.analysis.remarks import REMARK_COLUMNS, remarks_table
from simlab.records import Record


def remark(operation, at, comment, node="archive"):
    return Record("virtual", node, "ct1", operation, at, at, at, comment=comment)


def test_without_remarks_the_table_is_empty():
    table = remarks_table(records_frame([]))
    assert tuple(table.columns) == REMARK_COLUMNS
    assert not len(table)


def test_what_differs_only_in_what_it_is_about_is_counted():
    records = [
        remark("fault", 1.0, "C-STORE drop: 2.25.1"),
        remark("fault", 3.0, "C-STORE drop: 2.25.2"),
        remark("alarm", 2.0, "3 instances will never be committed to: 0122H, SOP class not supported", "ct1"),
        Record("virtual", "ct1", "archive", "C-STORE", 0.0, 1.0, 0.0),
    ]
    table = remarks_table(records_frame(records))
    assert table.to_dict("records") == [
        {
            "remark": "fault",
            "node": "archive",
            "peer": "ct1",
            "what": "C-STORE drop",
            "count": 2,
            "first": 1.0,
            "last": 3.0,
        },
        {
            "remark": "alarm",
            "node": "ct1",
            "peer": "ct1",
            "what": records[2].comment,
            "count": 1,
            "first": 2.0,
            "last": 2.0,
        },
    ]
