"""The two operations of storage commitment on associations that we request (PS3.4 annex J)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt

from simlab.network.faults import Faults
from simlab.network.live import commitment
from simlab.network.live.call import Call
from simlab.network.live.directory import Directory
from simlab.network.live.receiving.accepted import Accepted
from simlab.network.live.receiving.faulty import serve
from simlab.network.live.receiving.handlers import report_handler
from simlab.network.live.sending.association import Requestor
from simlab.network.live.server import LiveServer
from simlab.network.live.wire.association import ThreadlessAssociation
from simlab.network.live.wire.upper_layer import AssociationError
from simlab.network.seam import CommitmentReport, Outcome, Status, Trouble
from simlab.network.sop_classes import STORAGE_COMMITMENT
from simlab.studies.study import InstanceReference

_UNUSED_PORT = 1
"""That of TCPMUX, which nobody offers any more."""


def request_commitment(
    call: Call[Outcome],
    transaction: str,
    references: Sequence[InstanceReference],
    hold: float,
    node: LiveServer,
    faults: Faults,
    answer: Callable[[Outcome], object],
) -> None:
    """N-ACTION. ``answer`` gets the outcome at once; after that the association may stay open for the report.

    It does for up to ``hold`` seconds. ``node`` takes the report, and does wrong what ``faults`` says.
    """
    reported = threading.Event()

    def take_report(event: evt.Event) -> tuple[int | Dataset, Dataset | None]:
        response = report_handler(event, node)
        reported.set()
        return response

    def ask(requestor: Requestor) -> Outcome:
        send = requestor.association.send_n_action
        information = commitment.request_to_data_set(transaction, references)
        response, _ = requestor.ask(
            lambda: send(information, commitment.REQUEST_ACTION, STORAGE_COMMITMENT, commitment.SOP_INSTANCE)
        )
        return call.outcome(requestor.status_of(response))

    try:
        requestor = call.associate([STORAGE_COMMITMENT], handlers=[(evt.EVT_N_EVENT_REPORT, take_report)])
    except AssociationError as error:
        answer(call.failed(error.trouble, error.comment))
        return
    association = requestor.association
    association.dimse.serve = partial(serve, association, faults, association._serve_request)
    with requestor:
        try:
            outcome = ask(requestor)
        except AssociationError as error:
            outcome = call.failed(error.trouble, error.comment)
        answer(outcome)
        if hold > 0 and outcome.ok:
            requestor.serve_until(reported, hold)


def report_commitment(
    call: Call[Outcome], report: CommitmentReport, on: Accepted | None = None, *, astray: bool = False
) -> Outcome:
    """N-EVENT-REPORT, on an association that the peer requested if that is still open, else on a new one.

    ``astray`` goes on a new one to where nobody listens. A peer that refuses us the SCP role makes the trouble
    NO_CONTEXT. One that says nothing of roles gets the report: strictly we are no SCP then (PS3.7 section D.3.3.4), but
    such peers take reports. Raises AssociationError.
    """

    def send(association: ThreadlessAssociation) -> Dataset:
        response: Dataset
        response, _ = association.send_n_event_report(
            commitment.report_to_data_set(report),
            commitment.event_type(report),
            STORAGE_COMMITMENT,
            commitment.SOP_INSTANCE,
            msg_id=association.dimse.asked % 0xFFFF + 1,  # so that no late response can be taken for this one's
        )
        return response

    if on is not None and not astray:
        response = on.ask(lambda: send(on.association), call.timeout)
        if response is not None and "Status" in response:
            return call.outcome(Status(int(response.Status), "on the association of the request"))
    with (
        _gone_astray(call) if astray else nullcontext(call) as going,
        going.associate([STORAGE_COMMITMENT], scp_roles=[STORAGE_COMMITMENT]) as requestor,
    ):
        role = requestor.association.acceptor.role_selection.get(UID(STORAGE_COMMITMENT))
        if role is not None and not role.scp_role:
            return call.failed(Trouble.NO_CONTEXT, "the peer refuses us the SCP role of storage commitment")
        response = requestor.ask(lambda: send(requestor.association))
        return call.outcome(requestor.status_of(response))


@contextmanager
def _gone_astray(call: Call[Outcome]) -> Iterator[Call[Outcome]]:
    """The same call to a port of the peer's host at which nobody listens, past all links. Raises AssociationError.

    The port is kept from everybody else meanwhile. On a host that is not ours none can be.
    """
    target = call.directory.node(call.peer.node)
    with socket.socket(socket.AF_INET6 if ":" in target.host else socket.AF_INET) as taken:
        try:
            taken.bind((target.host, 0))
            port = taken.getsockname()[1]
        except (OSError, UnicodeError):
            port = _UNUSED_PORT
        yield replace(call, directory=Directory([call.directory.node(call.source), replace(target, port=port)]))
