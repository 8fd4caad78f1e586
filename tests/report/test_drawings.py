"""Drawings: the same every time, with everything in them, and nothing that a name could break."""

from pathlib import Path

import pytest
from analysis.fake_run import Archive, Modality, Router, Worklist, Workstation, clinic, fake_run, no_records

from simlab.errors import UserError
from simlab.report.conversations import Conversation, conversations
from simlab.report.journey import draw_journey
from simlab.report.layout import arrange
from simlab.report.network import draw_network, network_svg, save_network
from simlab.report.plots import bin_seconds, draw_latencies, draw_throughput
from simlab.topology.model import LinkSpec, NodeSpec, SiteSpec, Topology


def hospital() -> Topology:
    """Sixteen nodes at three sites."""
    nodes: dict[str, NodeSpec] = {"ris": Worklist(ae_title="RIS"), "archive": Archive(ae_title="ARCHIVE")}
    nodes["router"] = Router(ae_title="ROUTER", site="south", forward_to="archive")
    for number in range(7):
        site = ("north", "south", "main")[number % 3]
        nodes[f"ct{number}"] = Modality(ae_title=f"CT{number}", site=site, worklist="ris", store="archive")
    for number in range(6):
        nodes[f"reader{number}"] = Workstation(ae_title=f"READ{number}", archive="archive")
    links = tuple(LinkSpec(between=pair) for pair in (("north", "main"), ("south", "main"), ("north", "south")))
    return clinic(nodes=nodes, links=links)


def test_conversations_follow_the_references() -> None:
    talks = conversations(clinic())
    assert Conversation("ct1", "archive", ("store", "commit")) in talks
    assert Conversation("reader", "archive", ("archive", "store")) in talks
    assert not [talk for talk in talks if talk.source == "ris"]


@pytest.mark.parametrize("topology", [clinic(), hospital(), clinic(links=())], ids=["clinic", "hospital", "no links"])
def test_no_two_cards_overlap_and_all_stand_in_their_site(topology: Topology) -> None:
    layout = arrange(topology, conversations(topology))
    boxes = list(layout.nodes.items())
    for position, (name, box) in enumerate(boxes):
        site = layout.sites[topology.nodes[name].site]
        assert site.left < box.left < box.right < site.right
        assert site.bottom < box.bottom < box.top < site.top
        for _, other in boxes[position + 1 :]:
            apart = box.right < other.left or other.right < box.left or box.top < other.bottom or other.top < box.bottom
            assert apart


def test_the_network_names_everything() -> None:
    svg = network_svg(clinic())
    for text in ("ct1", "CT1", "archive", "North clinic", "20 ms", "100 Mbit/s", "store, commit"):
        assert text in svg


@pytest.mark.parametrize("topology", [clinic(), hospital()], ids=["clinic", "hospital"])
def test_the_same_topology_gives_the_same_svg(topology: Topology) -> None:
    assert network_svg(topology) == network_svg(topology)


def test_highlighting_fades_the_rest() -> None:
    assert draw_network(clinic(), highlight={"ct1", "archive"}).svg() != network_svg(clinic())


def test_labels_are_not_markup() -> None:
    svg = network_svg(clinic(sites={"main": SiteSpec(label="<script>$x$"), "north": SiteSpec(label="A&B")}))
    assert "&lt;script&gt;$x$" in svg
    assert "A&amp;B" in svg
    assert "<script" not in svg


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_a_network_is_saved_by_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"network{suffix}"
    save_network(clinic(), path)
    assert path.stat().st_size > 1000


def test_another_suffix_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.svg or \.png") as caught:
        save_network(clinic(), tmp_path / "network.pdf")
    assert "\n" not in str(caught.value)


def test_a_journey_shows_each_operation_and_milestone() -> None:
    run = fake_run()
    svg = draw_journey(run.records, run.instances, "1.2.3.0").svg()
    for text in ("C-FIND", "N-CREATE", "make", "C-STORE", "N-SET", "N-ACTION", "N-EVENT-REPORT", "C-MOVE", "discard"):
        assert text in svg
    for text in ("ordered", "started", "acquired", "stored", "completed", "safe", "read", "60 instances"):
        assert text in svg


def test_plots_of_nothing_are_empty_but_whole() -> None:
    records, instances = no_records()
    for drawing in (
        draw_throughput(instances, 0.0),
        draw_latencies(records, instances),
        draw_journey(records, instances, "1.2"),
    ):
        assert drawing.svg().endswith("</svg>\n")


def test_many_senders_are_put_together() -> None:
    run = fake_run()
    many = run.instances.assign(node=[f"ct{number % 9}" for number in range(len(run.instances))])
    assert "all others" in draw_throughput(many, run.elapsed).svg()


@pytest.mark.parametrize(("seconds", "width"), [(0.0, 1e-5), (99.0, 1.0), (101.0, 2.0), (28_800.0, 500.0)])
def test_bins_are_round(seconds: float, width: float) -> None:
    assert bin_seconds(seconds) == pytest.approx(width)
