"""A run of the virtual world is the same whether its idle polls are asked or elided."""

from collections import Counter

import pytest

import simlab
from simlab.lab.virtual_world import VirtualWorld
from simlab.nodes.specs import SPECS
from simlab.records import MILESTONES
from simlab.topology.loader import parse_topology, resolve_yaml

NEVER = """
faults:
  - {node: ris, operation: C-FIND, do: delay, delay: 1 s, start: 1000000 h}
  - {node: archive, operation: C-FIND, do: delay, delay: 1 s, start: 1000000 h}
"""
"""Nothing ever goes wrong, but it might; so every query is asked."""


def run(text, until):
    """Run seconds by study and milestone, the number of queries, and how many were elided."""
    world = VirtualWorld(parse_topology(text, SPECS))
    world.env.run(until=until)
    records, _ = world.recorder.drain()
    reached = {(each.study, each.operation): each.finished for each in records if each.operation in MILESTONES}
    return reached, Counter(each.operation for each in records)["C-FIND"], world.network.elided


def text_of(name, **changes):
    topology = simlab.load(f"topologies/{name}.yaml").topology
    text = resolve_yaml(topology.model_copy(update=changes))
    return "\n".join(line for line in text.splitlines() if not line.startswith("faults:"))


@pytest.mark.parametrize(
    ("name", "duration", "period"),
    [("clinic", 40.0, 1.0), pytest.param("hospital", 36000.0, 60.0, marks=pytest.mark.slow)],
)
def test_milestones_are_those_of_somebody_who_polls(name, duration, period):
    text, until = text_of(name, duration=duration), 2 * duration
    elided, asked, left_out = run(text, until)
    polled, all_asked, none = run(text + NEVER, until)
    assert elided.keys() == polled.keys()
    assert none == 0
    assert asked < all_asked / 3
    assert 0 < left_out <= all_asked
    late = sorted(abs(elided[key] - polled[key]) for key in polled)
    # Queries take some milliseconds, and each other's time; that may decide which tick is the next one.
    assert late[len(late) * 98 // 100] < 0.2
    assert late[-1] < period


def test_a_reader_of_one_modality_is_not_woken_by_others():
    def queries(reads):
        world = VirtualWorld(parse_topology(text.replace("READS", reads), SPECS))
        world.env.run(until=80)
        records, _ = world.recorder.drain()
        read = sum(each.operation == "read" for each in records)
        return read, sum((each.node, each.operation) == ("reader", "C-FIND") for each in records)

    text = text_of("clinic").replace("reads:\n    - CT\n    - MR\n", "reads: [READS]\n")
    both, all_queries = queries("CT, MR")
    ct, queries_for_ct = queries("CT")
    assert 0 < ct < both
    assert queries_for_ct < all_queries
