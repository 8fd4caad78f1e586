"""How an archive reports, in virtual time: its own attempts, and every fault of a report."""

from itertools import pairwise

import pytest
from network.worlds import VirtualServer, VirtualWorld, make_study

from simlab.network.seam import SUCCESS, Status
from simlab.network.virtual.server import VirtualNode
from simlab.network.virtual.times import UNCALIBRATED
from simlab.nodes.archive.model import ArchiveModel
from simlab.nodes.archive.workflow import run
from simlab.nodes.node import Node
from simlab.nodes.specs import SPECS
from simlab.topology.loader import parse_topology

TOPOLOGY = """\
simlab: 1
name: reporting
nodes:
  ris: {kind: worklist, ae_title: RIS, orders: {rate: 9 /h, mix: {ct-head: 1}}}
  scanner: {kind: modality, modality: CT, ae_title: SCANNER, worklist: ris, store: archive, commit: archive}
  archive: {kind: archive, ae_title: ARCHIVE, report_back_off: 10 s, %s}
faults:
"""
CLOSE = pytest.approx
LATER = 1000.0


class Scanner(VirtualServer):
    """Notes when reports come, and answers them as its test wants it."""

    def __init__(self, env):
        super().__init__()
        self.env = env
        self.times = []
        self.refusals = 0

    def commitment_reported(self, report):
        self.times.append(self.env.now)
        super().commitment_reported(report)
        refused = len(self.reports) <= self.refusals
        return Status(0x0110, "not now") if refused else Status(SUCCESS)


class Site:
    """A scanner and an archive with the given faults, which holds a study of 5 instances."""

    def __init__(self, *faults, spec="report: new"):
        lines = "".join(f"  - {{node: archive, operation: commitment, {fault}}}\n" for fault in faults)
        topology = parse_topology(TOPOLOGY % spec + (lines or "  []\n"), SPECS)
        self.world = world = VirtualWorld(None)
        self.node = Node("archive", topology, "virtual", world.env, world.network, world.recorder, workspace=None)
        self.archive, self.scanner = ArchiveModel(self.node), Scanner(world.env)
        world.network.register(VirtualNode("archive", "ARCHIVE", self.archive))
        world.network.register(VirtualNode("scanner", "SCANNER", self.scanner))
        world.env.process(run(self.node, self.archive))
        self.study = make_study()
        self.archive.take(self.study)
        self.references = self.study.references

    def ask(self, transaction="2.25.77", study=None):
        """Ask for commitment, and wait until everything is over. How the reports went: (status, comment)."""
        world = self.world
        world.recorder.drain()
        world.network.request_commitment("scanner", "archive", transaction, study or self.study, hold=5.0)
        world.env.run(until=world.env.now + LATER)
        self.records, _ = world.recorder.drain()
        assert self.archive.holdings.requests.owed() == ()
        return [(each.status, each.comment) for each in self.records if each.operation == "N-EVENT-REPORT"]

    def remarks(self, what="report"):
        return [(each.peer, each.comment) for each in self.records if each.operation == what]

    @property
    def gaps(self):
        """Seconds between one report and the next."""
        times = self.scanner.times
        return [later - earlier for earlier, later in pairwise(times)]


def test_a_report_that_is_refused_is_sent_again_twice_as_late_each_time():
    site = Site()
    site.scanner.refusals = 2
    assert [status for status, _ in site.ask()] == [0x0110, 0x0110, SUCCESS]
    assert site.gaps == CLOSE([10, 20], abs=0.1)
    assert len(set(site.scanner.reports)) == 1
    assert site.remarks() == []


@pytest.mark.parametrize(("attempts", "told"), [(1, "1 attempt"), (3, "3 attempts")])
def test_a_report_that_is_always_refused_is_given_up(attempts, told):
    site = Site(spec=f"report_attempts: {attempts}")
    site.scanner.refusals = 99
    assert len(site.ask()) == attempts
    assert site.remarks() == [("scanner", f"not delivered after {told}: status 0110H")]


def test_what_went_wrong_on_the_association_of_the_request_is_tried_on_a_new_one():
    site = Site(spec="report: same")
    site.scanner.refusals = 1
    (first, second) = site.ask()
    assert first[0] == 0x0110
    assert second == (SUCCESS, "")


