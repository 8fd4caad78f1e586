"""What records say of studies, in short: a year has millions of records, and few that matter here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from simlab.records import ROW, Record, Records


class Mention(NamedTuple):
    """That a node has done something with a study, or that the study has reached a milestone there."""

    operation: str
    node: str
    study: str
    at: float
    """Run second."""


def mentions(records: Iterable[Record], operations: Collection[str]) -> Iterator[Mention]:
    """The records of these operations, in short."""
    if not isinstance(records, Records):
        for each in records:
            if each.operation in operations:
                yield Mention(each.operation, each.node, each.study, each.finished)
        return
    if not len(records):
        return
    wanted = [kind if kind[3] in operations else None for kind in records.tables.kinds]
    studies = records.tables.study_uids
    for row in ROW.iter_unpack(bytes(records.rows)):
        if kind := wanted[row[0]]:
            yield Mention(kind[3], kind[1], studies[row[2]], row[6])
