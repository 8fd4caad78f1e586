"""A pynetdicom AE that stores, on threads of the test: what came, over how many associations, and how to answer it."""

import threading
import time
from contextlib import contextmanager

from peers import LOOPBACK
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, MRImageStorage, SecondaryCaptureImageStorage

from simlab.network.live.directory import Peer
from simlab.network.live.sending.files import recognise

ALL = (CTImageStorage, MRImageStorage, SecondaryCaptureImageStorage)


class Storage:
    """Answers with the status that ``decide(number)`` returns; instances are numbered from 1."""

    def __init__(self, decide, classes, maximum_associations):
        self.received = []
        """(SOP Instance UID, data set), in the order in which they came."""
        self.associations = 0
        self._decide = decide
        self._lock = threading.Lock()
        entity = AE("STORAGE")
        entity.require_called_aet = True
        entity.maximum_associations = maximum_associations
        for sop_class in classes:
            entity.add_supported_context(sop_class, ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_ESTABLISHED, self._count), (evt.EVT_CONN_OPEN, close_all)]
        self._server = entity.make_server((LOOPBACK, 0), evt_handlers=handlers)
        entity._servers.append(self._server)  # as start_server does, whose servers take half a second to end
        self._serving = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="storage")
        self._serving.start()
        self.port = self._server.socket.getsockname()[1]
        self.address = f"STORAGE@{LOOPBACK}:{self.port}"
        self.peer = Peer("storage", "STORAGE", LOOPBACK, self.port)

    @property
    def uids(self):
        return {uid for uid, _ in self.received}

    @property
    def data_sets(self):
        return dict(self.received)

    def close(self):
        self._server.shutdown()
        self._serving.join()

    def _count(self, _):
        with self._lock:
            self.associations += 1

    def _store(self, event):
        with self._lock:
            self.received.append((event.request.AffectedSOPInstanceUID, event.request.DataSet.getvalue()))
            number = len(self.received)
        status = self._decide(number)
        if status is None:
            event.assoc.abort()
            return 0x0110
        if isinstance(status, int):
            return status
        answer = Dataset()
        answer.Status, answer.ErrorComment = status
        return answer


def data_sets_of(folder):
    """What follows the file meta information, by SOP Instance UID."""
    found = filter(None, map(recognise, (path for path in folder.rglob("*") if path.is_file())))
    return {one.reference.sop_instance: one.path.read_bytes()[one.data_set_offset :] for one in found}


def close_all(event):
    """pynetdicom leaves a socket open if it cannot be shut down because the other side has gone."""
    connection = event.assoc.dul.socket
    raw, shutdown = connection.socket, connection._shutdown_socket
    connection._shutdown_socket = lambda: (shutdown(), raw.close())


@contextmanager
def storage(decide=lambda _: 0x0000, classes=ALL, maximum_associations=100):
    """An AE that stores for as long as the block lasts. ``decide`` returns a status, or None to abort."""
    listening = Storage(decide, classes, maximum_associations)
    try:
        yield listening
    finally:
        listening.close()


def slowly(seconds):
    """Takes its time, and stores."""

    def decide(_):
        time.sleep(seconds)
        return 0x0000

    return decide
