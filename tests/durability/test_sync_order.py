"""What an archive says, and what a power failure would leave at that moment: its calls of the system, by strace."""

import sys
from pathlib import Path

import pytest
from nodes.archive_samples import CT
from peers import require

from durability.processes import BOUND, Life, Site
from durability.scanners import Sender, count_instances, request_commitment
from durability.strace import read_trace, tracer
from durability.sync_order import C_STORE_RSP, Said, replay, violations
from simlab.nodes.archive.state import ArchiveState
from simlab.studies.study import InstanceReference

pytestmark = [
    pytest.mark.slow,
    pytest.mark.peers,
    pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's"),
]

INSTANCES = 24
"""That each of two senders stores before the first commitment request, and again after it."""

MOMENTS = 12
"""At which the power is cut."""


class Traced:
    """What an archive did while it was sent to."""

    def __init__(self, folder, durability):
        site = Site(folder, durability, report_delay="1 h")
        self.root = site.workspace
        self.transactions = []
        self.acknowledged = []
        trace = folder / "trace"
        with Life(site, tracer(trace)) as life:
            life.begin()
            life.await_listening()
            for number in range(2):
                senders = [Sender(site, number, sender, count=INSTANCES) for sender in range(2)]
                for sender in senders:
                    sender.join(BOUND)
                    assert len(sender.acknowledged) == INSTANCES
                    self.acknowledged += sender.acknowledged
                    self.transactions.append(f"2.25.9{len(self.transactions)}")
                    references = [InstanceReference(CT, uid) for uid in sender.acknowledged]
                    assert request_commitment(site, self.transactions[-1], references)
            assert sum(count_instances(site).values()) == 4 * INSTANCES  # all are where they belong
            life.leave()
        with trace.open(encoding="latin-1") as lines:
            self.calls = read_trace(lines)

    def violations(self):
        return violations(self.calls, self.root, self.transactions)


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """Traces an archive; once for each durability."""
    require("strace")
    known = {}

    def trace(durability):
        if durability not in known:
            known[durability] = Traced(tmp_path_factory.mktemp(durability), durability)
        return known[durability]

    return trace


def test_with_fsync_no_success_precedes_its_sync(traced):
    trace = traced("fsync")
    said = [event for _, event in replay(trace.calls, trace.root) if isinstance(event, Said)]
    stored = [event.sop_instance for event in said if event.command == C_STORE_RSP]
    assert sorted(stored) == sorted(trace.acknowledged)
    assert len(said) - len(stored) == len(trace.transactions)
    assert trace.violations() == []


def test_with_write_every_success_does(traced):
    trace = traced("write")
    found = trace.violations()
    for uid in (*trace.acknowledged, *trace.transactions):
        assert any(uid in violation and "before" in violation for violation in found)


def test_with_fsync_a_restart_after_a_power_failure_has_all_that_was_said(traced, tmp_path):
    trace = traced("fsync")
    stored, requests = [], 0
    for number, (disk, event) in enumerate(replay(trace.calls, trace.root)):
        if isinstance(event, Said) and event.command == C_STORE_RSP:
            stored.append(InstanceReference(CT, event.sop_instance))
        elif isinstance(event, Said):
            requests += 1
        if number % (len(trace.acknowledged) // MOMENTS) == 0:
            place = tmp_path / str(number)
            place.mkdir()
            disk.restore(place)
            assert_holds(place / "archive", stored, trace.transactions[:requests])
    assert len(stored) == len(trace.acknowledged)


@pytest.mark.parametrize("durability", ["none", "write"])
def test_without_fsync_a_power_failure_costs_what_was_acknowledged(traced, durability, tmp_path, capsys):
    trace = traced(durability)
    *_, (disk, _) = replay(trace.calls, trace.root)
    disk.restore(tmp_path)
    state = ArchiveState(tmp_path / "archive")
    held = state.holds(InstanceReference(CT, uid) for uid in trace.acknowledged)
    state.close()
    acknowledged = len(trace.acknowledged)
    with capsys.disabled():
        print(f"\n{durability}: a power failure takes {acknowledged - len(held)} of {acknowledged} instances")
    assert len(held) < acknowledged


def assert_holds(root: Path, references, transactions):
    state = ArchiveState(root, durable=True)
    try:
        assert state.holds(references) == set(references)
        assert [owed.request.transaction for owed in state.requests.owed()][: len(transactions)] == transactions
    finally:
        state.close()
