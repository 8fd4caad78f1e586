"""Files as the system has them: written in one call, and on the disk, where its bytes and its name are two things."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

_MOST_BUFFERS = 1024
"""Buffers in one gathered write: IOV_MAX of all systems in use."""


def _first(file: int, pieces: Sequence[bytes | memoryview]) -> int:
    return os.write(file, pieces[0])


_gathered = getattr(os, "writev", _first)
"""Windows has none."""


def write_all(file: int, pieces: Sequence[bytes | memoryview]) -> None:
    """Write pieces one after the other, in as few calls as can be. Raises OSError."""
    while pieces:
        pieces = _left_of(pieces, _gathered(file, pieces[:_MOST_BUFFERS]))


def _left_of(pieces: Sequence[bytes | memoryview], written: int) -> Sequence[bytes | memoryview]:
    """What is still to be written; nothing of it is empty at its beginning."""
    for at, piece in enumerate(pieces):
        if written < len(piece):
            return [memoryview(piece)[written:], *pieces[at + 1 :]]
        written -= len(piece)
    return []


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk. Raises OSError."""
    if os.name != "posix":  # a directory cannot be opened, nor need be, on Windows
        return
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
