"""Commitment requests that an archive has accepted and not yet reported on: it owes a report for each."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine, bindparam, delete, insert, select
from sqlalchemy.exc import DBAPIError

from simlab.network.seam import CommitmentRequest, Status
from simlab.nodes.archive.decisions import PROCESSING_FAILURE, RESOURCE_LIMITATION, Accepted
from simlab.nodes.archive.tables import REQUESTS
from simlab.studies.study import InstanceReference


class MemoryRequests:
    """The requests of the virtual world. One thread only, as the virtual world has one."""

    def __init__(self) -> None:
        self._owed: dict[int, Accepted] = {}
        self._count = 0

    def accept(self, request: CommitmentRequest) -> Accepted:
        """Owe a report."""
        in_use = any(each.request.transaction == request.transaction for each in self._owed.values())
        self._count += 1
        accepted = self._owed[self._count] = Accepted(self._count, request, in_use)
        return accepted

    def owed(self) -> Sequence[Accepted]:
        """What is still to be reported on, in the order in which it was accepted."""
        return tuple(self._owed.values())

    def done(self, accepted: Accepted) -> None:
        """Owe the report no longer."""
        del self._owed[accepted.number]


class KeptRequests:
    """The requests of the live world, in the archive's index. Safe to use from any thread.

    They are as durable as the index: what was accepted is still owed after a restart, only no longer on the association
    of the request.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._done: deque[int] = deque()
        """Numbers to be struck out."""
        # Whoever says that a report is done runs the workflows, and must not wait for the disk.
        self._striker = ThreadPoolExecutor(1, "archive-requests")

    def close(self) -> None:
        """Strike out what is done."""
        self._striker.shutdown()

    def accept(self, request: CommitmentRequest) -> Accepted | Status:
        """Owe a report from now on, or say why that cannot be promised: a full disk, or an index that is locked."""
        in_use = select(REQUESTS.c.id).where(REQUESTS.c.transaction_uid == request.transaction).exists()
        statement = insert(REQUESTS).values(
            transaction_uid=request.transaction,
            requester=request.requester,
            instances=request.references,
            duplicate=in_use,
        )
        try:
            with self._engine.begin() as connection:
                row = connection.execute(statement.returning(REQUESTS.c.id, REQUESTS.c.duplicate)).one()
        except DBAPIError as error:
            return _refusal(error)
        return Accepted(row.id, request, row.duplicate)

    def owed(self) -> Sequence[Accepted]:
        """What is still to be reported on, in the order in which it was accepted."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(REQUESTS).order_by(REQUESTS.c.id)).all()
        return [
            Accepted(
                row.id,
                CommitmentRequest(
                    row.transaction_uid, tuple(InstanceReference(*each) for each in row.instances), row.requester, ""
                ),
                row.duplicate,
            )
            for row in rows
        ]

    def done(self, accepted: Accepted) -> None:
        """Owe the report no longer; it is struck out soon."""
        self._done.append(accepted.number)
        self._striker.submit(self._strike_out)

    def _strike_out(self) -> None:
        numbers = [self._done.popleft() for _ in range(len(self._done))]
        if not numbers:
            return
        statement = delete(REQUESTS).where(REQUESTS.c.id == bindparam("number"))
        try:
            with self._engine.begin() as connection:
                connection.execute(statement, [{"number": number} for number in numbers])
        except DBAPIError:  # next time; until then they would be reported once more after a restart
            self._done.extend(numbers)


def _refusal(error: DBAPIError) -> Status:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # the rest tells where it happened
    full = code == sqlite3.SQLITE_FULL
    return Status(RESOURCE_LIMITATION if full else PROCESSING_FAILURE, f"not accepted: {error.orig}"[:64])
