"""``simlab wan TOPOLOGY``: what is taken from a topology, what its ``experiment`` varies, and which option wins."""

import json

import pytest

import simlab
from simlab.cli import main
from simlab.errors import TopologyError, UserError
from simlab.lab.wan.scenario import read_scenario

FILE = """\
simlab: 1
name: two-sites
seed: 7
nodes:
  ris: {{kind: worklist, ae_title: RIS, orders: {{rate: 9 /h, mix: {{ct-chest: 2, mr-knee: 1, ct-head: 1}}}}}}
  pacs: {archive}
  mr0: {{kind: modality, modality: MR, ae_title: MR0, worklist: ris, store: pacs}}
  ct1:
    {{kind: modality, modality: CT, site: north, ae_title: CT1, worklist: ris, store: pacs, keep: rle,
      propose: [jpegls, explicit, rle], associations: 2, outstanding: 4, encode: pipelined}}
  mr1: {{kind: modality, modality: MR, site: north, ae_title: MR1, worklist: ris, store: pacs}}
  reader: {{kind: workstation, ae_title: READ1, site: north, archive: pacs}}
links:
  - {{between: [{between}], latency: 5 ms, bandwidth: 8 Mbit/s, window: 1 MiB, congestion: reno, queue: 64 KiB, {link}
     back: {{latency: 15 ms, bandwidth: 80 Mbit/s, queue: 1 MB}}}}
{experiment}
"""
ARCHIVE = "{kind: archive, ae_title: PACS}"


@pytest.fixture
def lab(tmp_path):
    def write(experiment="", archive=ARCHIVE, between="north, main", link=""):
        path = tmp_path / "topology.yaml"
        path.write_text(FILE.format(experiment=experiment, archive=archive, between=between, link=link))
        return simlab.load(path)

    return write


def test_everything_is_taken_from_the_first_scanner_behind_a_link(lab):
    scenario = read_scenario(lab())
    assert (scenario.path.source, scenario.path.target) == ("ct1", "pacs")
    assert scenario.options == {
        "protocol": ("ct-chest", "ct-head"),
        "syntax": ("RLELossless", "JPEGLSLossless", "ExplicitVRLittleEndian"),
        "associations": 2,
        "outstanding": 4,
        "encode": "pipelined",
        "rtt": pytest.approx(0.02),
        "bandwidth": 1e6,
        "window": 2**20,
        "backend": "relay",
        "congestion": "reno",
        "queue": 65536,
        "seed": 7,
        "calling": "CT1",
        "crossovers": True,
    }
    assert str(scenario) == "ct1 stores at pacs over north-main (20 ms there and back, 8 Mbit/s)"


def test_a_link_over_the_kernels_tcp_stays_one(lab):
    assert read_scenario(lab(link="backend: tun,")).options["backend"] == "tun"


def test_the_direction_is_that_of_the_studies(lab):
    options = read_scenario(lab(between="main, north")).options
    assert (options["bandwidth"], options["queue"], options["rtt"]) == (1e7, 10**6, pytest.approx(0.02))


def test_what_an_experiment_leaves_out_of_the_link_is_told(lab):
    link = "jitter: 1 ms, loss: 0.1 %, outages: [{start: 1 s, duration: 1 s}],"
    assert str(read_scenario(lab(link=link))).endswith("8 Mbit/s), without its jitter and loss and outages")


def test_another_node_may_send(lab):
    for scenario in (read_scenario(lab(), "mr1"), read_scenario(lab("experiment: {from: mr1}"))):
        assert scenario.path.source == "mr1"
        assert scenario.options["protocol"] == ("mr-knee",)
        assert scenario.options["syntax"] == ("ExplicitVRLittleEndian",)
        assert scenario.options["encode"] == "stored"


def test_an_external_node_is_the_receiver(lab):
    external = "{kind: external, ae_title: ORTHANC, host: 127.0.0.1, port: 4242}"
    assert read_scenario(lab(archive=external)).options["to"] == "ORTHANC@127.0.0.1:4242"
    assert read_scenario(lab("experiment: {to: discard}", archive=external)).options["to"] == "discard"


def test_a_scanner_without_orders_sends_what_its_modality_makes(lab):
    external = "{kind: external, ae_title: ORTHANC, host: 127.0.0.1, port: 4242}"
    topology = lab().topology
    spec = topology.nodes["mr1"]
    foreign = lab(archive=external).topology.nodes["pacs"]
    nodes = {**topology.nodes, "ris": foreign}
    assert spec.sending(topology.model_copy(update={"nodes": nodes})).protocols == ("mr-brain", "mr-knee")
    chosen = spec.model_copy(update={"protocol": "mr-knee"})
    assert chosen.sending(topology.model_copy(update={"nodes": nodes})).protocols == ("mr-knee",)


