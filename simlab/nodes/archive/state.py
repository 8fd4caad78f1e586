"""What the archive of the live world holds: files that a person can browse, and an index to find them.

    <root>/<patient ID>/<study date> <accession number>/<series number> <modality> .../<SOP Instance UID>.dcm
    <root>/index.sqlite
    <root>/.incoming/**/                     *.part: being received; *.dcm: complete, to be entered in the index

A complete file is answered for, and the index follows within milliseconds; whoever asks the archive waits until it
has. Whatever happens in between, nothing half-written shows up, and a restart enters what was left. Data sets are kept
byte for byte as they were received.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from simlab.faults import Known
from simlab.network.live.receiving.disk import sync_folder
from simlab.network.live.sending.files import recognise
from simlab.network.live.server import HEAD_BYTES, KeptInstance, ReceivedInstance
from simlab.network.query import Level, Query
from simlab.network.seam import SUCCESS, Answer, Located, Status
from simlab.nodes.archive.asking import Asking, Leave
from simlab.nodes.archive.decisions import described
from simlab.nodes.archive.files import Entry
from simlab.nodes.archive.header import Header, examine
from simlab.nodes.archive.hierarchy import WRONG_IDENTIFIER, answer, retrieve_keys
from simlab.nodes.archive.index import FINDING_INSTANCE, Index
from simlab.nodes.archive.keeper import Arrival, Keeper, make_folder
from simlab.nodes.archive.requests import KeptRequests
from simlab.nodes.archive.writer import LARGEST_GROUP, Writer
from simlab.studies.study import InstanceReference

OUT_OF_RESOURCES = 0xA700
"""A storage status (PS3.4 table B.2-1), and one of queries (table C.4-1)."""

LONGEST_QUEUE = 20_000
"""Instances that may wait for the index; more are refused. They are some seconds' work."""

LONGEST_SETTLING = 30.0
"""Seconds for which somebody who asks waits for the index."""