def test_a_request_under_a_transaction_in_use_is_refused_once_and_the_first_is_reported():
    site = Site(spec="report_delay: 1 s")
    world = site.world
    world.network.request_commitment("scanner", "archive", "2.25.77", site.study)
    world.env.run(until=0.5)
    site.ask("2.25.77")
    first, second = site.scanner.reports
    assert (first.stored, first.failed) == (site.references, ())
    assert second.stored == ()
    assert second.failed == tuple((reference, 0x0131) for reference in site.references)


def test_a_report_that_never_comes():
    site = Site("do: never, times: 1")
    assert site.ask("2.25.1") == []
    assert site.remarks("fault") == [("scanner", "commitment never: SIM00001")]
    assert site.ask("2.25.2") == [(SUCCESS, "")]


def test_a_report_that_is_late():
    site = Site("do: late, delay: 90 s")
    site.ask()
    assert site.scanner.times == CLOSE([90], abs=0.1)


def test_a_report_tells_what_is_held_when_it_comes():
    site = Site("do: late, delay: 90 s")
    other = make_study(2, "2.25.2")

    def store_later():
        yield site.world.env.timeout(45)
        site.archive.take(other)

    site.world.env.process(store_later())
    site.ask(study=other)
    assert site.scanner.reports[0].failed == ()


def test_a_report_on_the_association_of_the_request_where_a_new_one_is_usual():
    site = Site("do: same-association, times: 1")
    assert site.ask("2.25.1") == [(SUCCESS, "on the association of the request")]
    assert site.ask("2.25.2") == [(SUCCESS, "")]


def test_a_report_that_goes_to_a_closed_port_is_given_up():
    site = Site("do: closed-port, times: 1")
    assert len(site.ask("2.25.1")) == 3
    assert site.scanner.reports == []
    assert site.remarks() == [("scanner", "not delivered after 3 attempts: unreachable")]
    assert site.ask("2.25.2") == [(SUCCESS, "")]


def test_copies_one_after_the_other_and_all_at_once():
    site = Site("do: duplicate")
    assert len(site.ask()) == 2
    assert 0 < site.gaps[0] < 0.1
    storm = Site("do: storm, copies: 20")
    assert len(storm.ask()) == 20
    serving = UNCALIBRATED.serving
    each = serving.association + serving.message + serving.reference * make_study().count
    assert storm.gaps == [pytest.approx(each)] * 19, "as fast as they are served"
    assert len(set(storm.scanner.reports)) == 1


def test_some_instances_fail_and_some_are_missing_or_too_many():
    site = Site("do: fail, status: 0213H, every: 2", "do: missing, every: 5", "do: extra, copies: 2")
    site.ask()
    (report,) = site.scanner.reports
    numbered = dict(enumerate(site.references, 1))
    assert report.stored[:2] == (numbered[1], numbered[3])
    assert len(report.stored) == 4
    assert report.failed == ((numbered[2], 0x0213), (numbered[4], 0x0213))
    assert site.archive.holdings.instances() == 5


def test_a_report_for_a_transaction_that_nobody_knows():
    site = Site("do: unknown-transaction")
    site.ask()
    (report,) = site.scanner.reports
    assert report.transaction != "2.25.77"
    assert report.stored == site.references


def test_a_liar_loses_what_it_commits_to_once():
    site = Site("do: lie, every: 2, times: 1")
    site.ask("2.25.1")
    assert site.scanner.reports[-1].stored == site.references
    assert site.remarks("fault") == [("scanner", "commitment lie: 2 instances")]
    held = site.archive.holdings.holds(site.references)
    assert held == frozenset(site.references[::2])
    site.ask("2.25.2")
    assert {failed.reference for failed in site.scanner.reports[-1].failed} == set(site.references) - held
    site.archive.take(site.study)
    site.ask("2.25.3")
    assert site.scanner.reports[-1].stored == site.references


def test_faults_are_for_whoever_they_are_for():
    site = Site("do: never, peer: ris")
    assert site.ask() == [(SUCCESS, "")]
