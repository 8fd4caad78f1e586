"""Enters received instances in the index and moves their files to where they belong, a batch at a time.

The instances have been answered for, and nothing may get lost: an instance is either a complete file among what is
incoming, or a row and a file in its place. Rows are committed before files are moved, and both may be done again, so
this may be killed at any moment.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from simlab.network.live.receiving.disk import sync_folder
from simlab.network.live.server import ReceivedInstance
from simlab.nodes.archive.batch import Batch
from simlab.nodes.archive.files import Entry
from simlab.nodes.archive.header import Header
from simlab.nodes.archive.index import Index

MOST_NAMED = 10_000
"""Folders of which it is remembered that nothing above them has to be synced."""


class Arrival(NamedTuple):
    """An instance that is to be kept."""

    instance: ReceivedInstance
    header: Header


class Keeper:
    """Keeps instances below ``root``; with ``durable``, on the disk (fsync). Used by one thread at a time."""

    def __init__(self, root: Path, index: Index, *, durable: bool) -> None:
        self._root = root
        self._index = index
        self._durable = durable
        self._named: set[Path] = set()
        """Folders whose own names, and those of the folders above them, are on the disk."""

    def keep(self, arrivals: Sequence[Arrival]) -> None:
        """Keep these instances, in place of earlier ones with the same UID.

        Raises OSError or OperationalError if the disk or the index does not take them; then it can be tried again.
        """
        with self._index.batch() as batch:
            # What has a row already is replaced: its file is gone, or was never moved.
            batch.entries(arrival.instance.reference.sop_instance for arrival in arrivals)
            places = [_enter(arrival, batch) for arrival in arrivals]
        moved = self._move(zip((arrival.instance.file for arrival in arrivals), places, strict=True))
        if self._durable:
            self._sync(moved)

    def _sync(self, folders: Collection[Path]) -> None:
        """Have all names in these folders on the disk, and those of the folders above.

        These may have been made by an earlier attempt that failed, or by one that was killed before it came to this.
        """
        above = {each for folder in folders if folder not in self._named for each in self._above(folder)}
        for folder in {*folders, *above}:
            sync_folder(folder)
        if len(self._named) > MOST_NAMED:
            self._named.clear()
        self._named.update(folders)

    def _above(self, folder: Path) -> Iterator[Path]:
        """The folders above one, up to the root."""
        while folder != self._root:
            folder = folder.parent
            yield folder

    def _move(self, moves: Iterable[tuple[str, str]]) -> set[Path]:
        """Give files their names, relative to the root. Returns the folders in which there is a new name."""
        changed: set[Path] = set()
        seen: set[str] = set()
        for source, path in moves:
            target = f"{self._root}/{path}"
            name, _, _ = target.rpartition("/")
            if name not in seen:
                seen.add(name)
                folder = Path(name)
                changed.update(make_folder(folder))
                changed.add(folder)
            try:
                os.replace(source, target)  # noqa: PTH105 -- pathlib takes a third of the time that an instance costs
            except FileNotFoundError:
                if Path(source).exists():
                    raise
                # It was moved before an earlier attempt failed; or somebody has deleted it, and then it is not held.
        return changed


def _enter(arrival: Arrival, batch: Batch) -> str:
    """Enter an instance in the index. Returns where its file belongs, relative to the root."""
    instance, header = arrival
    place = batch.place(header)
    path = f"{place.folder}/{instance.reference.sop_instance}.dcm"
    entry = Entry(instance.reference, instance.transfer_syntax, path, instance.size, instance.data_set_offset)
    batch.enter(entry, place, header)
    return path


def make_folder(folder: Path) -> Iterator[Path]:
    """Make a folder, and those above it. Yields the folders in which one was made."""
    for each in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        each.mkdir(exist_ok=True)
        yield each.parent
