"""Moves received files to where they belong and enters them in the index, a batch at a time.

A complete file gets its name, then its row, and is answered for after both, so this may be killed at any moment. What
fails in between is undone: it leaves no row without a file, and no file without a row.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import DBAPIError, OperationalError

from simlab.network.seam import SUCCESS, Status
from simlab.nodes.archive.batch import Batch
from simlab.nodes.archive.files import Entry
from simlab.nodes.archive.hierarchy import WRONG_IDENTIFIER
from simlab.nodes.archive.index import Index
from simlab.nodes.archive.writer import OUT_OF_RESOURCES, Arrival


class Keeper:
    """Keeps instances below ``root``; with ``durable``, on the disk (fsync). Used by one thread at a time."""

    def __init__(self, root: Path, index: Index, *, durable: bool) -> None:
        self.resent = 0
        """How many instances came that were already held."""
        self._root = root
        self._index = index
        self._durable = durable

    def keep(self, arrivals: Sequence[Arrival]) -> list[Status]:
        """Keep these instances, and say of each what came of it. The files of those that are not kept are deleted."""
        moves = _Moves(self._root)
        try:
            with self._index.batch() as batch:
                statuses, resent = self._enter(arrivals, batch, moves)
                if self._durable:
                    moves.sync()
        except Exception as error:  # noqa: BLE001 -- what is a bug is raised again
            moves.undo()
            if isinstance(error, OSError | OperationalError) or len(arrivals) == 1:
                return [_refusal(error)] * len(arrivals)
            return [status for arrival in arrivals for status in self.keep([arrival])]  # one of them must not harm all
        else:
            self.resent += resent
            return statuses
        finally:
            for arrival in arrivals:
                if arrival.instance.path not in moves.made:
                    with suppress(OSError):
                        arrival.instance.path.unlink(missing_ok=True)

    def _enter(self, arrivals: Sequence[Arrival], batch: Batch, moves: _Moves) -> tuple[list[Status], int]:
        """The statuses, and how many were held already."""
        statuses: list[Status] = []
        resent = 0
        entries = batch.entries(arrival.instance.reference.sop_instance for arrival in arrivals)
        held = {entry.reference.sop_instance: entry.reference for entry in entries if entry.is_whole(self._root)}
        for instance, header in ((arrival.instance, arrival.header) for arrival in arrivals):
            reference = instance.reference
            if (present := held.get(reference.sop_instance)) is not None:
                resent += present == reference
                statuses.append(Status(SUCCESS) if present == reference else _OTHER_CLASS)
                continue
            place = batch.place(header)
            path = f"{place.folder}/{reference.sop_instance}.dcm"
            try:
                moves.make(instance.path, path)
            except OSError as error:
                statuses.append(_refusal(error))
                continue
            batch.enter(
                Entry(reference, instance.transfer_syntax, path, instance.size, instance.data_set_offset), place, header
            )
            held[reference.sop_instance] = reference
            statuses.append(Status(SUCCESS))
        return statuses, resent


_OTHER_CLASS = Status(WRONG_IDENTIFIER, "instance is held under another SOP class")


def _refusal(error: Exception) -> Status:
    """Refuse an instance because of trouble with the disk or the index; any other error is a bug, and raised."""
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
    elif isinstance(error, DBAPIError):
        reason = str(error.orig)
    else:
        raise error
    return Status(OUT_OF_RESOURCES, f"not stored: {reason}"[:64])


class _Moves:
    """Files that got their names, and may lose them again."""

    def __init__(self, root: Path) -> None:
        self.made: dict[Path, str] = {}
        """From where to where."""
        self._root = root
        self._changed: set[Path] = set()
        """Folders with new names in them."""

    def make(self, source: Path, path: str) -> None:
        """Give a complete file its name, relative to the root."""
        target = f"{self._root}/{path}"
        try:
            os.replace(source, target)  # noqa: PTH105 -- pathlib takes a third of the time that an instance costs
        except FileNotFoundError:  # as for the first instance of a series
            self._make_folder(Path(target).parent)
            os.replace(source, target)  # noqa: PTH105 -- as above
        self.made[source] = target

    def undo(self) -> None:
        """Take the names away again."""
        for source, target in self.made.items():
            with suppress(OSError):
                Path(target).replace(source)
        self.made.clear()

    def sync(self) -> None:
        """Have the names on the disk."""
        if os.name != "posix":  # a directory cannot be opened, nor need be, on Windows
            return
        for folder in self._changed | {Path(target).parent for target in self.made.values()}:
            directory = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _make_folder(self, folder: Path) -> None:
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            self._changed.add(each.parent)
