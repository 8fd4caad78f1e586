"""Sending for ``simlab send``: what one process sends, and what came of it."""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, count, islice
from pathlib import Path

from simlab.errors import UserError
from simlab.network.live.directory import Peer
from simlab.network.live.sending.association import MAXIMUM_CONTEXTS, Requestor, at_once, contexts_for
from simlab.network.live.sending.drive import run_all
from simlab.network.live.sending.files import stream
from simlab.network.live.sending.train import Outgoing, Train
from simlab.network.live.server import KeptInstance
from simlab.network.live.wire.upper_layer import AssociationError
from simlab.network.seam import NO_STATUS, StoreStatus, Trouble
from simlab.studies.templates import StudyTemplate, synthetic_studies

AT_A_TIME = 64
"""Associations that are requested, or released, at a time: what takes them in one by one is not to be flooded."""

LONGEST_RELEASE = 5.0
"""Seconds for which a peer is waited for that does not answer a release; it has answered all else."""

STORED = (StoreStatus.SUCCESS, StoreStatus.WARNING)
"""An instance that was answered in one of these ways has been stored."""


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Instances made of a template: ``count`` of those of all studies of the seed, one study behind the other."""

    template: StudyTemplate | Path
    """Or the file that one was saved in."""
    seed: int
    start: int
    """How many come before the first of them."""
    count: int
    classes: tuple[tuple[str, str], ...]
    """SOP class and transfer syntax of all that is made."""

    def pairs(self) -> Iterable[tuple[str, str]]:
        """What to propose presentation contexts for."""
        return self.classes

    def outgoing(self, associations: int) -> list[Iterator[Outgoing]]:
        """The instances for each association: whichever is ready takes the next."""
        template = StudyTemplate.load(self.template) if isinstance(self.template, Path) else self.template
        total = next(synthetic_studies(template.protocol, self.seed)).total  # all of them have as many
        number, skipped = divmod(self.start, total)
        studies = synthetic_studies(template.protocol, self.seed, 1 + number)
        studies = chain([next(studies).select(range(skipped, total))], studies)
        made = islice(chain.from_iterable(map(template.instances, studies)), self.count)
        shared = (Outgoing(reference, syntax, (header, pixels)) for reference, syntax, header, pixels in made)
        return [shared] * associations


@dataclass(frozen=True, slots=True)
class Files:
    """Instances in files, sent as they are."""

    instances: tuple[KeptInstance, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.instances)

    def pairs(self) -> Iterable[tuple[str, str]]:
        """What to propose presentation contexts for."""
        return dict.fromkeys((instance.reference.sop_class, instance.transfer_syntax) for instance in self.instances)

    def outgoing(self, associations: int) -> list[Iterator[Outgoing]]:
        """The instances for each association: whichever is ready reads the next, into memory of its own."""
        shared = iter(self.instances)
        return [stream(shared) for _ in range(associations)]


@dataclass(frozen=True, slots=True)
class Consignment:
    """What one process is to send, and how."""

    calling: str
    peer: Peer
    source: Synthetic | Files
    associations: int
    outstanding: int
    timeout: float
    interval: float = 0.0
    """Seconds between two instances, at least; 0 as fast as may be."""
    delay: float = 0.0
    """Seconds from the start to the first."""


@dataclass(slots=True)
class Sent:
    """What one process has sent. Times are seconds of ``perf_counter``."""

    started: float
    finished: float
    cpu: float
    """Seconds of processor time between the two."""
    window: int
    """Outstanding requests that the peer agreed to; 0 for any number."""
    associate_s: float = 0.0
    """Seconds before it, until all associations were established."""
    release_s: float = 0.0
    """Seconds after it, until they were released."""
    bytes: int = 0
    """Of all data sets that were stored."""
    latencies: list[float] = field(default_factory=list)
    """Seconds from when an instance was due, or begun, to its response."""
    statuses: Counter[int] = field(default_factory=Counter)
    in_doubt: int = 0
    unsent: int = 0
    troubles: list[str] = field(default_factory=list)
    """What went wrong, one line for each association."""

    @property
    def answered(self) -> int:
        """How many instances were answered."""
        return sum(self.statuses.values())

    def count(self, *wanted: StoreStatus) -> int:
        """How many were answered in one of these ways."""
        return sum(number for status, number in self.statuses.items() if StoreStatus.of(status) in wanted)


class Sender:
    """Sends a consignment: associate, then :meth:`run` once."""

    def __init__(self, consignment: Consignment, established: Callable[[int], object] = lambda _: None) -> None:
        """Associate; ``established`` is told how many associations there are.

        Raises AssociationError if one of them is not established, UserError if the system has no room for them.
        """
        began = time.perf_counter()
        self._consignment = consignment
        self._outgoing = consignment.source.outgoing(consignment.associations)
        self._stopped = threading.Event()
        self._trains: list[Train] = []
        self._requestors: list[Requestor] = []
        refused: list[AssociationError] = []
        contexts = list(dict.fromkeys(consignment.source.pairs()))[:MAXIMUM_CONTEXTS]

        def associate() -> None:
            if refused:
                return  # one that is missing is enough
            try:
                requestor = Requestor.open(
                    consignment.calling,
                    consignment.peer,
                    contexts_for(contexts),
                    timeout=consignment.timeout,
                    outstanding=consignment.outstanding,
                )
            except AssociationError as error:
                refused.append(error)
            else:
                self._requestors.append(requestor)
                established(len(self._requestors))

        wanted = consignment.associations
        try:
            at_once([associate] * wanted, AT_A_TIME)
        except OSError as full:
            self.close(abort=True)
            raise UserError(f"cannot open {wanted} associations: {full.strerror or full}") from full
        if refused:
            self.close(abort=True)
            told = f" ({len(self._requestors)} of {wanted} associations were established)" if wanted > 1 else ""
            raise AssociationError(refused[0].trouble, f"{refused[0].comment}{told}")
        self._associate_s = time.perf_counter() - began

    @property
    def window(self) -> int:
        """Outstanding requests that the peer agreed to on every association; 0 for any number."""
        return min((requestor.window for requestor in self._requestors), key=lambda window: window or 1 << 16)

    @property
    def answered(self) -> int:
        """How many instances have been answered so far. Asked from any thread."""
        return sum(len(train.rows) for train in self._trains)

    def stop(self) -> None:
        """Begin no more instances. Called from any thread."""
        self._stopped.set()

    def run(self) -> Sent:
        """Send everything, whichever association is ready for the next instance.

        Raises UserError for a file that can no longer be read.
        """
        consignment = self._consignment
        outgoing = self._outgoing
        started, cpu = time.perf_counter(), time.process_time()
        if consignment.interval:
            first = started + consignment.delay
            times = (first + number * consignment.interval for number in count())
            outgoing = [_spaced(instances, times) for instances in outgoing]

        def proceed(_: object) -> bool:
            return not self._stopped.is_set()

        self._trains = [
            requestor.train(time.perf_counter, consignment.timeout, proceed, outgoing=instances)
            for requestor, instances in zip(self._requestors, outgoing, strict=True)
        ]
        gc.disable()  # rows only grow, and nothing in them is garbage
        try:
            run_all(self._trains)
        except OSError as error:
            self.close(abort=True)
            raise UserError(f"cannot read {error.filename}: {error.strerror or error}") from error
        finally:
            gc.enable()
        sent = Sent(started, time.perf_counter(), time.process_time() - cpu, self.window, self._associate_s)
        pairs = list(zip(self._requestors, self._trains, strict=True))
        at_once([partial(self._release, *pair) for pair in pairs], AT_A_TIME)
        sent.release_s = time.perf_counter() - sent.finished
        for _, train in pairs:
            _count(sent, train)
        sent.unsent = consignment.source.count - sent.answered - sent.in_doubt
        return sent

    def _release(self, requestor: Requestor, train: Train) -> None:
        """Close an association behind its train; who was told to stop waits for nobody."""
        if self._stopped.is_set():
            requestor.close(abort=True)
            return
        association = requestor.association
        association.acse_timeout = min(association.acse_timeout, LONGEST_RELEASE)
        requestor.unhitch(train)

    def close(self, *, abort: bool = False) -> None:
        """Release what is associated, or abort it, if it was not run to its end."""
        for requestor in self._requestors:
            requestor.close(abort=abort)


def _spaced(outgoing: Iterable[Outgoing], times: Iterator[float]) -> Iterator[Outgoing]:
    """Each instance with the next of the times at which one is due."""
    return (replace(instance, due=next(times)) for instance in outgoing)


def _count(sent: Sent, train: Train) -> None:
    rows = train.rows
    for size, syntax, started, finished, status in zip(
        rows.bytes, rows.transfer_syntax, rows.started, rows.finished, rows.status, strict=True
    ):
        if status != NO_STATUS:
            sent.latencies.append(finished - started)
            sent.statuses[status] += 1
            if StoreStatus.of(status) in STORED:
                sent.bytes += size
        elif syntax:
            sent.in_doubt += 1
    if train.trouble is not Trouble.NONE:
        sent.troubles.append(": ".join(part for part in (train.trouble.value, train.comment) if part))
    elif train.comment:
        sent.troubles.append(f"the peer's comment: {train.comment}")
