"""What the agreement of the two worlds is tried on, and what its overview says."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

pytest.importorskip("resource", reason="the benchmarks need a Unix")

from benchmarks.agreement_scenarios import FOLDER, SCENARIOS
from benchmarks.agreement_tables import overview
from simlab.lab.agreement.result import AgreementResult
from simlab.lab.lab import Lab
from tests.analysis.fake_run import fake_run


@pytest.fixture(scope="module")
def labs():
    return {scenario.name: Lab.load(FOLDER / f"{scenario.name}.yaml") for scenario in SCENARIOS}


def nodes(lab):
    return {(name, spec.kind, getattr(spec, "durability", "")) for name, spec in lab.topology.nodes.items()}


def test_at_most_half_of_eight_scenarios_are_calibrated():
    assert len(SCENARIOS) >= 8
    assert 2 * sum(scenario.calibrates for scenario in SCENARIOS) <= len(SCENARIOS)


def test_every_topology_is_a_scenario_under_its_own_name(labs):
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(labs)
    assert all(lab.topology.name == name for name, lab in labs.items())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_calibration_knows_every_node_that_it_is_used_for(labs, scenario):
    assert nodes(labs[scenario.name]) <= nodes(labs[scenario.calibrated_on])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_links_are_ideal_as_the_virtual_world_takes_them(labs, scenario):
    assert all(link.congestion == "ideal" for link in labs[scenario.name].topology.links)


@pytest.mark.parametrize("name", [scenario.name for scenario in SCENARIOS if scenario.name != "orthanc"])
def test_every_scenario_comes_to_its_end_in_virtual_time(labs, name):
    run = labs[name].run("virtual").run
    assert run.verdict == "passed"
    assert len(run.studies) >= 15
    if run.topology.faults:
        assert len(run.records[run.records["operation"] == "fault"]) > 10


def test_the_overview_has_a_line_for_each_scenario():
    run = fake_run()
    slow = run.records.copy()
    moves = slow["operation"] == "C-MOVE"
    slow.loc[moves, "finished"] += 3.0
    result = AgreementResult(run.topology, 2, (run, run), replace(run, records=slow))
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(overview({"reading": result}, {"orthanc": "Orthanc is not installed"}))
    told = console.file.getvalue()
    [line] = [line for line in told.splitlines() if "reading" in line]
    assert "on mixed" in line
    assert "2 x 6" in line
    assert "1.00 [1.00, 1.00]" in line
    assert "0/0" in line
    assert "orthanc was left out: Orthanc is not installed" in told
