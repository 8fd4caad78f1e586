"""Bounds for pynetdicom's threads: neither a peer's silence nor its nonsense may hold them up for ever."""

from __future__ import annotations

import time
from functools import partial

from pynetdicom.association import Association
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import A_P_ABORT

CLOSING_TIME = 2.0
"""Seconds that an association gets to end in good order; after that its connection is cut."""


def bounded_kill(association: Association, patience: float = CLOSING_TIME) -> None:
    """What pynetdicom's ``kill`` does, within a bound.

    That one waits until the upper layer's thread is idle: for ever, if the thread waits in the middle of a PDU for a
    peer that has stopped to send or to read.
    """
    association._reactor_checkpoint.set()
    association._kill = True
    association.is_established = False
    association._is_paused = True
    dul = association.dul
    if not dul.is_alive():
        return
    deadline = time.perf_counter() + patience
    while dul.is_alive() and dul.state_machine.current_state != "Sta1" and time.perf_counter() < deadline:
        time.sleep(0.002)
    dul.kill_dul()
    dul.join(0.1)
    if dul.is_alive():
        dul.socket._shutdown_socket()  # wakes a thread that waits in recv or send
        dul.join(CLOSING_TIME)
    dul.to_user_queue.put(None)  # wakes an association's thread that still waits for the request


def bound_waits(association: Association) -> None:
    """Let neither a peer's silence nor its nonsense hold up the threads of an association. Call it before they start.

    An exception in pynetdicom's upper layer (a message that cannot be decoded, or one that comes when it must not)
    ends that layer's thread, and leaves all others waiting; here it ends the association. A caller who hangs up before
    asking for anything would keep its place until the time-out; here it leaves at once.
    """
    dul, machine = association.dul, association.dul.state_machine
    dul.daemon = True
    association.kill = partial(bounded_kill, association)
    act = machine.do_action

    def do_action(event: str) -> None:
        before = machine.current_state
        try:
            act(event)
        except Exception:  # noqa: BLE001 -- whatever pynetdicom makes of a peer's garbage
            _give_up(association)
        if (before, machine.current_state) == ("Sta2", "Sta1"):
            dul.to_user_queue.put(None)

    machine.do_action = do_action


def _give_up(association: Association) -> None:
    """Abort on the spot, past the state machine, and tell whoever waits. Runs on the upper layer's thread."""
    dul = association.dul
    abort = A_ABORT_RQ()
    abort.source, abort.reason_diagnostic = 0x02, 0x00
    dul.socket.send(abort.encode())
    dul.socket._shutdown_socket()
    dul.state_machine.current_state = "Sta1"
    told = A_P_ABORT()
    told.provider_reason = 0x00
    dul.to_user_queue.put(told)
    association.dimse.msg_queue.put((None, None))
    dul.kill_dul()
