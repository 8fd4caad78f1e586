"""A transfer in simulated time: a study over one or several associations, a train of C-STOREs on each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, cast

import simpy
from simpy import Event

from simlab.network.faults import Asked, RequestFault
from simlab.network.negotiation import EXPLICIT, UNCOMPRESSED, keyword, proposals, ways
from simlab.network.seam import NO_STATUS, SUCCESS, Status, StoreOptions, Trouble, is_success
from simlab.network.virtual.association import NO_ANSWER, Association, AssociationError, Steps, released
from simlab.network.virtual.path import MESSAGE_BYTES, Freight, Path
from simlab.network.virtual.server import VirtualNode
from simlab.network.virtual.times import Times
from simlab.network.virtual.traffic import Passage, Traffic
from simlab.records import InstanceRows, Rows, StudyRows
from simlab.records import Train as _TrainRows
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
    began: float = 0.0
    passage: Passage | None = None
    """If all of it went as one."""
    sent: list[Sent] = field(default_factory=list)
    """If it did not: what came of each instance."""
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
    told: Rows = field(default_factory=InstanceRows)
    """What came of each instance that was tried."""
    trouble: Trouble = Trouble.NONE
    comment: str = ""
    transcoded: int = 0
    codec_seconds: float = 0.0
    _accepted: set[int] = field(default_factory=set)
    """Indices of the instances that the peer takes."""
    _trains: int = 0
    _handed_over: bool = False

    def run(self) -> Steps[None]:
        """Send everything, dealt out in turn to the associations. Fills all that says what came of it."""
        indices, count = cast("Sequence[int]", self.study.indices), self.options.associations
        trains = [Train(share, self._association()) for k in range(count) if (share := indices[k::count])]
        self._trains = len(trains)
        smooth = self._is_smooth(trains)
        yield from self._smoothly(trains) if smooth else self._together(trains, self._associate)
        for train in trains:
            self._note(train.trouble, train.comment)
        opened = [train for train in trains if train.trouble is Trouble.NONE]
        if not smooth:
            yield from self._together(opened, self._send)
        status = self._hand_over(opened)
        if any(train.trouble is Trouble.NONE for train in opened):
            yield from released(self.env, self.path)
        for train in opened:
            train.association.release()
            self._note(train.trouble, train.comment)
        self.told = self._as_one(trains, status) or self._one_by_one_told(opened, status)
        if not is_success(status.code):
            self._note(Trouble.NONE, status.comment)

    def _is_smooth(self, trains: Sequence[Train]) -> bool:
        """Whether nothing can go wrong with it but that the peer is too slow."""
        alike = not trains or trains[0].association.is_smooth("C-STORE", len(trains))
        return alike and None not in self.forms.values()

    def _smoothly(self, trains: Sequence[Train]) -> Steps[None]:
        """Send everything where nothing can go wrong: all trains leave together."""
        if not trains:
            return
        opened = max([train.association.open() for train in trains])
        if opened > self.timeout:
            yield self.env.timeout(self.timeout)
            for train in trains:
                train.association.release()
                train.trouble, train.comment = Trouble.TIMEOUT, NO_ANSWER
            return
        freights = [self._freight(train.share) for train in trains]
        began = self.env.now + opened
        held_up = [
            self.path.slow_start(freight.size, len(train.share))
            for freight, train in zip(freights, trains, strict=True)
        ]
        yield self.env.timeout(opened + max(held_up))
        under_way = [
            start_train(self.traffic, self.path, freight, len(train.share), self.factor)
            for freight, train in zip(freights, trains, strict=True)
        ]
        for train, ended in zip(trains, under_way, strict=True):
            train.began, train.passage = began, (yield ended)

    def _together(self, trains: Sequence[Train], do: Callable[[Train], Steps[None]]) -> Steps[None]:
        if len(trains) == 1:
            yield from do(trains[0])
        elif trains:
            yield self.env.all_of([self.env.process(do(train)) for train in trains])

    @property
    def status(self) -> int:
        """Success, the first status that was not, or NO_STATUS if responses are missing."""
        if self.trouble is not Trouble.NONE:
            return NO_STATUS
        told = self.told
        statuses = (told.status,) if isinstance(told, StudyRows) else told.status
        return next((status for status in statuses if not is_success(status)), SUCCESS)

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
        train.began = self.env.now
        train.passage = yield from send_train(
            self.env, self.traffic, self.path, self._freight(train.share), len(train.share), self.factor
        )

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

    def _hand_over(self, opened: Sequence[Train]) -> Status:
        """Let the peer take what it has accepted."""
        self._handed_over = True
        if len(opened) == self._trains and all(train.passage for train in opened):
            return self.peer.server.take(self.study)
        for train in opened:
            if train.passage is not None:
                self._accepted.update(train.share)
        if not self._accepted:
            return Status(SUCCESS)
        whole = len(self._accepted) == self.study.count
        accepted = (index for index in self.study.indices if index in self._accepted)
        return self.peer.server.take(self.study if whole else self.study.select(accepted))

    def _as_one(self, trains: Sequence[Train], status: Status) -> StudyRows | None:
        """What there is to tell if all trains went as one, in one transfer syntax."""
        forms = [goes for goes in self.forms.values() if goes is not None]
        syntaxes = {goes.syntax for goes in forms}
        if len(syntaxes) != 1 or not all(train.passage for train in trains):
            return None
        for series, count in counts(self.study, cast("Sequence[int]", self.study.indices)):
            self._count(self.forms[series.uid], count)
        told = tuple(_TrainRows(train.began, tuple(train.passage.moments)) for train in trains if train.passage)
        return StudyRows(self.study, syntaxes.pop(), tuple(round(goes.size) for goes in forms), told, status.code)

    def _one_by_one_told(self, opened: Sequence[Train], status: Status) -> InstanceRows:
        rows = InstanceRows()
        for train in opened:
            sent = train.sent
            if train.passage is not None:
                begins = [train.began, *train.passage.ends]
                sent = [Sent(*each, None) for each in zip(train.share, begins, begins[1:], strict=False)]
            for each in sent:
                self._add(rows, each, status.code if each.code is None else each.code)
        return rows

    def _add(self, rows: InstanceRows, sent: Sent, code: int) -> None:
        series, number = self.study.locate(sent.place)
        goes = self.forms[series.uid] if sent.went else None
        self._count(goes, 1)
        syntax, size = ("", 0) if goes is None else (goes.syntax, round(goes.size))
        uid = series.instance_uid(number)
        rows.append(uid, series.sop_class, syntax, size, sent.began, sent.ended, code)

    def _count(self, goes: Form | None, instances: int) -> None:
        if goes is not None and goes.transcoded:
            self.transcoded += instances
            self.codec_seconds += instances * (goes.decoding + goes.encoding)

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
    """Send so many instances over one association, on a new connection. Returns when each had its response."""
    if not count:
        return Passage(0, env.now)
    yield env.timeout(path.slow_start(freight.size, count))
    passage: Passage = yield start_train(traffic, path, freight, count, factor)
    return passage


def start_train(traffic: Traffic, path: Path, freight: Freight, count: int, factor: float = 1.0) -> Event:
    """Send so many instances over one association that is at its full speed. Value: :class:`Passage`.

    Where the receiver takes ``factor`` times as long as on average, the train takes longer by its share of the whole.
    """
    demand = path.needs(freight)
    path.passes(freight, count)
    service = path.target.times.serving
    share = (service.instance + service.byte * freight.size) * demand.alone
    if path.line is not None:
        path.line.payload += round(count * (freight.size + MESSAGE_BYTES))
    return traffic.carry(demand, count, 1 + (factor - 1) * min(1.0, share))
