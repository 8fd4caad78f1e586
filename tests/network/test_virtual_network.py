"""Operations of the virtual world over lines that they share."""

import pytest

from network.worlds import NODES, VirtualWorld, make_study, store_at_archive, wait_for
from simlab.analysis.frames import LINK_COLUMNS, links_frame
from simlab.lab.lab import Lab
from simlab.network.faults import RequestFault
from simlab.network.link.settings import WIRE
from simlab.network.query import Level, Model, Query
from simlab.network.seam import CommitmentReport, Status, StoreOptions
from simlab.network.virtual.host import Host
from simlab.network.virtual.link import SharedLine
from simlab.network.virtual.path import MESSAGE_BYTES, SEGMENT, SMALL_MESSAGE
from simlab.network.virtual.plane import Route
from simlab.network.virtual.times import Asking, Serving, Times
from simlab.nodes.specs import SPECS
from simlab.topology.loader import parse_topology

NO_WORK = Times(Serving(1, 0.0, 0.0, 0.0), Asking(0.0, 0.0, 0.0))

BANDWIDTH = 125e6
CROSSING = (2048 + MESSAGE_BYTES) * WIRE / BANDWIDTH
"""Seconds that an instance of the test study is on the line."""

SET_UP = 2 * (SEGMENT + SMALL_MESSAGE) * WIRE / BANDWIDTH
"""Seconds that an association's set-up is, there and back."""

RELEASE = 2 * SEGMENT * WIRE / BANDWIDTH


@pytest.fixture
def world(tmp_path):
    """Three nodes whose paths all have the same line, and no work to do."""
    made = VirtualWorld(tmp_path)
    made.line = SharedLine(made.env, BANDWIDTH)
    made.back = SharedLine(made.env, BANDWIDTH)
    ways = {"archive": made.line, "scanner": made.back, "reader": made.back}
    made.network._route = lambda source, target: Route(0.0, ways[target])
    for node in NODES:
        made.register(node, NO_WORK)
    return made


def stored(world, count, *, options=StoreOptions(), sharing=1):
    """Store a study, and others beside it; returns the outcomes."""
    studies = [make_study(count, f"2.25.{number}", number) for number in range(1, sharing + 1)]
    events = [world.network.store("scanner", "archive", study, options) for study in studies]
    return list(wait_for(world, world.env.all_of(events)).values())


def test_studies_share_the_line(world):
    (alone,) = stored(world, 100)
    assert alone.finished - alone.started == pytest.approx(100 * CROSSING + SET_UP + RELEASE)
    for outcome in stored(world, 100, sharing=3):
        assert outcome.finished - outcome.started == pytest.approx(300 * CROSSING + SET_UP + RELEASE)
        rows = outcome.rows
        assert rows.finished == sorted(rows.finished)
        assert rows.started == [pytest.approx(outcome.started + SET_UP), *rows.finished[:-1]]
        assert rows.finished[-1] == pytest.approx(outcome.finished - RELEASE)


def test_the_line_counts_what_is_stored(world):
    stored(world, 10, sharing=2)
    association = SEGMENT + SMALL_MESSAGE + SEGMENT
    assert world.line.payload == 20 * (2048 + MESSAGE_BYTES) + 2 * association
    assert world.line.connections == 2
    assert world.back.payload == 2 * association
    wait_for(world, world.network.echo("scanner", "archive"))
    assert world.line.payload == 20 * (2048 + MESSAGE_BYTES) + 3 * association + SMALL_MESSAGE


def test_a_transfer_that_faults_may_meet_shares_the_line_too(world):
    world.faults["archive"].does["C-STORE"] = lambda _: RequestFault(answer=Status(0xA700))
    for outcome in stored(world, 100, sharing=2):
        assert outcome.status == 0xA700
        assert outcome.finished - outcome.started == pytest.approx(200 * CROSSING + SET_UP + RELEASE)


def test_what_is_got_comes_over_the_line_back(world):
    store_at_archive(world, 50)
    before = world.back.payload
    query = Query({"StudyInstanceUID": "2.25.1"}, Model.STUDY_ROOT, Level.STUDY)
    began = world.env.now
    got = wait_for(world, world.network.get("reader", "archive", query))
    assert got.completed == 50
    asked = SEGMENT + SMALL_MESSAGE + SMALL_MESSAGE + SEGMENT  # of which all but one are the association's
    assert world.back.payload - before == 50 * (2048 + MESSAGE_BYTES) + asked
    assert world.env.now - began == pytest.approx(50 * CROSSING, rel=0.1)


def test_a_peer_that_grants_several_outstanding_requests_is_sent_several(world):
    world.network._route = lambda *_: Route(0.05)
    world.register("archive", NO_WORK)
    (alone,) = stored(world, 100)
    assert alone.finished - alone.started == pytest.approx(100 * 0.1, rel=0.05)
    several = StoreOptions(outstanding=4)
    (refused,) = stored(world, 100, options=several)
    assert refused.finished - refused.started == pytest.approx(100 * 0.1, rel=0.05)
    world.register("archive", NO_WORK, outstanding=0)
    (granted,) = stored(world, 100, options=several)
    assert granted.finished - granted.started == pytest.approx((25 + 3) * 0.1)


