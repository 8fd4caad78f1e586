"""Two worlds are compared figure by figure, and held to what live runs give each other."""

from dataclasses import replace
from math import inf, isnan, nan

import pandas as pd
import pytest

from simlab.analysis.agreement import (
    AGREEMENT_COLUMNS,
    INSTANCE,
    Subject,
    _agrees,
    agreement_table,
    bounds,
    figures,
    live_over_live,
    over,
    samples,
    spoiled,
    why_not_judged,
)

from .fake_run import fake_run, no_records

STORE = Subject("C-STORE", "modality to archive")


@pytest.fixture(scope="module")
def run():
    return fake_run()


def stretched(run, operation, factor):
    """The same run in which an operation took so many times as long as it did."""
    records = run.records.copy()
    ours = records["operation"] == operation
    taken = records["finished"] - records["intended"]
    records.loc[ours, "finished"] = records["intended"] + factor * taken
    return replace(run, records=records)


def repeated(run, operation, times=1, peer="archive"):
    """The same run in which the last operations were done again."""
    ours = (run.records["operation"] == operation) & (run.records["peer"] == peer)
    return replace(run, records=pd.concat([run.records, run.records[ours].tail(times)], ignore_index=True))


def row(table, subject, statistic):
    ours = (table["what"] == subject.what) & (table["between"] == subject.between)
    [found] = table[ours & (table["statistic"] == statistic)].to_dict("records")
    return found


def test_operations_are_told_apart_by_who_asks_whom(run):
    found = samples(run)
    assert len(found[STORE]) == 6, "a study each, whatever came of it"
    assert len(found[Subject("C-STORE", "archive to workstation")]) == 5
    assert len(found[Subject(INSTANCE, "modality to archive")]) == 3 * (60 + 36)
    assert len(found[Subject("make", "modality")]) == 6
    assert Subject("C-FIND", "workstation to archive") in found


def test_parts_of_a_study_s_way_are_from_one_milestone_to_another(run):
    found = samples(run)
    table = run.studies
    assert sorted(found[Subject("acquired to safe")]) == sorted((table["safe"] - table["acquired"]).dropna())
    assert len(found[Subject("stored to safe")]) == 5, "one study was not stored"


def test_an_operation_counts_from_when_it_was_intended(run):
    records = run.records[run.records["operation"] == "N-SET"]
    assert figures(run)[Subject("N-SET", "modality to worklist"), "mean"] == pytest.approx(
        (records["finished"] - records["intended"]).mean()
    )


def test_retries_are_operations_on_a_study_beyond_its_first(run):
    twice = repeated(run, "C-STORE", times=2, peer="archive")
    assert figures(run)[STORE, "retries"] == 0
    assert figures(twice)[STORE, "retries"] == 2
    assert figures(twice)[STORE, "count"] == 8


def test_what_an_ae_asks_that_is_not_ours_is_recorded_in_one_world_only_and_left_out(run):
    nodes = run.topology.nodes
    strange = nodes["archive"].model_copy(update={"kind": "external"})
    theirs = replace(run, topology=run.topology.model_copy(update={"nodes": {**nodes, "archive": strange}}))
    found = samples(theirs)
    assert Subject("C-STORE", "modality to external") in found
    assert not any(subject.between.startswith("external") for subject in found)


def test_what_is_done_twice_by_design_is_no_retry(run):
    found = figures(repeated(run, "make", peer=""))
    assert found[Subject("make", "modality"), "count"] == 7
    assert (Subject("make", "modality"), "retries") not in found


def test_a_world_agrees_with_itself(run):
    table = agreement_table([run, run], run)
    assert tuple(table.columns) == AGREEMENT_COLUMNS
    assert (table["ratio"] == 1).all()
    judged = table[table["judged"]]
    assert judged["agrees"].all()
    assert (table.loc[~table["judged"], "agrees"].isna()).all()
    assert (table.loc[~table["judged"], "why"] != "").all(), "whoever is not judged is told why"


@pytest.mark.parametrize(("factor", "p50", "p95"), [(1.04, True, True), (1.08, False, True), (0.88, False, False)])
def test_p50_is_held_to_5_percent_and_p95_to_10(run, factor, p50, p95):
    table = agreement_table([run, run], stretched(run, "C-STORE", factor))
    assert row(table, STORE, "p50")["ratio"] == pytest.approx(factor)
    assert row(table, STORE, "p50")["agrees"] is p50
    assert row(table, STORE, "p95")["agrees"] is p95


