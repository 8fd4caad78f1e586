"""Instances at the speed of a sender: each is encoded once, and made anew for other studies by changing a few elements.

What depends on the study is known by construction: ``make_instance`` sets it out of the same values that fill in the
pattern here. The pixels are those of an exemplar, shared by all studies that are made of one template.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import lru_cache
from itertools import chain, count
from pathlib import Path
from string import ascii_uppercase
from typing import NamedTuple, Self

from pydicom.uid import UID, ExplicitVRLittleEndian

from simlab.draws import Draws
from simlab.errors import UserError
from simlab.studies.encoding import encode_values, make_pattern
from simlab.studies.instances import (
    Values,
    encode,
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
        book=f"generate {protocol}",
        letter=ascii_uppercase[TEMPLATES.index(protocol)],
    )
    return plan_tiny_study(order, STARTED) if protocol == TINY else plan_study(order, STARTED)


class EncodedInstance(NamedTuple):
    """An instance as it goes over the wire: its data set is ``header + pixels``."""

    reference: InstanceReference
    transfer_syntax: str
    header: bytes
    """Up to and including tag, VR and length of Pixel Data."""
    pixels: memoryview
    """The value of Pixel Data: read only, and shared by all instances that are made of one template."""


class StudyTemplate:
    """All instances of one protocol, encoded once in one transfer syntax."""

    def __init__(self, protocol: str, transfer_syntax: str, exemplars: Sequence[tuple[bytes, memoryview]]) -> None:
        """``exemplars`` are header and pixels of every instance of any synthetic study of the protocol, in order."""
        self.protocol = protocol
        self.transfer_syntax = transfer_syntax
        self._exemplars = exemplars
        self._implicit = UID(transfer_syntax).is_implicit_VR
        study = next(synthetic_studies(protocol, seed=1))  # any will do: all of them have the same instances
        keywords = {*_shared_values(study, study.series[0]), *image_values(study, study.series[0], 1)}
        self._templates = {
            (series.number, number): (make_pattern(header, keywords, implicit=self._implicit), pixels)
            for (series, number), (header, pixels) in zip(map(study.locate, study.indices), exemplars, strict=True)
        }

    @classmethod
    def compile(
        cls,
        protocol: str,
        draws: Draws,
        transfer_syntax: str = str(ExplicitVRLittleEndian),
        *,
        workers: int = WORKERS,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Self:
        """Make and encode the instances of the first synthetic study, on ``workers`` threads.

        Raises UserError for a name that is not in ``TEMPLATES``, ValueError for a transfer syntax that is neither
        Implicit nor Explicit VR Little Endian.
        """
        study = next(synthetic_studies(protocol, draws.seed))
        make = make_tiny_instance if protocol == TINY else make_instance

        def make_exemplar(index: int) -> tuple[bytes, memoryview]:
            instance = make(study, index, draws)
            data_set = encode(instance, transfer_syntax)
            start = len(data_set) - len(instance.PixelData)
            return data_set[:start], memoryview(data_set)[start:]

        exemplars = []
        first, *others = study.indices
        with ThreadPoolExecutor(workers) as pool:
            # The first is made alone: after it, the others find the patient's anatomy in the cache.
            for exemplar in chain([make_exemplar(first)], pool.map(make_exemplar, others)):
                exemplars.append(exemplar)
                on_progress(len(exemplars), study.total)
        return cls(protocol, transfer_syntax, exemplars)

    def instances(self, study: Study) -> Iterator[EncodedInstance]:
        """The selected instances of a study of this protocol, in order.

        Raises ValueError for a study of another protocol, KeyError for an instance that is not acquired, but derived.
        """
        if study.order.protocol != self.protocol:
            raise ValueError(f"a template of {self.protocol} makes no {study.order.protocol}")
        shared: dict[int, dict[bytes, bytes]] = {}
        for index in study.indices:
            series, number = study.locate(index)
            pattern, pixels = self._templates[series.number, number]
            if series.number not in shared:
                shared[series.number] = encode_values(_shared_values(study, series), implicit=self._implicit)
            uid = series.instance_uid(number)
            elements = {
                **shared[series.number],
                **_encoded_moment(study.started, series.number, number, self._implicit),
                **encode_values({"SOPInstanceUID": uid}, implicit=self._implicit),
            }
            reference = InstanceReference(series.sop_class, uid)
            yield EncodedInstance(reference, self.transfer_syntax, pattern % elements, pixels)

    def save(self, path: Path) -> None:
        """Write a file that :meth:`load` maps into memory: a line of JSON, then the exemplars."""
        index = {
            "protocol": self.protocol,
            "transfer_syntax": self.transfer_syntax,
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
        return cls(index["protocol"], index["transfer_syntax"], exemplars)


def _shared_values(study: Study, series: Series) -> Values:
    """What all instances of a series tell of their study."""
    return {**patient_values(study), **study_values(study), **series_values(study, series)}


@lru_cache(maxsize=4096)
def _encoded_moment(started: datetime, series: int, number: int, implicit: bool) -> dict[bytes, bytes]:
    """Dates and times of an instance, encoded; the same in all synthetic studies, which start at one moment."""
    return encode_values(moment_values(started, series, number), implicit=implicit)
