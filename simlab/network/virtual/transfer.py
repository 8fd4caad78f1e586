"""A transfer in simulated time: a study over one or several associations, a train of C-STOREs on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import simpy

from simlab.network.faults import Asked, RequestFault
from simlab.network.negotiation import EXPLICIT, keyword, proposals, ways
from simlab.network.seam import NO_STATUS, SUCCESS, Status, StoreOptions, Trouble, is_success
from simlab.network.virtual.association import Association, AssociationError, Steps
from simlab.network.virtual.path import Path, ServiceTimes
from simlab.network.virtual.server import VirtualNode
from simlab.records import InstanceRows
from simlab.studies.study import Study


class _Sent(NamedTuple):
    """What came of one instance."""

    place: int
    """Flat index in the study."""
    began: float
    ended: float
    code: int | None
    """NO_STATUS: there was no answer. None: the peer takes it, with the status that it has for all that it takes."""
    went: bool = True
    """False: there was no presentation context for it."""


@dataclass
class _Train:
    """What goes over one association, and what came of it."""

    share: Sequence[int]
    """Flat indices in the study."""
    association: Association
    sent: list[_Sent] = field(default_factory=list)
    trouble: Trouble = Trouble.NONE
    comment: str = ""


@dataclass
class Transfer:
    """What is sent, from whom to whom, and what came of it so far."""

    env: simpy.Environment
    path: Path
    times: ServiceTimes
    calling: str
    """AE title."""
    peer: VirtualNode
    study: Study
    timeout: float
    """Seconds; bounds negotiation and each wait for the peer."""
    options: StoreOptions = StoreOptions()
    rows: InstanceRows = field(default_factory=InstanceRows)
    trouble: Trouble = Trouble.NONE
    comment: str = ""
    _accepted: set[int] = field(default_factory=set)
    """Indices of the instances that the peer takes."""
    _handed_over: bool = False

    def run(self) -> Steps[None]:
        """Send everything, dealt out in turn to the associations. Fills all that says what came of it."""
        indices, count = tuple(self.study.indices), self.options.associations
        trains = [_Train(share, self._association()) for k in range(count) if (share := indices[k::count])]
        yield self.env.all_of([self.env.process(self._associate(train)) for train in trains])
        for train in trains:
            self._note(train.trouble, train.comment)
        opened = [train for train in trains if train.trouble is Trouble.NONE]
        yield self.env.all_of([self.env.process(self._send(train)) for train in opened])
        status = self._hand_over()
        for train in opened:
            self._note(train.trouble, train.comment)
            for sent in train.sent:
                self._add(sent, status.code if sent.code is None else sent.code)
        if not is_success(status.code):
            self._note(Trouble.NONE, status.comment)

    @property
    def status(self) -> int:
        """Success, the first status that was not, or NO_STATUS if responses are missing."""
        if self.trouble is not Trouble.NONE:
            return NO_STATUS
        return next((status for status in self.rows.status if not is_success(status)), SUCCESS)

    # ---- associations

    def _association(self) -> Association:
        return Association(self.env, self.path, self.times, self.peer.faults, self.calling, self.timeout)

    def _associate(self, train: _Train) -> Steps[None]:
        kept = dict.fromkeys((self.study.locate(index)[0].sop_class, EXPLICIT) for index in train.share)
        proposed = list(proposals(kept, self.options))
        try:
            yield from train.association.request(proposed)
        except AssociationError as error:
            train.trouble, train.comment = error.trouble, error.comment
            if error.trouble is Trouble.NO_CONTEXT:
                train.comment += f": {', '.join(dict.fromkeys(keyword(syntax) for _, syntax in proposed))}"

    # ---- C-STOREs

    def _send(self, train: _Train) -> Steps[None]:
        if self.peer.faults.concern("C-STORE") or train.association.fault:
            yield from self._one_by_one(train)
        else:
            yield from self._undisturbed(train)

    def _undisturbed(self, train: _Train) -> Steps[None]:
        """All of it as one, where nothing goes wrong."""
        began = self.env.now
        sizes = [self.study.locate(index)[0].nominal_bytes for index in train.share]
        wanted, granted = self.options.outstanding, self.peer.outstanding
        outstanding = min(wanted, granted) if wanted and granted else max(wanted, granted)
        ends = yield from self.path.train(self.env, sizes, self.times.instance, outstanding)
        for index, ended in zip(train.share, ends, strict=True):
            train.sent.append(_Sent(index, began, ended, None))
            began = ended
        self._accepted.update(train.share)

    def _one_by_one(self, train: _Train) -> Steps[None]:
        for index in train.share:
            began, sop_class = self.env.now, self.study.locate(index)[0].sop_class
            possible = ways(EXPLICIT, sop_class, self.options)
            if not any(train.association.accepts(sop_class, syntax) for syntax in possible):
                self._note(Trouble.NO_CONTEXT, f"none for {sop_class}")
                train.sent.append(_Sent(index, began, began, NO_STATUS, went=False))
                continue
            try:
                code = yield from self._store(train, index)
            except AssociationError as error:
                train.trouble, train.comment = error.trouble, error.comment
                train.sent.append(_Sent(index, began, self.env.now, NO_STATUS))
                return  # what is left of the share stays unsent
            train.sent.append(_Sent(index, began, self.env.now, code))

    def _store(self, train: _Train, index: int) -> Steps[int | None]:
        series, number = self.study.locate(index)
        asked = Asked("C-STORE", self.calling, (series.instance_uid(number),), self.study.order.accession, number)

        def take(_: RequestFault) -> None:
            if self._handed_over:  # nobody has waited for it
                self.peer.server.take(self.study.select([index]))
            else:
                self._accepted.add(index)

        def answer(status: Status) -> int:
            if not is_success(status.code):
                train.comment = train.comment or status.comment
            return status.code

        return (yield from train.association.store(asked, series.nominal_bytes, take, answer))

    # ---- the end

    def _hand_over(self) -> Status:
        """Let the peer take what it has accepted."""
        self._handed_over = True
        if not self._accepted:
            return Status(SUCCESS)
        whole = len(self._accepted) == self.study.count
        accepted = (index for index in self.study.indices if index in self._accepted)
        return self.peer.server.take(self.study if whole else self.study.select(accepted))

    def _add(self, sent: _Sent, code: int) -> None:
        series, number = self.study.locate(sent.place)
        syntax, size = (EXPLICIT, series.nominal_bytes) if sent.went else ("", 0)
        uid = series.instance_uid(number)
        self.rows.append(uid, series.sop_class, syntax, size, sent.began, sent.ended, code)

    def _note(self, trouble: Trouble, comment: str) -> None:
        """The first trouble counts, and before any the first comment."""
        if trouble is not Trouble.NONE and self.trouble is Trouble.NONE:
            self.trouble, self.comment = trouble, comment
        self.comment = self.comment or comment
