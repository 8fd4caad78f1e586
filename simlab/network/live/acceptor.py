"""Associations that peers request from us: one listening AE per node, its handlers bound to the node's decisions."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from socket import IPPROTO_TCP, SHUT_RDWR, TCP_NODELAY, socket
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_MOVE
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from simlab.network.live.association import new_entity
from simlab.network.live.bounds import CLOSING_TIME, bound_waits, bounded_kill
from simlab.network.live.call import QUERY_SYNTAXES
from simlab.network.live.commitment import (
    ALL_STORED_EVENT,
    FAILURES_EXIST_EVENT,
    REQUEST_ACTION,
    SOP_INSTANCE,
    report_from_data_set,
    request_from_data_set,
)
from simlab.network.live.identifiers import from_data_set, query_from_data_set, to_data_set
from simlab.network.live.server import LiveServer, Offer, ReceivedInstance
from simlab.network.query import Model
from simlab.network.seam import CommitmentRequest, Status
from simlab.network.sop_classes import FIND, MODELS, PERFORMED_PROCEDURE_STEP, STORAGE_COMMITMENT, VERIFICATION
from simlab.studies.study import InstanceReference

_LAST_RESORTS = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.2")
STORAGE_SYNTAXES = (
    "1.2.840.10008.1.2.1",
    *(syntax for syntax in ALL_TRANSFER_SYNTAXES if syntax not in ("1.2.840.10008.1.2.1", *_LAST_RESORTS)),
    *_LAST_RESORTS,
)
"""What a node stores as it comes: everything. Of several in one context we choose the first in this order: Explicit VR
Little Endian, what is compressed, and only then Implicit VR and Big Endian."""

IDLE_TIMEOUT = 60.0
"""Seconds without a message after which an association is aborted."""

NO_SUCH_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_ARGUMENT = 0x0115
NO_SUCH_ACTION = 0x0123
"""Statuses of N-ACTION and N-EVENT-REPORT (PS3.7 annex C)."""

POLL_INTERVAL = 0.05
"""Seconds between looks for a new connection; bounds how long stopping takes."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where and as whom a node listens, and whom it lets in."""

    ae_title: str
    host: str
    port: int
    """0 for any free port."""
    known_callers: tuple[str, ...] | None
    """AE titles that may associate; None lets everybody in."""
    maximum_associations: int


Retrieve = Callable[[Association, "C_MOVE | C_GET", Any], None]
"""Serves a C-MOVE or C-GET request on an association under an accepted presentation context."""


class _Handler(RequestHandler):
    """Makes the association for a new connection; C-MOVE and C-GET are served by us, not by pynetdicom.

    pynetdicom would send sub-operations itself: re-encoded, and beyond our links and records.
    """

    server: _Server

    def _create_association(self) -> Association:
        association = super()._create_association()
        bound_waits(association)
        association.name = f"AcceptorThread {self.server.ae_title}"  # by the first word pynetdicom knows its own
        serve = association._serve_request

        def serve_request(message: Any, context_id: int) -> None:
            context = association._accepted_cx.get(context_id)
            if isinstance(message, C_MOVE | C_GET) and context is not None and self.server.retrieve is not None:
                association._is_paused = True
                try:
                    self.server.retrieve(association, message, context)
                except BaseException:
                    association.abort()  # or the peer would wait for a response until its time-out
                    raise
                association.dimse.cancel_req.clear()
                association._is_paused = False
            else:
                serve(message, context_id)

        association._serve_request = serve_request
        return association


class _Contexts(list[Any]):
    """Supported contexts, shared by all associations.

    pynetdicom copies them for each one, which takes 40 ms here, but it only reads them.
    """

    def __deepcopy__(self, memo: Any) -> _Contexts:
        return self


