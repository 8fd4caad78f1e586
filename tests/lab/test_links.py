"""Links of a department at work: every way between two sites leads over one, and somebody pulls the plug."""

import socket
import time
from pathlib import Path

import pytest

from lab.samples import TINY, free_port, tiny_lab, tiny_topology, with_reader
from simlab.errors import GroupError, UserError
from simlab.lab.department import Department, Staging
from simlab.lab.joining import fronted
from simlab.network.live.relay.tun import missing
from simlab.network.query import Level, Query
from simlab.network.seam import NO_STATUS

BOUND = 60.0
LINKS = """\
links:
  - {between: [north, main], latency: 1 ms, bandwidth: 20 Mbit/s}
expect:
"""


def two_sites(text=TINY):
    return text.replace("ae_title: CT1,", "ae_title: CT1, site: north,").replace("expect:\n", LINKS)


def faster(text):
    """The same with a link on which a study does not take long."""
    return text.replace("20 Mbit/s", "500 Mbit/s")


TWO_SITES = two_sites()


def passed(counters, side):
    return counters["links"]["north-main"][side]


def until(condition, department):
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline
        department.links.check()
        time.sleep(0.02)


def test_a_run_over_a_link_counts_what_passed_it(tmp_path):
    result = tiny_lab(faster(TWO_SITES)).run(out=tmp_path)
    assert result.ok
    assert not any("emulated" in notice for notice in result.run.notices)
    north, main = result.links.to_dict("records")
    assert (north["link"], north["source"], north["target"]) == ("north-main", "north", "main")
    assert (main["source"], main["target"]) == ("main", "north")
    stored = result.summary().query("operation == 'C-STORE'")["bytes"].sum()
    assert stored < north["payload"] < 1.02 * stored
    assert 0 < north["utilisation"] < 1
    assert north["wire"] > north["payload"]
    # The report of the commitment comes on a connection from the archive's site to the scanner's.
    assert (main["connections"], north["connections"] > 3) == (1, True)
    assert main["payload"] > 0
    assert "north-main" in Path(tmp_path / "report.html").read_text(encoding="utf-8")


def test_what_an_archive_sends_for_a_move_crosses_the_link_of_its_destination():
    text = two_sites(with_reader()).replace("ae_title: READ1,", "ae_title: READ1, site: north,")
    result = tiny_lab(faster(text)).run()
    assert result.ok
    stores = result.summary().reset_index().query("operation == 'C-STORE'").set_index(["node", "peer"])["bytes"]
    passed = result.links.set_index("source")["payload"]
    assert passed["main"] > stores["archive", "reader"]
    assert passed["north"] > stores["ct1", "archive"] + stores["reader", "archive"]


def test_nodes_at_one_site_meet_directly():
    text = TWO_SITES.replace("site: north", "site: main")
    with tiny_lab(text.replace("between: [north, main]", "between: [main, main2]").replace(
        "nodes:\n", "sites: {main: {}, main2: {}}\nnodes:\n")).up(in_process=True) as network:  # fmt: skip
        assert network.echo("ct1", "archive").ok
        assert network.link_counters()["links"]["main-main2"]["forth"]["connections"] == 0


def test_without_links_there_is_no_relay():
    with tiny_lab().up(in_process=True) as network:
        assert network.control is None
        assert network.link_counters() == {}
        with pytest.raises(UserError, match="no link between north and main; expected none"):
            network.set_link("north", "main", latency="1 ms")