def test_an_experiment_varies_what_it_names(lab):
    asked = """\
experiment:
  {from: ct1, protocol: [ct-head], rtt: [0 ms, 50 ms], bandwidth: [1 Gbit/s], syntax: [explicit, j2k], noise: [0.5, 1],
   associations: [1, 4], outstanding: [0], encode: [stored, per-instance], instances: 3, repetitions: 2,
   crossover_rtt: [0 ms], crossovers: false, to: archive}
"""
    options = read_scenario(lab(asked)).options
    assert options == {
        "protocol": ("ct-head",),
        "noise": (0.5, 1),
        "syntax": ("explicit", "j2k"),
        "associations": (1, 4),
        "outstanding": (0,),
        "encode": ("stored", "per-instance"),
        "rtt": (0.0, 0.05),
        "bandwidth": (125e6,),
        "window": 2**20,
        "backend": "relay",
        "congestion": "reno",
        "queue": 65536,
        "seed": 7,
        "calling": "CT1",
        "instances": 3,
        "repetitions": 2,
        "crossover_rtt": (0.0,),
        "crossovers": False,
        "to": "archive",
    }


@pytest.mark.parametrize(
    ("sender", "experiment", "message"),
    [
        ("ct2", "", 'two-sites: experiment.from: unknown node "ct2"; did you mean "ct1"?'),
        ("mr0", "", "two-sites: experiment.from: mr0 does not store over a link; expected one of ct1, mr1"),
        (
            "mr1",
            "experiment: {protocol: [ct-head]}",
            "two-sites: experiment.protocol.0: ct-head is not for MR; expected one of mr-brain, mr-knee",
        ),
    ],
)
def test_who_cannot_send(lab, sender, experiment, message):
    with pytest.raises(TopologyError) as caught:
        read_scenario(lab(experiment), sender)
    assert str(caught.value) == message


def test_nobody_stores_over_a_link():
    with pytest.raises(TopologyError, match="walk: experiment: no node stores over a link; expected one whose `store`"):
        read_scenario("topologies/walk.yaml")


def test_a_sender_needs_a_topology():
    with pytest.raises(UserError, match="sender ct1: expected a topology that has it"):
        simlab.wan(sender="ct1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--from ct1", "--from names a node; expected a TOPOLOGY as well"),
        ("nowhere.yaml", "nowhere.yaml: no such file; expected a topology file"),
        ("topologies/wan.yaml --from ct", 'wan: experiment.from: unknown node "ct"; did you mean "ct1"?'),
        ("topologies/wan.yaml --syntax jpegxs", 'unknown transfer syntax "jpegxs"'),
    ],
)
def test_a_mistake(capsys, arguments, message):
    assert main(["wan", *arguments.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"simlab: {message}")


@pytest.mark.slow
def test_an_option_wins_and_the_rest_is_as_the_topology_says(lab, tmp_path, capsys):
    experiment = (
        "experiment: {from: mr1, syntax: [explicit, rle], bandwidth: [50 Mbit/s], repetitions: 2, instances: 3}"
    )
    lab(experiment)
    out = tmp_path / "out"
    options = "--rtt 0,1ms --repetitions 1 --congestion ideal --no-crossover"
    assert main(["wan", str(tmp_path / "topology.yaml"), *options.split(), "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith("mr1 stores at pacs over north-main (20 ms there and back, 8 Mbit/s)\n")
    told = json.loads((out / "wan.json").read_text())
    wanted = {"seed": 7, "instances": 3, "congestion": "ideal", "window": 2**20, "queue": 65536, "calling": "MR1"}
    assert told.items() >= wanted.items()
    again = simlab.wan(lab(experiment), rtt="0,1ms", repetitions=1, congestion="ideal", crossovers=False, out=out)
    assert again.complete
    assert set(again.table["protocol"]) == {"mr-knee"}
    assert set(again.table["rtt"]) == {0.0, 0.001}
    assert set(again.table["bandwidth"]) == {50e6 / 8}
    assert set(again.table["syntax"]) == {"explicit", "rle"}
    assert set(again.table["encode"]) == {"stored"}
    assert len(again.table) == 4


def test_the_shipped_one_is_small():
    """Under three minutes, on a machine that does nothing else: it took a minute and a half."""
    options = read_scenario("topologies/wan.yaml").options
    studies = options["repetitions"] * len(options["rtt"]) * len(options["bandwidth"]) * len(options["syntax"])
    assert studies * options["instances"] <= 432