class _Server(ThreadedAssociationServer):
    request_queue_size = 128
    retrieve: Retrieve | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["request_handler"] = _Handler
        super().__init__(*args, **kwargs)
        self.contexts: list[Any] = _Contexts(self.contexts)

    def get_request(self) -> tuple[socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection in both directions, so that a thread that waits to receive wakes up."""
        with suppress(OSError):
            request.shutdown(SHUT_RDWR)
        super().shutdown_request(request)


class Acceptor:
    """A listening AE. Its handlers translate between DIMSE messages and a node's :class:`LiveServer`."""

    def __init__(self, listening: Listening, server: LiveServer, retrieve: Retrieve | None = None) -> None:
        """Bind and listen at once. Raises OSError if the port is taken."""
        self._node = server
        self._open: dict[str, Association] = {}
        entity = new_entity(listening.ae_title, IDLE_TIMEOUT)
        entity.require_called_aet = True
        if listening.known_callers is not None:
            # To pynetdicom an empty list means that everybody is welcome; our own title means that nobody else is.
            entity.require_calling_aet = list(listening.known_callers) or [listening.ae_title]
        entity.maximum_associations = listening.maximum_associations
        _support(entity, server.offers)
        self._server = entity.make_server(
            (listening.host, listening.port), evt_handlers=list(self._handlers(server.offers)), server_class=_Server
        )
        self._server.retrieve = retrieve if Offer.QUERY_RETRIEVE in server.offers else None
        entity._servers.append(self._server)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_INTERVAL,), name=f"Acceptor {listening.ae_title}", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened at."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening and abort what is still open. A second call does nothing."""
        if self._server not in self._server.ae._servers:
            return
        self._server.shutdown()
        associations = self._server.active_associations
        for association in associations:
            if association.is_established:
                association.abort(block=False)
            else:
                association.dul.socket._shutdown_socket()
        deadline = time.perf_counter() + CLOSING_TIME
        for association in associations:
            bounded_kill(association, deadline - time.perf_counter())
        self._thread.join(5.0)

    def association(self, handle: str) -> Association | None:
        """The association on which a commitment request came in, if it is still open."""
        association = self._open.get(handle)
        return association if association is not None and association.is_established else None

    # ---- handlers

    def _handlers(self, offers: frozenset[Offer]) -> Iterator[tuple[Any, Callable[..., Any]]]:
        if Offer.STORAGE in offers:
            yield evt.EVT_C_STORE, self._store
        if offers & {Offer.QUERY_RETRIEVE, Offer.WORKLIST}:
            yield evt.EVT_C_FIND, self._find
        if Offer.PROCEDURE_STEP in offers:
            yield evt.EVT_N_CREATE, self._create_step
            yield evt.EVT_N_SET, self._set_step
        if Offer.COMMITMENT in offers:
            yield evt.EVT_N_ACTION, self._request_commitment
        if Offer.COMMITMENT_REPORTS in offers:
            yield evt.EVT_N_EVENT_REPORT, lambda event: report_handler(event, self._node)

    def _store(self, event: evt.Event) -> int | Dataset:
        request = event.request
        instance = ReceivedInstance(
            InstanceReference(str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)),
            str(event.context.transfer_syntax),
            request.DataSet.getvalue(),
            str(event.assoc.requestor.ae_title),
        )
        return status_data_set(self._node.take(instance))

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
            response = to_data_set(match)
            if model is not Model.WORKLIST:
                response.QueryRetrieveLevel = query.level.value if query.level else None
                response.RetrieveAETitle = event.assoc.acceptor.ae_title
            yield 0xFF00, response

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
        handle = uuid.uuid4().hex
        self._open = {name: open_ for name, open_ in self._open.items() if open_.is_established}
        self._open[handle] = association
        request = CommitmentRequest(transaction, references, str(association.requestor.ae_title), handle)
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


def _support(entity: AE, offers: Iterable[Offer]) -> None:
    """Add the presentation contexts of what a node offers."""
    entity.add_supported_context(VERIFICATION, QUERY_SYNTAXES)
    if Offer.STORAGE in offers:
        # Both roles: whoever retrieves with C-GET receives, and so takes the SCP role on its own association.
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, STORAGE_SYNTAXES, scu_role=True, scp_role=True)
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
