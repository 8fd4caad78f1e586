"""An expectation holds only if it was measured and met."""

import pandas as pd
import pytest

from analysis.fake_run import fake_run
from simlab.analysis.expectations import judge
from simlab.analysis.operations import OPERATION_COLUMNS
from simlab.analysis.oracle import InstanceCounts
from simlab.topology.model import Expectation

COUNTS = InstanceCounts(generated=10, stored=10, dropped=2, lost=1)


def table(*rows: tuple[str, str, str, int, float]) -> pd.DataFrame:
    """Operations as (node, peer, operation, failures, p95)."""
    index = pd.MultiIndex.from_tuples([row[:3] for row in rows], names=["node", "peer", "operation"])
    frame = pd.DataFrame(1.0, index=index, columns=list(OPERATION_COLUMNS))
    return frame.assign(failures=[row[3] for row in rows], p95=[row[4] for row in rows])


OPERATIONS = table(
    ("ct1", "archive", "C-STORE", 0, 0.5),
    ("mr1", "archive", "C-STORE", 3, 1.5),
    ("mr1", "ris", "C-FIND", 0, float("nan")),
    ("mr1", "", "make", 7, 600.0),
)


@pytest.mark.parametrize(
    ("expectation", "passed", "measured"),
    [
        (Expectation(node="ct1", operation="C-STORE", p95="< 2 s"), True, "500 ms"),
        (Expectation(node="ct1", operation="C-STORE", p95="< 500 ms"), False, "500 ms"),
        (Expectation(operation="C-STORE", p95="< 1 s"), False, "1.5 s"),
        (Expectation(operation="C-STORE", p95="> 1 s"), False, "500 ms"),
        (Expectation(p95="< 2 s"), True, "1.5 s"),
        (Expectation(operation="make", p95="< 20 min"), True, "10 min"),
        (Expectation(failures=3), True, "3"),
        (Expectation(node="mr1", failures=2), False, "3"),
        (Expectation(node="ct2", failures=0), False, "nothing measured"),
        (Expectation(node="mr1", operation="C-FIND", p95="< 1 h"), False, "nothing measured"),
        (Expectation(operation="C-MOVE", p50="< 1 h"), False, "nothing measured"),
        (Expectation(lost=0), False, "2"),
        (Expectation(lost=2), True, "2"),
    ],
)
def test_verdict(expectation: Expectation, passed: bool, measured: str) -> None:
    (verdict,) = judge([expectation], OPERATIONS, COUNTS)
    assert (verdict.passed, verdict.measured) == (passed, measured)


def test_nothing_stored_means_that_no_loss_was_measured() -> None:
    (verdict,) = judge([Expectation(lost=0)], OPERATIONS, InstanceCounts())
    assert (verdict.passed, verdict.measured) == (False, "nothing measured")


def test_what_could_not_be_asked_for_may_be_lost() -> None:
    counts = InstanceCounts(stored=9, lost=1, unverified=4)
    told = [judge([Expectation(lost=most)], OPERATIONS, counts)[0] for most in (4, 5)]
    assert [(verdict.passed, verdict.measured) for verdict in told] == [
        (False, "1, and 4 not known"),
        (True, "1, and 4 not known"),
    ]


def test_one_verdict_per_threshold_says_what_was_expected() -> None:
    texts = [verdict.expectation for verdict in fake_run().verdicts]
    assert texts == [
        "ct1 C-STORE p95 < 2 s",
        "ct1 C-STORE failures <= 0",
        "mr1 N-ACTION p95 < 1 ms",
        "lost instances <= 0",
    ]
