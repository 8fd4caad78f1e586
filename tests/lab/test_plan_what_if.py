"""What-ifs: changes with a name, from a caller or a topology's experiment, each a cell, and all of them together."""

import pytest

import simlab
from lab.samples import tiny_lab
from lab.test_plan import FAR
from simlab.cli import main
from simlab.errors import TopologyError, UserError
from simlab.lab.plan.asked import read_asked
from simlab.lab.plan.design import make_design
from simlab.lab.plan.settings import told, with_field
from simlab.lab.plan.what_if import read_what_ifs
from simlab.nodes.specs import SPECS
from simlab.topology.loader import parse_topology, resolve_yaml

CTS = "two more CTs: ct1.count=3"
LINK = "half the link: link.north-main.bandwidth=50 Mbit/s"
JPEG = "JPEG-LS: *.propose=jpegls+explicit; *.encode=per-instance"

EXPERIMENT = """\
experiment:
  replications: 2
  warm_up: 1 s
  sla: [read < 10 s]
  what_if:
    two more CTs: {ct1.count: 3}
    JPEG-LS: {"*.propose": [jpegls, explicit], "*.encode": per-instance}
    nobody commits: {ct1.commit: null}
"""


@pytest.fixture(scope="module")
def far():
    return tiny_lab(FAR)


def design(lab, what_if, **options):
    topology = lab.topology
    what_ifs = read_what_ifs(topology, what_if)
    return make_design(topology, (), replications=2, warm_up=0.0, levels=(), what_ifs=what_ifs, **options)


# ---- fields


@pytest.mark.parametrize(
    ("field", "level", "changed"),
    [
        ("ct1.associations", "2", {"ct1": "2"}),
        ("modality.associations", "2", {"ct1": "2"}),
        ("*.propose", "jpegls", dict.fromkeys(("ct1", "archive", "reader"), "JPEGLSLossless")),
        ("[ac]*.encode", "pipelined", dict.fromkeys(("ct1", "archive"), "pipelined")),
    ],
)
def test_a_field_of_one_node_of_a_kind_or_of_those_that_fit(far, field, level, changed):
    topology = with_field(far.topology, field, level)
    name = field.rpartition(".")[2]
    before = {
        node: told(far.topology, f"{node}.{name}") for node in ("ct1", "archive", "reader") if name != "associations"
    }
    after = {node: told(topology, f"{node}.{name}") for node in {**before, **changed}}
    assert after == {**before, **changed}
    assert told(topology, field) == level.replace("jpegls", "JPEGLSLossless")


def test_fields_that_differ_are_told_apart(far):
    assert told(far.topology, "*.poll") == "1 s"
    assert told(with_field(far.topology, "ct1.poll", "2 s"), "*.poll") == "2 s / 1 s"


def test_all_links_at_once(far):
    assert with_field(far.topology, "link.*.latency", "9 ms").links[0].latency == 0.009


def test_profiles_and_lists_of_words_are_told_apart(far):
    topology = with_field(far.topology, "ris.orders.hours", "office")
    assert with_field(topology, "ris.orders.hours", "emergency").nodes["ris"].orders.hours[0] == 1.0
    assert with_field(topology, "reader.reads", "CT").nodes["reader"].reads == ("CT",)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("pt*.associations", 'pt*.associations: no node "pt*"'),
        ("c*.asociations", 'no node that "c*" fits has "asociations"; did you mean "associations"?'),
        ("link.*", "link.*: no such link"),
        ("modality.kind", "modality.kind cannot be varied"),
    ],
)
def test_fields_that_are_nowhere(far, field, message):
    with pytest.raises(UserError) as refused:
        with_field(far.topology, field, "1")
    assert message in str(refused.value)


# ---- what-ifs


def test_each_is_a_cell_and_so_are_all_of_them(far):
    cells = design(far, [CTS, LINK, JPEG]).cells
    assert [cell.levels[0] for cell in cells] == [
        "today",
        "two more CTs",
        "half the link",
        "JPEG-LS",
        "all of it together",
    ]
    assert cells[3].levels[1] == "*.propose=JPEGLSLossless+ExplicitVRLittleEndian; *.encode=per-instance"
    assert "ct1-3" in cells[1].topology.nodes
    assert cells[2].topology.links[0].bandwidth == 50e6 / 8
    together = cells[4].topology
    assert len(together.replicas("ct1")) == 3
    assert together.links == cells[2].topology.links
    assert together.nodes["ct1-3"].encode == "per-instance"


def test_one_alone_and_apart(far):
    assert len(design(far, CTS).cells) == 2
    assert len(design(far, [CTS, LINK], all_at_once=False).cells) == 3


def test_as_mappings_and_without_a_name(far):
    given = {"two more CTs": {"ct1.count": 3}, "shorter": "ct1.poll=200 ms; reader.open=07:00-20:00"}
    assert [what_if.name for what_if in read_what_ifs(far.topology, given)] == list(given)
    (unnamed,) = read_what_ifs(far.topology, "reader.open=07:00-22:00")
    assert (unnamed.name, unnamed.changes) == ("reader.open=07:00-22:00", (("reader.open", "07:00-22:00"),))


