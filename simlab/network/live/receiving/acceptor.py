"""A listening AE: connections taken in, associations negotiated, counted and closed.

One thread per AE waits for all of its connections at once. On it associations are negotiated, C-STOREs received and
C-ECHOs answered; every other request is served on a thread of its own, which has its association to itself meanwhile.
What an AE's faults make of all that is in ``faulty.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_MOVE

from simlab.network.faults import NO_FAULTS, Faults
from simlab.network.live.receiving.accepted import Accepted
from simlab.network.live.receiving.handlers import Handlers, storage_syntaxes, supported
from simlab.network.live.receiving.handover import Setup
from simlab.network.live.receiving.names import usable
from simlab.network.live.receiving.receivers import Receivers
from simlab.network.live.receiving.reception import Receiving
from simlab.network.live.sending.association import MAXIMUM_LENGTH, new_entity
from simlab.network.live.server import LiveServer, Offer, ReceivedInstance, Respond
from simlab.network.live.wire.association import ThreadlessAssociation
from simlab.network.seam import Status

IDLE_TIMEOUT = 60.0
"""Seconds without a message after which an association is aborted, unless a node says otherwise."""

CLOSING_TIME = 2.0
"""Seconds that threads get to end once their associations have been cut off."""

BACKLOG = 128
"""Connections that may wait to be taken in, unless a node says otherwise."""

LONGEST_HEARING = 10.0
"""Seconds for which somebody who asks waits for what receivers have received."""

MOST_CONNECTIONS = 500 if sys.platform == "win32" else 1_000_000
"""At a time, associated or not: on Windows nobody can wait for more than 512 sockets at once. Others wait to get in."""

_ACCEPTED_AT_ONCE = 64
_RECOVERY = 0.1
"""Seconds after which we listen again when descriptors ran out, or there were too many connections."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where and as whom a node listens, and whom it lets in."""

    ae_title: str
    host: str
    port: int
    """0 for any free port."""
    known_callers: tuple[str, ...] | None = None
    """AE titles that may associate; None lets everybody in."""
    maximum_associations: int = 100
    """Above this, association requests are rejected for now (PS3.8 table 9-21: 2, 3, 2)."""
    maximum_length: int = MAXIMUM_LENGTH
    """Of a P-DATA-TF that we receive, in bytes; 0 for any (PS3.8 annex D.1)."""
    outstanding: int = 1
    """Operations that a peer may have outstanding if it asks for more than one (PS3.7 D.3.3.3); 0 for any number."""
    idle_timeout: float | None = None
    """Seconds; None for ``IDLE_TIMEOUT``."""
    backlog: int = BACKLOG
    accept: tuple[str, ...] = ()
    """Transfer syntaxes in which instances are stored here, preferred ones first; none listed: all."""
    default_syntax: bool = True
    """Whether Implicit VR Little Endian is accepted too for storage. For everything else it always is."""

    @property
    def syntaxes(self) -> tuple[str, ...]:
        """The transfer syntaxes in which instances are stored here."""
        return storage_syntaxes(self.accept, default_syntax=self.default_syntax)


Retrieve = Callable[[ThreadlessAssociation, "C_MOVE | C_GET", Any], None]
"""Serves a C-MOVE or C-GET request on an association under an accepted presentation context."""

Bug = Callable[[BaseException], None]
"""Told of an exception that no peer can be blamed for."""


