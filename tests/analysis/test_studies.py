"""What became of each study."""

import numpy as np
import pytest

from analysis.fake_run import fake_run, no_records
from simlab.analysis.frames import records_frame
from simlab.analysis.studies import GOALS, split_clinical, studies_table, study_times
from simlab.records import Record


def test_one_row_per_study_with_what_it_reached() -> None:
    studies = fake_run().studies
    assert list(studies["accession"]) == [f"A0000{number}" for number in range(6)]
    assert list(studies["protocol"].unique()) == ["ct-chest", "mr-brain"]
    assert list(studies["node"].unique()) == ["ct1", "mr1"]
    assert list(studies["outcome"]) == ["complete"] * 4 + ["failed", "complete"]
    failed = studies.loc["1.2.3.4"]
    assert np.isnan(failed["stored"])
    assert failed["failure"] == "Out of resources: the disk is full"


def test_phases_add_up_to_the_time_to_each_goal() -> None:
    studies = fake_run().studies.query("outcome == 'complete'")
    to_stored = studies[["waiting", "acquisition", "transfer"]].sum(axis=1)
    assert studies["to_stored"].to_numpy() == pytest.approx(to_stored)
    assert studies["to_safe"].to_numpy() == pytest.approx(to_stored + studies["commitment"])
    to_read = to_stored + studies["retrieval"] + studies["reading"]
    assert studies["to_read"].to_numpy() == pytest.approx(to_read)
    assert studies["time_to_safe"].to_numpy() == pytest.approx(studies["transfer"] + studies["commitment"])


def test_the_two_parts_add_up_and_the_clinical_one_is_acquisition_and_reading() -> None:
    studies = fake_run().studies
    parts = split_clinical(studies)
    for goal in GOALS:
        both = parts[f"to_{goal}_clinical"] + parts[f"to_{goal}_network"]
        assert both.to_numpy() == pytest.approx(studies[f"to_{goal}"].to_numpy(), nan_ok=True)
    acquired = studies["acquired"] - studies["ordered"]
    complete = studies["outcome"] == "complete"
    assert parts["to_stored_clinical"][complete].to_numpy() == pytest.approx(acquired[complete].to_numpy())
    assert parts["to_read_clinical"][complete].to_numpy() == pytest.approx((acquired + studies["reading"])[complete])
    assert parts.loc["1.2.3.4"].isna().all()


def test_only_the_first_time_that_a_milestone_is_reached_counts() -> None:
    twice = [Record("live", "a", "", "stored", at, at, at, study="1.2") for at in (1.0, 2.0)]
    assert studies_table(records_frame(twice)).loc["1.2", "stored"] == 1.0


def test_a_study_that_stopped_on_its_way_is_unfinished() -> None:
    reached = [("1.1", "ordered"), ("1.1", "stored"), ("1.2", "ordered")]
    records = [Record("live", "a", "", name, 1.0, 1.0, 1.0, study=study) for study, name in reached]
    assert list(studies_table(records_frame(records))["outcome"]) == ["complete", "unfinished"]


def test_no_studies() -> None:
    studies = studies_table(no_records()[0])
    assert studies.empty
    assert (study_times(studies)["count"] == 0).all()
