"""A transfer: the instances of a study over one or several associations, a train of C-STOREs on each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import NamedTuple

from simlab.network.live.directory import Peer
from simlab.network.live.sending.association import MAXIMUM_CONTEXTS, Requestor, at_once, contexts_for
from simlab.network.live.sending.conversion import Ahead, Preparation, Unsendable
from simlab.network.live.sending.drive import run, run_all
from simlab.network.live.sending.train import Outgoing, Train
from simlab.network.live.server import KeptInstance
from simlab.network.live.wire.upper_layer import AssociationError
from simlab.network.negotiation import keyword, proposals
from simlab.network.seam import NO_STATUS, StoreOptions, Trouble, is_success
from simlab.records import InstanceRows


class _Share(NamedTuple):
    """What is to go over one association."""

    instances: Sequence[KeptInstance]
    kept: Sequence[tuple[str, str]]
    """The SOP classes and transfer syntaxes of these, each pair once."""


class _Opened(NamedTuple):
    """An association, and what goes over it."""

    requestor: Requestor
    train: Train
    preparation: Preparation
    converts: bool
    """Whether not everything goes as it is kept."""


@dataclass
class Transfer:
    """What is sent, from whom to whom, and what came of it so far."""

    calling: str
    peer: Peer
    instances: Sequence[KeptInstance]
    clock: Callable[[], float]
    timeout: float
    """Seconds; bounds negotiation and each wait for the peer."""
    options: StoreOptions = StoreOptions()
    """How; over how many associations is for :meth:`run` to say."""
    originator: tuple[str, int] | None = None
    """Move originator AE title and message ID."""
    proceed: Callable[[InstanceRows], bool] = lambda _: True
    """Called after each response with the rows of that association; False ends the transfer (C-CANCEL)."""
    rows: InstanceRows = field(default_factory=InstanceRows)
    trouble: Trouble = Trouble.NONE
    comment: str = ""
    transcoded: int = 0
    """Instances that were encoded anew."""
    codec_seconds: float = 0.0
    """Processor time that this took."""

    def run(self, associations: int = 1) -> None:
        """Send everything, dealt out in turn to this many associations. Fills all that says what came of it."""
        shares = [_share(dealt) for k in range(associations) if (dealt := self.instances[k::associations])]
        opened: list[_Opened] = []
        with ExitStack() as stack:
            try:
                for share, requestor in zip(shares, self._associate(shares), strict=True):
                    if requestor is not None:
                        opened.append(self._load(share, requestor, stack))
                if any(each.converts for each in opened):  # nobody is to wait for what another one encodes
                    at_once([partial(run, each.train) for each in opened])
                else:
                    run_all([each.train for each in opened])
            finally:
                for each in opened:
                    each.requestor.unhitch(each.train)
        for each in opened:
            self.rows.extend(each.train.rows)
            self.transcoded += each.preparation.transcoded
            self.codec_seconds += each.preparation.seconds
            self._note(each.train.trouble, each.train.comment)

    def _associate(self, shares: Sequence[_Share]) -> list[Requestor | None]:
        """An association for each share, requested all at once; None where none was established."""

        def associate(share: _Share) -> Requestor | AssociationError:
            proposed = list(islice(proposals(share.kept, self.options), MAXIMUM_CONTEXTS))
            if not proposed:
                return AssociationError(Trouble.NO_CONTEXT, "these instances go in nothing that is proposed")
            contexts = contexts_for(proposed)
            try:
                return Requestor.open(
                    self.calling, self.peer, contexts, timeout=self.timeout, outstanding=self.options.outstanding
                )
            except AssociationError as error:
                if error.trouble is not Trouble.NO_CONTEXT:
                    return error
                syntaxes = ", ".join(dict.fromkeys(keyword(syntax) for _, syntax in proposed))
                return AssociationError(error.trouble, f"{error.comment}: {syntaxes}")

        requestors: list[Requestor | None] = []
        for answer in at_once([partial(associate, share) for share in shares]):
            if isinstance(answer, AssociationError):
                self._note(answer.trouble, answer.comment)
                requestors.append(None)
            else:
                requestors.append(answer)
        return requestors

    def _load(self, share: _Share, requestor: Requestor, stack: ExitStack) -> _Opened:
        """What is made for the train on threads of its own ends with the stack."""
        train = requestor.train(self.clock, self.timeout, self.proceed, self.originator)
        preparation = Preparation(self.options, requestor.accepted)
        converts = any(preparation.choices(*kept)[:1] != kept[1:] for kept in share.kept)
        prepared: Iterator[Outgoing | Unsendable]
        if converts and self.options.encode == "pipelined":
            encoded = Ahead(preparation.prepare, share.instances)
            prepared = stack.enter_context(closing(encoded))
            train.ready = encoded.is_ready
        else:
            prepared = map(preparation.prepare, share.instances)
        train.outgoing, train.ahead = self._outgoing(prepared, train), self.options.encode != "per-instance"
        return _Opened(requestor, train, preparation, converts)

    def _outgoing(self, prepared: Iterable[Outgoing | Unsendable], train: Train) -> Iterator[Outgoing]:
        """The instances of a share as they are sent; each is read when its turn comes, or before."""
        for instance in prepared:
            if isinstance(instance, Outgoing):
                yield instance
            elif not self._not_sent(instance, train):
                return

    def _not_sent(self, instance: Unsendable, train: Train) -> bool:
        """Note that an instance is not sent; False if no other is to be sent either."""
        self._note(instance.trouble, instance.comment)
        sop_class, sop_instance = instance.reference
        now = self.clock()
        train.rows.append(sop_instance, sop_class, "", 0, now, now, NO_STATUS)
        return self.proceed(train.rows)

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


def _share(instances: Sequence[KeptInstance]) -> _Share:
    kept = dict.fromkeys((instance.reference.sop_class, instance.transfer_syntax) for instance in instances)
    return _Share(instances, tuple(kept))
