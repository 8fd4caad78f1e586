"""What a terminal shows when a run is over."""

import io

import pandas as pd
from analysis.fake_run import clinic, fake_run, no_records
from rich.console import Console

from simlab.analysis.oracle import InstanceCounts
from simlab.analysis.run import Run
from simlab.report.console import summary_tables


def shown(run: Run) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(summary_tables(run))
    return console.file.getvalue()


def test_tables_have_units_and_the_verdict_comes_last() -> None:
    text = shown(fake_run())
    for part in (
        "C-STORE",
        "5.81 MB/s",
        "90.7 ms",
        "clinical part (÷ 30)",
        "rest (network, polling, queues)",
        "288",
        "north-main",
    ):
        assert part in text
    assert text.rstrip().endswith("failed")


def test_it_says_how_many_studies_are_complete_and_why_others_are_not() -> None:
    run = fake_run()
    text = shown(run)
    assert "5 of 6 studies complete" in text
    assert "! 1 failed at ct1: Out of resources: the disk is full" in text
    failed = run.records[run.records["operation"] == "failed"]
    assert len(failed) == 1
    others = [failed.assign(comment=f"reason {number}", study=f"9.{number}") for number in range(4)]
    text = shown(fake_run(records=pd.concat([run.records, *others], ignore_index=True)))
    assert "! 2 other reasons are in the report" in text


def test_it_says_why_operations_failed() -> None:
    run = fake_run()
    refused = run.records[run.records["failures"] > 0]
    again = pd.concat([run.records, refused, refused], ignore_index=True)
    assert "! ct1 > archive, C-STORE: Out of resources: the disk is full (3 times)" in shown(fake_run(records=again))


def test_times_are_whole_where_nothing_is_compressed() -> None:
    assert "clinical part" not in shown(fake_run(topology=clinic(compress=1.0)))


def test_brackets_in_names_are_not_markup() -> None:
    assert "[bold]" in shown(fake_run(topology=clinic(name="[bold]"), notices=("[red]",)))


def test_what_is_seldom_is_shown_when_it_happens() -> None:
    usual = shown(fake_run(counts=InstanceCounts(stored=5, dropped=2)))
    assert "dropped" in usual
    assert "needlessly resent" not in usual
    assert "needlessly resent" in shown(fake_run(counts=InstanceCounts(stored=5, needlessly_resent=3)))


def test_a_run_in_which_nothing_happened() -> None:
    records, instances = no_records()
    assert shown(fake_run(records=records, instances=instances, topology=clinic(expect=()))).rstrip().endswith("passed")
