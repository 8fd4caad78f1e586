"""What the archive of the live world holds: files that a person can browse, and an index to find them.

    <root>/<patient ID>/<study date> <accession number>/<series number> <modality> .../<SOP Instance UID>.dcm
    <root>/index.sqlite
    <root>/.incoming/                        files that are being written

A file is complete when it gets its name, and is indexed only then: whatever happens in between, nothing half-written
shows up. Data sets are kept byte for byte as they were received.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import uuid4

from sqlalchemy.exc import OperationalError

from simlab.network.live.file_format import file_header
from simlab.network.live.server import KeptInstance, ReceivedInstance
from simlab.network.query import Level, Query
from simlab.network.seam import SUCCESS, Answer, Located, Status
from simlab.nodes.archive.header import Header, UnreadableError, read_header
from simlab.nodes.archive.hierarchy import WRONG_IDENTIFIER, answer, retrieve_keys
from simlab.nodes.archive.index import Entry, Index
from simlab.studies.study import InstanceReference

OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000
"""Storage statuses (PS3.4 table B.2-1)."""


class ArchiveState:
    """The archive's holdings. Safe to use from any thread; several may store at once.

    With ``durable``, an instance is answered for only when its bytes and its index row have reached the disk (fsync);
    without, a power failure may take what was stored last, and a restart then no longer claims to hold it.
    """

    def __init__(self, root: Path, *, durable: bool = False) -> None:
        self._root = root
        self._durable = durable
        self._incoming = root / ".incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._index = Index(root / "index.sqlite", durable=durable)
        self._counting = threading.Lock()
        self._resent = 0
        self._recover()

    def close(self) -> None:
        """Close the index. Files stay."""
        self._index.close()

    @property
    def resent(self) -> int:
        """How many instances came that were already held."""
        return self._resent

    def instances(self) -> int:
        """How many instances are held."""
        return self._index.count(Level.IMAGE)

    def studies(self) -> int:
        """How many studies are held."""
        return self._index.count(Level.STUDY)

    def store(self, instance: ReceivedInstance) -> Status:
        """Keep an instance; the status answers the C-STORE.

        An instance is recognised by its SOP Instance UID: what comes again is counted in ``resent`` and answered with
        success, and the first copy stays, as what has been committed to may not change. The same UID under another SOP
        class is refused (A900), as is a data set whose UIDs are not those of the command. C000: the data set cannot be
        understood. A700: the disk or the index does not take it.
        """
        try:
            header = read_header(instance.data_set, instance.transfer_syntax)
        except UnreadableError as error:
            return Status(CANNOT_UNDERSTAND, str(error)[:64])
        if header.reference != instance.reference:
            return Status(WRONG_IDENTIFIER, "SOP class or instance UID differs from the command's")
        try:
            return self._keep(instance, header)
        except (OSError, OperationalError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error.orig)
            return Status(OUT_OF_RESOURCES, f"not stored: {reason}"[:64])

    def search(self, query: Query) -> Answer:
        """Answer a C-FIND (see :mod:`simlab.nodes.archive.hierarchy`)."""
        return answer(query, self._index.candidates)

    def locate(self, query: Query) -> Located:
        """The instances that a C-MOVE or C-GET asks for; none if nothing is held under its unique keys."""
        unique_keys, status = retrieve_keys(query)
        return Located(self._index.locate(unique_keys) if unique_keys else (), status)

    def fetch(self, reference: InstanceReference) -> KeptInstance | None:
        """An instance's file, or None if it is not held under this SOP class."""
        entry = next(self._present([reference.sop_instance]), None)
        if entry is None or entry.reference != reference:
            return None
        return KeptInstance(reference, entry.transfer_syntax, self._root / entry.path, entry.offset)

    def holds(self, references: Iterable[InstanceReference]) -> frozenset[InstanceReference]:
        """Which of these can be given back: indexed under this SOP class, and the file is there in its full size."""
        asked = frozenset(references)
        return asked & {entry.reference for entry in self._present(reference.sop_instance for reference in asked)}

    def conflicts(self, references: Iterable[InstanceReference]) -> frozenset[InstanceReference]:
        """Which of these are held, but under another SOP class."""
        asked = frozenset(references)
        held = {entry.reference.sop_instance: entry.reference for entry in self._present(uid for _, uid in asked)}
        return frozenset(reference for reference in asked if held.get(reference.sop_instance, reference) != reference)

    def _keep(self, instance: ReceivedInstance, header: Header) -> Status:
        meta = file_header(instance)
        temporary = self._incoming / f"{uuid4().hex}.part"

        def publish(folder: str) -> Entry:
            path = f"{folder}/{instance.reference.sop_instance}.dcm"
            self._publish(temporary, self._root / path)
            size = len(meta) + len(instance.data_set)
            return Entry(instance.reference, instance.transfer_syntax, path, size, len(meta))

        try:
            with temporary.open("wb") as file:
                file.write(meta)
                file.write(instance.data_set)
                if self._durable:
                    file.flush()
                    os.fsync(file.fileno())
            # Between here and the index row nobody else writes, so the same instance cannot come in twice at once.
            with self._index.writing:
                if already := self._already_held(instance.reference):
                    return already
                self._index.enter(header, publish)
        finally:
            temporary.unlink(missing_ok=True)
        return Status(SUCCESS)

    def _publish(self, temporary: Path, path: Path) -> None:
        """Give a complete file its name."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(path)
        if self._durable and os.name == "posix":  # a directory cannot be opened, nor need be, on Windows
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _already_held(self, reference: InstanceReference) -> Status | None:
        """The answer for an instance that came before, None for a new one."""
        entry = next(self._present([reference.sop_instance]), None)
        if entry is None:
            return None
        if entry.reference != reference:
            return Status(WRONG_IDENTIFIER, "instance is held under another SOP class")
        with self._counting:
            self._resent += 1
        return Status(SUCCESS)

    def _present(self, sop_instances: Iterable[str] | None) -> Iterator[Entry]:
        """The entries of these instances (None: of all) whose file is there, in its full size."""
        return (entry for entry in self._index.entries(sop_instances) if self._size(entry) == entry.size)

    def _size(self, entry: Entry) -> int:
        try:
            return (self._root / entry.path).stat().st_size
        except OSError:
            return -1

    def _recover(self) -> None:
        """After a crash: forget instances whose files are gone or cut short, and files that were never completed."""
        for leftover in self._incoming.iterdir():
            leftover.unlink()
        lost = [entry.reference.sop_instance for entry in self._index.entries() if self._size(entry) != entry.size]
        if lost:
            self._index.remove(lost)
