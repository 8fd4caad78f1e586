"""What the archive's receivers may acknowledge without asking the archive: instances that it has never heard of.

An instance is held if it has a row in the index, or will have one: until then its file has the name that no other
process can give (:mod:`simlab.network.live.receiving.names`), and gives it up only after the row is there. So whoever
has the name, and then finds no row, has something new. This must be cheap, since every instance is looked up.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simlab.network.live.server import MustAsk, ReceivedInstance
from simlab.network.seam import Status


class Leave:
    """Whether receivers may acknowledge at all: a file says so, since they are processes of their own.

    That it is gone is what forbids it: a file can be deleted when the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "leave"
        self._given = False

    def give(self) -> None:
        """Let them. If the disk does not take the file, they ask."""
        if not self._given:
            with suppress(OSError):
                self.file.touch()
                self._given = True

    def withdraw(self) -> None:
        """Have them ask."""
        if self._given:
            self._given = False
            with suppress(OSError):
                self.file.unlink()


@dataclass(frozen=True, slots=True)
class Asking:
    """Makes what a receiver goes by, in its process."""

    leave: Path
    index: Path
    statement: str
    """Finds the row of a SOP Instance UID."""

    def __call__(self) -> MustAsk:
        """Open the index. Raises sqlite3.Error if that cannot be done."""
        leave, statement = os.fspath(self.leave), self.statement
        index = sqlite3.connect(f"{self.index.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)

        def must_ask(instance: ReceivedInstance, examined: Any) -> bool:
            if isinstance(examined, Status) or not os.path.exists(leave):  # noqa: PTH110 -- pathlib takes longer
                return True
            try:
                return index.execute(statement, (instance.reference.sop_instance,)).fetchone() is not None
            except sqlite3.Error:
                return True

        return must_ask
