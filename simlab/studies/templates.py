"""Instances at the speed of a sender: each is encoded once, and made anew for other studies by changing a few elements.

What depends on the study is known by construction: ``make_instance`` sets it out of the same values that fill in the
pattern here. The pixels are those of an exemplar, shared by all studies that are made of one template, and so are
compressed once. In the deflated transfer syntax the header, of some 2 kB, is compressed anew for each instance, and
goes before pixels that have been: a deflate stream may be put together of parts that do not refer to each other.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import datetime
from functools import lru_cache
from itertools import chain, count
from pathlib import Path
from string import ascii_uppercase
from typing import NamedTuple, Self

from pydicom.dataset import Dataset

from simlab.draws import Draws
from simlab.errors import CodecError, UserError
from simlab.studies.compression import LossyOptions, compressed_uid, convert
from simlab.studies.data_sets import deflate_header, deflate_rest, write_data_set
from simlab.studies.derivation import source_values
from simlab.studies.encoding import Encoding, encode_values, make_pattern
from simlab.studies.instances import (
    Values,
    image_values,
    make_instance,
    moment_values,
    patient_values,
    series_values,
    study_values,
)
from simlab.studies.patients import make_order
from simlab.studies.protocols import PROTOCOLS, plan_study
from simlab.studies.study import InstanceReference, Series, Study
from simlab.studies.tiny import TINY, make_tiny_instance, plan_tiny_study
from simlab.studies.transfer_syntaxes import EXPLICIT, TransferSyntax, named

TEMPLATES = (*PROTOCOLS, TINY)
"""What synthetic studies and templates can be made of."""

STARTED = datetime(2026, 1, 15, 8, 0)
"""When every synthetic study was acquired: the same seed gives the same instances on any day."""

WORKERS = 2
"""Threads that make exemplars. More of them are slower: between numpy's calls they wait for Python's one lock."""


def synthetic_studies(protocol: str, seed: int, first: int = 1) -> Iterator[Study]:
    """Study after study without end, each with a patient, an accession number and UIDs of its own.

    They are numbered from ``first``: processes that share the work differ in that. The number and the seed determine a
    study. Raises UserError for a name that is not in ``TEMPLATES``.
    """
    if protocol not in TEMPLATES:
        raise UserError(f'unknown protocol "{protocol}": there are {", ".join(TEMPLATES)}')
    return (_plan_synthetic(protocol, seed, number) for number in count(first))


def _plan_synthetic(protocol: str, seed: int, number: int) -> Study:
    order = make_order(
        Draws(seed),
        number,
        protocol=TEMPLATES[0] if protocol == TINY else protocol,  # what tiny images take the place of does not matter
        station="SIMLAB",
        scheduled=STARTED,
        entity=f"{protocol} {number}",
        letter=ascii_uppercase[TEMPLATES.index(protocol)],
    )
    return plan_tiny_study(order, STARTED) if protocol == TINY else plan_study(order, STARTED)


class EncodedInstance(NamedTuple):
    """An instance as it goes over the wire: its data set is ``header + pixels``."""

    reference: InstanceReference
    transfer_syntax: str
    header: bytes
    """Up to and including tag, VR and length of Pixel Data; deflated if all is."""
    pixels: memoryview
    """The value of Pixel Data, and the delimiter after it if it has one.

    Read only, and shared by all instances that are made of one template.
    """


class StudyTemplate:
    """All instances of one protocol, encoded once in one transfer syntax."""

    def __init__(
        self,
        protocol: str,
        transfer_syntax: str,
        exemplars: Sequence[tuple[bytes, memoryview]],
        options: LossyOptions | None = None,
    ) -> None:
        """``exemplars`` are header and pixels of every instance of any synthetic study of the protocol, in order.

        Only the pixels are deflated where the data set shall be.
        """
        self.protocol = protocol
        self.options = options or LossyOptions()
        self._syntax = named(transfer_syntax)
        self._exemplars = exemplars
        self._encoding = Encoding.of(self._syntax)
        study = next(synthetic_studies(protocol, seed=1))  # any will do: all of them have the same instances
        keywords = {*_shared_values(study, study.series[0]), *image_values(study, study.series[0], 1)}
        if not self._syntax.lossless:
            keywords |= source_values("", "").keys()
        self._templates = {
            (series.number, number): (make_pattern(header, keywords, self._encoding), pixels)
            for (series, number), (header, pixels) in zip(map(study.locate, study.indices), exemplars, strict=True)
        }

    @property
    def transfer_syntax(self) -> str:
        """UID of the transfer syntax."""
        return self._syntax.uid

    @classmethod
    def compile(
        cls,
        protocol: str,
        draws: Draws,
        transfer_syntax: str = EXPLICIT.uid,
        *,
        options: LossyOptions | None = None,
        workers: int = WORKERS,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Self:
        """Make and encode the instances of the first synthetic study, on ``workers`` threads.

        The transfer syntax is a UID, keyword or alias. Raises UserError for a name that is not in ``TEMPLATES``, and
        for a transfer syntax that nobody knows, or that these images cannot be encoded in.
        """
        study = next(synthetic_studies(protocol, draws.seed))
        make = make_tiny_instance if protocol == TINY else make_instance
        syntax = named(transfer_syntax)

        def make_exemplar(index: int) -> tuple[bytes, memoryview]:
            instance = make(study, index, draws)
            convert(instance, EXPLICIT, syntax, options)
            return _split(instance, syntax)

        exemplars = []
        first, *others = study.indices
        try:
            with ThreadPoolExecutor(workers) as pool:
                # The first is made alone: after it, the others find the patient's anatomy in the cache.
                for exemplar in chain([make_exemplar(first)], pool.map(make_exemplar, others)):
                    exemplars.append(exemplar)
                    on_progress(len(exemplars), study.total)
        except CodecError as error:
            raise UserError(f"{protocol}: {error}") from error
        return cls(protocol, syntax.uid, exemplars, options)

    def instances(self, study: Study) -> Iterator[EncodedInstance]:
        """The selected instances of a study of this protocol, in order.

        Raises ValueError for a study of another protocol, KeyError for an instance that is not acquired, but derived.
        """
        if study.order.protocol != self.protocol:
            raise ValueError(f"a template of {self.protocol} makes no {study.order.protocol}")
        encoding, lossless, deflated = self._encoding, self._syntax.lossless, self._syntax.deflated
        shared: dict[int, dict[bytes, bytes]] = {}
        for index in study.indices:
            series, number = study.locate(index)
            pattern, pixels = self._templates[series.number, number]
            if series.number not in shared:
                shared[series.number] = encode_values(_shared_values(study, series), encoding)
            uid = acquired = series.instance_uid(number)
            own: Values = {"SOPInstanceUID": uid}
            if not lossless:
                uid = compressed_uid(acquired, self._syntax, self.options)
                own = {"SOPInstanceUID": uid, **source_values(series.sop_class, acquired)}
            elements = {
                **shared[series.number],
                **_encoded_moment(study.started, series.number, number, encoding),
                **encode_values(own, encoding),
            }
            header = pattern % elements
            reference = InstanceReference(series.sop_class, uid)
            yield EncodedInstance(reference, self._syntax.uid, deflate_header(header) if deflated else header, pixels)

    def save(self, path: Path) -> None:
        """Write a file that :meth:`load` maps into memory: a line of JSON, then the exemplars."""
        index = {
            "protocol": self.protocol,
            "transfer_syntax": self.transfer_syntax,
            "options": asdict(self.options),
            "sizes": [(len(header), len(pixels)) for header, pixels in self._exemplars],
        }
        with path.open("wb") as file:
            file.write(json.dumps(index).encode() + b"\n")
            file.writelines(chain.from_iterable(self._exemplars))

    @classmethod
    def load(cls, path: Path) -> Self:
        """The template that was saved; all processes that load it share one copy of the pixels."""
        with path.open("rb") as file:
            index = json.loads(file.readline())
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            position = file.tell()
        exemplars = []
        for header_size, pixel_size in index["sizes"]:
            start, end = position + header_size, position + header_size + pixel_size
            exemplars.append((bytes(content[position:start]), content[start:end]))
            position = end
        return cls(index["protocol"], index["transfer_syntax"], exemplars, LossyOptions(**index["options"]))


_DELIMITER_BYTES = 8
"""Of the item that ends encapsulated Pixel Data (PS3.5 section A.4)."""


def _split(instance: Dataset, syntax: TransferSyntax) -> tuple[bytes, memoryview]:
    """The encoded data set up to the value of Pixel Data, and what follows; of that all that can be is compressed."""
    data_set = memoryview(write_data_set(instance, replace(syntax, deflated=False)))
    start = len(data_set) - len(instance.PixelData) - (_DELIMITER_BYTES if syntax.encapsulated else 0)
    pixels = memoryview(deflate_rest(data_set[start:])) if syntax.deflated else data_set[start:]
    return bytes(data_set[:start]), pixels


def _shared_values(study: Study, series: Series) -> Values:
    """What all instances of a series tell of their study."""
    return {**patient_values(study), **study_values(study), **series_values(study, series)}


@lru_cache(maxsize=4096)
def _encoded_moment(started: datetime, series: int, number: int, encoding: Encoding) -> dict[bytes, bytes]:
    """Dates and times of an instance, encoded; the same in all synthetic studies, which start at one moment."""
    return encode_values(moment_values(started, series, number), encoding)
