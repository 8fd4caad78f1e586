"""The commitment matrix: what is tried, what comes of it, and that it is what had to come of it."""

import json

import pytest

import simlab
from lab.samples import free_port
from simlab.analysis.commitment import OCCURRENCES, POLICIES
from simlab.cli import main
from simlab.errors import TopologyError, UserError
from simlab.lab.commitment.modes import MODES
from simlab.lab.commitment.scenario import read_scenario

CLINIC = "topologies/clinic.yaml"
ORTHANC = "topologies/orthanc.yaml"


@pytest.fixture(scope="module")
def whole():
    """Everything that there is, in virtual time."""
    return simlab.commitment(world="virtual")


def cells(matrix, **wanted):
    table = matrix.table
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


def test_every_fault_is_tried_under_every_policy(whole):
    assert len(whole.table) == len(POLICIES) * (1 + len(OCCURRENCES) * len(MODES))
    assert whole.complete
    assert set(cells(whole, fault="none")["occurrence"]) == {"none"}


def test_as_many_instances_are_sent_again_as_the_policies_say(whole):
    assert whole.unexpected.empty, whole.unexpected[["fault", "occurrence", "policy", "resent", "expected_resent"]]
    assert whole.ok


def test_only_the_liar_is_found_to_have_lied_and_that_under_every_policy(whole):
    assert set(cells(whole, fault="liar")["false_safe"]) == {3}
    others = whole.table[whole.table["fault"] != "liar"]
    assert others[["false_safe", "lost"]].sum().sum() == 0
    lies = whole.findings.query("finding == 'false_safe'")
    numbers = lies.groupby(["occurrence", "policy"])["sop_instance"].nunique()
    assert set(numbers) == {3}, "each of them is named"
    assert len(numbers) == len(OCCURRENCES) * len(POLICIES)


def test_what_is_not_safe_stays_on_the_scanner(whole):
    failed, safe = cells(whole, outcome="failed"), cells(whole, outcome="safe")
    assert (failed["kept"] == failed["instances"]).all()
    assert (safe["kept"] == 0).all()


def test_deleting_before_it_is_safe_loses_what_was_dropped():
    matrix = simlab.commitment(world="virtual", delete_local="after-store")
    assert matrix.ok
    losing = matrix.table[matrix.table["lost"] > 0]
    assert set(losing["fault"]) == {"dropped", "liar"}
    assert set(losing["lost"]) == {3}


@pytest.mark.slow
def test_both_worlds_come_to_the_same_counts():
    asked = {"faults": "dropped,failed-0213,liar", "occurrences": "once", "policies": "by-reason,failed"}
    counts = ["resent", "requests", "safe", "false_safe", "lost", "kept", "dropped", "needless", "outcome"]
    live, virtual = simlab.commitment(**asked), simlab.commitment(**asked, world="virtual")
    assert live.ok
    assert live.table[counts].to_dict("records") == virtual.table[counts].to_dict("records")


def test_a_topology_says_who_stores_what_over_which_link():
    scenario = read_scenario(CLINIC, scanner="mr1")
    assert (scenario.scanner, scenario.archive, scenario.protocol) == ("mr1", "archive", "mr-brain")
    assert set(scenario.topology.nodes) == {"ris", "mr1", "archive"}
    far = read_scenario(CLINIC, rtt=0.2, bandwidth=1e6)
    (link,) = far.topology.links
    assert (link.latency, link.bandwidth) == (0.1, 1e6)
    assert "over north-main (8 Mbit/s, 200 ms there and back)" in str(far)
    assert read_scenario(CLINIC, profile="satellite").topology.links[0].latency == 0.26


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"faults": "lier"}, 'unknown fault "lier"; did you mean "liar"?'),
        ({"policies": "all"}, 'unknown policy "all"; expected one of study, failed, by-reason'),
        ({"occurrences": "twice"}, 'unknown occurrence "twice"'),
        ({"delete_local": "never"}, 'unknown deletion "never"'),
        ({"protocol": "mr-knee"}, "protocol mr-knee: ct1 is a CT scanner and cannot acquire it"),
        ({"scanner": "ct2"}, '"ct2" does not ask for storage commitment; did you mean "ct1"?'),
        ({"world": "real"}, 'unknown world "real"'),
        ({"topology": ORTHANC, "faults": "liar"}, "fault liar: the archive is not ours"),
        ({"topology": ORTHANC, "rtt": 0.1}, "ct1 and archive stand at one site"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments, told):
    with pytest.raises(UserError) as refused:
        simlab.commitment(**arguments)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_topology_without_commitment_is_no_use():
    lab = simlab.load(CLINIC)
    topology = lab.replace("ct1", commit=None).replace("mr1", commit=None).topology
    with pytest.raises(TopologyError, match="nobody asks for storage commitment"):
        simlab.commitment(topology)


def test_of_an_archive_that_is_not_ours_only_the_scanner_can_go_wrong():
    matrix = simlab.commitment(ORTHANC, world="virtual", policies="by-reason")
    assert set(matrix.table["fault"]) == {"none", "role-refused", "report-refused", "report-unanswered"}


def test_declared_ports_do_not_collide():
    ours = simlab.load(CLINIC).replace("ct1", port=free_port()).replace("archive", port=free_port())
    matrix = simlab.commitment(ours, faults="liar", occurrences="once", policies="study,by-reason", at_once=4)
    assert len(matrix.table) == 4
    assert read_scenario(ours).side_by_side
    known = simlab.load(ORTHANC).replace("ct1", port=free_port())
    assert not read_scenario(known).side_by_side


def test_everything_is_kept(tmp_path):
    matrix = simlab.commitment(world="virtual", faults="liar", policies="by-reason", occurrences="once")
    matrix.save(tmp_path / "out")
    kept = json.loads((tmp_path / "out" / "commitment.json").read_text(encoding="utf-8"))
    assert [cell["fault"] for cell in kept["cells"]] == ["none", "liar"]
    assert kept["complete"] is True
    assert (tmp_path / "out" / "commitment.html").stat().st_size > 20_000
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="cannot write to"):
        matrix.save(tmp_path / "file")


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_tried(tmp_path, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["commitment", "--out", str(tmp_path / "file" / "out")]) == 2
    told = capsys.readouterr()
    assert "cannot write to" in told.err
    assert told.err.count("\n") == 1
    assert not told.out


def test_ctrl_c_keeps_what_was_tried():
    def interrupt(done, _total, _what):
        if done == 2:
            raise KeyboardInterrupt

    matrix = simlab.commitment(world="virtual", faults="liar,never", watch=interrupt)
    assert not matrix.complete
    assert not matrix.ok
    assert 2 <= len(matrix.tried) < 15
