"""Instances in files, as they are found in a folder: what must be known to send them, and no more."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydicom.uid import MediaStorageDirectoryStorage

from simlab.network.live.sending.train import Outgoing
from simlab.network.live.server import KeptInstance
from simlab.studies.study import InstanceReference

_PREAMBLE = 128
_LONGEST_META = 4096
"""Bytes in which the file meta information is looked for; it has some hundreds."""

_element = struct.Struct("<HH2sH").unpack_from
_LONG = frozenset((b"OB", b"OW", b"UN", b"SQ", b"UT", b"UC", b"UR", b"OF", b"OD", b"OL", b"OV"))


def find_files(folder: Path) -> Iterator[Path]:
    """All files in a folder and those below it, in the order of their names; the file itself, if it is one.

    Raises OSError.
    """
    if folder.is_file():
        yield folder
        return
    for place, folders, files in os.walk(folder, onerror=_raise):
        folders.sort()
        for name in sorted(files):
            path = Path(place, name)
            if path.is_file():  # links may lead nowhere, and a pipe is not to be opened
                yield path


def _raise(error: OSError) -> None:
    raise error


def recognise(path: Path) -> KeptInstance | None:
    """An instance in DICOM file format (PS3.10 section 7.1), None if the file is anything else. Raises OSError.

    A DICOMDIR is in that format, too, but belongs to its folder (PS3.10 section 8.6), and nobody would store it.
    """
    with path.open("rb") as file:
        start = file.read(_PREAMBLE + 4 + _LONGEST_META)
    if start[_PREAMBLE : _PREAMBLE + 4] != b"DICM":
        return None
    found: dict[int, str] = {}
    at = _PREAMBLE + 4
    try:
        while True:
            group, element, representation, length = _element(start, at)
            if group != 0x0002:
                break
            at += 8
            if representation in _LONG:
                (length,) = struct.unpack_from("<I", start, at)
                at += 4
            if element in (0x0002, 0x0003, 0x0010):
                found[element] = start[at : at + length].rstrip(b"\0 ").decode("ascii")
            at += length
    except (struct.error, UnicodeDecodeError):
        return None
    if len(found) < 3 or found[0x0002] == MediaStorageDirectoryStorage:
        return None
    return KeptInstance(InstanceReference(found[0x0002], found[0x0003]), found[0x0010], path, at)


def stream(instances: Iterable[KeptInstance]) -> Iterator[Outgoing]:
    """The instances as they are sent, each read into the same memory: it must be on its way before the next is taken.

    Raises OSError for a file that cannot be read.
    """
    buffer = bytearray()
    for instance in instances:
        with instance.path.open("rb", buffering=0) as file:
            file.seek(instance.data_set_offset)
            size = os.fstat(file.fileno()).st_size - instance.data_set_offset
            if size > len(buffer):
                buffer = bytearray(size)
            view = memoryview(buffer)[:size]
            at = 0
            while at < size and (count := file.readinto(view[at:])):
                at += count
        yield Outgoing(instance.reference, instance.transfer_syntax, (view[:at],))