def test_a_report_on_an_association_that_is_not_held_meets_its_release(world):
    """The report is on its way there when the release is on its way back: a round trip, and then a new association."""
    world.network._route = lambda *_: Route(0.05)
    world.register("archive", NO_WORK)
    took = {}

    def reported(request, on):
        outcome = yield world.network.report_commitment(
            "archive", "scanner", CommitmentReport(request.transaction, request.references), on=on
        )
        took[request.transaction] = outcome.finished - outcome.started

    for transaction, same in (("2.25.1", True), ("2.25.2", False)):
        world.servers["archive"].on_request = lambda request, same=same: world.env.process(
            reported(request, request.association if same else None)
        )
        asked = world.network.request_commitment("scanner", "archive", transaction, make_study(3))
        assert wait_for(world, asked).ok
        world.env.run()
    assert took["2.25.1"] - took["2.25.2"] == pytest.approx(0.1)


@pytest.mark.parametrize("fault", [RequestFault(), RequestFault(closes=True), RequestFault(ignores=True)])
def test_no_association_outlasts_its_operation(world, fault):
    store_at_archive(world, 5)
    query, network = Query({"StudyInstanceUID": "2.25.1"}, Model.STUDY_ROOT, Level.STUDY), world.network
    for operation in ("C-ECHO", "C-FIND", "C-STORE", "C-MOVE", "C-GET", "N-ACTION"):
        world.faults["archive"].does[operation] = lambda _: fault
    for begin in (
        lambda: network.echo("scanner", "archive"),
        lambda: network.find("reader", "archive", query),
        lambda: network.store("scanner", "archive", make_study(5, "2.25.2", 2), StoreOptions(associations=2)),
        lambda: network.move("reader", "archive", query, "reader"),
        lambda: network.get("reader", "archive", query),
        lambda: network.request_commitment("scanner", "archive", "2.25.9", make_study(5)),
    ):
        outcome = wait_for(world, begin())
        assert outcome.ok != bool(fault), outcome
        assert [host.associations for host in network.hosts.values()] == [0, 0, 0], outcome


def test_naming_instances_takes_time_at_both_ends(world):
    free = {"association": 0.0, "message": 0.0}
    world.register("scanner", Times(asking=Asking(**free, reference=0.001)))
    world.register("archive", Times(Serving(**free, reference=0.002)))
    completed = {"PerformedProcedureStepStatus": "COMPLETED"}
    for begin in (
        lambda: world.network.request_commitment("scanner", "archive", "2.25.9", make_study(50)),
        lambda: world.network.set_step("scanner", "archive", "2.25.7", completed, instances=50),
    ):
        outcome = wait_for(world, begin())
        assert outcome.finished - outcome.started == pytest.approx(50 * 0.003, rel=1e-3)


def test_who_shares_a_computer_shares_its_time_for_its_own_work_too(world):
    times = Times(Serving(1, 0.0, 0.0, 0.0), Asking(0.0, 0.0, 0.0), make_instance=0.01)
    world.register("scanner", times)

    def made(count):
        studies = [make_study(100, f"2.25.{number}", number) for number in range(count)]
        events = [world.network.make("scanner", study) for study in studies]
        outcomes = wait_for(world, world.env.all_of(events)).values()
        return [outcome.finished - outcome.started for outcome in outcomes]

    assert made(2) == pytest.approx([1.0, 1.0])
    node = world.network._nodes["scanner"]
    world.network.register(node, Host(world.env, times, shared=True))
    assert made(2) == pytest.approx([2.0, 2.0])
    assert made(1) == pytest.approx([1.0])


TOPOLOGY = """
simlab: 1
name: far
duration: 10 min
nodes:
  ris: {kind: worklist, ae_title: RIS, site: here, orders: {rate: 60 /h, mix: {ct-head: 1}}}
  archive: {kind: archive, ae_title: ARCHIVE, site: here}
  ct1: {kind: modality, modality: CT, ae_title: CT1, site: there, worklist: ris, store: archive}
links:
  - {between: [there, here], latency: 5 ms, bandwidth: 20 Mbit/s, back: {bandwidth: 5 Mbit/s}}
"""


def test_a_run_tells_what_passed_its_links():
    run = Lab(parse_topology(TOPOLOGY, SPECS)).run("virtual")
    forth, back = run.links.to_dict("records")
    assert tuple(run.links) == LINK_COLUMNS == tuple(links_frame([]))
    assert (forth["link"], forth["source"], forth["target"]) == ("there-here", "there", "here")
    assert (back["source"], back["target"]) == ("here", "there")
    assert forth["payload"] > run.instances["bytes"].sum() > 0
    assert forth["wire"] == pytest.approx(forth["payload"] * WIRE)
    assert forth["busy"] == pytest.approx(forth["wire"] / 2.5e6)
    assert 0 < forth["utilisation"] < 1
    assert forth["connections"] > 0
