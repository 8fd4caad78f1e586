"""How an association that a peer requests is answered (PS3.8 section 7.1, PS3.7 annex D)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pynetdicom import evt
from pynetdicom.pdu_primitives import A_ASSOCIATE, AsynchronousOperationsWindowNegotiation

from simlab.network.faults import REJECTIONS, AssociationFault
from simlab.network.live.receiving.faulty import without_refused
from simlab.network.live.receiving.handlers import STORAGE_SOP_CLASSES
from simlab.network.live.wire.association import ThreadlessAssociation

if TYPE_CHECKING:
    from simlab.network.live.receiving.acceptor import Acceptor


class Agreed(NamedTuple):
    """What was agreed on that C-STOREs need."""

    stored: dict[int, tuple[str, str]]
    """SOP class and transfer syntax, by the context ID on which we store."""
    calling: str
    """AE title of the peer."""
    window: int
    """Operations that the peer may have outstanding, 0 for any number."""


def negotiate(
    association: ThreadlessAssociation, acceptor: Acceptor, request: A_ASSOCIATE, fault: AssociationFault
) -> Agreed | None:
    """Accept or reject an association; None if it is none, or none any more."""
    association.requestor.primitive = request
    evt.trigger(association, evt.EVT_REQUESTED, {})
    rejection = fault.rejection
    if acceptor.established >= acceptor.listening.maximum_associations:
        rejection = rejection or REJECTIONS["local-limit"]
    if rejection is not None:
        association.requestor.ae_title = request.calling_ae_title
        association.acse.send_reject(*rejection)
        return None
    roles = association.requestor.role_selection
    retrieves = any(role.scp_role and sop_class in STORAGE_SOP_CLASSES for sop_class, role in roles.items())
    contexts = acceptor.contexts_to_retrieve if retrieves else acceptor.contexts
    association.acceptor.supported_contexts = without_refused(contexts, fault)
    window = _negotiate_window(association, acceptor.listening.outstanding)
    association.acse.negotiate_association()
    # Pynetdicom calls it established whatever became of its answer: the peer may have aborted before that.
    if not (association.is_established and association.dul.is_alive()):
        return None
    stored = {
        int(context.context_id): (str(context.abstract_syntax), str(context.transfer_syntax[0]))
        for context in association.accepted_contexts
        if context.as_scp
        and context.abstract_syntax in STORAGE_SOP_CLASSES
        and str(context.transfer_syntax[0]) in acceptor.syntaxes
    }
    return Agreed(stored, str(association.requestor.ae_title), window)


def _negotiate_window(association: ThreadlessAssociation, ours: int) -> int:
    """Grant as many outstanding operations as both want; returns how many the peer may have, 0 for any number."""
    offered, performed = association.requestor.asynchronous_operations
    if (offered, performed) == (1, 1):
        return 1
    granted = min(offered or ours, ours or offered)
    item = AsynchronousOperationsWindowNegotiation()
    item.maximum_number_operations_invoked, item.maximum_number_operations_performed = granted, 1
    association.acceptor.add_negotiation_item(item)
    return granted
