"""Statistics agree with numpy on records made by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.fake_run import CT_IMAGE, EXPLICIT_LITTLE, fake_run, no_records
from simlab.analysis.frames import instances_frame, records_frame
from simlab.analysis.measurements import busy_seconds, measurements
from simlab.analysis.operations import OPERATION_COLUMNS, operations_table, throughput_series
from simlab.records import InstanceBatch, InstanceRows, Record


def echo(latency: float, *, late: float = 0.0, failures: int = 0, status: int = 0) -> Record:
    finished = 10.0 + latency
    return Record("live", "a", "b", "C-ECHO", 10.0 + late, finished, 10.0, failures=failures, status=status)


def batch(*transfers: tuple[float, float, int, int]) -> InstanceBatch:
    """Transfers as (started, finished, bytes, status)."""
    rows = InstanceRows()
    for number, (started, finished, size, status) in enumerate(transfers):
        rows.append(f"1.2.{number}", CT_IMAGE, EXPLICIT_LITTLE, size, started, finished, status)
    return InstanceBatch("live", "a", "b", "1.2", rows)


@settings(max_examples=40, deadline=None)  # most of the time goes into DataFrames
@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=50))
def test_percentiles_are_those_of_numpy(latencies: list[float]) -> None:
    table = operations_table(records_frame(map(echo, latencies)), instances_frame([]), seconds=10.0)
    row = table.loc["a", "b", "C-ECHO"]
    expected = np.percentile([10.0 + latency - 10.0 for latency in latencies], (50, 95, 99))
    assert list(row[["p50", "p95", "p99"]]) == pytest.approx(list(expected))
    assert row["rate"] == len(latencies) / 10.0


def test_latency_counts_from_the_intended_start() -> None:
    table = operations_table(records_frame([echo(3.0, late=2.5)]), instances_frame([]), 1.0)
    assert table.loc[("a", "b", "C-ECHO"), "p50"] == pytest.approx(3.0)


def test_a_failure_status_is_a_failure_and_a_warning_is_not() -> None:
    records = records_frame([echo(1, status=0x0122), echo(1, status=-1), echo(1, failures=1), echo(1, status=0xB000)])
    assert operations_table(records, instances_frame([]), 1.0).loc[("a", "b", "C-ECHO"), "failures"] == 3


def test_stores_are_counted_by_instance() -> None:
    instances = instances_frame([batch((0, 1, 100, 0), (1, 3, 300, 0), (7, 8, 500, 0xA700))])
    row = operations_table(no_records()[0], instances, seconds=8.0).loc["a", "b", "C-STORE"]
    assert (row["count"], row["failures"], row["bytes"]) == (3, 1, 400)
    assert row["p50"] == 1.0
    assert row["throughput"] == pytest.approx(400 / 3)


def test_an_instance_that_was_never_sent_fails_without_a_latency() -> None:
    instances = instances_frame([batch((0, 2, 100, 0), (5, 5, 100, -1))])
    row = operations_table(no_records()[0], instances, 1.0).loc["a", "b", "C-STORE"]
    assert (row["count"], row["failures"], row["p50"]) == (2, 1, 2.0)


def test_a_refused_association_counts_though_it_left_no_instance_rows() -> None:
    refused = Record("live", "a", "b", "C-STORE", 0.0, 0.1, 0.0, instances=5, failures=5, status=-1)
    row = operations_table(records_frame([refused]), instances_frame([]), 1.0).loc["a", "b", "C-STORE"]
    assert (row["count"], row["failures"]) == (5, 5)
    assert np.isnan(row["p95"])


def test_what_was_stored_and_what_was_refused_both_count() -> None:
    stored = Record("live", "a", "b", "C-STORE", 0.0, 0.1, 0.0, instances=5)
    refused = Record("live", "a", "b", "C-STORE", 0.0, 0.1, 0.0, instances=0, failures=3, status=-1)
    row = operations_table(records_frame([stored, refused]), instances_frame([]), 1.0).loc["a", "b", "C-STORE"]
    assert (row["count"], row["failures"]) == (8, 3)


def test_local_work_comes_last_and_milestones_not_at_all() -> None:
    run = fake_run()
    operations = list(run.operations.index.get_level_values("operation"))
    local = [name in {"make", "discard"} for name in operations]
    assert local == sorted(local)
    assert any(local)
    assert not {"ordered", "stored", "safe", "failed"} & set(operations)


def test_nothing_happened() -> None:
    records, instances = no_records()
    table = operations_table(records, instances, seconds=1.0)
    assert table.empty
    assert tuple(table.columns) == OPERATION_COLUMNS
    assert throughput_series(instances, 1.0).sum().sum() == 0
    assert measurements(records, instances).empty


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10)), max_size=20))
def test_busy_seconds_is_the_length_of_the_union(intervals: list[tuple[int, int]]) -> None:
    covered = {second for start, length in intervals for second in range(start, start + length)}
    starts, ends = [start for start, _ in intervals], [start + length for start, length in intervals]
    assert busy_seconds(starts, ends) == len(covered)


def test_throughput_spreads_an_instance_over_its_transfer() -> None:
    series = throughput_series(instances_frame([batch((0.5, 2.5, 4_000_000, 0), (1, 2, 9, 0xA700))]), 1.0)
    assert series["a", "b"].to_list() == pytest.approx([1.0, 2.0, 1.0])


def test_throughput_adds_up_to_the_bytes() -> None:
    run = fake_run()
    total = throughput_series(run.instances, 0.7).sum().sum() * 0.7e6
    assert total == pytest.approx(run.instances.query("status == 0")["bytes"].sum())
