"""Statistics that are kept up as a run goes on are those of its records, to a hundredth."""

import pandas as pd
import pytest

from analysis.fake_run import Script, fake_run, study
from simlab.analysis.running import Running
from simlab.records import Records

NUMBERS = ["count", "failures", "bytes"]
PERCENTILES = ["p50", "p95", "p99"]


def script():
    told = Script(seed=7)
    for number in range(6):
        study(told, number, ordered=3.0 + 15.0 * number, broken=4 if number == 4 else 0)
    return told


def running(size):
    """The records and batches of a run, taken in so many at a time."""
    told, statistics = script(), Running()
    reached = {}
    for first in range(0, len(told.records), size):
        some = told.records[first : first + size]
        for record in some:
            reached.setdefault(record.study, set()).add(record.operation)
        under_way = {uid for uid, names in reached.items() if not names & {"read", "failed"}}
        statistics.take(Records.of(some), told.batches if not first else (), under_way)
    statistics.end()
    return statistics


@pytest.fixture(scope="module")
def whole():
    return running(1000)


def test_operations_are_those_of_the_records(whole):
    expected, found = fake_run().operations, whole.operations(fake_run().elapsed)
    pd.testing.assert_index_equal(found.index, expected.index)
    pd.testing.assert_frame_equal(found[[*NUMBERS, "rate"]], expected[[*NUMBERS, "rate"]])
    several = (
        expected["count"] > 100
    )  # a percentile of few lies between two values, and which of them is nearer is chance
    assert found.loc[several, PERCENTILES].to_numpy() == pytest.approx(
        expected.loc[several, PERCENTILES].to_numpy(), rel=0.02
    )


def test_studies_are_those_of_the_records(whole):
    run = fake_run()
    assert (whole.studies, whole.complete) == (run.study_count, run.complete_studies) == (6, 5)
    assert (whole.records, whole.elapsed) == (len(run.records), run.elapsed)
    expected, found = run.study_times, whole.study_times()
    assert list(found.index) == list(expected.index)
    assert (found["count"] == expected["count"]).all()
    once = expected["count"] == 1
    assert found.loc[once, "p50"].to_numpy() == pytest.approx(expected.loc[once, "p50"].to_numpy(), rel=0.01)


@pytest.mark.parametrize("size", [1, 7])
def test_it_does_not_matter_how_often_somebody_looks(whole, size):
    often = running(size)
    pd.testing.assert_frame_equal(often.operations(1.0), whole.operations(1.0))
    pd.testing.assert_frame_equal(often.study_times(), whole.study_times())
    assert (often.studies, often.complete) == (whole.studies, whole.complete)


def test_of_nothing_there_is_a_summary_too():
    nothing = Running()
    nothing.end()
    assert nothing.operations(1.0).empty
    assert (nothing.studies, nothing.complete) == (0, 0)
    assert (nothing.study_times()["count"] == 0).all()
