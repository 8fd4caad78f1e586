"""Links in topology files: figures with units, profiles, defaults, and the direction back."""

import pytest
import yaml

from simlab.errors import TopologyError
from simlab.lab.links import link_settings
from simlab.network.link.settings import Direction, LinkSettings, Outage
from simlab.nodes.specs import SPECS
from simlab.topology.loader import parse_topology, resolve_yaml
from simlab.topology.model import LinkSpec
from simlab.topology.profiles import PROFILES, with_profile

FILE = """\
simlab: 1
name: two-sites
{defaults}
nodes:
  archive: {{kind: archive, ae_title: ARCHIVE}}
  reader: {{kind: workstation, ae_title: READ1, site: north, archive: archive}}
links:
  - {{between: [north, main]{link}}}
"""


def link(text="", defaults=""):
    return parse_topology(FILE.format(link=text, defaults=defaults), SPECS, source="f").links[0]


def test_every_figure():
    text = (
        ", latency: 5 ms, jitter: 1 ms, bandwidth: 8 Mbit/s, loss: 0.1 %, queue: 64 KiB, window: 1 MiB, "
        "congestion: reno, back: {latency: 10 ms, bandwidth: 80 Mbit/s}, "
        "outages: [{start: 1 min, duration: 3 s, how: reset}]"
    )
    expected = LinkSettings(
        Direction(0.005, 0.001, 1e6, 0.001, 65536),
        Direction(0.010, 0.001, 1e7, 0.001, 65536),
        2**20,
        "reno",
        (Outage(60.0, 3.0, "reset"),),
        7,
    )
    assert link_settings(link(text), seed=7) == expected


def test_a_resolved_file_reads_back_as_the_same():
    topology = parse_topology(FILE.format(link=", profile: dsl, loss: 10 ppm", defaults=""), SPECS)
    text = resolve_yaml(topology)
    assert parse_topology(text, SPECS).links == topology.links
    assert yaml.safe_load(text)["links"][0]["loss"] == "10 ppm"


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_stands_for_its_figures(name):
    by_name = link(f", profile: {name}")
    assert by_name.profile == name
    written = LinkSpec.model_validate({"between": ("north", "main"), **with_profile({"profile": name})})
    assert link_settings(by_name) == link_settings(written)
    assert by_name.latency > 0


def test_what_a_link_says_itself_is_closest_then_its_profile_then_defaults():
    satellite = link(", profile: satellite", "defaults: {link: {latency: 1 s, congestion: reno}}")
    assert (satellite.latency, satellite.congestion) == (0.26, "reno")
    assert link(", profile: satellite, latency: 2 ms").latency == 0.002
    slower = link_settings(link(", profile: dsl, bandwidth: 8 Mbit/s"))
    assert slower.forth.bandwidth == slower.back.bandwidth == 1e6
    half = link_settings(link(", profile: dsl, back: {bandwidth: 8 Mbit/s}"))
    assert (half.forth.bandwidth, half.back.bandwidth) == (1.4e6 / 8, 1e6)
    default = link("", "defaults: {link: {profile: 4g, loss: 1 %}}")
    assert (default.latency, default.loss) == (0.02655, 0.01)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ", congestion: ideal, backend: tun",
            'f:8: links[0]: congestion: "ideal"; expected cubic or reno with backend tun',
        ),
        (", backend: tap", 'f:8: links[0].backend: "tap"; expected one of relay, tun'),
        (", profile: 5g", 'f:8: links[0].profile: "5g"; expected one of lan, metro, dsl, 4g, satellite, vpn'),
        (", loss: 0.1", 'f:8: links[0].loss: expected a share such as "0.1 %", not 0.1'),
        (", loss: 100 %", 'f:8: links[0].loss: "100 %"; expected less than 1'),
        (", congestion: bbr", 'f:8: links[0].congestion: "bbr"; expected one of ideal, reno, cubic'),
        (", back: {latenci: 1 ms}", 'f:8: links[0].back.latenci: unknown key "latenci"; did you mean "latency"?'),
        (", window: 100 B", 'f:8: links[0].window: "100 B"; expected greater than or equal to 1448'),
        (", outages: [{start: 1 s}]", 'f:8: links[0].outages[0]: a key is missing; expected "duration"'),
        (", outages: [{start: 1 s, duration: 1 s, how: fire}]", 'f:8: links[0].outages[0].how: "fire"; expected'),
    ],
)
def test_mistakes(text, message):
    with pytest.raises(TopologyError) as caught:
        link(text)
    assert str(caught.value).startswith(message)
