"""Whether a run did what its topology expects of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from simlab.analysis.oracle import InstanceCounts
from simlab.records import DIMSE_OPERATIONS
from simlab.topology.model import Expectation
from simlab.units import format_duration, parse_threshold

PERCENTILES = ("p50", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One threshold, what was measured against it, and whether it held."""

    expectation: str
    """Such as "ct1 C-STORE p95 < 2 s"."""
    measured: str
    passed: bool


NOTHING = "nothing measured"
"""An expectation about something that never happened is not met: a silent node must not pass."""


def judge(
    expectations: Iterable[Expectation], operations: pd.DataFrame, counts: InstanceCounts | None
) -> list[Verdict]:
    """One verdict per threshold. ``operations`` is the table of :func:`simlab.analysis.operations.operations_table`.

    An expectation that names no operation is about all that go over the wire, not about a node's local work.
    A percentile must hold for every (node, peer, operation) that the expectation matches, so the worst is compared;
    failures are added up over all of them. Lost instances are counted over the whole run: of those that an archive has
    dropped and those that nobody has any more, which are often the same ones, the larger number; of what an archive
    could not be asked for, the worst is assumed. ``counts`` is None if nobody looked.
    """
    return [verdict for expectation in expectations for verdict in _verdicts(expectation, operations, counts)]


def _verdicts(expectation: Expectation, operations: pd.DataFrame, counts: InstanceCounts | None) -> Iterable[Verdict]:
    rows = _matching(expectation, operations)
    subject = " ".join(word for word in (expectation.node, expectation.operation) if word) or "every operation"
    for percentile in PERCENTILES:
        if text := getattr(expectation, percentile):
            threshold = parse_threshold(text)
            worst = float(rows[percentile].max() if threshold.operator.startswith("<") else rows[percentile].min())
            measured = NOTHING if pd.isna(worst) else format_duration(worst)
            yield Verdict(f"{subject} {percentile} {text}", measured, threshold.holds(worst))
    if expectation.failures is not None:
        failures = int(rows["failures"].sum())
        yield Verdict(
            f"{subject} failures <= {expectation.failures}",
            str(failures) if len(rows) else NOTHING,
            len(rows) > 0 and failures <= expectation.failures,
        )
    if expectation.lost is not None:
        asked = counts if counts is not None and counts.stored else None
        lost = max(asked.dropped, asked.lost) if asked is not None else 0
        unverified = asked.unverified if asked is not None else 0
        told = f"{lost:,}, and {unverified:,} not known" if unverified else str(lost)
        yield Verdict(
            f"lost instances <= {expectation.lost}",
            NOTHING if asked is None else told,
            asked is not None and lost + unverified <= expectation.lost,
        )


def _matching(expectation: Expectation, operations: pd.DataFrame) -> pd.DataFrame:
    node, peer, operation = (operations.index.get_level_values(level) for level in ("node", "peer", "operation"))
    wanted = pd.Series(data=True, index=operations.index)
    if expectation.node:
        wanted &= (node == expectation.node) | (peer == expectation.node)
    if expectation.operation:
        wanted &= operation == expectation.operation
    else:
        wanted &= operation.isin(DIMSE_OPERATIONS)
    return operations[wanted]
