"""Files as the system has them: written in one call, and on the disk, where its bytes and its name are two things."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from simlab.network.live.wire.gather import MOST_BUFFERS, Buffer


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


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk. Raises OSError."""
    if os.name != "posix":  # a directory cannot be opened, nor need be, on Windows
        return
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
