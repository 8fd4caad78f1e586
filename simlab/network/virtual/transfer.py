"""A transfer in simulated time: a study over one or several associations, a train of C-STOREs on each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, cast

import simpy

from simlab.network.faults import Asked, RequestFault
from simlab.network.negotiation import EXPLICIT, UNCOMPRESSED, keyword, proposals, ways
from simlab.network.seam import NO_STATUS, SUCCESS, Status, StoreOptions, Trouble, is_success
from simlab.network.virtual.association import Association, AssociationError, Steps
from simlab.network.virtual.path import MESSAGE_BYTES, Freight, Path
from simlab.network.virtual.server import VirtualNode
from simlab.network.virtual.times import Times
from simlab.network.virtual.traffic import Passage, Traffic
from simlab.records import InstanceRows
from simlab.studies.study import Series, Study


class Sent(NamedTuple):
    """What came of one instance."""

    place: int
    """Flat index in the study."""
    began: float
    ended: float
    code: int | None
    """NO_STATUS: there was no answer. None: the peer takes it, with the status that it has for all that it takes."""
    went: bool = True
    """False: there was no presentation context for it."""


class Form(NamedTuple):
    """In what the instances of a series go."""

    syntax: str
    """Transfer syntax UID."""
    size: float
    """Bytes of each."""
    decoding: float
    encoding: float
    """Processor seconds that each takes to be made of what is kept; 0 and 0 if it goes as it is kept."""
    transcoded: bool


@dataclass
class Train:
    """What goes over one association, and what came of it."""

    share: Sequence[int]
    """Flat indices in the study."""
    association: Association
    sent: list[Sent] = field(default_factory=list)
    trouble: Trouble = Trouble.NONE
    comment: str = ""


@dataclass
class Transfer:
    """What is sent, from whom to whom, and what came of it so far."""

    env: simpy.Environment
    traffic: Traffic
    path: Path
    calling: str
    """AE title."""
    peer: VirtualNode
    study: Study
    timeout: float
    """Seconds; bounds negotiation and each wait for the peer."""
    options: StoreOptions = StoreOptions()
    kept: Callable[[Series], str] = lambda _: EXPLICIT
    """The transfer syntax in which the sender has a series."""
    factor: float = 1.0
    """How much longer the receiver takes than it does on average."""
    rows: InstanceRows = field(default_factory=InstanceRows)
    trouble: Trouble = Trouble.NONE
    comment: str = ""
    transcoded: int = 0
    codec_seconds: float = 0.0
    _accepted: set[int] = field(default_factory=set)
    """Indices of the instances that the peer takes."""
    _handed_over: bool = False

    def run(self) -> Steps[None]:
        """Send everything, dealt out in turn to the associations. Fills all that says what came of it."""
        indices, count = cast("Sequence[int]", self.study.indices), self.options.associations
        trains = [Train(share, self._association()) for k in range(count) if (share := indices[k::count])]
        yield self.env.all_of([self.env.process(self._associate(train)) for train in trains])
        for train in trains:
            self._note(train.trouble, train.comment)
        opened = [train for train in trains if train.trouble is Trouble.NONE]
        yield self.env.all_of([self.env.process(self._send(train)) for train in opened])
        status = self._hand_over()
        for train in opened:
            train.association.release()
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

    # ---- in what it goes

    @cached_property
    def forms(self) -> dict[str, Form | None]:
        """How each series goes, by its UID: in the first way that the peer accepts; None if it accepts none."""
        return {series.uid: self._form(series) for series in self.study.series}

    def _form(self, series: Series, accepts: Callable[[str, str], bool] | None = None) -> Form | None:
        kept = self.kept(series)
        for syntax in ways(kept, series.sop_class, self.options):
            if self.peer.takes(syntax) and (accepts is None or accepts(series.sop_class, syntax)):
                return form(series, kept, syntax, self.path.source.times)
        return None

    # ---- associations

    def _association(self) -> Association:
        return Association(self.env, self.path, self.peer.faults, self.calling, self.timeout, self.peer.takes)

    def _associate(self, train: Train) -> Steps[None]:
        kept = [(series.sop_class, self.kept(series)) for series in self.study.series]
        proposed = list(proposals(kept, self.options))
        try:
            yield from train.association.request(proposed)
        except AssociationError as error:
            train.trouble, train.comment = error.trouble, error.comment
            if error.trouble is Trouble.NO_CONTEXT:
                train.comment += f": {', '.join(dict.fromkeys(keyword(syntax) for _, syntax in proposed))}"

    # ---- C-STOREs

    def _send(self, train: Train) -> Steps[None]:
        if self.peer.faults.concern("C-STORE") or train.association.fault or None in self.forms.values():
            yield from self._one_by_one(train)
        else:
            yield from self._undisturbed(train)

    def _undisturbed(self, train: Train) -> Steps[None]:
        """All of it as one, where nothing goes wrong."""
        began = self.env.now
        passage = yield from send_train(
            self.env, self.traffic, self.path, self._freight(train.share), len(train.share), self.factor
        )
        for index, ended in zip(train.share, passage.ends, strict=True):
            train.sent.append(Sent(index, began, ended, None))
            began = ended
        self._accepted.update(train.share)

    def _freight(self, share: Sequence[int]) -> Freight:
        """What goes over an association: its instances are taken to be alike."""
        wanted, granted = self.options.outstanding, self.peer.outstanding
        outstanding = min(wanted, granted) if wanted and granted else max(wanted, granted)
        size = decoding = encoding = 0.0
        for series, count in counts(self.study, share):
            goes = self.forms[series.uid]
            assert goes is not None
            size += count * goes.size
            decoding += count * goes.decoding
            encoding += count * goes.encoding
        number, ahead = len(share), self.options.encode == "pipelined"
        return Freight(size / number, outstanding, encoding / number, ahead, decoding / number)

    def _one_by_one(self, train: Train) -> Steps[None]:
        forms = {series.uid: self._form(series, train.association.accepts) for series in self.study.series}
        for index in train.share:
            began, series = self.env.now, self.study.locate(index)[0]
            goes = forms[series.uid]
            if goes is None:
                self._note(Trouble.NO_CONTEXT, f"none for {series.sop_class}")
                train.sent.append(Sent(index, began, began, NO_STATUS, went=False))
                continue
            try:
                code = yield from self._store(train, index, goes)
            except AssociationError as error:
                train.trouble, train.comment = error.trouble, error.comment
                train.sent.append(Sent(index, began, self.env.now, NO_STATUS))
                return  # what is left of the share stays unsent
            train.sent.append(Sent(index, began, self.env.now, code))

    def _store(self, train: Train, index: int, goes: Form) -> Steps[int | None]:
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

        freight = Freight(goes.size, 1, goes.encoding, ahead=False, decoding=goes.decoding)
        return (yield from train.association.store(self.traffic, asked, freight, take, answer))

    # ---- the end

    def _hand_over(self) -> Status:
        """Let the peer take what it has accepted."""
        self._handed_over = True
        if not self._accepted:
            return Status(SUCCESS)
        whole = len(self._accepted) == self.study.count
        accepted = (index for index in self.study.indices if index in self._accepted)
        return self.peer.server.take(self.study if whole else self.study.select(accepted))

    def _add(self, sent: Sent, code: int) -> None:
        series, number = self.study.locate(sent.place)
        goes = self.forms[series.uid] if sent.went else None
        syntax, size = ("", 0) if goes is None else (goes.syntax, round(goes.size))
        if goes is not None and goes.transcoded:
            self.transcoded += 1
            self.codec_seconds += goes.decoding + goes.encoding
        uid = series.instance_uid(number)
        self.rows.append(uid, series.sop_class, syntax, size, sent.began, sent.ended, code)

    def _note(self, trouble: Trouble, comment: str) -> None:
        """The first trouble counts, and before any the first comment."""
        if trouble is not Trouble.NONE and self.trouble is Trouble.NONE:
            self.trouble, self.comment = trouble, comment
        self.comment = self.comment or comment


def counts(study: Study, share: Sequence[int]) -> Iterator[tuple[Series, int]]:
    """How many instances of each series a share has, which is in order."""
    before = begins = 0
    for series in study.series:
        begins += series.instances
        until = bisect_left(share, begins)
        yield series, until - before
        before = until


def form(series: Series, kept: str, syntax: str, times: Times) -> Form:
    """How an instance of a series goes in a transfer syntax, if it is kept in another or in the same."""
    wanted, had = times.codec(series.modality, syntax), times.codec(series.modality, kept)
    anew = syntax != kept and not {syntax, kept} <= set(UNCOMPRESSED)
    plain = series.nominal_bytes
    return Form(
        syntax,
        plain / wanted.ratio,
        decoding=plain * had.decode if anew else 0.0,
        encoding=plain * wanted.encode if anew else 0.0,
        transcoded=anew,
    )


def send_train(
    env: simpy.Environment, traffic: Traffic, path: Path, freight: Freight, count: int, factor: float = 1.0
) -> Steps[Passage]:
    """Send so many instances over one association, on a new connection. Returns when each had its response.

    Where the receiver takes ``factor`` times as long as on average, the train takes longer by its share of the whole.
    """
    if not count:
        return Passage(0, env.now)
    yield env.timeout(path.slow_start(freight.size, count))
    demand = path.needs(freight)
    service = path.target.times.serving
    share = (service.instance + service.byte * freight.size) * demand.alone
    if path.line is not None:
        path.line.payload += round(count * (freight.size + MESSAGE_BYTES))
    passage: Passage = yield traffic.carry(demand, count, 1 + (factor - 1) * min(1.0, share))
    return passage