@pytest.mark.parametrize(
    ("what_if", "message"),
    [
        ("two more CTs", '"two more CTs": expected a name and what changes, as in "half the link'),
        ("two more CTs: ct1.count", "expected a name and what changes"),
        ("more: ct1.count=3;", "expected a name and what changes"),
        ([CTS, "two more CTs: ct1.count=4"], 'what if "two more CTs": that name is taken; expected another'),
        ("today: ct1.count=2", 'what if "today": that name is taken'),
        ("same: ct1.associations=1", 'what if "same": that is how it is; expected something that would change'),
        ("more: ct7.count=3", 'what if "more": ct7.count: no node "ct7"; did you mean "ct1"?'),
        ("more: ct1.count=0", 'what if "more": nodes.ct1.count: "0"; expected greater than or equal to 1'),
        ("two archives: archive.count=2", 'nodes.archive.count: unknown key "count"'),
        ("lossy: ct1.propose=jpeg", 'what if "lossy": '),
    ],
)
def test_a_mistake_is_told_in_one_line(far, what_if, message):
    with pytest.raises(UserError) as refused:
        simlab.plan(far, what_if=what_if)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


# ---- the experiment of a topology


def parse(experiment):
    return parse_topology(FAR + experiment, SPECS, source="f")


def test_a_topology_says_what_to_compare():
    topology = parse(EXPERIMENT)
    asked = read_asked(topology)
    assert [what_if.name for what_if in asked.what_ifs] == ["two more CTs", "JPEG-LS", "nobody commits"]
    assert (asked.replications, asked.warm_up, [str(level) for level in asked.levels]) == (2, 1.0, ["read < 10 s"])
    assert parse_topology(resolve_yaml(topology), SPECS) == topology


def test_whoever_asks_is_asked_about_that_alone():
    asked = read_asked(parse(EXPERIMENT), vary="ct1.associations=1,2", replications=3, warm_up="2 s", sla="read < 1 h")
    assert (asked.what_ifs, [factor.name for factor in asked.factors]) == ((), ["ct1.associations"])
    assert (asked.replications, asked.warm_up, str(asked.levels[0])) == (3, 2.0, "read < 1 h")


def test_factors_of_a_topology():
    asked = read_asked(parse("experiment: {vary: {ct1.associations: [1, 2], ct1.poll: [200 ms]}}\n"))
    assert [(factor.name, factor.levels) for factor in asked.factors] == [
        ("ct1.associations", ("1", "2")), ("ct1.poll", ("200 ms",)),
    ]  # fmt: skip
    assert (asked.replications, asked.warm_up) == (20, 0.4)


def test_an_experiment_that_only_plans_needs_no_link():
    text = FAR.replace(", site: north", "").replace(
        "links:\n  - {between: [north, main], latency: 5 ms, bandwidth: 100 Mbit/s}\n", ""
    )
    assert parse_topology(text + EXPERIMENT, SPECS).experiment.only_plans


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        ("experiment: {what_if: {more: {}}}\n", "experiment.what_if.more: 0 items; expected at least 1"),
        ("experiment: {what_if: {more: {ct1.count: {a: 1}}}}\n", "a mapping; expected a value of that field"),
        ("experiment: {replications: 0}\n", "experiment.replications: 0; expected greater than or equal to 1"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_line(experiment, message):
    with pytest.raises(TopologyError) as refused:
        parse(experiment)
    assert message in str(refused.value)


# ---- runs


def test_more_scanners_take_the_same_patients(far, tmp_path):
    """Common random numbers: with three scanners the same studies come, and nobody waits longer."""
    result = simlab.plan(far, what_if=CTS, replications=2, workers=1, out=tmp_path, warm_up=0.0)
    summary = result.summary.set_index(["measure", "cell"])
    assert summary.loc[("studies", 1), "difference"] == 0
    assert summary.loc[("waiting_mean", 1), "difference"] < 0
    assert summary.loc[("utilisation ct1", 1), "difference"] < 0
    for name in ("scenarios.png", "week.png", "week-by-scanner.png", "storage.png"):
        assert (tmp_path / name).stat().st_size > 10_000
    assert set(result.hours["series"]) >= {"scanners", "waiting", "to_read", "utilisation ct1", "line north>main"}
    again = simlab.plan(far, what_if=[CTS, LINK], replications=2, workers=1, out=tmp_path, warm_up=0.0)
    assert len(again.table) == 8
    assert "profile" not in again.table


def test_the_command(capsys, tmp_path):
    path = tmp_path / "far.yaml"
    path.write_text(FAR, encoding="utf-8")
    arguments = ["plan", str(path), "--what-if", CTS, "--what-if", LINK, "--apart", "--replications", "1"]
    assert main([*arguments, "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "two more CTs: ct1.count=3." in printed
    assert "all of it together" not in printed
