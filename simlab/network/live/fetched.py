"""What comes over an association of ours (C-GET): answered with success, looked at, and let go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from simlab.network.live.sending.association import Requestor
from simlab.network.live.wire.commands import C_STORE_RQ, NO_DATA_SET, read_command, store_response
from simlab.network.live.wire.pdus import LARGEST_DATA_SET, DataSink
from simlab.network.seam import Status
from simlab.studies.compression import CodecError
from simlab.studies.digests import decoded_digest
from simlab.studies.fingerprint import Fingerprint, new_digest

MOST_WAITING = 4
"""Data sets that wait in memory to be decoded; with more, the peer has to wait."""


class FetchedStores:
    """The C-STOREs of a C-GET, as fingerprints. A context manager: leaving it waits for what is being decoded.

    A data set is digested as it streams in. Where it should be ``known`` and is not, byte for byte, it is decoded as
    well, on a thread of its own; for that, one data set is kept in memory while it comes.
    """

    def __init__(self, known: Mapping[str, Fingerprint]) -> None:
        self.bytes = 0
        """Of all data sets."""
        self._known = known
        self._came: dict[str, Fingerprint] = {}
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="decoder")
        self._room = threading.Semaphore(MOST_WAITING)
        self._decoding: dict[str, Future[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._decoder.shutdown()

    def take_from(self, requestor: Requestor) -> None:
        """Take the C-STOREs that come on an association."""
        dul = requestor.association.dul
        syntaxes = {each.context_id: str(each.transfer_syntax[0]) for each in requestor.association.accepted_contexts}

        def begin(context_id: int, command: bytes) -> DataSink | None:
            request = read_command(command)
            if request.field != C_STORE_RQ or request.data_set_type == NO_DATA_SET:
                return None
            uid = request.sop_instance.rstrip(b"\0 ").decode("ascii", "replace")

            def respond() -> None:
                dul.send_at_once(store_response(context_id, request, Status(0)))

            return _Fetching(self, uid, syntaxes.get(context_id, ""), respond, keep=uid in self._known)

        dul.store = begin

    def came(self, uid: str, syntax: str, digest: bytes, data_set: bytearray) -> None:
        """An instance came whole; its data set is empty if nobody cares for it."""
        came = self._came[uid] = Fingerprint(syntax, digest)
        known = self._known.get(uid)
        self._decoding.pop(uid, None)  # of another copy, which came before
        if known is not None and (known.transfer_syntax, known.data_set) != (came.transfer_syntax, came.data_set):
            self._room.acquire()
            self._decoding[uid] = self._decoder.submit(self._decode, data_set, syntax)

    def _decode(self, data_set: bytearray, syntax: str) -> bytes:
        try:
            return decoded_digest(bytes(data_set), syntax)
        except CodecError:
            return b""
        finally:
            self._room.release()

    def fingerprints(self) -> dict[str, Fingerprint]:
        """What came, by SOP Instance UID; of an instance that came twice, the second copy."""
        contents = {uid: future.result() for uid, future in self._decoding.items()}
        return {uid: came._replace(content=contents.get(uid, b"")) for uid, came in self._came.items()}


class _Fetching:
    """The data set of one C-STORE."""

    def __init__(
        self, stores: FetchedStores, uid: str, syntax: str, respond: Callable[[], None], *, keep: bool
    ) -> None:
        self._stores = stores
        self._uid = uid
        self._syntax = syntax
        self._respond = respond
        self._keep = keep
        self._digest = new_digest()
        self._data_set = bytearray()

    def write(self, pieces: Sequence[memoryview]) -> None:
        for piece in pieces:
            self._stores.bytes += len(piece)
            self._digest.update(piece)
            if self._keep and len(self._data_set) < LARGEST_DATA_SET:  # what is cut off there is none of ours
                self._data_set += piece

    def end(self) -> None:
        self._respond()
        self._stores.came(self._uid, self._syntax, self._digest.digest(), self._data_set)

    def give_up(self) -> None:
        """What did not come whole does not count."""
