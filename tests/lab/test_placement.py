"""Which nodes share a process."""

import pytest

from lab.samples import SECOND_SCANNER, TINY, tiny_topology, two_scanners, with_reader
from simlab.lab.placement import place

EXTERNAL = "  archive:\n    {kind: external, ae_title: ORTHANC, host: 127.0.0.1, port: 4242}\n"
CT2 = SECOND_SCANNER.replace("mr1", "ct2").replace("modality: MR", "modality: CT").replace("MR1", "CT2")


def test_every_server_is_alone():
    groups = place(tiny_topology(with_reader(two_scanners())), cores=2)
    assert sorted(groups) == [("archive",), ("ct1", "mr1"), ("reader",), ("ris",)]


@pytest.mark.parametrize(
    ("cores", "groups"),
    [(1, [("ct1", "mr1", "ct2")]), (4, [("ct1", "ct2"), ("mr1",)]), (64, [("ct1",), ("mr1",), ("ct2",)])],
)
def test_scanners_share_a_process_for_every_two_cores(cores, groups):
    topology = tiny_topology(two_scanners().replace("expect:\n", f"{CT2}expect:\n"))
    assert [group for group in place(topology, cores=cores) if "ris" not in group and "archive" not in group] == groups


def test_a_node_that_is_not_ours_is_not_placed():
    topology = tiny_topology(TINY.replace("  archive:\n    {kind: archive, ae_title: ARCHIVE}\n", EXTERNAL))
    assert sorted(place(topology, cores=4)) == [("ct1",), ("ris",)]


def test_every_node_is_placed_once():
    topology = tiny_topology(with_reader(two_scanners()))
    placed = [node for group in place(topology) for node in group]
    assert sorted(placed) == sorted(topology.nodes)
