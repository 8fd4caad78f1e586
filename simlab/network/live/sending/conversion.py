"""Instances as they are sent: read from their files, and transcoded where they cannot go as they are kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from itertools import islice
from time import perf_counter, thread_time
from typing import NamedTuple, TypeVar

from pydicom.uid import UID
from pynetdicom.dsutils import decode, encode

from simlab.network.live.sending.train import Outgoing
from simlab.network.live.server import KeptInstance
from simlab.network.negotiation import UNCOMPRESSED, choose, keyword, ways
from simlab.network.seam import StoreOptions, Trouble
from simlab.studies.compression import CodecError, transcode
from simlab.studies.study import InstanceReference

AHEAD = 4
"""Instances that are encoded before they can be sent, where that is done on another thread (``pipelined``)."""

K = TypeVar("K")
T = TypeVar("T")


class UnsendableError(Exception):
    """An instance cannot be read, or not be encoded. A failure of that instance, and of no other."""


class Unsendable(NamedTuple):
    """An instance that is not sent, and why."""

    reference: InstanceReference
    trouble: Trouble
    comment: str


class Preparation:
    """Makes instances ready for one association. One that goes as it is kept costs a look-up and its reading."""

    def __init__(self, options: StoreOptions, accepted: Callable[[str], Collection[str]]) -> None:
        """``accepted`` gives the transfer syntaxes that were accepted for a SOP class."""
        self.transcoded = 0
        """Instances that were encoded anew."""
        self.seconds = 0.0
        """Processor time that this took."""
        self.elapsed = 0.0
        """Seconds that it took."""
        self.bytes = 0
        """Bytes of what they were encoded to."""
        self._options = options
        self._accepted = accepted
        self._choices: dict[tuple[str, str], tuple[str, ...]] = {}

    def choices(self, sop_class: str, kept: str) -> tuple[str, ...]:
        """In what an instance can be sent on this association, the best first."""
        choices = self._choices.get((sop_class, kept))
        if choices is None:
            choices = choose(ways(kept, sop_class, self._options), self._accepted(sop_class))
            self._choices[sop_class, kept] = choices
        return choices

    def prepare(self, instance: KeptInstance) -> Outgoing | Unsendable:
        """Read an instance, and transcode it if need be."""
        reference, kept = instance.reference, instance.transfer_syntax
        choices = self.choices(reference.sop_class, kept)
        if not choices:
            return Unsendable(reference, Trouble.NO_CONTEXT, self._mismatch(reference.sop_class, kept))
        try:
            if choices[0] == kept:
                return Outgoing(reference, kept, (read_data_set(instance),))
            syntax, data_set = self._transcode(instance, choices)
        except UnsendableError as error:
            return Unsendable(reference, Trouble.NONE, str(error))
        return Outgoing(reference, syntax, (data_set,))

    def _transcode(self, instance: KeptInstance, choices: Iterable[str]) -> tuple[str, bytes]:
        """What a codec has no place for may still go in what is second best. Raises UnsendableError."""
        data_set, kept = read_data_set(instance), instance.transfer_syntax
        began, cpu = perf_counter(), thread_time()
        wrong: list[UnsendableError] = []
        try:
            for syntax in choices:
                if syntax == kept:
                    return kept, data_set
                try:
                    encoded = convert(data_set, kept, syntax)
                except UnsendableError as error:
                    wrong.append(error)
                else:
                    self.transcoded += 1
                    self.bytes += len(encoded)
                    return syntax, encoded
        finally:
            self.seconds += thread_time() - cpu
            self.elapsed += perf_counter() - began
        raise wrong[0]

    def _mismatch(self, sop_class: str, kept: str) -> str:
        accepted = ", ".join(map(keyword, self._accepted(sop_class)))
        kind = UID(sop_class).name
        if not accepted:
            return f"none for {kind}"
        return f"{kind} is kept in {keyword(kept)}, and only {accepted} was accepted"


def read_data_set(instance: KeptInstance) -> bytes:
    """The encoded data set of an instance, as it is kept. Raises UnsendableError."""
    try:
        with instance.path.open("rb") as file:
            file.seek(instance.data_set_offset)
            return file.read()
    except OSError as error:
        raise UnsendableError(f"a file cannot be read: {error.strerror}") from error


def convert(data_set: bytes, source: str, target: str) -> bytes:
    """An encoded data set in another transfer syntax. Raises UnsendableError."""
    try:
        if source in UNCOMPRESSED and target in UNCOMPRESSED:
            return _with_other_headers(data_set, UID(source), UID(target))
        return transcode(data_set, source, target)
    except CodecError as error:
        raise UnsendableError(str(error)) from error


def _with_other_headers(data_set: bytes, source: UID, target: UID) -> bytes:
    encoded: bytes | None = None
    try:
        parsed = decode(BytesIO(data_set), source.is_implicit_VR, source.is_little_endian)
        encoded = encode(parsed, target.is_implicit_VR, target.is_little_endian)
    except Exception as error:  # whatever pydicom makes of a stranger's data set
        raise UnsendableError(f"an instance cannot be encoded in {target.name}") from error
    if encoded is None:
        raise UnsendableError(f"an instance cannot be encoded in {target.name}")
    return encoded


class Ahead(Iterator[T]):
    """What ``work`` makes of the inputs, in their order; up to ``count`` of them are made before they are asked for.

    On one thread of its own, from the first time that one is asked for until the iterator is closed.
    """

    def __init__(self, work: Callable[[K], T], inputs: Iterable[K], count: int = AHEAD) -> None:
        self._pool = ThreadPoolExecutor(1, "encode")
        self._made = (self._pool.submit(work, item) for item in inputs)
        self._waiting: deque[Future[T]] = deque()
        self._count = count

    def __next__(self) -> T:
        """The next one, as soon as it is made."""
        self._waiting.extend(islice(self._made, self._count - len(self._waiting)))
        if not self._waiting:
            raise StopIteration
        made = self._waiting.popleft().result()
        self._waiting.extend(islice(self._made, 1))
        return made

    def is_ready(self) -> bool:
        """Whether nobody has to wait for the next one, or for there being none."""
        return not self._waiting or self._waiting[0].done()

    def close(self) -> None:
        """Make no more."""
        self._pool.shutdown(cancel_futures=True)