def test_a_link_is_changed_from_either_end():
    with tiny_lab(TWO_SITES).up(in_process=True) as network:
        network.set_link("north", "main", latency="40 ms", bandwidth=1e6)
        outcome = network.echo("ct1", "archive")
        assert outcome.ok
        assert outcome.finished - outcome.started > 3 * 0.08  # connecting, the association, the echo
        network.set_link("main", "north", forth_latency=0.0, back_loss="1 %")
        settings = network.link_counters()["links"]["north-main"]["settings"]
        assert (settings["forth"]["latency"], settings["back"]["latency"]) == (0.04, 0.0)
        assert (settings["forth"]["loss"], settings["back"]["loss"]) == (0.01, 0.0)
        assert settings["forth"]["bandwidth"] == 1e6
        network.set_link("north", "main", outage="60 s:refuse")
        assert not network.echo("ct1", "archive").ok
        network.set_link("north", "main", up=True)
        assert network.echo("ct1", "archive").ok
        with pytest.raises(UserError, match='no link between north and south; did you mean "north and main"'):
            network.set_link("north", "south", latency=1.0)
        with pytest.raises(UserError, match='latency: unknown unit "parsecs"'):
            network.set_link("north", "main", latency="3 parsecs")
        with pytest.raises(UserError, match="lateness: nobody knows this"):
            network.set_link("north", "main", lateness="3 s")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "backend"),
    [
        ("stall", "relay"),
        ("reset", "relay"),
        pytest.param("stall", "tun", marks=pytest.mark.skipif(missing() is not None, reason=str(missing()))),
    ],
)
def test_pulling_the_plug_in_the_middle_of_a_study(how, backend, tmp_path):
    """A stall is survived; after a reset the modality stores the rest again. Either way the archive holds all, once."""
    topology = tiny_topology(TWO_SITES.replace("20 Mbit/s}", f"20 Mbit/s, backend: {backend}}}"))
    everything = Query({"StudyInstanceUID": "", "NumberOfStudyRelatedInstances": ""}, level=Level.STUDY)
    batches = []
    with Department(topology, Staging(tmp_path)) as department:
        department.run()
        until(lambda: passed(department.links.counters(), "forth")["payload"] > 3e6, department)
        before = passed(department.links.counters(), "forth")["payload"]
        department.links.change("north", "main", {"outage": f"3 s:{how}"})
        milestones = set()

        def safe():
            records, more = department.drain()
            milestones.update(record.operation for record in records)
            batches.extend(more)
            return {"safe", "failed"} & milestones

        until(safe, department)
        assert "failed" not in milestones
        counters = department.links.counters()
        (found,) = department.call("ct1", "find", "archive", everything).result(BOUND).matches
        batches += department.drain()[1]
    made = {uid for batch in batches if batch.operation == "make" for uid in batch.rows.sop_instance}
    stores = [batch.rows for batch in batches if batch.operation == "C-STORE"]
    rows = [(uid, status) for part in stores for uid, status in zip(part.sop_instance, part.status, strict=True)]
    stored = [uid for uid, status in rows if status == 0]
    assert set(stored) == made
    assert len(stored) == len(made), "acknowledged twice"
    assert int(found["NumberOfStudyRelatedInstances"]) == len(made)
    link = counters["links"]["north-main"]
    assert passed(counters, "forth")["payload"] > before
    assert link["outages"] == 1
    if how == "stall":
        assert (len(stores), link["resets"], link["forth"]["dropped"] > 0) == (1, 0, True)
        assert len(rows) == len(made)
    else:
        assert link["resets"] >= 1
        # While the link is down, attempts end without a row; what was left is then stored in one train.
        assert len([part for part in stores if len(part)]) == 2
        # One association, and no asynchronous operations: one instance was begun and not answered.
        assert [status for _, status in rows if status != 0] == [NO_STATUS]
        assert len(rows) - len(made) == 1


def test_the_relay_stands_before_a_pacs_that_calls_back(tmp_path):
    port = free_port()
    text = TWO_SITES.replace("ae_title: CT1,", f"ae_title: CT1, port: {port},").replace(
        "{kind: archive, ae_title: ARCHIVE}", "{kind: external, ae_title: ARCHIVE, host: 127.0.0.1, port: 104}"
    )
    topology = tiny_topology(text)
    assert fronted(topology) == {"ct1": "main"}
    assert fronted(tiny_topology(text.replace("ae_title: ARCHIVE,", "ae_title: ARCHIVE, site: north,"))) == {}
    with Department(topology, Staging(tmp_path, works=False, in_process=True)) as department:
        assert department.peers["ct1"].port != port
        department.run()
        assert department.call("ris", "echo", "ct1").result(BOUND).ok
        socket.create_connection(("127.0.0.1", port), timeout=BOUND).close()
        deadline = time.monotonic() + BOUND
        while passed(department.links.counters(), "back")["connections"] < 2:
            assert time.monotonic() < deadline


def test_a_relay_that_is_killed_ends_the_run():
    with tiny_lab(TWO_SITES).up(in_process=True) as network:
        relay = network._department.links._relay._process
        relay.kill()
        relay.wait(BOUND)
        with pytest.raises(GroupError, match="links: the process of the links ended unexpectedly"):
            network.check()
