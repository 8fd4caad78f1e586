"""C-STOREs as they come in on one association: each data set streamed into a file, answered when that is durable.

What happens to an instance, and on which thread:

    the thread that reads      open a file, write each piece as it comes, close it
    a thread that syncs        (durability fsync only) have the file and its name on the disk
    either of them             examine the file, deliver it to the node
    any                        respond, once the node has said what the response is

A file is called ``*.part`` until all of it is there, and ``*.dcm`` after that: whoever finds it later can tell. Where
receivers may acknowledge what comes, there is at most one complete file of each SOP Instance UID (``names.py``).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from simlab.network.live.receiving.disk import sync, sync_folder, write_all
from simlab.network.live.receiving.file_format import file_header
from simlab.network.live.receiving.names import Names
from simlab.network.live.server import HEAD_BYTES, Durability, ReceivedInstance, Storage
from simlab.network.live.wire.commands import C_STORE_RQ, NO_DATA_SET, Command, read_command, store_response
from simlab.network.live.wire.gather import Buffer
from simlab.network.live.wire.pdus import DataSink, ProtocolError, Reason
from simlab.network.seam import SUCCESS, Status
from simlab.studies.study import InstanceReference

BUFFER_BYTES = 1 << 18
"""Bytes that are received in one call: so few that they are still in the processor's cache when they are written."""

SYNCING_THREADS = 16
"""How many files are synced to the disk at once: disks do that side by side."""

AGAIN = 0.02
"""Seconds after which an instance is given its name again, when the same one is still among what is incoming."""

LONGEST_WAIT = 10.0
"""Seconds for which that is tried."""

OUT_OF_RESOURCES = 0xA700
SOP_CLASS_NOT_SUPPORTED = 0x0122

PART = ".part"
"""What the names of files end in that are not complete."""

_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
"""Windows opens files as text without the last."""


class Deliver(Protocol):
    """Hands a received instance to the node that is to keep it, from any thread."""

    def __call__(self, context_id: int, request: Command | None, instance: ReceivedInstance, examined: Any) -> None:
        """``request`` is to be responded to, unless it is None; ``examined`` is what ``Storage.examine`` returned."""


class Receiving:
    """How a process receives for a node: the same for all of its associations."""

    def __init__(self, storage: Storage, loop: asyncio.AbstractEventLoop) -> None:
        """``loop`` is that of the thread that reads. Raises OSError if nothing can be written to the folder."""
        self.storage = storage
        self._loop = loop
        self._durable = storage.durability is Durability.FSYNC
        storage.folder.mkdir(parents=True, exist_ok=True)
        self._names: Names | None = None
        if storage.must_ask is not None:
            self._names = Names(storage.folder, durable=self._durable)
            self._names.make_folders()
        # A folder of our own: processes that make files in one folder would wait for each other.
        self.folder = Path(tempfile.mkdtemp(dir=storage.folder, prefix=""))
        """Where instances are written."""
        self.make_folder()
        self._numbers = count()
        self.syncing = ThreadPoolExecutor(SYNCING_THREADS, "sync")
        """Runs what waits for the disk."""

    def make_folder(self) -> None:
        """Make the folder for our files, should it be gone. Raises OSError."""
        self.folder.mkdir(exist_ok=True)
        if self._durable:
            sync_folder(self.storage.folder)

    def new_file(self) -> str:
        """A path that nobody else has or will get."""
        return f"{self.folder}{os.sep}{next(self._numbers)}{PART}"

    def complete(self, path: str, sop_instance: str) -> str:
        """Call a file complete. Returns its name.

        Raises FileExistsError while the same instance is among what is incoming, OSError if there can be no such name.
        """
        if self._names is not None:
            complete = self._names.give(path, sop_instance)
        else:
            complete = f"{path.removesuffix(PART)}.dcm"
            os.rename(path, complete)  # noqa: PTH104 -- pathlib takes several times as long
        return complete

    def sync_name(self, path: str) -> None:
        """Have a file's name on the disk, where that is asked for. Raises OSError."""
        if self._durable:
            sync_folder(Path(path).parent)

    def complete_later(self, work: Callable[[], None]) -> None:
        """Have a file called complete in a while."""
        call = partial(self.syncing.submit, work) if self._durable else work
        with suppress(RuntimeError):  # the process ends
            self._loop.call_soon_threadsafe(self._loop.call_later, AGAIN, call)

    def close(self) -> None:
        """Wait for nothing any more."""
        self.syncing.shutdown(wait=False)
        with suppress(OSError):  # files that the node has not moved away yet
            self.folder.rmdir()


class Reception:
    """The C-STORE requests of one association."""

    def __init__(
        self,
        receiving: Receiving,
        contexts: Mapping[int, tuple[str, str]],
        calling: str,
        window: int,
        send: Callable[[bytes], None],
        deliver: Deliver,
    ) -> None:
        """``contexts`` has the SOP class and the transfer syntax of each context ID on which we store.

        ``window`` is the negotiated number of outstanding operations, 0 for any; ``send`` sends a whole PDU from any
        thread, without waiting.
        """
        self.outstanding = 0
        """Requests begun and not yet answered; in a receiver, not yet left to the node to answer."""
        self.calling = calling
        self._receiving = receiving
        self._contexts = contexts
        self._window = window
        self._send = send
        self.deliver = deliver

    def begin(self, context_id: int, command: bytes) -> DataSink | None:
        """Where the data set of a C-STORE-RQ goes; None if the command is none. Raises ProtocolError."""
        request = read_command(command)
        if request.field != C_STORE_RQ:
            return None
        if request.data_set_type == NO_DATA_SET:
            raise ProtocolError(Reason.INVALID_PARAMETER, "a C-STORE request without a data set")
        if self.is_full:
            raise ProtocolError(Reason.UNEXPECTED_PDU, f"more than {self._window} operations outstanding")
        context = self._contexts.get(context_id)
        if context is None:
            raise ProtocolError(Reason.INVALID_PARAMETER, f"no accepted presentation context {context_id}")
        sop_class, syntax = context
        reference = InstanceReference(_text(request.sop_class), _text(request.sop_instance))
        self.outstanding += 1
        sink = Writing(self, context_id, request, reference, syntax)
        if reference.sop_class != sop_class:
            sink.status = Status(SOP_CLASS_NOT_SUPPORTED, "not the SOP class of the presentation context")
        else:
            sink.open()
        return sink

    @property
    def is_full(self) -> bool:
        """Whether the peer has as many requests outstanding as it may."""
        return 0 < self._window <= self.outstanding

    def respond(self, context_id: int, request: Command, status: Status) -> None:
        """Send a C-STORE-RSP."""
        self.outstanding -= 1
        self._send(store_response(context_id, request, status))


