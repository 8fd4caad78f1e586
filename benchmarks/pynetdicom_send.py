"""A sender out of pynetdicom. Usage: pynetdicom_send.py PORT TITLE FOLDER FIRST COUNT.

It reads the files of a folder once, and sends them from memory again and again, each time under a UID of its own.
"""

from __future__ import annotations

import socket
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from types import MethodType
from typing import Any

from pydicom import dcmread
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association


def without_nagle(event: evt.Event) -> None:
    """Set TCP_NODELAY, which pynetdicom does not."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def rest_reactor(association: Association) -> None:
    """Keep pynetdicom's reactor paused: in version 3.0.4 it may take a response that the sender then waits for."""
    checkpoint: Any = association._reactor_checkpoint  # noqa: SLF001
    checkpoint.clear()
    while not association._is_paused:  # noqa: SLF001
        time.sleep(0.001)
    checkpoint.set = MethodType(lambda _self: None, checkpoint)


def main(port: int, title: str, folder: Path, first: int, count: int) -> int:
    """Send; the exit code is 0 if all went well."""
    data_sets = [dcmread(path) for path in sorted(folder.iterdir())]
    entity = AE("PYNETDICOM")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20.0
    for data_set in data_sets:
        data_set.PixelData  # noqa: B018  is read when it is first asked for
    entity.add_requested_context(data_sets[0].SOPClassUID, data_sets[0].file_meta.TransferSyntaxUID)
    handlers = [(evt.EVT_CONN_OPEN, without_nagle)]
    association = entity.associate("127.0.0.1", port, ae_title=title, evt_handlers=handlers)
    if not association.is_established:
        sys.exit("no association")
    rest_reactor(association)
    for number, data_set in enumerate(islice(cycle(data_sets), count), first):
        data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.{10**9 + number}")
        status = association.send_c_store(data_set, msg_id=number % 65535 + 1)
        if "Status" not in status or status.Status != 0:
            sys.exit(f"instance {number}: no success")
    del association._reactor_checkpoint.set  # noqa: SLF001
    association._reactor_checkpoint.set()  # noqa: SLF001
    association.release()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])))
