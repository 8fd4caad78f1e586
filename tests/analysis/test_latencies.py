"""Histograms of latencies say what the rows would have said, to a hundredth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies.small import a_study

from analysis.fake_run import fake_run
from simlab.analysis.frames import instances_frame
from simlab.analysis.latencies import (
    TransferHistograms,
    bin_counts,
    bins_of,
    latencies,
    latencies_frame,
    middle,
    percentiles,
    sample,
)
from simlab.records import InstanceBatch, InstanceRows, StudyRows, Train
from simlab.report.page import render

HALF_A_BIN = 0.01


@given(st.floats(1e-5, 1e7))
def test_the_middle_of_a_bin_is_near_all_that_is_in_it(seconds):
    assert middle(bins_of(np.array([seconds])))[0] == pytest.approx(seconds, rel=HALF_A_BIN)


def test_what_took_no_time_stays_that():
    assert middle(bins_of(np.array([0.0, 1e-9]))).tolist() == [0.0, 0.0]
    assert bin_counts(StudyRows(a_study(), trains=(Train(1.0, ((1.0, 0.0), (1.0, 3.0))),))) == {-1: 3}


@given(st.lists(st.integers(1, 50), min_size=1), st.sampled_from([1, 50, 95, 100]))
def test_percentiles_are_those_of_all_values(values, wanted):
    seconds, counts = np.unique(np.array(values, float), return_counts=True)
    expected = np.percentile(values, wanted)
    assert percentiles(seconds[::-1], counts[::-1], [wanted]) == pytest.approx([expected])


def test_of_nothing_there_is_no_percentile():
    assert np.isnan(percentiles(np.array([]), np.array([], int), (50, 95))).all()


steps = st.tuples(st.integers(1, 40), st.integers(1, 30))


@given(st.lists(steps, min_size=1, max_size=6), st.integers(0, 8))
def test_a_train_is_counted_as_instance_by_instance(gaps, waited):
    eighths, when, moments = 0, 2.0, [(2.0, 0.0)]
    for instances, seconds in gaps:
        eighths, when = eighths + instances, when + seconds
        moments.append((when, eighths / 8))
    count = -(-eighths // 8)
    moments[-1] = (when, float(count))
    told = StudyRows(a_study(series=(count,)), "explicit", (10,), (Train(2.0 - waited, tuple(moments)),))
    rows = told.expanded()
    one_by_one = sorted(end - start for start, end in zip(rows.started, rows.finished, strict=True))
    together = sorted(seconds for seconds, number in latencies(told) for _ in range(number))
    assert together == pytest.approx(one_by_one)


def test_what_was_never_sent_has_no_latency():
    rows = InstanceRows()
    rows.append("1", "", "", 0, 1.0, 1.0, -1)
    rows.append("2", "", "", 0, 1.0, 3.0, -1)
    assert list(latencies(rows)) == [(2.0, 1)]


def histograms(*batches):
    folded = TransferHistograms()
    for batch in batches:
        folded.take(batch)
    return latencies_frame(folded)


def test_a_row_for_each_bin_of_each_transfer():
    slow, fast = (StudyRows(a_study(), trains=(Train(0.0, ((0.0, 0.0), (end, 3.0))),)) for end in (6.0, 3.0))
    frame = histograms(
        InstanceBatch("virtual", "ct1", "archive", "1.2.3", slow),
        InstanceBatch("virtual", "ct1", "", "1.2.3", StudyRows(a_study()), "make"),
        InstanceBatch("virtual", "ct1", "archive", "1.2.4", fast),
    )
    assert frame[["node", "peer", "study", "count"]].to_numpy().tolist() == [
        ["ct1", "archive", "1.2.3", 3],
        ["ct1", "archive", "1.2.4", 3],
    ]
    assert frame["seconds"].to_list() == pytest.approx([2.0, 1.0], rel=HALF_A_BIN)
    assert latencies_frame().empty


@pytest.fixture(scope="module")
def two():
    """A run with the rows of its C-STOREs, and the same with histograms in their place."""
    run = fake_run()
    stores = run.instances[run.instances["operation"] == "C-STORE"]
    batches = []
    for (node, peer, study), rows in stores.groupby(["node", "peer", "study"]):
        told = InstanceRows()
        for row in rows.itertuples():
            told.append(row.sop_instance, "", "", row.bytes, row.started, row.finished, row.status)
        batches.append(InstanceBatch("live", node, peer, study, told))
    return run, fake_run(instances=instances_frame([]), latencies=histograms(*batches))


def test_operations_are_the_same_but_for_the_percentiles_of_stores(two):
    with_rows, without = (run.operations.drop(columns="throughput") for run in two)
    percentile = ["p50", "p95", "p99"]
    stores = with_rows.index.get_level_values("operation") == "C-STORE"
    pd.testing.assert_frame_equal(with_rows[~stores], without[~stores])
    for each in ("count", "failures", "bytes"):
        assert (with_rows[each] == without[each]).all()
    assert without.loc[stores, percentile].to_numpy() == pytest.approx(
        with_rows.loc[stores, percentile].to_numpy(), rel=0.02
    )


def test_the_page_has_its_pictures(two):
    page = render(two[1])
    assert "Throughput" in page
    assert "Latency" in page


def test_a_sample_is_distributed_like_the_whole(two):
    run = two[1]
    told = percentiles(run.latencies["seconds"].to_numpy(), run.latencies["count"].to_numpy(), (50, 95))
    assert np.percentile(sample(run.latencies), (50, 95)) == pytest.approx(told, rel=0.02)
