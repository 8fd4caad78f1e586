"""A transfer: the instances of a study over one or several associations, a train of C-STOREs on each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from itertools import zip_longest

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import decode, encode

from simlab.network.live.directory import Peer
from simlab.network.live.sending.association import MAXIMUM_CONTEXTS, Requestor, at_once, contexts_for
from simlab.network.live.sending.drive import run_all
from simlab.network.live.sending.train import Outgoing, Train
from simlab.network.live.server import KeptInstance
from simlab.network.live.wire.upper_layer import AssociationError
from simlab.network.seam import NO_STATUS, Trouble, is_success
from simlab.records import InstanceRows

UNCOMPRESSED = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""Proposed for storage by default; any instance kept in one of them can be sent in the other."""


class UnsendableError(Exception):
    """An instance's file cannot be read, or not be re-encoded. A failure of that instance, and of no other."""


@dataclass
class Transfer:
    """What is sent, from whom to whom, and what came of it so far."""

    calling: str
    peer: Peer
    instances: Sequence[KeptInstance]
    clock: Callable[[], float]
    timeout: float
    """Seconds; bounds negotiation and each wait for the peer."""
    propose: Sequence[str] = UNCOMPRESSED
    """Transfer syntaxes in order of preference, besides the ones in which the instances are kept."""
    outstanding: int = 1
    """Requests that may be outstanding on each association, if the peer agrees."""
    originator: tuple[str, int] | None = None
    """Move originator AE title and message ID."""
    proceed: Callable[[InstanceRows], bool] = lambda _: True
    """Called after each response with the rows of that association; False ends the transfer (C-CANCEL)."""
    rows: InstanceRows = field(default_factory=InstanceRows)
    trouble: Trouble = Trouble.NONE
    comment: str = ""

    def run(self, associations: int = 1) -> None:
        """Send everything, dealt out in turn to this many associations. Fills rows, trouble and comment."""
        shares = [share for k in range(associations) if (share := self.instances[k::associations])]
        opened: list[tuple[Requestor, Train]] = []
        try:
            for share, requestor in zip(shares, self._associate(shares), strict=True):
                if requestor is not None:
                    opened.append((requestor, self._load(share, requestor)))
            run_all([train for _, train in opened])
        finally:
            for requestor, train in opened:
                requestor.unhitch(train)
        for _, train in opened:
            self.rows.extend(train.rows)
            self._note(train.trouble, train.comment)

    def _associate(self, shares: Sequence[Sequence[KeptInstance]]) -> list[Requestor | None]:
        """An association for each share, requested all at once; None where none was established."""

        def associate(share: Sequence[KeptInstance]) -> Requestor | AssociationError:
            proposals = dict.fromkeys(_proposals(share, self.propose))
            contexts = contexts_for(list(proposals)[:MAXIMUM_CONTEXTS])
            try:
                return Requestor.open(
                    self.calling, self.peer, contexts, timeout=self.timeout, outstanding=self.outstanding
                )
            except AssociationError as error:
                return error

        requestors: list[Requestor | None] = []
        for answer in at_once([partial(associate, share) for share in shares]):
            if isinstance(answer, AssociationError):
                self._note(answer.trouble, answer.comment)
                requestors.append(None)
            else:
                requestors.append(answer)
        return requestors

    def _load(self, share: Sequence[KeptInstance], requestor: Requestor) -> Train:
        train = requestor.train(self.clock, self.timeout, self.proceed, self.originator)
        train.outgoing = self._outgoing(share, requestor, train)
        return train

    def _outgoing(self, share: Sequence[KeptInstance], requestor: Requestor, train: Train) -> Iterator[Outgoing]:
        """The instances of a share as they are sent; each is read when its turn comes."""
        accepted = {sop_class: requestor.accepted(sop_class) for sop_class, _ in (each.reference for each in share)}
        for instance in share:
            reference = instance.reference
            try:
                syntax, _ = choose_syntax(instance.transfer_syntax, accepted[reference.sop_class], self.propose)
                data_set = read_data_set(instance, syntax)
            except (AssociationError, UnsendableError) as error:
                if isinstance(error, AssociationError):
                    self._note(error.trouble, error.comment)
                else:
                    self.comment = self.comment or str(error)
                now = self.clock()
                train.rows.append(reference.sop_instance, reference.sop_class, "", 0, now, now, NO_STATUS)
                if not self.proceed(train.rows):
                    return
            else:
                yield Outgoing(reference, syntax, (data_set,))

    def _note(self, trouble: Trouble, comment: str) -> None:
        """The first trouble counts, and before any the first comment."""
        if trouble is not Trouble.NONE and self.trouble is Trouble.NONE:
            self.trouble, self.comment = trouble, comment
        self.comment = self.comment or comment

    @property
    def status(self) -> int:
        """Success, the first status that was not, or NO_STATUS if responses are missing."""
        if self.trouble is not Trouble.NONE:
            return NO_STATUS
        return next((status for status in self.rows.status if not is_success(status)), 0x0000)


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
