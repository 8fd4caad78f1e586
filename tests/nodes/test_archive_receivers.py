"""Receivers that acknowledge what is new without asking the archive, and what they have to ask about all the same."""

import threading
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import pytest
from network.peers import read_pdu
from network.storing import BOUND, CT, MR, find_pdus, store_pdus, until

from nodes.archive_samples import data_set, encode
from simlab.network.live.receiving import names
from simlab.network.live.receiving.acceptor import Acceptor, Listening
from simlab.network.live.receiving.channel import AVAILABLE
from simlab.network.seam import SUCCESS
from simlab.nodes.archive import state
from simlab.nodes.archive.service import ArchiveService
from simlab.nodes.archive.spec import ArchiveSpec

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="no receivers here")

PENDING, NO_MORE, OTHER_CLASS = 0xFF00, 0xA700, 0xA900


class Site:
    """An archive that listens, with two receivers."""

    def __init__(self, folder, durability):
        folder.mkdir(exist_ok=True)
        spec = ArchiveSpec(kind="archive", ae_title="ARCHIVE", durability=durability, receivers=2)
        self.service = ArchiveService(SimpleNamespace(spec=spec, workspace=folder))
        self.holdings = self.service.holdings
        self.asked, self.kept, self.bugs = [], [], []
        take, keep = self.service.take, self.service.keep
        self.service.take = lambda instance, *more: self.asked.append(instance.reference) or take(instance, *more)
        self.service.keep = lambda acknowledged: self.kept.extend(acknowledged) or keep(acknowledged)
        self.acceptor = Acceptor(Listening("ARCHIVE", "127.0.0.1", 0), self.service, None, self.bugs.append)
        self.port = self.acceptor.port

    def close(self):
        self.acceptor.close()
        self.service.close()
        assert self.bugs == []


@pytest.fixture(params=["write", "fsync"])
def durability(request):
    return request.param


@pytest.fixture
def site(tmp_path, durability):
    opened = Site(tmp_path / "archive", durability)
    yield opened
    opened.close()


def stored(caller, study, number=1, sop_class=CT):
    """Store an instance; the status of the response."""
    made = data_set(study, 1, number, sop_class, Modality="CT")
    context = 1 if sop_class == CT else 3
    caller.send(store_pdus(7, made.SOPInstanceUID, encode(made), context, sop_class=sop_class))
    message_id, status = caller.status()
    assert message_id == 7
    return status


def studies_found(caller):
    """How many studies the archive finds."""
    caller.send(find_pdus(8))
    found = 0
    while caller.status()[1] == PENDING:
        read_pdu(caller.connection)  # the identifier
        found += 1
    return found


def both(*works):
    """Do two things at the same time; what they return."""
    start, results = threading.Barrier(len(works)), [None] * len(works)

    def run(index, work):
        start.wait(BOUND)
        results[index] = work()

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    return results


def test_what_is_new_is_acknowledged_without_asking(site, call):
    first, second = call(site), call(site)
    assert [stored(caller, 1, number) for number, caller in enumerate((first, second) * 3)] == [SUCCESS] * 6
    until(lambda: len(site.kept) == 6)
    assert site.asked == []
    assert site.holdings.instances() == 6
    assert not list(site.holdings.incoming.rglob("*.dcm"))


def test_what_comes_again_is_asked_about_and_the_first_copy_stays(site, call):
    first, second = call(site), call(site)
    assert stored(first, 1) == SUCCESS
    assert stored(second, 1) == SUCCESS  # at once: perhaps the archive has not even heard of the first one
    assert stored(first, 1, sop_class=MR) == OTHER_CLASS
    assert [sop_class for sop_class, _ in site.asked] == [CT, MR]
    assert site.holdings.resent == 1
    assert site.holdings.instances() == len(site.kept) == 1
    assert site.holdings.fetch(site.asked[0]) is not None
    assert not list(site.holdings.incoming.rglob("*.dcm"))


def test_of_what_comes_twice_at_the_same_time_one_is_new(site, call):
    one, other = call(site), call(site)
    for study in range(1, 21):
        statuses = both(partial(stored, one, study), partial(stored, other, study, sop_class=MR))
        assert sorted(statuses) == [SUCCESS, OTHER_CLASS]
    for study in range(21, 31):
        assert both(partial(stored, one, study), partial(stored, other, study)) == [SUCCESS, SUCCESS]
    assert site.holdings.instances() == len(site.kept) == 30
    assert site.holdings.resent == 10


def test_whoever_asks_finds_all_that_was_acknowledged(site, call):
    storing, asking = call(site), call(site)
    assert studies_found(asking) == 0  # from here on, no receiver has this association
    for receiver in site.acceptor.receivers._alive:  # the archive does not look by itself what they have sent
        site.acceptor.loop.call_soon_threadsafe(site.acceptor.loop.remove_reader, receiver._channel._end)
    for study in range(1, 6):
        assert stored(storing, study) == SUCCESS
        assert studies_found(asking) == study
    assert stored(storing, 6) == SUCCESS
    assert len(site.kept) == 5
    site.acceptor.close()
    assert site.holdings.instances() == 6


@contextmanager
def stuck(holdings):
    """The archive's index takes nothing for a while."""
    keep, goes_on = holdings._writer._keep, threading.Event()

    def wait(group):
        goes_on.wait(BOUND)
        keep(group)

    holdings._writer._keep = wait
    try:
        yield
    finally:
        holdings._writer._keep = keep
        goes_on.set()


def test_receivers_ask_while_the_archive_takes_no_more(site, call, monkeypatch):
    monkeypatch.setattr(state, "LONGEST_QUEUE", 3)
    caller = call(site)
    with stuck(site.holdings):
        for study in range(1, 4):
            assert stored(caller, study) == SUCCESS
            until(lambda: len(site.kept) == study)  # noqa: B023
        assert stored(caller, 4) == NO_MORE
        assert len(site.asked) == 1
    assert site.holdings.instances() == 3
    until(site.holdings._leave.file.exists)
    assert stored(caller, 4) == SUCCESS
    assert len(site.asked) == 1


def test_what_was_acknowledged_is_there_after_a_restart(tmp_path, durability, call):
    for life in range(3):
        site = Site(tmp_path / "archive", durability)
        assert site.holdings.instances() == 4 * life
        caller = call(site)
        for number in range(4):
            assert stored(caller, 1, 4 * life + number) == SUCCESS
        site.close()
        assert not site.holdings._leave.file.exists()


def test_without_hard_links_receivers_always_ask(tmp_path, durability, call, monkeypatch):
    def refuse(*_):
        raise OSError("not on this file system")

    monkeypatch.setattr(names.os, "link", refuse)
    site = Site(tmp_path / "archive", durability)
    monkeypatch.undo()
    caller = call(site)
    assert [stored(caller, study) for study in (1, 2, 1)] == [SUCCESS] * 3
    assert len(site.asked) == 3
    assert site.holdings.instances() == 2
    assert site.kept == []
    site.close()
