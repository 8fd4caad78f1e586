"""Variations made in code are held to what a file is held to."""

import pytest

from lab.samples import tiny_lab
from simlab.errors import UserError


def test_a_setting_may_be_given_as_in_a_file_or_as_a_number():
    lab = tiny_lab()
    assert lab.replace("archive", report_delay="2 s").topology.nodes["archive"].report_delay == 2.0
    assert lab.replace("archive", report_delay=2).topology.nodes["archive"].report_delay == 2.0
    assert lab.replace("ct1", associations=4).topology.nodes["ct1"].associations == 4
    assert lab.replace("ct1", commit=None).topology.nodes["ct1"].commit is None
    assert (
        lab.replace("ris", orders={"rate": "6 /h", "mix": {"ct-chest": 1}}).topology.nodes["ris"].orders.count is None
    )


def test_the_lab_itself_stays_as_it_is():
    lab = tiny_lab()
    lab.replace("ct1", associations=4)
    lab.varied(seed=7, until="1 h")
    assert lab.topology == tiny_lab().topology


@pytest.mark.parametrize(
    ("node", "settings", "message"),
    [
        ("ct1", {"associations": 99}, "nodes.ct1.associations: 99; expected less than or equal to 16"),
        ("ct1", {"bogus": 1}, 'nodes.ct1.bogus: unknown key "bogus"; expected one of '),
        ("ct1", {"asociations": 2}, 'nodes.ct1.asociations: unknown key "asociations"; did you mean "associations"?'),
        ("ct1", {"store": "archiv"}, 'nodes.ct1.store: unknown node "archiv"; did you mean "archive"?'),
        ("ct1", {"ae_title": "ARCHIVE"}, '"ARCHIVE" is that of node'),
        ("ct1", {"kind": "archive"}, 'nodes.ct1.kind: "archive"; expected'),
        ("archive", {"report_delay": "2"}, 'nodes.archive.report_delay: expected a duration such as "20 ms", not "2"'),
        ("archive", {"report_delay": -1}, "nodes.archive.report_delay: -1 is negative"),
        ("ris", {"orders": {"rate": "6 /h"}}, 'nodes.ris.orders: a key is missing; expected "mix"'),
        ("archiv", {"port": 1}, 'no node "archiv"; did you mean "archive"?'),
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused_in_one_line(node, settings, message):
    with pytest.raises(UserError) as refused:
        tiny_lab().replace(node, **settings)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_seed_and_duration():
    varied = tiny_lab().varied(seed=-3, until="2 min").topology
    assert (varied.seed, varied.duration) == (-3, 120.0)
    assert tiny_lab().varied(until=30).topology.duration == 30.0
    assert tiny_lab().varied().topology == tiny_lab().topology


@pytest.mark.parametrize("until", ["8 parsecs", "0 s", 0, -1, float("inf"), "soon"])
def test_a_wrong_duration_is_refused_in_one_line(until):
    with pytest.raises(UserError, match=r"^duration: "):
        tiny_lab().varied(until=until)
    with pytest.raises(UserError, match=r"^duration: "):
        tiny_lab().run("virtual", until=until)


def test_an_unknown_world_is_refused():
    with pytest.raises(UserError, match='unknown world "real": expected live or virtual'):
        tiny_lab().run("real")
