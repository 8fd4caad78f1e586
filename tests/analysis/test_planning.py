"""What a planner is told of one run, and service levels."""

from dataclasses import replace
from datetime import datetime
from math import isnan

import pandas as pd
import pytest

from analysis.fake_run import clinic, fake_run, no_records
from simlab.analysis.frames import records_frame
from simlab.analysis.planning import measure, measures
from simlab.analysis.service_level import ServiceLevel
from simlab.records import Record
from simlab.units import Threshold

HOUR = ServiceLevel("ordered", "read", Threshold("<", 3600.0))
LEVELS = (HOUR, ServiceLevel("acquired", "stored", Threshold("<", 5.0)))


@pytest.fixture(scope="module")
def run():
    """Six studies, ordered every 15 s from 3 s on; the fifth fails."""
    return fake_run()


def test_every_measure_has_a_value_and_no_other(run):
    found = measure(run, 0.0, LEVELS)
    assert list(found) == [*(each.name for each in measures(run.topology, LEVELS)), "verdict", "profile"]


def test_times_are_those_of_the_studies_that_count(run):
    whole, rest = measure(run, 0.0), measure(run, 20.0)
    studies = run.studies
    assert whole["studies"] == 6
    assert rest["studies"] == 4
    assert rest["waiting_p95"] == pytest.approx(studies["waiting"].iloc[2:].quantile(0.95), abs=1e-6)
    assert rest["to_read_p50"] == pytest.approx(studies["to_read"].iloc[2:].quantile(0.5), abs=1e-6)
    assert rest["transfer_mean"] == pytest.approx(studies["transfer"].iloc[2:].mean(), abs=1e-6)
    assert (rest["failed"], rest["unfinished"]) == (1, 0)
    early, late = studies["waiting"].iloc[2:5], studies["waiting"].iloc[5:]
    assert (rest["waiting_first_half"], rest["waiting_second_half"]) == pytest.approx((early.mean(), late.mean()))


def test_utilisation_is_the_share_of_the_window_spent_acquiring(run):
    found, studies = measure(run, 0.0), run.studies
    ours = studies[studies["node"] == "ct1"]
    busy = float((ours["acquired"] - ours["started"]).sum())
    assert found["utilisation ct1"] == pytest.approx(busy / 120, abs=1e-6)
    assert found["utilisation"] == pytest.approx((found["utilisation ct1"] + found["utilisation mr1"]) / 2, abs=1e-6)


def test_volume_counts_what_archives_took_in_on_a_day_of_the_department(run):
    """Two minutes, compressed 30 times, are an hour. What the archive sent to the reader does not count."""
    stores = run.records.query("operation == 'C-STORE' and peer == 'archive' and finished <= 120")
    assert measure(run, 0.0)["stored_per_day"] == pytest.approx(float(stores["bytes"].sum()) * 24)


def test_links_losses_and_the_verdict(run):
    found = measure(run, 0.0)
    assert found["busy north>main"] == 0.08
    assert (found["verdict"], found["passed"], found["alarms"]) == (run.verdict, 0, 0)
    assert found["lost"] == max(run.counts.dropped, run.counts.lost)


def test_the_busiest_hour_of_a_line_and_of_an_archive():
    """An hour of the department is two minutes; three are looked at. All that is sent takes a tenth of a minute."""

    def store(begun, size):
        return Record("live", "ct1", "archive", "C-STORE", begun, begun + 6.0, begun, instances=1, bytes=size,
                      wire_bytes=size, study=f"1.{begun}")  # fmt: skip

    stores = [store(10.0, 10_000_000), store(130.0, 20_000_000), store(180.0, 10_000_000), store(345.0, 1_000_000)]
    topology = clinic(duration=360.0, compress=30.0, epoch=datetime(2026, 1, 15, 8))
    found = measure(fake_run(topology=topology, records=records_frame(stores)), 0.0)
    assert found["busy_hour archive"] == pytest.approx(30_000_000)
    on_the_wire = 30_000_000 * 1500 / 1448
    assert found["busy_hour_rate north>main"] == pytest.approx(on_the_wire / 120.0)
    assert found["busy_hour north>main"] == pytest.approx(on_the_wire / 120.0 / 12.5e6, abs=1e-6)


def test_a_queue_has_its_worst_hour_where_there_is_enough_of_one():
    """Half an hour of nobody waiting, an hour of one patient who waits, and a minute of ten."""

    def wait(study, ordered, started):
        return [
            Record("live", "ct1", "", name, when, when, when, study=study)
            for name, when in (("ordered", ordered), ("started", started))
        ]

    records = wait("1", 1800.0, 5400.0) + [each for n in range(2, 12) for each in wait(str(n), 7200.0, 7260.0)]
    topology = clinic(duration=7260.0, compress=1.0, epoch=datetime(2026, 1, 15, 8))
    found = measure(fake_run(topology=topology, records=records_frame(records)), 0.0)
    assert found["waiting_number_peak"] == pytest.approx(0.5)
    assert found["waiting_number"] == pytest.approx((3600 + 600) / 7260, abs=1e-6)


def test_alarms_and_what_archives_dropped_count(run):
    alarm = Record("live", "ct1", "archive", "alarm", 50.0, 50.0, 50.0, comment="gone")
    loud = replace(run, records=records_frame([alarm, alarm]), counts=replace(run.counts, dropped=3, lost=1))
    found = measure(loud, 0.0)
    assert (found["alarms"], found["lost"]) == (2, 3)


def test_a_run_in_which_nothing_happened():
    records, instances = no_records()
    found = measure(fake_run(records=records, instances=instances, links=pd.DataFrame()), 0.0, LEVELS)
    assert (found["studies"], found["utilisation"], found["stored_per_day"]) == (0, 0, 0)
    assert isnan(found["waiting_p95"])
    assert isnan(found["busy north>main"])
    assert isnan(found["sla read < 1 h"])


def test_measures_name_scanners_and_directions():
    names = {each.name for each in measures(clinic(), LEVELS)}
    assert {"sla read < 1 h", "utilisation ct1", "utilisation mr1", "busy north>main", "busy main>north"} <= names


# ---- service levels


def test_a_study_that_never_arrives_was_not_in_time():
    studies = pd.DataFrame({"ordered": [0.0, 0.0, 0.0, 0.0], "read": [10.0, 59.9, 60.0, float("nan")]})
    assert ServiceLevel("ordered", "read", Threshold("<", 60.0)).share(studies) == 0.5
    assert ServiceLevel("ordered", "read", Threshold("<=", 60.0)).share(studies) == 0.75
    assert isnan(ServiceLevel("ordered", "read", Threshold("<", 60.0)).share(studies.head(0)))
