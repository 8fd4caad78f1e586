"""What is sent in the experiment: instances with real pixels, as they were made and as they are encoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import accumulate
from threading import Lock
from typing import NamedTuple, TypeAlias

from simlab.draws import Draws
from simlab.errors import GroupError
from simlab.studies.codecs import CODECS
from simlab.studies.codecs.options import DEFAULT_OPTIONS
from simlab.studies.codecs.pixels import PixelFormat
from simlab.studies.compression import transcode
from simlab.studies.data_sets import read_data_set
from simlab.studies.instances import encode, make_instance
from simlab.studies.study import InstanceReference, Study
from simlab.studies.templates import WORKERS, synthetic_studies
from simlab.studies.tiny import TINY, make_tiny_instance
from simlab.studies.transfer_syntaxes import EXPLICIT, TransferSyntax, named

Parts: TypeAlias = tuple[bytes, ...]
"""A data set, one part behind the other."""

_ITEM = b"\xfe\xff\0\xe0"
_NO_OFFSET = bytes(4)
"""Basic offset table of one frame (PS3.5 section A.4)."""
_END_OF_ITEMS = b"\xfe\xff\xdd\xe0\0\0\0\0"
"""Sequence delimitation item (PS3.5 section A.4)."""


def _item(content: bytes) -> bytes:
    content += bytes(len(content) % 2)
    return _ITEM + len(content).to_bytes(4, "little") + content


class Instance:
    """An instance of one frame, as a scanner has it: a header that is ready, and pixels in memory."""

    def __init__(self, reference: InstanceReference, data_set: bytes) -> None:
        self.reference = reference
        self.data_set = data_set
        """In Explicit VR Little Endian."""

    @cached_property
    def pixels(self) -> tuple[PixelFormat, bytes]:
        """What the header says of the pixels, and these."""
        made = read_data_set(self.data_set, EXPLICIT)
        return PixelFormat.of(made), bytes(made.PixelData)


class Spot(NamedTuple):
    """Where an instance lies among all data sets of its corpus, one behind the other. Bytes from their start."""

    start: int
    end: int
    pixels: int
    """Where its Pixel Data start; they end with it."""
    form: PixelFormat


def encode_again(spot: Spot, data_sets: memoryview, syntax: str) -> bytes:
    """Encode an instance of a corpus: the items of its Pixel Data, or the whole data set where there are none.

    Raises CodecError if it cannot be done.
    """
    target = named(syntax)
    if target.encapsulated:
        return items(spot.form, data_sets[spot.pixels : spot.end], target)
    return transcode(bytes(data_sets[spot.start : spot.end]), EXPLICIT.uid, target.uid)


def items(form: PixelFormat, pixels: bytes | memoryview, syntax: TransferSyntax) -> bytes:
    """Encapsulated Pixel Data of one frame (PS3.5 section A.4). Raises CodecError."""
    (frame,) = form.split(pixels)
    encoded = CODECS[syntax.codec].encode(frame, form, DEFAULT_OPTIONS)
    return _item(_NO_OFFSET) + _item(encoded) + _END_OF_ITEMS


class Encoded:
    """All instances of a corpus in one transfer syntax: encoded once, and as often again as somebody asks.

    To encode again takes what it takes a scanner: the codec, and its output made an item. Headers are there.
    """

    def __init__(self, instances: Sequence[Instance], syntax: TransferSyntax) -> None:
        """Raises CodecError for images that the transfer syntax is not for."""
        self.syntax = syntax
        self._instances = instances
        with ThreadPoolExecutor(WORKERS) as pool:
            self.stored: tuple[bytes, ...] = tuple(
                pool.map(lambda one: transcode(one.data_set, EXPLICIT.uid, syntax.uid), instances)
            )
            """Every data set."""
            places = range(len(instances))
            ends = list(pool.map(self._items, places)) if syntax.encapsulated else []
        self._headers = [data_set[: len(data_set) - len(end)] for data_set, end in zip(self.stored, ends, strict=False)]
        if [header + end for header, end in zip(self._headers, ends, strict=True)] != list(self.stored[: len(ends)]):
            raise GroupError(f"{syntax} encodes the same image in two ways")

    @property
    def size(self) -> float:
        """Mean bytes of a data set."""
        return sum(map(len, self.stored)) / len(self.stored)

    def encode(self, place: int) -> Parts:
        """Encode one of the instances. Called from any thread."""
        if self.syntax.encapsulated:
            return self.parts(place, self._items(place))
        if self.syntax is EXPLICIT:
            return (self._instances[place].data_set,)
        return self.parts(place, transcode(self._instances[place].data_set, EXPLICIT.uid, self.syntax.uid))

    def parts(self, place: int, encoded: bytes) -> Parts:
        """The data set of an instance, with what :func:`encode_again` made of it."""
        return (self._headers[place], encoded) if self.syntax.encapsulated else (encoded,)

    def _items(self, place: int) -> bytes:
        return items(*self._instances[place].pixels, self.syntax)

    def decode(self, place: int) -> None:
        """Decode one of the instances: its codec alone.

        Raises GroupError if the transfer syntax is called lossless, and other pixels come out.
        """
        form, pixels = self._instances[place].pixels
        if not self.syntax.encapsulated:
            transcode(self.stored[place], self.syntax.uid, EXPLICIT.uid)
            return
        decoded = read_data_set(transcode(self.stored[place], self.syntax.uid, EXPLICIT.uid), EXPLICIT)
        if self.syntax.lossless and bytes(decoded.PixelData) != pixels:
            raise GroupError(f"{self.syntax} came out with other pixels than went in ({form.columns} x {form.rows})")


class Corpus:
    """Some instances of one protocol at one noise level."""

    def __init__(self, instances: Sequence[Instance]) -> None:
        self.instances = tuple(instances)
        self._encoded: dict[str, Encoded] = {}
        self._lock = Lock()

    @property
    def payload(self) -> int:
        """Bytes of all data sets as they were made."""
        return sum(len(instance.data_set) for instance in self.instances)

    @cached_property
    def spots(self) -> tuple[Spot, ...]:
        """Where each instance lies among all data sets, one behind the other."""
        ends = list(accumulate(len(instance.data_set) for instance in self.instances))
        found = []
        for instance, end in zip(self.instances, ends, strict=True):
            form, pixels = instance.pixels
            found.append(Spot(end - len(instance.data_set), end, end - len(pixels), form))
        return tuple(found)

    @property
    def sop_classes(self) -> tuple[str, ...]:
        """All SOP classes."""
        return tuple(dict.fromkeys(instance.reference.sop_class for instance in self.instances))

    def encoded(self, syntax: str) -> Encoded:
        """The instances in a transfer syntax, by any of its names; encoded when they are first asked for."""
        with self._lock:
            if syntax not in self._encoded:
                self._encoded[syntax] = Encoded(self.instances, named(syntax))
            return self._encoded[syntax]


def make_corpus(
    protocol: str,
    noise: float,
    count: int,
    seed: int,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Corpus:
    """Make ``count`` instances, spread evenly over the study; of several studies, if one has not as many.

    Raises UserError for an unknown protocol.
    """
    draws = Draws(seed)
    studies = synthetic_studies(protocol, seed)
    chosen: list[tuple[Study, int]] = []
    while len(chosen) < count:
        study = next(studies)
        take = min(count - len(chosen), study.total)
        chosen += [(study, (2 * place + 1) * study.total // (2 * take)) for place in range(take)]

    def make(place: int) -> Instance:
        study, index = chosen[place]
        if protocol == TINY:
            made = make_tiny_instance(study, index, draws)
        else:
            made = make_instance(study, index, draws, noise)
        return Instance(study.reference(index), encode(made))

    made = [make(0)]  # alone: after it, the others find the patient's anatomy in the cache
    with ThreadPoolExecutor(WORKERS) as pool:
        for instance in pool.map(make, range(1, count)):
            made.append(instance)
            on_progress(len(made), count)
    return Corpus(made)
