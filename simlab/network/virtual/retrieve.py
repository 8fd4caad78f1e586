"""How a C-MOVE or C-GET of the virtual world ends, by what came of its sub-operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simlab.network.operation import Operation
from simlab.network.seam import SUCCESS, Retrieved, Status, is_success
from simlab.studies.fingerprint import Fingerprint

UNKNOWN_DESTINATION = 0xA801
SOME_FAILED = 0xB000
ALL_FAILED = 0xA702
"""C-MOVE and C-GET statuses (PS3.4 tables C.4-2 and C.4-3)."""


def retrieved(
    call: Operation[Retrieved],
    statuses: Sequence[int],
    located: Status,
    received: Mapping[str, Fingerprint] | None = None,
) -> Retrieved:
    """The outcome, from the statuses of the sub-operations and of having located what was asked for."""
    completed = statuses.count(SUCCESS)
    warning = sum(map(is_success, statuses)) - completed
    failed = len(statuses) - completed - warning
    code = located.code
    if code == SUCCESS and (failed or warning):
        code = SOME_FAILED if completed or warning else ALL_FAILED
    call.instances, call.failures = completed, failed if is_success(code) else max(failed, 1)
    return call.outcome(
        Status(code, located.comment),
        completed=completed,
        failed=failed,
        warning=warning,
        pending_responses=max(0, len(statuses) - 1),
        received=received or {},
    )
