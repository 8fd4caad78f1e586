"""Where studies are measured: a receiver and a relay, each in a process of its own, and what sending costs here.

What sending costs is measured before, on an unlimited link: the *calibration*. With it, and with the link's own
figures, the closed form predicts each study.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from statistics import fmean, median
from types import TracebackType
from typing import Self

import numpy as np

from simlab.analysis.closed_form import EncodeMode, Encoding, Path, StudyTime, Way, Work, instance_time, study_time
from simlab.analysis.experiment import Cell, Measurement, Trial
from simlab.errors import GroupError
from simlab.lab.wan.corpus import Corpus, make_corpus
from simlab.lab.wan.encoders import Encoders, result
from simlab.lab.wan.line import Line, Passed
from simlab.lab.wan.receiver import DISCARD, receiver
from simlab.lab.wan.sending import CALLING, Shipment, Shipped, send_study
from simlab.studies.tiny import TINY
from simlab.studies.transfer_syntaxes import EXPLICIT

CALIBRATION_ROUNDS = 5
SAMPLE = 8
"""Instances that are encoded and decoded for calibration."""
LONGEST_PAUSE = 0.05
"""Seconds between two instances in calibration, at most: caches get no colder."""
SMALL = 20
"""Tiny instances in a round of calibration."""
FAST = 125e6
"""Bytes per second of the line that they cross: hardly any time, but the relay has the work that any line is. Without a
limit they would go a shorter way."""

LEAST_TIMEOUT = 30.0
"""Seconds; more where an instance takes long by itself."""

LATE, LATEST = 0.01, 0.2
"""How late the relay may be, as shares of an instance's time: for half of its timers, and for 99 in 100."""

BUSY = 0.9
"""Share of a processor above which the sender is the limit."""

SLOWER = 1.25
"""Times the calibrated encoding time above which something else must have had the processor."""

Told = Callable[[str, int, int], None]
"""Told what is being prepared, how much of it has been, and how much there is."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is the same in every cell."""

    instances: int
    seed: int
    congestion: str
    window: int
    """The largest TCP window in bytes."""
    queue: int | None
    """Bytes that may wait for the line; None for what the link takes by itself."""
    encoders: int
    """Processes that encode ahead (pipelined)."""
    to: str = DISCARD
    """Who receives: ``discard``, a receiver that counts and lets go; ``archive``, one of ours; or AET@HOST:PORT."""
    calling: str = CALLING
    """AE title of the sender."""
    backend: str = "relay"
    """What the link is made of: ``relay``, a model of TCP; or ``tun``, the kernel's own."""


