"""What the archive of the live world holds: files that a person can browse, and an index to find them.

    <root>/<patient ID>/<study date> <accession number>/<series number> <modality> .../<SOP Instance UID>.dcm
    <root>/index.sqlite
    <root>/.incoming/                        files that are being written

A file is complete when it gets its name, and is indexed only then: whatever happens in between, nothing half-written
shows up. Data sets are kept byte for byte as they were received.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from simlab.network.live.server import KeptInstance, ReceivedInstance, Respond
from simlab.network.query import Level, Query
from simlab.network.seam import Answer, Located, Status
from simlab.nodes.archive.files import Entry
from simlab.nodes.archive.header import Header
from simlab.nodes.archive.hierarchy import answer, retrieve_keys
from simlab.nodes.archive.index import Index
from simlab.nodes.archive.keeper import Keeper
from simlab.nodes.archive.writer import OUT_OF_RESOURCES, Arrival, Writer
from simlab.studies.study import InstanceReference


class ArchiveState:
    """The archive's holdings. Safe to use from any thread.

    With ``durable``, an instance is answered for only when its name and its index row have reached the disk (fsync),
    as its bytes have when it is taken; without, a power failure may take what was stored last, and a restart then no
    longer claims to hold it.
    """

    def __init__(
        self,
        root: Path,
        *,
        durable: bool = False,
        unforeseen: Callable[[Exception], object] = traceback.print_exception,
    ) -> None:
        """``unforeseen`` is told of a bug that shows when an instance is kept."""
        self._root = root
        self.incoming = root / ".incoming"
        """Where instances are written that are to be taken."""
        self.incoming.mkdir(parents=True, exist_ok=True)
        self._index = Index(root / "index.sqlite", durable=durable)
        self._recover()
        self._keeper = Keeper(root, self._index, durable=durable)
        self._writer = Writer(self._keeper.keep, unforeseen, apart=durable)

    def close(self) -> None:
        """Keep what was taken, respond to it, and close the index. Files stay."""
        self._writer.close()
        self._index.close()

    @property
    def resent(self) -> int:
        """How many instances came that were already held."""
        return self._keeper.resent

    def instances(self) -> int:
        """How many instances are held."""
        return self._index.count(Level.IMAGE)

    def studies(self) -> int:
        """How many studies are held."""
        return self._index.count(Level.STUDY)

    def take(self, instance: ReceivedInstance, examined: Header | Status, respond: Respond) -> None:
        """Have an instance kept by the next :meth:`flush`, and respond to its C-STORE then, from whatever thread.

        ``examined`` is what :func:`simlab.nodes.archive.header.examine` made of it. What that refuses is refused.

        An instance is recognised by its SOP Instance UID: what comes again is counted in ``resent`` and answered with
        success, and the first copy stays, as what has been committed to may not change. The same UID under another SOP
        class is refused (A900). A700: the disk or the index does not take it.
        """
        if isinstance(examined, Status):
            refusal = examined
        elif self._writer.put(Arrival(instance, examined, respond)):
            return
        else:
            refusal = Status(OUT_OF_RESOURCES, "not stored: the archive is closing")
        instance.path.unlink(missing_ok=True)
        respond(refusal)

    def flush(self) -> None:
        """Keep what has been taken."""
        self._writer.flush()

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

    def _present(self, sop_instances: Iterable[str]) -> Iterator[Entry]:
        """The entries of these instances whose file is there, in its full size."""
        return (entry for entry in self._index.entries(sop_instances) if entry.is_whole(self._root))

    def _recover(self) -> None:
        """After a crash: forget instances whose files are gone or cut short, and files that were never completed."""
        for leftover in self.incoming.iterdir():
            leftover.unlink()
        lost = [entry.reference.sop_instance for entry in self._index.entries() if not entry.is_whole(self._root)]
        if lost:
            self._index.remove(lost)
