"""The names of complete files, where several processes receive for one node: each can be given only once.

To receive an instance a second time is to need its name a second time, and only one of the processes can have it. The
name is given by a hard link, which fails if there is such a name (POSIX's ``link``), unlike a file's being renamed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from simlab.network.live.receiving.disk import sync_folder
from simlab.network.live.server import Storage

_FOLDER = "complete"
_SHARDS = "0123456789abcdef"
"""Names that begin alike are in one folder: processes that change one folder wait for each other."""


class Names:
    """Names made of SOP Instance UIDs, below a folder that all processes share."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._folder = folder / _FOLDER
        self._durable = durable

    def make_folders(self) -> None:
        """Make the folders, as far as they are not there. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for shard in _SHARDS:
            (self._folder / shard).mkdir(exist_ok=True)
        if self._durable:
            sync_folder(self._folder)
            sync_folder(self._folder.parent)

    def give(self, path: str, sop_instance: str) -> str:
        """Give a file the name of its instance, in place of the one that it has. Returns the name.

        Raises FileExistsError while there is such an instance already, and OSError for whatever else goes wrong.
        """
        # What a peer calls an instance may be anything. A digest is a good name, and as unique.
        name = blake2b(sop_instance.encode(), digest_size=20).hexdigest()
        complete = f"{self._folder}{os.sep}{name[0]}{os.sep}{name}.dcm"
        try:
            os.link(path, complete)
        except FileNotFoundError:  # somebody has deleted the folder
            self.make_folders()
            os.link(path, complete)
        with suppress(OSError):  # then it is left for a restart to delete
            os.unlink(path)  # noqa: PTH108 -- pathlib takes several times as long
        return complete


def usable(storage: Storage) -> Storage:
    """A storage, as far as its file system can do what it asks for: not all have hard links. Raises OSError."""
    if storage.must_ask is None:
        return storage
    storage.folder.mkdir(parents=True, exist_ok=True)
    file = storage.folder / "probe"
    link = file.with_suffix(".link")
    try:
        file.touch()
        os.link(file, link)
    except OSError:
        return replace(storage, must_ask=None)
    finally:
        for path in (file, link):
            path.unlink(missing_ok=True)
    return storage
