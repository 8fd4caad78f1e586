"""What pynetdicom asks of a node, put to its :class:`LiveServer`: handlers, and the contexts that they serve."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt

from simlab.network.live.call import QUERY_SYNTAXES
from simlab.network.live.commitment import (
    ALL_STORED_EVENT,
    FAILURES_EXIST_EVENT,
    REQUEST_ACTION,
    SOP_INSTANCE,
    report_from_data_set,
    request_from_data_set,
)
from simlab.network.live.server import LiveServer, Offer
from simlab.network.live.wire.identifiers import from_data_set, query_from_data_set, to_data_set
from simlab.network.query import Model
from simlab.network.seam import CommitmentRequest, Status
from simlab.network.sop_classes import FIND, MODELS, PERFORMED_PROCEDURE_STEP, STORAGE_COMMITMENT, VERIFICATION

DEFAULT_SYNTAX = "1.2.840.10008.1.2"
_LAST_RESORTS = (DEFAULT_SYNTAX, "1.2.840.10008.1.2.2")
STORAGE_SYNTAXES = (
    "1.2.840.10008.1.2.1",
    *(syntax for syntax in ALL_TRANSFER_SYNTAXES if syntax not in ("1.2.840.10008.1.2.1", *_LAST_RESORTS)),
    *_LAST_RESORTS,
)
"""What a node stores as it comes: everything. Of several in one context we choose the first in this order: Explicit VR
Little Endian, what is compressed, and only then Implicit VR and Big Endian."""

STORAGE_SOP_CLASSES = frozenset(str(context.abstract_syntax) for context in AllStoragePresentationContexts)
"""What a node that stores accepts: all that pynetdicom lists (PS3.4 annex B.5)."""

NO_SUCH_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_ARGUMENT = 0x0115
NO_SUCH_ACTION = 0x0123
"""Statuses of N-ACTION and N-EVENT-REPORT (PS3.7 annex C)."""


class Handlers:
    """pynetdicom's handlers for one node. C-STORE, C-MOVE and C-GET pass pynetdicom by."""

    def __init__(self, node: LiveServer, name: Callable[[Any], str]) -> None:
        """``name`` names an association, so that a commitment can be reported on it."""
        self._node = node
        self._name = name

    def __iter__(self) -> Iterator[tuple[Any, Callable[..., Any]]]:
        offers = self._node.offers
        if offers & {Offer.QUERY_RETRIEVE, Offer.WORKLIST}:
            yield evt.EVT_C_FIND, self._find
        if Offer.PROCEDURE_STEP in offers:
            yield evt.EVT_N_CREATE, self._create_step
            yield evt.EVT_N_SET, self._set_step
        if Offer.COMMITMENT in offers:
            yield evt.EVT_N_ACTION, self._request_commitment
        if Offer.COMMITMENT_REPORTS in offers:
            yield evt.EVT_N_EVENT_REPORT, lambda event: report_handler(event, self._node)

    def _find(self, event: evt.Event) -> Iterator[tuple[int | Dataset, Dataset | None]]:
        model = MODELS[event.request.AffectedSOPClassUID]
        query = query_from_data_set(event.identifier, model)
        answer = self._node.find(query)
        if answer.status.code != 0:
            yield status_data_set(answer.status), None
            return
        for match in answer.matches:
            if event.is_cancelled:
                yield 0xFE00, None
                return
            response = dict(match)
            if model is not Model.WORKLIST:
                response["QueryRetrieveLevel"] = query.level.value if query.level else ""
                response["RetrieveAETitle"] = event.assoc.acceptor.ae_title
            yield 0xFF00, to_data_set({**response, **event.assoc.fault.values})

    def _create_step(self, event: evt.Event) -> tuple[int | Dataset, Dataset | None]:
        # The SCU may leave the SOP Instance UID to the SCP (PS3.7 section 10.1.5.1.4); ours and most others do not.
        step = str(event.request.AffectedSOPInstanceUID or f"2.25.{uuid.uuid4().int}")
        status = self._node.create_step(step, from_data_set(event.attribute_list))
        reply = Dataset()
        if event.request.AffectedSOPInstanceUID is None:
            reply.AffectedSOPInstanceUID = step  # from here pynetdicom takes it into the command
        return status_data_set(status), reply

    def _set_step(self, event: evt.Event) -> tuple[int | Dataset, Dataset | None]:
        attributes = from_data_set(event.modification_list)
        status = self._node.set_step(str(event.request.RequestedSOPInstanceUID), attributes)
        return status_data_set(status), None

    def _request_commitment(self, event: evt.Event) -> tuple[int | Dataset, Dataset | None]:
        association = event.assoc
        if refusal := refusal_of_action(event):
            return status_data_set(refusal), None
        transaction, references = request_from_data_set(event.action_information)
        if not transaction or not references:
            missing = "TransactionUID" if not transaction else "ReferencedSOPSequence"
            return status_data_set(Status(INVALID_ARGUMENT, f"{missing} is missing or empty")), None
        requester = str(association.requestor.ae_title)
        request = CommitmentRequest(transaction, references, requester, self._name(association))
        return status_data_set(self._node.commitment_requested(request)), None