class Bench:
    """A context manager. Leaving it ends its processes."""

    def __init__(self, settings: Settings, told: Told = lambda _what, _done, _total: None) -> None:
        self.settings = settings
        self._told = told
        self._stack = ExitStack()
        self._corpora: dict[tuple[str, float], Corpus] = {}
        self._decode_cpu: dict[tuple[str, float, str], float] = {}
        self._run = "" if settings.to == DISCARD else secrets.token_hex(8)
        """Whoever keeps instances gets new ones every time."""
        self._sent = 0
        self._encoders: Encoders | None = None
        self._overheads: dict[int, tuple[float, float]] = {}
        try:
            peer = self._stack.enter_context(receiver(settings.to))
            line = Line(peer, settings.congestion, settings.window, settings.queue, settings.backend)
            self._line = self._stack.enter_context(line)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    # ---- calibration

    def corpus(self, protocol: str, noise: float) -> Corpus:
        """What is sent of a protocol; made when it is first asked for."""
        if (protocol, noise) not in self._corpora:
            settings = self.settings
            self._corpora[protocol, noise] = make_corpus(
                protocol,
                noise,
                settings.instances,
                settings.seed,
                lambda done, total: self._told(f"making {protocol}", done, total),
            )
        return self._corpora[protocol, noise]

    def overheads(self, block: int) -> tuple[float, float]:
        """Seconds of an instance at both ends whatever its size, and of associating and releasing.

        ``block`` is what they are measured for: a repetition, since machines drift.
        """
        if block not in self._overheads:
            self._line.change(0.0, FAST)
            tiny = make_corpus(TINY, 1.0, SMALL, self.settings.seed)
            shipment = Shipment(self._line.peer, tiny, EXPLICIT.alias)
            rounds = [self._send(shipment) for _ in range(CALIBRATION_ROUNDS + 1)]
            server = median(latency for each in rounds[1:] for latency in each.latencies)
            setup = median(each.study - sum(each.latencies) for each in rounds[1:])
            self._overheads[block] = server, setup
        return self._overheads[block]

    def decode_cpu(self, protocol: str, noise: float, syntax: str) -> float:
        """Processor seconds to decode an instance, its header included.

        Raises CodecError if it cannot be encoded, GroupError if it does not come out as it went in.
        """
        key = protocol, noise, syntax
        if key not in self._decode_cpu:
            self._told(f"encoding {protocol} in {syntax}", 0, 0)
            encoded = self.corpus(protocol, noise).encoded(syntax)
            some = range(min(self.settings.instances, SAMPLE))
            cpu = time.thread_time()
            for place in some:
                encoded.decode(place)
            self._decode_cpu[key] = (time.thread_time() - cpu) / len(some)
        return self._decode_cpu[key]

    def encoding(self, cell: Cell, block: int) -> Encoding:
        """What a cell's transfer syntax makes of an instance, and how long that takes now: measured at each call.

        On a machine that has other things to do as well, what was measured a minute ago is of little use. Between two
        instances it waits as long as a response would take: meanwhile others use the caches, which makes a fast encoder
        up to half as slow again.
        """
        encoded = self.corpus(cell.protocol, cell.noise).encoded(cell.syntax)
        if cell.encode == EncodeMode.STORED.value or encoded.syntax is EXPLICIT:
            return Encoding(encoded.size, 0.0)
        if cell.encode == EncodeMode.PIPELINED.value:
            return Encoding(encoded.size, *self._encode_ahead(cell))
        count = self.settings.instances
        seconds = []
        server, _ = self.overheads(block)
        pause = min(instance_time(self._path(cell), encoded.size, server), LONGEST_PAUSE)
        for number in range(min(count, SAMPLE) + 1):
            time.sleep(pause)
            began = time.perf_counter()
            encoded.encode(number % count)
            seconds.append(time.perf_counter() - began)
        together = fmean(seconds[1:])
        if cell.associations > 1:
            with ThreadPoolExecutor(cell.associations) as pool:
                began = time.perf_counter()
                list(pool.map(encoded.encode, range(count)))
                together = (time.perf_counter() - began) * cell.associations / count
        return Encoding(encoded.size, fmean(seconds[1:]), together)

    def _encode_ahead(self, cell: Cell) -> tuple[float, float]:
        """Seconds of an instance in a process that encodes ahead: by itself, and of each while all of them are busy."""
        corpus, encoders = self.corpus(cell.protocol, cell.noise), self.encoders
        encoders.prepare(corpus, cell.syntax)
        places = range(min(self.settings.instances, SAMPLE * encoders.count))
        began = time.perf_counter()
        done = [result(future) for future in [encoders.submit(corpus, cell.syntax, place) for place in places]]
        together = (time.perf_counter() - began) * encoders.count / len(places)
        return fmean(one.wall for one in done), together

    @property
    def encoders(self) -> Encoders:
        """The processes that encode ahead; started when they are first asked for."""
        if self._encoders is None:
            self._encoders = self._stack.enter_context(Encoders(self.settings.encoders))
        return self._encoders

    def predict(self, cell: Cell, encoding: Encoding, block: int) -> StudyTime:
        """The study by the closed form."""
        server, setup = self.overheads(block)
        work = Work(self.settings.instances, encoding, server, setup)
        way = Way(cell.associations, cell.outstanding, EncodeMode(cell.encode), self.settings.encoders)
        return study_time(self._path(cell), work, way)

    def expected(self, cell: Cell, encode: float) -> float:
        """About how many seconds a study will take, if encoding an instance takes so long."""
        size = self.corpus(cell.protocol, cell.noise).encoded(cell.syntax).size
        work = Work(self.settings.instances, Encoding(size, encode))
        way = Way(cell.associations, cell.outstanding, EncodeMode(cell.encode), self.settings.encoders)
        return study_time(self._path(cell), work, way).total

    def _path(self, cell: Cell) -> Path:
        return Path(cell.rtt, cell.bandwidth, self.settings.window)

    # ---- measuring

    def send(self, cell: Cell) -> Shipped:
        """Send a study over a cell's link."""
        self._line.change(cell.rtt, cell.bandwidth)
        corpus = self.corpus(cell.protocol, cell.noise)
        largest = max(map(len, corpus.encoded(cell.syntax).stored))
        alone = instance_time(self._path(cell), largest, 0.0, 14480.0)
        timeout = max(LEAST_TIMEOUT, 4 * cell.associations * max(1, cell.outstanding or len(corpus.instances)) * alone)
        return self._send(
            Shipment(
                self._line.peer,
                corpus,
                cell.syntax,
                cell.associations,
                cell.outstanding,
                EncodeMode(cell.encode),
                self.encoders if cell.encode == EncodeMode.PIPELINED.value else None,
                timeout,
            )
        )

    def _send(self, shipment: Shipment) -> Shipped:
        if self._run:
            self._sent += 1
            shipment = replace(shipment, run=f"{self._run} {self._sent}")
        shipped = send_study(shipment)
        if not shipped.stored:
            raise GroupError(f"nothing was stored: {'; '.join(dict.fromkeys(shipped.troubles)) or 'all was refused'}")
        return shipped

    def measure(self, trial: Trial) -> Measurement:
        """Measure a cell once.

        Raises GroupError if nothing can be stored, CodecError if the images cannot be encoded in its transfer syntax.
        """
        cell, settings = trial.cell, self.settings
        corpus = self.corpus(cell.protocol, cell.noise)
        decode = self.decode_cpu(cell.protocol, cell.noise, cell.syntax)
        server, _ = self.overheads(trial.repetition)
        encoding = self.encoding(cell, trial.repetition)
        predicted = self.predict(cell, encoding, trial.repetition)
        calibrated = encoding.beside if cell.encode == EncodeMode.PIPELINED.value else encoding.encode
        before = self._line.counters()
        started_at = datetime.now()
        shipped = self.send(cell)
        after = self._line.counters()
        forth, back = after.forth - before.forth, after.back - before.back
        encode = fmean(shipped.encode) if shipped.encode else 0.0
        remarks = list(_remarks(cell, settings, shipped, after, encode, calibrated))
        p50, p95 = np.quantile(shipped.latencies, (0.5, 0.95))
        return Measurement(
            **asdict(cell),
            backend=settings.backend,
            repetition=trial.repetition,
            instances=shipped.stored,
            study_s=shipped.study,
            p50_s=float(p50),
            p95_s=float(p95),
            payload_bytes=corpus.payload,
            sent_bytes=shipped.sent_bytes,
            wire_bytes=forth + back,
            ratio=corpus.payload / sum(map(len, corpus.encoded(cell.syntax).stored)),
            encode_s=encode,
            encode_cpu_s=shipped.encode_cpu,
            decode_cpu_s=decode * settings.instances,
            throughput=corpus.payload / shipped.study,
            share=forth / (cell.bandwidth * shipped.study),
            predicted_s=predicted.total,
            measured_over_predicted=shipped.study / predicted.total,
            setup_part_s=predicted.setup,
            round_trips_part_s=predicted.round_trips,
            wire_part_s=predicted.wire,
            codec_part_s=predicted.codec,
            server_part_s=predicted.server,
            calibrated_encode_s=calibrated,
            calibrated_server_s=server,
            relay_late_s=after.latest,
            sender_cpu=shipped.cpu / shipped.study,
            valid=not remarks,
            remarks="; ".join(remarks),
            started_at=started_at.isoformat(timespec="milliseconds"),
        )


def _remarks(
    cell: Cell, settings: Settings, shipped: Shipped, passed: Passed, encode: float, calibrated: float
) -> list[str]:
    """Why a measurement tells of the lab and not of the link."""
    remarks = []
    if shipped.stored < settings.instances:
        remarks.append(f"{settings.instances - shipped.stored} instances were not stored")
    remarks += dict.fromkeys(shipped.troubles)
    usual = median(shipped.latencies)
    if passed.late > LATE * usual or passed.latest > LATEST * usual:
        what = "relay" if settings.backend == "relay" else "bridge of packets"
        remarks.append(f"the {what} was {passed.latest * 1000:.1f} ms late")
    if cell.encode == EncodeMode.STORED.value and shipped.cpu > BUSY * shipped.study:
        remarks.append("the sender's processor was the limit")
    if calibrated and encode > SLOWER * calibrated and encode - calibrated > shipped.study / settings.instances / 50:
        remarks.append(f"encoding took {encode / calibrated:.2g} times as long as in calibration")
    return remarks
