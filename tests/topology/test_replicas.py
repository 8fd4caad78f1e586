"""``count`` of a node: its replicas are nodes like any other, and change with it."""

import pytest

from simlab.errors import TopologyError, UserError
from simlab.lab.variations import with_node, with_settings
from simlab.nodes.specs import SPECS
from simlab.topology.loader import parse_topology, resolve_yaml

FILE = """\
simlab: 1
name: replicas
nodes:
  ris: {kind: worklist, ae_title: RIS, orders: {rate: 9 /h, mix: {ct-chest: 2, mr-knee: 1}, scanners: [ct1, mr1]}}
  archive: {kind: archive, ae_title: ARCHIVE}
  ct1: {kind: modality, modality: CT, count: 3, ae_title: CT1, worklist: ris, store: archive}
  mr1: {kind: modality, modality: MR, ae_title: MR1, worklist: ris, store: archive}
"""


def parse(text=FILE):
    return parse_topology(text, SPECS, source="f")


def test_replicas_follow_the_node():
    nodes = parse().nodes
    assert list(nodes) == ["ris", "archive", "ct1", "ct1-2", "ct1-3", "mr1"]
    assert [nodes[name].ae_title for name in ("ct1", "ct1-2", "ct1-3")] == ["CT1", "CT1_2", "CT1_3"]
    assert nodes["ct1-3"].model_dump(exclude={"ae_title", "count"}) == nodes["ct1"].model_dump(
        exclude={"ae_title", "count"}
    )
    assert parse().replicas("ct1") == ("ct1", "ct1-2", "ct1-3")
    assert parse().replicas("mr1") == ("mr1",)


def test_a_change_of_the_node_is_one_of_all():
    changed = with_node(parse(), "ct1", associations=4)
    assert [changed.nodes[name].associations for name in ("ct1", "ct1-2", "ct1-3", "mr1")] == [4, 4, 4, 1]
    assert list(with_node(changed, "ct1", count=1).nodes) == ["ris", "archive", "ct1", "mr1"]
    assert list(with_node(parse(FILE.replace("count: 3, ", "")), "ct1", count=3).nodes) == list(parse().nodes)
    assert with_settings(parse(), seed=2).nodes == parse().nodes


def test_a_replica_is_not_changed_alone():
    with pytest.raises(UserError, match="ct1-2 is a replica, and as the node is that has a count"):
        with_node(parse(), "ct1-2", associations=4)


def test_a_resolved_file_says_how_many():
    text = resolve_yaml(parse())
    assert "ct1-2" not in text
    assert "count: 3" in text
    assert parse(text) == parse()


def test_scanners_may_name_one_of_them():
    assert parse(FILE.replace("[ct1, mr1]", "[ct1-2, mr1]")).nodes["ris"].orders.scanners == ("ct1-2", "mr1")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  mr1:", "  ct1-3:", "f:6: nodes.ct1.count: another node is called ct1-3; expected that name to be free"),
        ("MR1", "CT1_2", "nodes.ct1.count: modality ct1-2 would have AE title CT1_2, which is that of node mr1"),
        ("ae_title: CT1,", "ae_title: A_LONG_TITLE_16C,",
         "nodes.ct1.count: modality ct1-2 would have AE title A_LONG_TITLE_16C_2; expected one of 16 characters"),
        ("ae_title: CT1,", "ae_title: CT1, port: 11112,",
         "nodes.ct1.count: modality ct1-2 would have port 11112 too; expected no port, or one node only"),
        ("count: 3", "count: 0", "nodes.ct1.count: 0; expected greater than or equal to 1"),
        ("ae_title: ARCHIVE", "ae_title: ARCHIVE, count: 2", 'nodes.archive.count: unknown key "count"'),
    ],
)  # fmt: skip
def test_what_cannot_be(old, new, message):
    with pytest.raises(TopologyError) as refused:
        parse(FILE.replace(old, new))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
