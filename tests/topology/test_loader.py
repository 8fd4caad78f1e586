from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlab.errors import TopologyError
from simlab.nodes.archive.spec import ArchiveSpec
from simlab.nodes.modality.spec import ModalitySpec
from simlab.nodes.schema import SHIPPED, schema_text, topology_schema
from simlab.nodes.specs import SPECS
from simlab.topology.loader import load_topology, parse_topology, resolve_yaml
from simlab.topology.model import Expectation, LinkSpec, SiteSpec, Topology
from simlab.topology.references import Reference, references, talks
from simlab.topology.strict_yaml import read_yaml

TOPOLOGIES = sorted((Path(__file__).parents[2] / "topologies").glob("*.yaml"))

GOOD = """\
simlab: 1
name: good
seed: 1
defaults:
  link: {latency: 0.2 ms}
  node: {callers: known}
  archive: {report: same}
sites: {main: {}, north: {}}
nodes:
  ris:
    {kind: worklist, ae_title: RIS, orders: {rate: 9 /h, mix: {ct-chest: 2}}}
  archive:
    {kind: archive, ae_title: ARCHIVE, port: 11112}
  ct1:
    {kind: modality, modality: CT, site: north, ae_title: CT1, worklist: ris, store: archive, commit: archive}
  reader:
    {kind: workstation, ae_title: READ1, archive: archive, callers: any}
links:
  - {between: [north, main], bandwidth: 100 Mbit/s}
expect:
  - {node: ct1, operation: C-STORE, p95: < 2 s, failures: 0}
"""


def good() -> Topology:
    return parse_topology(GOOD, SPECS)


def test_a_good_topology_is_read():
    topology = good()
    assert type(topology) is Topology
    assert list(topology.nodes) == ["ris", "archive", "ct1", "reader"]
    assert isinstance(topology.nodes["ct1"], ModalitySpec)
    assert topology.links == (LinkSpec(between=("north", "main"), latency=0.0002, bandwidth=12.5e6),)
    assert topology.sites == {"main": SiteSpec(), "north": SiteSpec()}


def test_defaults_are_merged_and_what_a_node_says_itself_wins():
    nodes = good().nodes
    assert {name: spec.callers for name, spec in nodes.items()} == {
        "ris": "known",
        "archive": "known",
        "ct1": "known",
        "reader": "any",
    }
    archive = nodes["archive"]
    assert isinstance(archive, ArchiveSpec)
    assert archive.report == "same"
    assert "defaults" not in resolve_yaml(good())


def test_a_kind_goes_before_all_nodes():
    text = GOOD.replace("archive: {report: same}", "archive: {callers: any}")
    assert parse_topology(text, SPECS).nodes["archive"].callers == "any"


def test_who_talks_to_whom():
    topology = good()
    assert talks(topology) == (("ct1", "ris"), ("ct1", "archive"), ("reader", "archive"))
    assert Reference("commit", "archive", ("archive", "external")) in list(references(topology.nodes["ct1"]))
    assert topology.link("main", "north") is topology.links[0]
    assert topology.link("main", "main") is None


def test_procedure_steps_go_to_the_worklist_unless_it_is_somebody_elses():
    topology = good()
    scanner = topology.nodes["ct1"]
    assert isinstance(scanner, ModalitySpec)
    assert scanner.reports_steps_to(topology) == "ris"
    foreign = SPECS["external"].model_validate({"kind": "external", "ae_title": "WL", "host": "pacs", "port": 104})
    elsewhere = topology.model_copy(update={"nodes": {"ris": foreign, "ct1": scanner}})
    assert scanner.reports_steps_to(elsewhere) is None
    assert scanner.model_copy(update={"procedure_steps": "mpps"}).reports_steps_to(elsewhere) == "mpps"


LONG_TITLE = "ABCDEFGHIJKLMNOPQ"
AE_RULE = "expected 1 to 16 printable ASCII characters, no backslash, no space at either end"