def test_where_live_runs_differ_more_than_that_the_virtual_one_may_as_well(run):
    live = [stretched(run, "C-STORE", factor) for factor in (0.9, 1.0, 1.1)]
    table = agreement_table(live, stretched(run, "C-STORE", 1.12))
    found = row(table, STORE, "p50")
    assert found["live_low"] == pytest.approx(0.9 / 1.05)
    assert found["live_high"] == found["high"] == pytest.approx(1.1 / 0.95)
    assert found["agrees"] is True
    assert row(agreement_table(live, stretched(run, "C-STORE", 1.2)), STORE, "p50")["agrees"] is False


def test_counts_have_no_tolerance_but_what_live_runs_had(run):
    more = repeated(run, "N-ACTION")
    ask = Subject("N-ACTION", "modality to archive")
    table = agreement_table([run, run], more)
    assert row(table, ask, "count")["agrees"] is row(table, ask, "retries")["agrees"] is False
    assert row(agreement_table([run, more], more), ask, "retries")["agrees"] is True


def test_what_happened_in_one_world_only_does_not_agree(run):
    without = replace(run, records=run.records[run.records["operation"] != "C-MOVE"])
    move = Subject("C-MOVE", "workstation to archive")
    for live, virtual in ((run, without), (without, run)):
        found = row(agreement_table([live], virtual), move, "p50")
        assert isnan(found["ratio"])
        assert found["agrees"] is False


def test_a_run_in_which_nothing_happened_has_hardly_a_figure(run):
    records, instances = no_records()
    nothing = replace(run, records=records, instances=instances, elapsed=0.0)
    assert samples(nothing) == {}
    assert not agreement_table([run], nothing)["agrees"].dropna().any()


def test_there_is_nothing_to_tell_without_a_live_run(run):
    with pytest.raises(ValueError, match="at least one live run"):
        agreement_table([], run)


def test_live_over_live_leaves_each_run_out_of_what_it_is_compared_with():
    assert live_over_live([1.0, 2.0, 3.0]) == pytest.approx([1 / 2.5, 1.0, 2.0])
    assert live_over_live([2.0]) == []
    assert live_over_live([2.0, nan]) == []
    assert live_over_live([0.0, 0.0]) == [1.0, 1.0]


def test_ratios_know_nothing_and_everything():
    assert over(0.0, 0.0) == 1.0
    assert over(1.0, 0.0) == inf
    assert isnan(over(nan, 1.0))


def test_bounds_are_never_narrower_than_the_tolerance():
    assert bounds("p50", [0.99, 1.01]) == pytest.approx((0.95, 1.05))
    assert bounds("p95", [0.8, 1.01]) == pytest.approx((0.8, 1.1))


def test_what_is_small_clinical_or_two_things_at_once_is_shown_only():
    assert why_not_judged(Subject("N-SET", "modality to worklist"), "p50") == "a small message"
    assert why_not_judged(Subject("N-SET", "modality to worklist"), "retries") == ""
    assert why_not_judged(Subject("ordered to started"), "p50") == "clinical"
    assert why_not_judged(Subject("C-STORE", "workstation to archive"), "p95")
    assert why_not_judged(STORE, "mean") == "follows from the rest"
    for judged in (STORE, Subject("C-MOVE", "workstation to archive"), Subject("stored to safe")):
        assert why_not_judged(judged, "p50") == why_not_judged(judged, "p95") == ""


def test_a_live_run_is_spoiled_by_its_own_lateness(run):
    assert spoiled(run) == ""
    assert "environment was 80 ms late" in spoiled(replace(run, generator={"lag_p99": 0.08}))
    assert "relay was 60 ms late" in spoiled(replace(run, generator={"lag_p99": 0.0, "relay_late_p99": 0.06}))


def test_links_nodes_and_the_makespan_are_told(run):
    found = figures(run)
    assert found[Subject("link", "north to main"), "busy"] == 0.08
    assert 0 < found[Subject("storing at", "archive"), "busy"] < 1
    assert found[Subject("makespan"), "seconds"] == run.elapsed


@pytest.mark.parametrize("live", [[1.0, nan], [nan, 1.0], [1.0, nan, 1.0]])
def test_what_is_missing_in_any_run_does_not_agree(live):
    assert not _agrees("count", live, 1.0, 1.0, 0.9, 1.1)
    assert not _agrees("p50", live, 1.0, 1.0, 0.9, 1.1)
    assert _agrees("count", [1.0, 2.0], 1.0, 1.0, 0.9, 1.1)
    assert not _agrees("count", [1.0, 2.0], nan, 1.0, 0.9, 1.1)
