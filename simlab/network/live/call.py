"""An operation of the live world: it associates, and follows responses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

from pydicom import Dataset

from simlab.network.live.directory import Directory, Peer
from simlab.network.live.sending.association import Handlers, Requestor, contexts_for
from simlab.network.live.wire.commands import C_STORE_RQ, NO_DATA_SET, Command, read_command, store_response
from simlab.network.live.wire.pdus import DataSink
from simlab.network.live.wire.upper_layer import AssociationError
from simlab.network.negotiation import UNCOMPRESSED, has_pixels
from simlab.network.operation import Operation, OutcomeT
from simlab.network.seam import Retrieved, Status, Trouble, is_success
from simlab.studies import transfer_syntaxes
from simlab.studies.sop_classes import STORAGE_CLASSES

QUERY_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
"""Explicit, then Implicit VR Little Endian: for everything but storage."""


def retrieved(syntaxes: Collection[str] | None = None) -> list[tuple[str, str]]:
    """(SOP class, transfer syntax) of what nodes of ours make: what a C-GET is prepared to receive.

    ``syntaxes`` are the ones in use besides Explicit and Implicit VR Little Endian; None: all that we can encode. Every
    one costs a presentation context for each SOP class, and so time whenever an association is established.
    """
    possible = [
        syntax
        for syntax in transfer_syntaxes.ALL
        if syntax.uid not in UNCOMPRESSED and syntax.encodable and (syntaxes is None or syntax.uid in syntaxes)
    ]
    return [(sop_class, syntax) for sop_class in STORAGE_CLASSES for syntax in UNCOMPRESSED] + [
        (sop_class, syntax.uid)
        for sop_class in STORAGE_CLASSES
        for syntax in possible
        if not syntax.encapsulated or has_pixels(sop_class)
    ]


@dataclass
class Call(Operation[OutcomeT]):
    """An operation that finds its peer in a directory."""

    _: KW_ONLY
    directory: Directory

    @property
    def peer(self) -> Peer:
        """The target as an AE. Raises AssociationError for one without a known address."""
        try:
            return self.directory.reach(self.source, self.target)
        except KeyError:
            raise AssociationError(Trouble.UNREACHABLE, f"nobody knows where {self.target or 'that AE'} is") from None

    @property
    def calling(self) -> str:
        """The source's AE title."""
        return self.directory.node(self.source).ae_title

    def associate(
        self,
        contexts: Iterable[str | tuple[str, str]],
        *,
        scp_roles: Iterable[str] = (),
        handlers: Handlers = (),
    ) -> Requestor:
        """Request an association for SOP classes (in the syntaxes of queries) or (SOP class, transfer syntax) pairs.

        Raises AssociationError.
        """
        pairs: list[tuple[str, str]] = []
        for context in contexts:
            pairs += [context] if isinstance(context, tuple) else [(context, syntax) for syntax in QUERY_SYNTAXES]
        return Requestor.open(
            self.calling,
            self.peer,
            contexts_for(pairs),
            timeout=self.timeout,
            scp_roles=scp_roles,
            handlers=handlers,
        )


class CountedStores:
    """C-STOREs on an association of ours (C-GET): answered with success, counted, and let go."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        """Bytes of data set, by SOP Instance UID."""

    def count_on(self, requestor: Requestor) -> None:
        """Take the C-STOREs that come on an association."""
        dul = requestor.association.dul

        def begin(context_id: int, command: bytes) -> DataSink | None:
            request = read_command(command)
            if request.field != C_STORE_RQ or request.data_set_type == NO_DATA_SET:
                return None
            return _Counting(self, request, lambda: dul.send_at_once(store_response(context_id, request, Status(0))))

        dul.store = begin


class _Counting:
    def __init__(self, stores: CountedStores, request: Command, respond: Callable[[], None]) -> None:
        self._stores = stores
        self._uid = request.sop_instance.rstrip(b"\0 ").decode("ascii", "replace")
        self._respond = respond
        self._size = 0

    def write(self, piece: memoryview) -> None:
        self._size += len(piece)

    def end(self) -> None:
        self._stores.sizes[self._uid] = self._size
        self._respond()

    def give_up(self) -> None:
        """What did not come whole does not count."""


def follow_retrieve(
    call: Call[Retrieved], association: Requestor, responses: Iterator[tuple[Dataset, Dataset | None]]
) -> Retrieved:
    """Follow the responses of a C-MOVE or C-GET to the last. Raises AssociationError if one is missing."""
    final, pending = Dataset(), 0
    for final, _ in responses:
        pending += "Status" in final and final.Status in (0xFF00, 0xFF01)
    status = association.status_of(final)

    def count(keyword: str) -> int:
        value: Any = final.get(keyword)
        return int(value or 0)

    completed, failed = count("NumberOfCompletedSuboperations"), count("NumberOfFailedSuboperations")
    call.instances = completed
    call.failures = failed if is_success(status.code) else max(failed, 1)
    return call.outcome(
        status,
        completed=completed,
        failed=failed,
        warning=count("NumberOfWarningSuboperations"),
        remaining=count("NumberOfRemainingSuboperations"),
        pending_responses=pending,
    )
