"""A department whose sites are joined by a bridge of packets: the kernel's own TCP between its AEs."""

import os
import sys
from types import SimpleNamespace

import pytest

from lab.samples import TINY, tiny_lab, tiny_topology, with_reader
from simlab.cli import main
from simlab.errors import UserError
from simlab.lab.happened import Happened
from simlab.lab.live_run import _judge_generator
from simlab.network.live.relay import tun
from simlab.network.live.relay.namespaces import NAMESPACES

LINKS = """\
links:
  - {between: [north, main], latency: 2 ms, bandwidth: 200 Mbit/s, backend: tun}
expect:
"""
REASON = tun.missing()


def two_sites(text=TINY):
    return text.replace("ae_title: CT1,", "ae_title: CT1, site: north,").replace("expect:\n", LINKS)


@pytest.mark.slow
@pytest.mark.skipif(REASON is not None, reason=str(REASON))
class TestDepartment:
    def test_a_study_is_stored_committed_and_moved_over_the_kernels_tcp(self):
        text = two_sites(with_reader()).replace("ae_title: READ1,", "ae_title: READ1, site: north,")
        result = tiny_lab(text).run()
        assert result.ok
        stores = result.summary().reset_index().query("operation == 'C-STORE'").set_index(["node", "peer"])["bytes"]
        links = result.links.set_index("source")
        # The destination of the C-MOVE is beyond the link.
        assert links["payload"]["main"] > stores["archive", "reader"]
        assert links["payload"]["north"] > stores["ct1", "archive"] + stores["reader", "archive"]
        assert (links["wire"] > links["payload"]).all()
        assert ((links["utilisation"] > 0) & (links["utilisation"] < 1)).all()
        assert links["connections"]["main"] >= 1  # the report of the commitment comes on a connection of its own

    def test_somebody_pulls_the_plug(self):
        with tiny_lab(two_sites()).up(in_process=True) as network:
            first = network.echo("ct1", "archive")
            assert first.ok
            assert first.finished - first.started >= 3 * 0.004  # connecting, the association, the echo
            network.set_link("north", "main", latency="20 ms")
            slower = network.echo("ct1", "archive")
            assert slower.finished - slower.started >= 3 * 0.04
            network.set_link("north", "main", outage="60 s:refuse")
            assert not network.echo("ct1", "archive").ok
            network.set_link("north", "main", up=True)
            assert network.echo("ct1", "archive").ok
            with pytest.raises(UserError, match="expected cubic or reno with backend tun"):
                network.set_link("north", "main", congestion="ideal")
            settings = network.link_counters()["links"]["north-main"]["settings"]
            assert (settings["forth"]["latency"], settings["backend"]) == (0.02, "tun")
        assert not list(NAMESPACES.glob("simlab-*"))


@pytest.mark.parametrize("kept_up", [True, False])
def test_a_bridge_that_was_late_makes_the_result_invalid(kept_up):
    happened = Happened(tiny_topology(two_sites()))
    late = {"p50": 0.0007, "p99": 0.002}
    links = {"lateness": late, "links": {"north-main": {"kept_up": kept_up, "late": late}}}
    _judge_generator(SimpleNamespace(usage=[]), happened, links)
    assert happened.generator["relay_late_p99"] == 0.002
    notices = [notice for notice in happened.notices if notice.startswith("Invalid as a measurement: the bridge of")]
    assert len(notices) == (not kept_up)


def test_a_file_is_accepted_anywhere_and_running_it_tells_what_is_missing(tmp_path, monkeypatch, capsys):
    file = tmp_path / "two-sites.yaml"
    file.write_text(two_sites(), encoding="utf-8")
    monkeypatch.setattr("simlab.lab.joining.missing", lambda: "a bridge of packets (backend: tun) needs root")
    assert main(["validate", str(file)]) == 0
    assert main(["run", str(file), "--world", "virtual", "--out", str(tmp_path / "virtual")]) == 0
    capsys.readouterr()
    assert main(["run", str(file), "--out", str(tmp_path / "live")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "simlab: link north-main: a bridge of packets (backend: tun) needs root"


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() == 0, reason="whoever may have a bridge is not refused one")
def test_without_root_a_link_alone_is_refused_in_one_line(capsys):
    assert main(["link", "127.0.0.1:0", "--to", "127.0.0.1:104", "--backend", "tun"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "simlab: link link: a bridge of packets (backend: tun) needs root"
