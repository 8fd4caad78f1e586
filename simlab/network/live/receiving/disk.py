"""Files as the system has them: written in one call, and on the disk, where its bytes and its name are two things."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from simlab.network.live.wire.gather import MOST_BUFFERS, Buffer

FULL_SYNC: int | None = None
"""On macOS, what has a drive write what it has: fsync leaves that in the drive's own memory (man 2 fsync)."""
with suppress(ImportError):  # Windows
    import fcntl

    FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None)


def _first(file: int, pieces: Sequence[Buffer]) -> int:
    return os.write(file, pieces[0])


_gathered = getattr(os, "writev", _first)
"""Windows has none."""


def write_all(file: int, pieces: Sequence[Buffer]) -> None:
    """Write pieces one after the other, in as few calls as can be. Raises OSError."""
    while pieces:
        pieces = _left_of(pieces, _gathered(file, pieces[:MOST_BUFFERS]))


def _left_of(pieces: Sequence[Buffer], written: int) -> Sequence[Buffer]:
    """What is still to be written; nothing of it is empty at its beginning."""
    for at, piece in enumerate(pieces):
        if written < len(piece):
            return [memoryview(piece)[written:], *pieces[at + 1 :]]
        written -= len(piece)
    return []


def sync(file: int) -> None:
    """Have a file, or the names in a folder, on the disk. Raises OSError."""
    if FULL_SYNC is not None:
        with suppress(OSError):  # not every file system can
            fcntl.fcntl(file, FULL_SYNC)
            return
    os.fsync(file)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk. Raises OSError."""
    if os.name != "posix":  # a directory cannot be opened, nor need be, on Windows
        return
    directory = os.open(folder, os.O_RDONLY)
    try:
        sync(directory)
    finally:
        os.close(directory)
