"""A C-ECHO from outside any department, to see whether anybody is there."""

from __future__ import annotations

import time

from simlab.network.live.directory import Peer
from simlab.network.live.sending.association import Requestor, contexts_for
from simlab.network.live.wire.upper_layer import AssociationError
from simlab.network.seam import NO_STATUS, Outcome
from simlab.network.sop_classes import VERIFICATION

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"


def echo(calling: str, peer: Peer, timeout: float) -> Outcome:
    """Associate, C-ECHO, release. Times are seconds of ``perf_counter``."""
    started = time.perf_counter()
    try:
        contexts = contexts_for([(VERIFICATION, IMPLICIT_LITTLE_ENDIAN)])
        with Requestor.open(calling, peer, contexts, timeout=timeout) as association:
            response = association.ask(association.association.send_c_echo)
            status = association.status_of(response)
            finished = time.perf_counter()
    except AssociationError as error:
        return Outcome(operation="C-ECHO", status=NO_STATUS, trouble=error.trouble, comment=error.comment)
    return Outcome(operation="C-ECHO", status=status.code, started=started, finished=finished)