class Writing:
    """One data set on its way into a file."""

    def __init__(
        self, reception: Reception, context_id: int, request: Command, reference: InstanceReference, syntax: str
    ) -> None:
        self.status: Status | None = None
        """Set once it is known that the instance is not kept; what is left of it is then received for nothing."""
        self.request = request
        self._reception = reception
        self._receiving = reception._receiving
        self._context_id = context_id
        self._reference = reference
        self._syntax = syntax
        self._path = self._receiving.new_file()
        self._file = -1
        self._header = b""
        self._unwritten: list[Buffer] = []
        """What came last, and at first what goes in front of the data set: written in one call."""
        self._head: list[bytes] = []
        self._size = 0
        """Bytes of the data set."""
        self._waits = True
        """Whether the peer waits for a response."""
        self._tried_until = 0.0

    @property
    def head(self) -> bytes:
        """What the data set begins with."""
        return b"".join(self._head)

    def open(self) -> None:
        """Begin the file."""
        self._header = file_header(self._reference, self._syntax, self._reception.calling)
        self._unwritten = [self._header]
        try:
            try:
                self._file = os.open(self._path, _NEW_FILE, 0o666)
            except FileNotFoundError:  # somebody has deleted the folder
                self._receiving.make_folder()
                self._file = os.open(self._path, _NEW_FILE, 0o666)
        except OSError as error:
            self._fail(error)

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Write the next pieces of the data set."""
        if self.status is not None:
            return
        for piece in pieces:
            if self._size < HEAD_BYTES:
                self._head.append(bytes(piece[: HEAD_BYTES - self._size]))
            self._size += len(piece)
        self._unwritten += pieces
        try:
            self._put()
        except OSError as error:
            self._fail(error)

    def _put(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        write_all(self._file, unwritten)

    def _fail(self, error: OSError) -> Status:
        status = Status(OUT_OF_RESOURCES, f"not stored: {error.strerror or error}"[:64])
        self.refuse(status)
        return status

    def refuse(self, status: Status) -> None:
        """Keep nothing, and respond with this in the end."""
        self.status = status
        self._leave_nothing()

    def give_up(self) -> None:
        """The rest will never come: leave nothing behind."""
        self._leave_nothing()
        self._reception.outstanding -= 1

    def _leave_nothing(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        with suppress(OSError):
            Path(self._path).unlink()

    def end(self) -> None:
        """All of it is there."""
        durability = self._receiving.storage.durability
        if durability is Durability.NONE and self.status is None:
            self._waits = False
            self._respond(Status(SUCCESS))  # whatever comes of it
        if self.status is None:
            try:
                self._put()
            except OSError as error:
                self._fail(error)
        if self.status is not None:
            self._respond_if_due(self.status)
        elif durability is Durability.FSYNC:
            self._receiving.syncing.submit(self._sync)
        else:
            self._complete()

    def _sync(self) -> None:
        """Have the file on the disk, and only then with the node: what it holds, it may acknowledge to others too."""
        try:
            sync(self._file)
        except OSError as error:
            self._respond_if_due(self._fail(error))
        else:
            self._complete()

    def _complete(self) -> None:
        """Close the file, call it complete and deliver it."""
        try:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
            self._path = self._receiving.complete(self._path, self._reference.sop_instance)
            self._receiving.sync_name(self._path)
        except FileExistsError:
            self._wait_for_name()
        except OSError as error:
            self._respond_if_due(self._fail(error))
        else:
            self._deliver()

    def _wait_for_name(self) -> None:
        """The same instance has just been received: soon the node has it, and can say what becomes of this."""
        now = time.monotonic()
        self._tried_until = self._tried_until or now + LONGEST_WAIT
        if now < self._tried_until:
            self._receiving.complete_later(self._complete)
        else:
            self.refuse(_SAME_INSTANCE)
            self._respond_if_due(_SAME_INSTANCE)

    @property
    def instance(self) -> ReceivedInstance:
        """What has been received, once all of it has."""
        offset = len(self._header)
        calling = self._reception.calling
        return ReceivedInstance(self._reference, self._syntax, calling, self._path, offset, offset + self._size)

    def _deliver(self) -> None:
        instance = self.instance
        examined = self._receiving.storage.examine(instance, self.head)
        self._reception.deliver(self._context_id, self.request if self._waits else None, instance, examined)

    def _respond_if_due(self, status: Status) -> None:
        if self._waits:
            self._respond(status)

    def _respond(self, status: Status) -> None:
        self._reception.respond(self._context_id, self.request, status)


_SAME_INSTANCE = Status(OUT_OF_RESOURCES, "the same instance is being received")


def _text(uid: bytes) -> str:
    return uid.rstrip(b"\0 ").decode("ascii", "replace")