WRONG = [
    ("simlab: 1", "simlab: 2", "f:1: simlab: 2; expected 1"),
    ("name: good\n", "", 'f:1: a key is missing; expected "name"'),
    ("name: good", "name: 12", 'f:2: name: 12 is not text; expected it in quotes: "12"'),
    (
        "name: good",
        "name: on",
        'f:2: on is ambiguous (YAML 1.1 reads it as true or false); expected "on", quoted, if it is text',
    ),
    ("seed: 1", "sead: 1", 'f:3: sead: unknown key "sead"; did you mean "seed"?'),
    ("seed: 1", "seed: 1.5", "f:3: seed: 1.5; expected a whole number"),
    ("seed: 1", "seed: 1\nname: twice", 'f:4: key "name" again, as on line 2; expected each key once'),
    ("seed: 1", "compress: 0", "f:3: compress: 0; expected greater than 0"),
    ("seed: 1", "duration: 40", 'f:3: duration: expected a duration such as "20 ms", not 40'),
    ("seed: 1", "duration: 40 sec", 'f:3: duration: unknown unit "sec" in "40 sec"; did you mean "second"?'),
    ("seed: 1", "epoch: today", 'f:3: epoch: "today"; expected a date and time such as "2026-01-15T08:00"'),
    (
        "seed: 1",
        "epoch: 2026-01-15T08:00Z",
        'f:3: epoch: "2026-01-15T08:00Z"; expected a date and time without a time zone',
    ),
    (
        "store: archive",
        "stor: archive",
        'f:15: nodes.ct1.stor: unknown key "stor"; did you mean "store"? (and 1 more)',
    ),
    ("latency: 0.2", "latncy: 0.2", 'f:5: defaults.link.latncy: unknown key "latncy"; did you mean "latency"?'),
    (
        "latency: 0.2 ms",
        "latency: 0.2 mss",
        'f:5: defaults.link.latency: unknown unit "mss" in "0.2 mss"; did you mean "ms"?',
    ),
    ("node: {callers: known}", "node: {callers: knwon}", 'f:6: defaults.node.callers: "knwon"; did you mean "known"?'),
    ("node: {callers: known}", "node: 3", "f:6: defaults.node: 3; expected a mapping"),
    ("archive: {report", "archve: {report", 'f:7: defaults.archve: unknown key "archve"; did you mean "archive"?'),
    ("kind: archive", "kind: archiv", 'f:13: nodes.archive.kind: unknown kind "archiv"; did you mean "archive"?'),
    (
        "kind: archive, ",
        "",
        "f:12: nodes.archive: the kind is missing; expected one of worklist, modality, archive, workstation, external",
    ),
    (
        "port: 11112}",
        "maximum_length: 100 B}",
        "f:13: nodes.archive.maximum_length: 100 B is too little; expected at least 1024 B, or 0 B for any length",
    ),
    ("{kind: archive, ae_title: ARCHIVE, port: 11112}", "[]", "f:12: nodes.archive: a list; expected a mapping"),
    ("store: archive", "store: archve", 'f:15: nodes.ct1.store: unknown node "archve"; did you mean "archive"?'),
    (
        "store: archive",
        "store: ris",
        "f:15: nodes.ct1.store: ris is of kind worklist; expected kind archive or external",
    ),
    ("store: archive, ", "", 'f:14: nodes.ct1: a key is missing; expected "store"'),
    ("modality: CT", "modality: CR", 'f:15: nodes.ct1.modality: "CR"; expected one of CT, MR'),
    ("modality: CT", "modality: 3", 'f:15: nodes.ct1.modality: 3; expected "CT" or "MR"'),
    ("site: north", "site: nroth", 'f:15: nodes.ct1.site: unknown site "nroth"; did you mean "north"?'),
    (
        "ae_title: CT1",
        "ae_title: RIS",
        'f:15: nodes.ct1.ae_title: "RIS" is that of node ris; expected an AE title of its own',
    ),
    ("ae_title: CT1", "ae_title: 1234", 'f:15: nodes.ct1.ae_title: 1234 is not text; expected it in quotes: "1234"'),
    ("ae_title: CT1", "ae_title:", "f:15: nodes.ct1.ae_title: nothing; expected text"),
    (
        "ae_title: CT1",
        f"ae_title: {LONG_TITLE}",
        f'f:15: nodes.ct1.ae_title: AE title "{LONG_TITLE}" has 17 characters; {AE_RULE}',
    ),
    ("ae_title: CT1", r"ae_title: C\T", rf'f:15: nodes.ct1.ae_title: AE title "C\\T" is not allowed; {AE_RULE}'),
    ("ae_title: CT1", "ae_title: ' '", f'f:15: nodes.ct1.ae_title: AE title " " is not allowed; {AE_RULE}'),
    (
        "ae_title: CT1",
        "ae_title: CT1, port: 11112",
        "f:15: nodes.ct1.port: 11112 is that of node archive; expected a host and port of its own, or no port",
    ),
    ("port: 11112", "port: 111120", "f:13: nodes.archive.port: 111120; expected less than or equal to 65535"),
    (
        "ae_title: CT1",
        "ae_title: CT1, propose: [JPEGLSLossy]",
        'f:15: nodes.ct1.propose[0]: unknown transfer syntax "JPEGLSLossy": did you mean "JPEGLSLossless"?',
    ),
    ("ae_title: CT1", "ae_title: CT1, propose: []", "f:15: nodes.ct1.propose: 0 items; expected at least 1"),
    (
        "ae_title: CT1",
        "ae_title: CT1, protocol: mr-knee",
        "f:15: nodes.ct1.protocol: mr-knee is not for CT; expected one of ct-chest, ct-head",
    ),
    (
        "  ct1:",
        "  1ct:",
        'f:14: nodes.1ct: "1ct" is no name for a node; expected letters, digits, "-" and "_", a letter first',
    ),
    (
        "mix: {ct-chest",
        "mix: {ct-chst",
        'f:11: nodes.ris.orders.mix.ct-chst: unknown protocol "ct-chst"; did you mean "ct-chest"?',
    ),
    ("mix: {ct-chest: 2", "mix: {ct-chest: 0", "f:11: nodes.ris.orders.mix.ct-chest: 0; expected greater than 0"),
    (
        "mix: {ct-chest",
        "mix: {mr-knee",
        "f:11: nodes.ris.orders.mix.mr-knee: nobody acquires mr-knee; expected a modality (MR) with `worklist: ris`",
    ),
    ("rate: 9 /h", "rate: 0 /h", 'f:11: nodes.ris.orders.rate: "0 /h"; expected greater than 0'),
    ("rate: 9 /h", "rate: 9 /h, cuont: 1", 'f:11: nodes.ris.orders.cuont: unknown key "cuont"; did you mean "count"?'),
    ("[north, main]", "[north, mian]", 'f:19: links[0].between: unknown site "mian"; did you mean "main"?'),
    ("[north, main]", "[north, north]", "f:19: links[0].between: both ends are north; expected two different sites"),
    ("[north, main]", "[north]", "f:19: links[0].between: too few items; expected one more"),
    ("[north, main]", "[north, main, east]", "f:19: links[0].between: 3 items; expected at most 2"),
    (
        "expect:",
        "  - {between: [main, north]}\nexpect:",
        "f:20: links[1].between: a second link between main and north; expected one",
    ),
    (
        "links:\n  - {between: [north, main], bandwidth: 100 Mbit/s}\n",
        "",
        (
            "f:15: nodes.ct1.worklist: ct1 at north talks to ris at main, which no link joins; "
            "expected a link between [north, main] (and 2 more)"
        ),
    ),
    (
        "bandwidth: 100 Mbit/s",
        "bandwidth: 100 Mbps",
        'f:19: links[0].bandwidth: unknown unit "Mbps" in "100 Mbps"; did you mean "Mbit/s"?',
    ),
    ("node: ct1", "node: ct2", 'f:21: expect[0].node: unknown node "ct2"; did you mean "ct1"?'),
    ("C-STORE", "C-STOR", 'f:21: expect[0].operation: unknown operation "C-STOR"; did you mean "C-STORE"?'),
    ("p95: < 2 s", "p95: 2 s", 'f:21: expect[0].p95: expected a threshold such as "< 2 s", not "2 s"'),
    (
        ", p95: < 2 s, failures: 0",
        "",
        "f:21: expect[0]: nothing is expected here; expected p50, p95, p99, failures or lost",
    ),
    ("failures: 0", "failures: none", 'f:21: expect[0].failures: "none"; expected a whole number'),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_a_mistake_is_told_in_one_line(old, new, message):
    assert old in GOOD
    with pytest.raises(TopologyError) as caught:
        parse_topology(GOOD.replace(old, new, 1), SPECS, source="f")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1: empty; expected a topology that starts with `simlab: 1`"),
        ("# nothing\n", "f:1: empty; expected a topology that starts with `simlab: 1`"),
        ("\n- a", "f:2: a list; expected a mapping"),
        ("hello", 'f:1: "hello"; expected a mapping'),
        ("simlab: 1\nname: x\nnodes: {}", "f:3: nodes: no nodes; expected at least one"),
        ("simlab: 1\nname: x\nnodes: []", "f:3: nodes: a list; expected a mapping"),
    ],
)
def test_what_is_no_topology_at_all(text, message):
    with pytest.raises(TopologyError) as caught:
        parse_topology(text, SPECS, source="f")
    assert str(caught.value) == message


