"""An operation of the live world: it associates, and follows responses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass

from pydicom import Dataset

from simlab.network.live.directory import Directory, Peer
from simlab.network.live.sending.association import Handlers, Requestor, contexts_for
from simlab.network.live.wire.upper_layer import AssociationError
from simlab.network.negotiation import UNCOMPRESSED, has_pixels
from simlab.network.operation import Operation, OutcomeT
from simlab.network.seam import SUCCESS, Retrieved, Trouble, is_success
from simlab.studies import transfer_syntaxes
from simlab.studies.sop_classes import STORAGE_CLASSES

QUERY_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
"""Explicit, then Implicit VR Little Endian: for everything but storage."""

_COUNTS = [f"NumberOf{which}Suboperations" for which in ("Completed", "Failed", "Warning", "Remaining")]


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


def follow_retrieve(
    call: Call[Retrieved], association: Requestor, responses: Iterator[tuple[Dataset, Dataset | None]]
) -> Retrieved:
    """Follow the responses of a C-MOVE or C-GET to the last. Raises AssociationError if one is missing.

    The last need not say how many sub-operations there were (PS3.7 tables 9.1-2 and 9.1-4): then those before it do.
    """
    final, pending = Dataset(), 0
    told = dict.fromkeys(_COUNTS, 0)
    for final, _ in responses:
        pending += "Status" in final and final.Status in (0xFF00, 0xFF01)
        told |= {keyword: int(final[keyword].value or 0) for keyword in _COUNTS if keyword in final}
    status = association.status_of(final)
    completed, failed, warning, remaining = told.values()
    if status.code == SUCCESS and "NumberOfCompletedSuboperations" not in final:
        completed += remaining
    if "NumberOfRemainingSuboperations" not in final:
        remaining = 0
    call.instances = completed
    call.failures = failed if is_success(status.code) else max(failed, 1)
    return call.outcome(
        status,
        completed=completed,
        failed=failed,
        warning=warning,
        remaining=remaining,
        pending_responses=pending,
    )
