"""A storage server out of pynetdicom. Usage: pynetdicom_receive.py PORT FOLDER MAXIMUM_ASSOCIATIONS."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification


def without_nagle(event: evt.Event) -> None:
    """Set TCP_NODELAY, which pynetdicom does not."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def main(port: int, folder: Path, maximum_associations: int) -> None:
    """Store everything as it comes, without decoding it: the fastest that its documentation shows."""

    def store(event: evt.Event) -> int:
        (folder / f"{event.request.AffectedSOPInstanceUID}.dcm").write_bytes(event.encoded_dataset())
        return 0x0000

    entity = AE("PYNETDICOM")
    entity.supported_contexts = [*AllStoragePresentationContexts]
    entity.add_supported_context(Verification)
    entity.maximum_associations = maximum_associations
    entity.maximum_pdu_size = 131072
    entity.network_timeout = None
    handlers = [(evt.EVT_CONN_OPEN, without_nagle), (evt.EVT_C_STORE, store)]
    entity.start_server(("127.0.0.1", port), evt_handlers=handlers)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