class Acceptor:
    """A listening AE."""

    def __init__(
        self,
        listening: Listening,
        server: LiveServer,
        retrieve: Retrieve | None = None,
        on_bug: Bug | None = None,
        faults: Faults = NO_FAULTS,
    ) -> None:
        """Listen at once. Raises OSError if the port is taken."""
        self.listening = listening
        self._server = server
        self.faults = faults
        self.idle_timeout = listening.idle_timeout or IDLE_TIMEOUT
        self.retrieve = retrieve if Offer.QUERY_RETRIEVE in server.offers else None
        self.on_bug = on_bug or _nobody_is_told
        self.entity = new_entity(listening.ae_title, self.idle_timeout)
        self.entity.require_called_aet = True
        if listening.known_callers is not None:
            # To pynetdicom an empty list means that everybody is welcome; our own title means that nobody else is.
            self.entity.require_calling_aet = list(listening.known_callers) or [listening.ae_title]
        self.syntaxes = frozenset(listening.syntaxes)
        """In which instances are stored here."""
        self.contexts = supported(server.offers, listening.syntaxes)
        self.contexts_to_retrieve = (
            supported(server.offers, storage_syntaxes(default_syntax=listening.default_syntax))
            if listening.accept
            else self.contexts
        )
        """For whoever means to receive on its own association (C-GET): what is accepted there, it may get."""
        self.handlers = list(Handlers(server, self._name))
        self.associations: set[Accepted] = set()
        """All connections, associated or not yet."""
        self._listener = _listen(listening)
        self.port: int = self._listener.getsockname()[1]
        """The port that is listened at."""
        self.loop = asyncio.SelectorEventLoop()
        self.loop.set_exception_handler(self._exception)
        self.receiving = Receiving(usable(server.storage), self.loop) if server.storage else None
        self.receivers: Receivers | None = None
        if self.receiving is not None and self.receiving.storage.receivers:
            setup = Setup(self.receiving.storage, self.idle_timeout)
            self.receivers = Receivers(self.loop, setup, server.keep, self.on_bug)
        self._thread = threading.Thread(target=self._run, name=f"Acceptor {listening.ae_title}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and abort what is still open, within a bound. A second call does nothing."""
        if not self._thread.is_alive():
            return
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._stop)
        self._thread.join(CLOSING_TIME)
        if self.receivers is not None:
            self.receivers.wait()
        if self.receiving is not None:
            self.receiving.close()

    def association(self, name: str) -> Accepted | None:
        """The association on which a commitment request came in, if it is still open."""
        found = next((accepted for accepted in tuple(self.associations) if accepted.name == name), None)
        return found if found is not None and found.association.is_established else None

    @property
    def established(self) -> int:
        """How many associations there are."""
        return sum(accepted.association.is_established for accepted in self.associations)

    def take(self, instance: ReceivedInstance, examined: Any, respond: Respond | None) -> None:
        """Let the node have an instance; nobody waits for a response if ``respond`` is None. On any thread."""
        self._server.take(instance, examined, respond or _nobody_waits)

    def hear_receivers(self) -> None:
        """Let the node have what was acknowledged so far, before it is asked for anything. Not on our own thread."""
        if not self.receivers:
            return
        heard, deadline = threading.Event(), time.monotonic() + LONGEST_HEARING
        with contextlib.suppress(RuntimeError):  # closed: then it has heard
            self.loop.call_soon_threadsafe(self._hear, heard)
        while not heard.wait(0.1) and self._thread.is_alive() and time.monotonic() < deadline:
            pass

    def _name(self, association: Association) -> str:
        return next(accepted.name for accepted in tuple(self.associations) if accepted.association is association)

    # ---- the acceptor's own thread

    def _run(self) -> None:
        self.loop.add_reader(self._listener, self._take_in)
        self._look_for_silence()
        try:
            self.loop.run_forever()
        except BaseException as error:  # noqa: BLE001 -- whatever it is, this node answers nobody any more
            self.on_bug(error)
            self._stop()
        finally:
            self._listener.close()
            self.loop.close()

    def _hear(self, heard: threading.Event) -> None:
        if self.receivers is not None:
            self.receivers.hear()
        heard.set()

    def _take_in(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if len(self.associations) >= MOST_CONNECTIONS:
                self._take_in_later()
                return
            try:
                connection, address = self._listener.accept()
            except BlockingIOError:  # nobody waits any longer
                return
            except OSError:  # no descriptors are left: others must end first
                self._take_in_later()
                return
            try:
                self.associations.add(Accepted(self, connection, address))
            except OSError:  # gone before we looked at it; not every system still lets us set its options
                connection.close()

    def _take_in_later(self) -> None:
        self.loop.remove_reader(self._listener)
        self.loop.call_later(_RECOVERY, self.loop.add_reader, self._listener, self._take_in)

    def _look_for_silence(self) -> None:
        """Abort associations on which nothing has come for too long."""
        for accepted in tuple(self.associations):
            accepted.abort_if_idle()
        self.loop.call_later(min(1.0, self.idle_timeout / 4), self._look_for_silence)

    def _stop(self) -> None:
        self.loop.remove_reader(self._listener)
        for accepted in tuple(self.associations):
            accepted.close()
        if self.receivers is not None:
            self.receivers.hear()
            self.receivers.close()
        self.loop.stop()

    def _exception(self, _loop: Any, context: dict[str, Any]) -> None:
        self.on_bug(context.get("exception") or RuntimeError(context.get("message")))


def _listen(listening: Listening) -> socket.socket:
    family, *_, address = socket.getaddrinfo(listening.host, listening.port, type=socket.SOCK_STREAM)[0]
    listener = socket.create_server(address[:2], family=family, backlog=listening.backlog)
    listener.setblocking(False)
    return listener


def _nobody_waits(_: Status) -> None:
    """The sender has been told."""


def _nobody_is_told(error: BaseException) -> None:
    raise error
