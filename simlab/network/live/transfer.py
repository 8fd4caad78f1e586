"""A train of C-STOREs: many instances over one or several associations, each response timed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from itertools import zip_longest

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import decode, encode

from simlab.network.live.association import MAXIMUM_CONTEXTS, AssociationError, Requestor, contexts_for
from simlab.network.live.directory import Peer
from simlab.network.live.server import KeptInstance
from simlab.network.seam import NO_STATUS, Trouble, is_success
from simlab.records import InstanceRows
from simlab.studies.study import InstanceReference

UNCOMPRESSED = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""Proposed for storage by default; any instance kept in one of them can be sent in the other."""


class UnsendableError(Exception):
    """An instance's file cannot be read, or not be re-encoded. A failure of that instance, and of no other."""


@dataclass
class Train:
    """What is sent, from whom to whom, and what came of it so far."""

    calling: str
    peer: Peer
    instances: Sequence[KeptInstance]
    clock: Callable[[], float]
    timeout: float
    """Seconds; bounds negotiation and each response."""
    propose: Sequence[str] = UNCOMPRESSED
    """Transfer syntaxes in order of preference, besides the ones in which the instances are kept."""
    originator: tuple[str, int] | None = None
    """Move originator AE title and message ID."""
    proceed: Callable[[InstanceRows], bool] = lambda _: True
    """Called after each response with the rows of that association; False ends the train (C-CANCEL)."""
    rows: InstanceRows = field(default_factory=InstanceRows)
    trouble: Trouble = Trouble.NONE
    comment: str = ""

    def run(self, associations: int = 1) -> None:
        """Send everything, dealt out in turn to this many associations. Fills rows, trouble and comment."""
        shares = [self.instances[k::associations] for k in range(associations)]
        shares = [share for share in shares if share]
        wagons = [_Wagon(self, share) for share in shares]
        threads = [threading.Thread(target=wagon.run, name="store", daemon=True) for wagon in wagons[1:]]
        for thread in threads:
            thread.start()
        if wagons:
            wagons[0].run()
        for thread in threads:
            thread.join()
        for bug in (wagon.bug for wagon in wagons if wagon.bug is not None):
            raise bug
        for wagon in wagons:
            self.rows.extend(wagon.rows)
            if wagon.failure is not None and self.trouble is Trouble.NONE:
                self.trouble, self.comment = wagon.failure.trouble, wagon.failure.comment
            self.comment = self.comment or wagon.comment

    @property
    def status(self) -> int:
        """Success, the first status that was not, or NO_STATUS if responses are missing."""
        if self.trouble is not Trouble.NONE:
            return NO_STATUS
        return next((status for status in self.rows.status if not is_success(status)), 0x0000)


class _Wagon:
    """The share of a train that goes over one association."""

    def __init__(self, train: Train, instances: Sequence[KeptInstance]) -> None:
        self.train = train
        self.instances = instances
        self.rows = InstanceRows()
        self.failure: AssociationError | None = None
        self.bug: Exception | None = None
        self.comment = ""

    def run(self) -> None:
        train = self.train
        try:
            proposals = dict.fromkeys(_proposals(self.instances, train.propose))
            contexts = contexts_for(list(proposals)[:MAXIMUM_CONTEXTS])
            with Requestor.open(train.calling, train.peer, contexts, timeout=train.timeout) as association:
                for instance in self.instances:
                    self._send(association, instance)
                    if not train.proceed(self.rows):
                        break
        except AssociationError as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001 -- carried to the thread that waits for the train
            self.bug = error

    def _send(self, association: Requestor, instance: KeptInstance) -> None:
        train, reference = self.train, instance.reference
        try:
            chosen = choose_syntax(instance.transfer_syntax, association.accepted(reference.sop_class), train.propose)
        except AssociationError as error:
            self._not_sent(reference)
            self.failure = self.failure or error
            return
        syntax, context_id = chosen
        try:
            data_set = read_data_set(instance, syntax)
        except UnsendableError as error:
            self._not_sent(reference)
            self.comment = self.comment or str(error)
            return
        started = train.clock()
        row = (reference.sop_instance, reference.sop_class, syntax, len(data_set), started)
        try:
            status = association.store(reference, context_id, data_set, train.originator)
        except AssociationError:
            self.rows.append(*row, train.clock(), NO_STATUS)
            raise
        self.rows.append(*row, train.clock(), status.code)
        if not is_success(status.code):
            self.comment = self.comment or status.comment

    def _not_sent(self, reference: InstanceReference) -> None:
        now = self.train.clock()
        self.rows.append(reference.sop_instance, reference.sop_class, "", 0, now, now, NO_STATUS)


def _proposals(instances: Iterable[KeptInstance], propose: Sequence[str]) -> Iterable[tuple[str, str]]:
    """(SOP class, transfer syntax) for all that may be needed: every class's first choice, then every second one.

    In that order, since only so many fit into a request: what is left out then is what is needed least.
    """
    kept: dict[str, set[str]] = {}
    for instance in instances:
        kept.setdefault(instance.reference.sop_class, set()).add(instance.transfer_syntax)
    choices = [
        [
            (sop_class, syntax)
            for syntax in dict.fromkeys((*propose, *sorted(syntaxes)))
            if syntax in syntaxes or (syntax in UNCOMPRESSED and not syntaxes.isdisjoint(UNCOMPRESSED))
        ]
        for sop_class, syntaxes in kept.items()
    ]
    for rank in zip_longest(*choices):
        yield from (choice for choice in rank if choice is not None)


def choose_syntax(kept: str, accepted: dict[str, int], propose: Sequence[str]) -> tuple[str, int]:
    """The sender's choice among what was accepted: by its own preference, else as the instance is kept.

    Returns (transfer syntax, context ID). Raises AssociationError if the instance cannot be sent in any of them.
    """
    for syntax in (*propose, kept):
        if syntax in accepted and (syntax == kept or (syntax in UNCOMPRESSED and kept in UNCOMPRESSED)):
            return syntax, accepted[syntax]
    raise AssociationError(Trouble.NO_CONTEXT, f"none for {UID(kept).name}")


def read_data_set(instance: KeptInstance, syntax: str) -> bytes:
    """The encoded data set of an instance, re-encoded if it is kept in the other uncompressed transfer syntax.

    Raises UnsendableError.
    """
    try:
        with instance.path.open("rb") as file:
            file.seek(instance.data_set_offset)
            data_set = file.read()
    except OSError as error:
        raise UnsendableError(f"a file cannot be read: {error.strerror}") from error
    if syntax == instance.transfer_syntax:
        return data_set
    source, target = UID(instance.transfer_syntax), UID(syntax)
    encoded: bytes | None = None
    with suppress(Exception):  # whatever pydicom makes of a stranger's data set
        parsed = decode(BytesIO(data_set), source.is_implicit_VR, source.is_little_endian)
        encoded = encode(parsed, target.is_implicit_VR, target.is_little_endian)
    if encoded is None:
        raise UnsendableError(f"an instance cannot be encoded in {target.name}")
    return encoded