class ArchiveState:
    """The archive's holdings. Safe to use from any thread.

    With ``durable``, what is done to files and index reaches the disk (fsync) before it is relied on. Without, a power
    failure may take what was stored last, and a restart then no longer claims to hold it.
    """

    def __init__(
        self,
        root: Path,
        *,
        durable: bool = False,
        unforeseen: Callable[[Exception], object] = traceback.print_exception,
    ) -> None:
        """``unforeseen`` is told of a bug that shows when an instance is entered."""
        self._root = root
        self.resent = 0
        """How many instances came that were already held."""
        self.incoming = root / ".incoming"
        """Where instances are written that are to be taken."""
        made_in = list(make_folder(self.incoming))
        if durable:  # an earlier start may have been killed before it came to this
            for folder in {*made_in, root}:
                sync_folder(folder)
        self._index = Index(root / "index.sqlite", durable=durable)
        self._keeper = Keeper(root, self._index, durable=durable)
        self._recover()
        self._taking = threading.Lock()
        self._closing = False
        self._looking = threading.Lock()
        self._leave: Leave | None = None
        self._writer = Writer(self._keeper.keep, unforeseen, self._look_at_queue)

    def close(self) -> None:
        """Enter what was taken, and close the index. Files stay."""
        with self._taking:
            self._closing = True
        self._look_at_queue()
        self._writer.close()
        self._index.close()

    @property
    def requests(self) -> KeptRequests:
        """Commitment requests for which a report is owed."""
        return self._index.requests

    def instances(self) -> int:
        """How many instances are held."""
        self._settle()
        return self._index.count(Level.IMAGE)

    def studies(self) -> int:
        """How many studies are held."""
        self._settle()
        return self._index.count(Level.STUDY)

    def take(self, instance: ReceivedInstance, examined: Header | Status) -> Status:
        """Have a complete file, which is to be entered in the index soon. What is refused is deleted.

        ``examined`` is what :func:`simlab.nodes.archive.header.examine` made of it. What that refuses is refused.

        An instance is recognised by its SOP Instance UID: what comes again is counted in ``resent`` and answered with
        success, and the first copy stays, as what has been committed to may not change. The same UID under another SOP
        class is refused (A900). A700: the disk or the index does not take any more for now.
        """
        status = examined if isinstance(examined, Status) else self._accept(Arrival(instance, examined))
        if status is None:
            return Status(SUCCESS)
        instance.delete()
        return status

    def _accept(self, arrival: Arrival) -> Status | None:
        """Have an instance entered, or say why not: None if it is."""
        reference = arrival.instance.reference
        with self._taking:
            try:
                held = None if self._closing else self._reference(reference.sop_instance)
            except DBAPIError as error:
                return _refusal(str(error.orig))
            if held is not None:
                self.resent += held == reference
                return Status(SUCCESS) if held == reference else _OTHER_CLASS
            if reason := self._takes_no_more():
                return _refusal(reason)
            self._put([arrival])
            return None

    def keep(self, acknowledged: Iterable[tuple[ReceivedInstance, Header]]) -> None:
        """Have complete files that receivers have acknowledged, as :meth:`let_receivers_acknowledge` lets them."""
        with self._taking:
            if not self._closing:  # else a restart enters them
                self._put([Arrival(*each) for each in acknowledged])

    def _put(self, arrivals: Sequence[Arrival]) -> None:
        self._writer.put(arrivals)
        self._look_at_queue()

    def let_receivers_acknowledge(self) -> Asking:
        """What receivers go by, who from now on may acknowledge what is new, as long as nothing is in trouble."""
        self._leave = Leave(self.incoming)
        self._look_at_queue()
        return Asking(self._leave.file, self._index.path, FINDING_INSTANCE)

    def _look_at_queue(self) -> None:
        if self._leave is None:
            return
        with self._looking:
            if self._takes_no_more():
                self._leave.withdraw()
            else:
                self._leave.give()

    def _reference(self, sop_instance: str) -> InstanceReference | None:
        """What is held under this UID, or will be soon."""
        if (waiting := self._writer.waiting(sop_instance)) is not None:
            return waiting.instance.reference
        entry = self._index.entry(sop_instance)
        return entry.reference if entry is not None and entry.is_whole(self._root) else None

    def _takes_no_more(self) -> str:
        if self._closing:
            return "the archive is closing"
        if len(self._writer) >= LONGEST_QUEUE:
            return "the index is behind"
        return self._writer.trouble

    def _settle(self) -> bool:
        """Wait until the index has what has been answered for."""
        return self._writer.settle(LONGEST_SETTLING)

    def search(self, query: Query) -> Answer:
        """Answer a C-FIND (see :mod:`simlab.nodes.archive.hierarchy`)."""
        return answer(query, self._index.candidates) if self._settle() else Answer((), _BEHIND)

    def locate(self, query: Query) -> Located:
        """The instances that a C-MOVE or C-GET asks for; none if nothing is held under its unique keys."""
        unique_keys, status = retrieve_keys(query)
        if not self._settle():
            return Located((), _BEHIND)
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

    def waiting(self, references: Iterable[InstanceReference]) -> frozenset[InstanceReference]:
        """Which of these were answered for, and wait because the disk or the index takes nothing."""
        if self._settle():
            return frozenset()
        arrivals = ((reference, self._writer.waiting(reference.sop_instance)) for reference in references)
        return frozenset(each for each, arrival in arrivals if arrival and arrival.instance.reference == each)

    def describe(self, references: Collection[InstanceReference]) -> dict[str, Known]:
        """What the fault plan goes by, for each of these SOP Instance UIDs."""
        self._settle()
        return described(references, self._index.describe(uid for _, uid in references))

    def forget(self, references: Iterable[InstanceReference]) -> None:
        """Lose instances, as if they had never come; not while the index is in trouble."""
        uids = [uid for _, uid in references]
        if not uids:
            return
        with self._taking:  # so that nothing is being entered, and nobody hears of one of them that it is held
            if not self._settle():
                return
            for entry in self._present(uids):
                with suppress(OSError):
                    (self._root / entry.path).unlink()
            with suppress(DBAPIError):  # they are not held without their files; a restart will remove the rows
                self._index.remove(uids)

    def _present(self, sop_instances: Iterable[str]) -> Iterator[Entry]:
        """The entries of these instances whose file is there, in its full size."""
        self._settle()  # what is in trouble is not there yet
        return (entry for entry in self._index.entries(sop_instances) if entry.is_whole(self._root))

    def _recover(self) -> None:
        """After a crash: enter what is complete, delete what is not, and forget what has lost its file."""
        left = self._left_behind()
        while group := list(islice(left, LARGEST_GROUP)):
            self._keeper.keep(group)
        for leftover in sorted(self.incoming.rglob("*"), reverse=True):
            with suppress(OSError):
                leftover.rmdir() if leftover.is_dir() else leftover.unlink()
        lost = [entry.reference.sop_instance for entry in self._index.entries() if not entry.is_whole(self._root)]
        if lost:
            self._index.remove(lost)

    def _left_behind(self) -> Iterator[Arrival]:
        """Complete instances that are not held yet. Of several with one UID, the first is the one that counts."""
        seen = set()
        for path in sorted(self.incoming.rglob("*.dcm"), key=lambda path: path.stat().st_mtime_ns):
            arrival = _arrival(path)
            if arrival is None:
                continue
            uid = arrival.instance.reference.sop_instance
            entry = self._index.entry(uid)
            if uid not in seen and (entry is None or not entry.is_whole(self._root)):
                yield arrival
            seen.add(uid)


_OTHER_CLASS = Status(WRONG_IDENTIFIER, "instance is held under another SOP class")
_BEHIND = Status(OUT_OF_RESOURCES, "the index is not up to date")


def _refusal(reason: str) -> Status:
    return Status(OUT_OF_RESOURCES, f"not stored: {reason}"[:64])


def _arrival(path: Path) -> Arrival | None:
    """An instance that an earlier process took; None for one that nobody would have taken."""
    kept = recognise(path)
    if kept is None:
        return None
    with path.open("rb") as file:
        file.seek(kept.data_set_offset)
        head = file.read(HEAD_BYTES)
    instance = ReceivedInstance(
        kept.reference, kept.transfer_syntax, "", str(path), kept.data_set_offset, path.stat().st_size
    )
    header = examine(instance, head)
    return None if isinstance(header, Status) else Arrival(instance, header)