def test_files_that_cannot_be_read(tmp_path):
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"simlab: 1\nname: caf\xe9\n")
    for path, message in (
        (tmp_path / "none.yaml", "no such file; expected a topology file"),
        (tmp_path, "a directory; expected a topology file"),
        (latin / "below", "cannot be read (Not a directory); expected a topology file"),
    ):
        with pytest.raises(TopologyError) as caught:
            load_topology(path, SPECS)
        assert str(caught.value) == f"{path}: {message}"
    with pytest.raises(TopologyError) as caught:
        load_topology(latin, SPECS)
    assert str(caught.value) == f"{latin}:2: byte 0xe9 is not UTF-8; expected UTF-8"


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: path.stem)
def test_shipped_topologies(path):
    topology = load_topology(path, SPECS)
    assert topology.name == path.stem
    assert parse_topology(resolve_yaml(topology), SPECS) == topology
    jsonschema.validate(read_yaml(path.read_text("utf-8"), path.name).value, topology_schema())
    jsonschema.validate(read_yaml(resolve_yaml(topology), path.name).value, topology_schema())


def test_there_are_shipped_topologies():
    assert {"clinic", "orthanc", "walk", "wan"} <= {path.stem for path in TOPOLOGIES}


@given(
    st.builds(
        Topology,
        simlab=st.just(1),
        name=st.text(),
        description=st.text(),
        seed=st.integers(-(10**17), 10**17),
        duration=st.floats(min_value=1e-9, allow_infinity=False),
        compress=st.floats(min_value=1e-9, max_value=1e9),
        sites=st.dictionaries(st.text(), st.builds(SiteSpec, label=st.text())).map(
            lambda sites: {"main": SiteSpec(), **sites}
        ),
        nodes=st.dictionaries(
            st.from_regex(r"[A-Za-z][A-Za-z0-9_-]*", fullmatch=True),
            st.builds(ArchiveSpec, kind=st.just("archive"), ae_title=st.just("A"), report_delay=st.floats(0, 1e9)),
            min_size=1,
            max_size=1,
        ),
        links=st.just(()),
        expect=st.lists(st.builds(Expectation, p95=st.just("< 2 s"), lost=st.none() | st.integers(0, 9))).map(tuple),
    )
)
def test_a_resolved_topology_loads_again(topology):
    assert parse_topology(resolve_yaml(topology), SPECS) == topology


def test_the_shipped_schema_is_the_generated_one():
    assert SHIPPED.read_text("utf-8") == schema_text(), "rewrite it: python -m simlab.nodes.schema"
    jsonschema.Draft202012Validator.check_schema(topology_schema())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kind: archive", "kind: archiv"),
        ("latency: 0.2 ms", "latency: 0.2"),
        ("seed: 1", "sead: 1"),
        ("callers: any", "callers: some"),
        ("ae_title: CT1", f"ae_title: {LONG_TITLE}"),
        ("ct-chest", "ct-chst"),
    ],
)
def test_the_schema_refuses_what_an_editor_can_see(old, new):
    jsonschema.validate(read_yaml(GOOD, "f").value, topology_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read_yaml(GOOD.replace(old, new, 1), "f").value, topology_schema())


def test_milestones_take_no_time_and_so_cannot_be_expected():
    with pytest.raises(TopologyError, match='unknown operation "safe"'):
        parse_topology(GOOD.replace("C-STORE", "safe"), SPECS)


def test_the_topology_in_the_readme_is_valid():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    _, _, after = readme.partition("```yaml\n")
    text, _, _ = after.partition("```")
    assert list(parse_topology(text, SPECS).nodes) == ["ris", "ct1", "archive", "reader"]