def refusal_of_action(event: evt.Event) -> Status | None:
    """Why an N-ACTION is none that storage commitment knows (PS3.4 J.3.2), None if it is."""
    if event.action_type != REQUEST_ACTION:
        return Status(NO_SUCH_ACTION, f"no action type {event.action_type}")
    if event.request.RequestedSOPInstanceUID != SOP_INSTANCE:
        return Status(NO_SUCH_INSTANCE, "not the well-known SOP instance")
    return None


def report_handler(event: evt.Event, node: LiveServer) -> tuple[int | Dataset, Dataset | None]:
    """Answer an N-EVENT-REPORT of storage commitment, on whichever association it came."""
    if event.event_type not in (ALL_STORED_EVENT, FAILURES_EXIST_EVENT):
        return status_data_set(Status(NO_SUCH_EVENT_TYPE, f"no event type {event.event_type}")), None
    report = report_from_data_set(event.event_information)
    return status_data_set(node.commitment_reported(report)), None


def status_data_set(status: Status) -> int | Dataset:
    """A status as pynetdicom's handlers return it: a number, or a data set with comment and error ID."""
    if not status.comment and status.error_id is None:
        return status.code
    data_set = Dataset()
    data_set.Status = status.code
    if status.comment:
        data_set.ErrorComment = status.comment[:64]
    if status.error_id is not None:
        data_set.ErrorID = status.error_id
    return data_set


def storage_syntaxes(accept: Sequence[str] = (), *, default_syntax: bool = True) -> tuple[str, ...]:
    """The transfer syntaxes in which a node accepts instances: the listed ones, or else all.

    The default one, Implicit VR Little Endian, is among them (PS3.5 section 10.1) unless the node does without.
    """
    accepted = tuple(accept) or STORAGE_SYNTAXES
    if default_syntax:
        return accepted if DEFAULT_SYNTAX in accepted else (*accepted, DEFAULT_SYNTAX)
    return accepted if accept else tuple(syntax for syntax in accepted if syntax != DEFAULT_SYNTAX)


class Contexts(list[Any]):
    """Supported contexts, shared by all associations: pynetdicom only reads them."""

    def __deepcopy__(self, memo: Any) -> Contexts:
        return self


@cache
def supported(offers: frozenset[Offer], syntaxes: tuple[str, ...] = STORAGE_SYNTAXES) -> Contexts:
    """The presentation contexts of what a node offers; ``syntaxes`` are those of instances, and of nothing else.

    Made once for all nodes that offer the same: pynetdicom checks some thousand UIDs each time.
    """
    entity = AE()
    entity.add_supported_context(VERIFICATION, QUERY_SYNTAXES)
    if Offer.STORAGE in offers:
        # Both roles: whoever retrieves with C-GET receives, and so takes the SCP role on its own association.
        for sop_class in STORAGE_SOP_CLASSES:
            entity.add_supported_context(sop_class, list(syntaxes), scu_role=True, scp_role=True)
    if Offer.QUERY_RETRIEVE in offers:
        for sop_class, model in MODELS.items():
            if model is not Model.WORKLIST:
                entity.add_supported_context(sop_class, QUERY_SYNTAXES)
    if Offer.WORKLIST in offers:
        entity.add_supported_context(FIND[Model.WORKLIST], QUERY_SYNTAXES)
    if Offer.PROCEDURE_STEP in offers:
        entity.add_supported_context(PERFORMED_PROCEDURE_STEP, QUERY_SYNTAXES)
    if Offer.COMMITMENT in offers:
        entity.add_supported_context(STORAGE_COMMITMENT, QUERY_SYNTAXES)
    if Offer.COMMITMENT_REPORTS in offers:
        # The archive requests this association and proposes itself as SCP (PS3.4 section J.3.1).
        entity.add_supported_context(STORAGE_COMMITMENT, QUERY_SYNTAXES, scu_role=True, scp_role=True)
    return Contexts(entity.supported_contexts)
