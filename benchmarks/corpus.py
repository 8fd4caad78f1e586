"""The files that are sent: as many as needed, and the same instances that ``simlab send`` makes up."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from functools import cached_property
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info

from simlab.draws import Draws
from simlab.studies.instances import add_file_meta
from simlab.studies.templates import EncodedInstance, StudyTemplate, synthetic_studies

IN_MEMORY = Path("/dev/shm")

SEED = 20260115


class Kind(Enum):
    """What is sent; the value is the name by which ``simlab send`` knows it."""

    CT = "ct-head"
    MR = "mr-brain"
    TINY = "tiny"

    @property
    def label(self) -> str:
        """For tables."""
        return {Kind.CT: "CT", Kind.MR: "MR", Kind.TINY: "1 KB"}[self]


class Corpus:
    """Files by kind and number, made when they are first asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._sources: dict[Kind, Iterator[EncodedInstance]] = {}
        self._sizes: dict[Kind, list[int]] = {kind: [] for kind in Kind}

    @cached_property
    def place(self) -> str:
        """Where the files are, for people."""
        return f"{self.root.parent}{' (in memory)' if IN_MEMORY in self.root.parents else ' (on disk)'}"

    def folder(self, kind: Kind, first: int, count: int) -> Path:
        """A folder of the ``count`` files from number ``first`` on: hard links, so they take room once."""
        folder = self.root / kind.value / f"{first}-{count}"
        if not folder.exists():
            self._make(kind, first + count)
            folder.mkdir()
            for number in range(first, first + count):
                os.link(self._path(kind, number), folder / f"{number:06d}.dcm")
        return folder

    def bytes_each(self, kind: Kind) -> float:
        """Mean size of an encoded data set."""
        self._make(kind, 1)
        return sum(self._sizes[kind]) / len(self._sizes[kind])

    def _path(self, kind: Kind, number: int) -> Path:
        return self.root / kind.value / "all" / f"{number:06d}.dcm"

    def _make(self, kind: Kind, count: int) -> None:
        if kind not in self._sources:
            self._path(kind, 0).parent.mkdir(parents=True)
            self._sources[kind] = make_instances(kind)
        made = self._sizes[kind]
        while len(made) < count:
            instance = next(self._sources[kind])
            with self._path(kind, len(made)).open("wb") as file:
                file.writelines((file_header(instance), instance.header, instance.pixels))
            made.append(len(instance.header) + len(instance.pixels))


def make_instances(kind: Kind) -> Iterator[EncodedInstance]:
    """Instances without end, study after study."""
    template = StudyTemplate.compile(kind.value, Draws(SEED))
    for study in synthetic_studies(kind.value, SEED):
        yield from template.instances(study)


def file_header(instance: EncodedInstance) -> bytes:
    """What precedes the data set in a file (PS3.10 section 7.1)."""
    named = Dataset()
    named.SOPClassUID, named.SOPInstanceUID = instance.reference
    add_file_meta(named, instance.transfer_syntax)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_file_meta_info(buffer, named.file_meta)
    return bytes(128) + b"DICM" + buffer.getvalue()


@contextmanager
def corpus(room: int) -> Iterator[Corpus]:
    """A corpus for up to ``room`` bytes: in memory if that leaves enough free, else on disk."""
    in_memory = IN_MEMORY.is_dir() and min(shutil.disk_usage(IN_MEMORY).free, _free_memory()) > 1.5 * room
    with tempfile.TemporaryDirectory(
        prefix="simlab-bench-", dir=IN_MEMORY if in_memory else None, ignore_cleanup_errors=True
    ) as folder:
        yield Corpus(Path(folder))


def _free_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
