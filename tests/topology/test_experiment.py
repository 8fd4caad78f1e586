"""The ``experiment`` of a topology file, held to what everything else is held to."""

import jsonschema
import pytest

from simlab.errors import TopologyError
from simlab.nodes.schema import topology_schema
from simlab.nodes.specs import SPECS
from simlab.topology.loader import parse_topology, resolve_yaml
from simlab.topology.model import ExperimentSpec
from simlab.topology.references import store_paths
from simlab.topology.strict_yaml import read_yaml

FILE = """\
simlab: 1
name: two-sites
nodes:
  ris: {{kind: worklist, ae_title: RIS, orders: {{rate: 9 /h, mix: {{ct-chest: 2, mr-knee: 1}}}}}}
  archive: {{kind: archive, ae_title: ARCHIVE}}
  mr1: {{kind: modality, modality: MR, ae_title: MR1, worklist: ris, store: archive}}
  ct1: {{kind: modality, modality: CT, site: {site}, ae_title: CT1, worklist: ris, store: archive}}
links:
  - {{between: [main, north]}}
sites: {{main: {{}}, north: {{}}}}
experiment: {{{experiment}}}
"""


def parse(experiment, site="north"):
    return parse_topology(FILE.format(experiment=experiment, site=site), SPECS, source="f")


def test_every_key():
    text = (
        "from: ct1, protocol: [ct-head], noise: [0.5, 1], rtt: [0 ms, 10 ms], bandwidth: [10 Mbit/s, 100 Mbit/s], "
        "syntax: [explicit, jpegls], associations: [1, 4], outstanding: [0, 16], encode: [stored, per-instance], "
        "crossover_rtt: [0 ms], crossovers: false, to: archive, instances: 20, repetitions: 3"
    )
    topology = parse(text)
    assert topology.experiment == ExperimentSpec(
        **{"from": "ct1"},
        protocol=("ct-head",),
        noise=(0.5, 1.0),
        rtt=(0.0, 0.01),
        bandwidth=(1.25e6, 1.25e7),
        syntax=("explicit", "jpegls"),
        associations=(1, 4),
        outstanding=(0, 16),
        encode=("stored", "per-instance"),
        crossover_rtt=(0.0,),
        crossovers=False,
        to="archive",
        instances=20,
        repetitions=3,
    )
    assert parse_topology(resolve_yaml(topology), SPECS) == topology
    file = FILE.format(experiment=text, site="north")
    for written in (file, resolve_yaml(topology)):
        jsonschema.validate(read_yaml(written, "f").value, topology_schema())


def test_nothing_need_be_said():
    assert parse("").experiment == ExperimentSpec()


def test_which_ways_cross_a_link():
    (path,) = store_paths(parse(""))
    assert (path.source, path.target, path.link.name, path.forward) == ("ct1", "archive", "main-north", False)
    assert (
        list(store_paths(parse_topology(FILE.format(experiment="", site="main").split("experiment")[0], SPECS))) == []
    )


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        ("sintax: [explicit]", 'experiment.sintax: unknown key "sintax"; did you mean "syntax"?'),
        ("form: ct1", 'experiment.form: unknown key "form"; did you mean "from"?'),
        ("rtt: 10 ms", 'experiment.rtt: "10 ms"; expected a list'),
        ("rtt: [10]", 'experiment.rtt[0]: expected a duration such as "20 ms", not 10'),
        ("rtt: [0 ms, 10 Mbit/s]", 'experiment.rtt[1]: unknown unit "Mbit/s" in "10 Mbit/s"'),
        ("bandwidth: []", "experiment.bandwidth: 0 items; expected at least 1"),
        ("bandwidth: [0 bit/s]", 'experiment.bandwidth[0]: "0 bit/s"; expected greater than 0'),
        ("associations: [0]", "experiment.associations[0]: 0; expected greater than or equal to 1"),
        ("outstanding: [1, some]", 'experiment.outstanding[1]: "some"; expected a whole number'),
        ("encode: [stord]", 'experiment.encode[0]: "stord"; did you mean "stored"?'),
        ("noise: [101]", "experiment.noise[0]: 101; expected less than or equal to 100"),
        ("to: nobody", 'experiment.to: "nobody"; expected one of discard, archive'),
        ("instances: 0", "experiment.instances: 0; expected greater than or equal to 1"),
        ("from: ct2", 'experiment.from: unknown node "ct2"; did you mean "ct1"?'),
        ("from: mr1", "experiment.from: mr1 does not store over a link; expected one of ct1"),
        ("protocol: [mr-knee]", "experiment.protocol[0]: mr-knee is not for CT; expected one of ct-chest, ct-head"),
        ("syntax: [explicit, jpeglss]", 'experiment.syntax[1]: unknown transfer syntax "jpeglss": did you mean'),
        ("syntax: [jpeg]", "experiment.syntax[0]: JPEGBaseline8Bit takes 8 Bits Allocated, not 16"),
        ("syntax: [hevc]", "experiment.syntax[0]: HEVCMP51 is only negotiated and relayed"),
    ],
)
def test_a_mistake_is_told_in_one_line(experiment, message):
    with pytest.raises(TopologyError) as caught:
        parse(experiment)
    assert str(caught.value).startswith(f"f:11: {message}")


def test_nobody_stores_over_a_link():
    with pytest.raises(TopologyError) as caught:
        parse("", site="main")
    assert str(caught.value) == (
        "f:11: experiment: no node stores over a link; expected one whose `store` is at another site"
    )
