"""Kills an archive under load, again and again, and keeps the books of what it had promised."""

import queue
import random
import threading
import time
from contextlib import closing
from dataclasses import dataclass

from interop.scanner import Scanner
from nodes.archive_samples import CT
from peers import wait_until

from durability.processes import BOUND, SCANNER, Life, Site
from durability.scanners import Dawdler, Sender, count_instances, fetch, request_commitment, study_uid
from simlab.network.live.wire.upper_layer import AssociationError
from simlab.studies.study import InstanceReference

SENDERS = 4
SHORTEST_LOAD, LONGEST_LOAD = 0.05, 0.6
"""Seconds from the first acknowledgement to the kill."""

WHILE_STARTING = 0.1
"""Share of the kills that hit an archive while it starts and recovers, within LONGEST_START seconds."""
LONGEST_START = 0.25

BETWEEN_BURSTS = 0.08
"""Seconds. Without pauses, asking for everything afterwards would take most of the time."""

BETWEEN_REQUESTS = 0.05
"""Seconds between requests for commitment. A report comes 0.1 s after its request, so that kills come between."""


@dataclass
class Figures:
    """What came of it."""

    durability: str
    kills: int = 0
    while_starting: int = 0
    acknowledged: int = 0
    lost: int = 0
    """Acknowledged, or seen after an earlier kill, and not retrievable in the end."""
    corrupt: int = 0
    """Retrieved, and other bytes than were sent."""
    kept_in_doubt: int = 0
    accepted: int = 0
    reported: int = 0
    """Of the accepted commitment requests."""
    untruthful: int = 0
    """Reports that do not say of every instance that was asked for what turned out to be so."""

    def __str__(self):
        return (
            f"{self.durability}: {self.kills} kills, {self.while_starting} of them during the start; "
            f"{self.acknowledged} instances acknowledged, {self.lost} lost, {self.corrupt} corrupt, "
            f"{self.kept_in_doubt} in doubt but kept; {self.accepted} commitments accepted, {self.reported} reported, "
            f"{self.untruthful} untruthful reports"
        )


def kill_and_ask(folder, durability, kills, seed=1):
    """Kill an archive so many times; the figures in the end."""
    site, draws, books = Site(folder, durability, report_delay="100 ms"), random.Random(seed), Books()
    figures = Figures(durability)
    with closing(Scanner(SCANNER, site.scanner_port)) as scanner, closing(lives(site)) as archives:
        for number in range(kills):
            life = next(archives)
            life.begin()
            if draws.random() < WHILE_STARTING:
                time.sleep(draws.uniform(0, LONGEST_START))
                life.kill()
                figures.while_starting += 1
            else:
                life.await_listening()
                books.check(site)
                load = Load(site, number)
                time.sleep(draws.uniform(SHORTEST_LOAD, LONGEST_LOAD))
                life.kill()
                books.enter(load)
            figures.kills += 1
        life = next(archives)
        life.begin()
        life.await_listening()
        books.check(site)
        books.await_reports(scanner)
        books.close(site, figures)
    return figures


def lives(site):
    """One life of an archive after the other; the next process loads its libraries while the one before it lives."""
    waiting = Life(site)
    try:
        while True:
            life, waiting = waiting, Life(site)
            with life:
                yield life
    finally:
        with waiting:
            pass


class Load:
    """Four senders, one that comes to no end, and somebody who asks for commitment, until the archive is killed."""

    def __init__(self, site, life):
        self.study = study_uid(life)
        self.senders = [Sender(site, life, sender, every=BETWEEN_BURSTS) for sender in range(SENDERS)]
        self.dawdler = Dawdler(site, life, SENDERS)
        self.asker = Asker(site, life, self.senders)
        wait_until(lambda: any(sender.acknowledged for sender in self.senders), "the first acknowledgement", BOUND)

    def join(self):
        for thread in (*self.senders, self.dawdler, self.asker):
            thread.join(BOUND)
            assert not thread.is_alive(), "somebody has not noticed that the archive is gone"


class Asker(threading.Thread):
    """Asks for commitment to what has been acknowledged since it asked before, until the archive is gone."""

    def __init__(self, site, life, senders):
        super().__init__(daemon=True)
        self.asked = {}
        """SOP Instance UIDs by Transaction UID; of the last one it is not known whether the archive has heard of it."""
        self.accepted = []
        self._site, self._life, self._senders = site, life, senders
        self.start()

    def run(self):
        done = [0] * len(self._senders)
        while any(sender.is_alive() for sender in self._senders):
            time.sleep(BETWEEN_REQUESTS)
            fresh = [sender.acknowledged[begin:] for sender, begin in zip(self._senders, done, strict=True)]
            done = [begin + len(more) for begin, more in zip(done, fresh, strict=True)]
            instances = [uid for each in fresh for uid in each]
            if not instances:
                continue
            transaction = f"{study_uid(self._life)}.9.{len(self.asked) + 1}"
            self.asked[transaction] = frozenset(instances)
            try:
                if request_commitment(self._site, transaction, [InstanceReference(CT, uid) for uid in instances]):
                    self.accepted.append(transaction)
            except AssociationError:
                return


class Books:
    """What was sent, acknowledged, asked for and promised, over all lives."""

    def __init__(self):
        self._offered = {}
        """Digests of all that was sent, by SOP Instance UID."""
        self._acknowledged = {}
        """By study: one for each life that had a load."""
        self._kept = {}
        """By study: what was retrieved after the archive had been killed for the first time."""
        self._asked = {}
        self._accepted = []
        self._reports = {}
        """By Transaction UID, each as often as it came."""

    def enter(self, load):
        """Enter what came of a load that has been killed."""
        load.join()
        for sender in load.senders:
            assert not sender.refused
            self._offered |= sender.offered
        self._acknowledged[load.study] = {uid for sender in load.senders for uid in sender.acknowledged}
        self._asked |= load.asker.asked
        self._accepted += load.asker.accepted

    def check(self, site):
        """Retrieve what the last load has left, and count what there was before."""
        assert site.half_written() == []
        for study in self._acknowledged.keys() - self._kept.keys():
            self._kept[study] = fetch(site, study)
        assert count_instances(site) == {study: len(kept) for study, kept in self._kept.items() if kept}

    def await_reports(self, scanner):
        """Take the reports that have come, and those that are due."""
        deadline = time.monotonic() + BOUND
        while not self._reports.keys() >= set(self._accepted) and time.monotonic() < deadline:
            try:
                report = scanner.reports.get(timeout=0.1)
            except queue.Empty:
                continue
            self._reports.setdefault(report.information.TransactionUID, []).append(report)

    def close(self, site, figures):
        """Retrieve everything once more, and enter the sums."""
        came = {}
        for study, acknowledged in self._acknowledged.items():
            retrieved = fetch(site, study)
            came |= retrieved
            figures.acknowledged += len(acknowledged)
            figures.lost += len((acknowledged | self._kept[study].keys()) - retrieved.keys())
            figures.kept_in_doubt += len(retrieved.keys() - acknowledged)
            seen = [*self._kept[study].items(), *retrieved.items()]
            figures.corrupt += len({uid for uid, digest in seen if self._offered.get(uid) != digest})
        figures.accepted = len(self._accepted)
        figures.reported = len(self._reports.keys() & set(self._accepted))
        for transaction, reports in self._reports.items():
            asked = self._asked.get(transaction, frozenset())
            truth = (asked & came.keys(), asked - came.keys())
            figures.untruthful += sum((set(report.stored), set(report.failed)) != truth for report in reports)
