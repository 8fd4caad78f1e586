"""What a workstation of the virtual world has received."""

from network.worlds import make_study

import simlab
from simlab.lab.virtual_world import VirtualWorld


def test_a_study_that_comes_in_parts_is_held_whole():
    world = VirtualWorld(simlab.load("topologies/clinic.yaml").topology, works=False)
    reader, study = world.network._nodes["reader"].server, make_study(5)
    reader.take(study.select([0, 1, 3]))
    reader.take(study.select([2, 4]))
    assert reader.discard(study.uid) == study.nominal_bytes
    assert reader.discard(study.uid) == 0
