"""``python -m simlab.lab.wan.receiver_process``: an AE that takes in whatever is stored, counts, and lets go.

It writes its port as a line on standard output. Each line on standard input is answered with a line of JSON: instances
and bytes of data sets so far, and seconds of processor time. It ends with its standard input.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from simlab.network.live.receiving.acceptor import Acceptor, Listening
from simlab.network.live.receiving.descriptors import raise_descriptor_limit
from simlab.network.live.server import Durability, Offer, ReceivedInstance, Respond, Storage
from simlab.nodes.halves import LiveHalf

AE_TITLE = "WAN_RECEIVER"
LOOPBACK = "127.0.0.1"
IDLE_TIMEOUT = 600.0
"""Seconds: on a slow link one instance may take long."""
MOST_ASSOCIATIONS = 1000


class LettingGo(LiveHalf):
    """Counts what it is sent, and keeps nothing."""

    offers = frozenset({Offer.STORAGE})

    def __init__(self, folder: Path) -> None:
        self.storage = Storage(folder, Durability.NONE)
        self.instances = 0
        self.bytes = 0

    def take(self, instance: ReceivedInstance, examined: Any, respond: Respond) -> None:
        """Count an instance, which was answered already."""
        del examined, respond
        self.instances += 1
        self.bytes += instance.size - instance.data_set_offset
        instance.path.unlink(missing_ok=True)


def main() -> int:
    """Be a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    raise_descriptor_limit()
    # Windows keeps a file from going away while anybody has it open.
    with tempfile.TemporaryDirectory(prefix="simlab-wan-", ignore_cleanup_errors=True) as folder:
        server = LettingGo(Path(folder))
        listening = Listening(
            AE_TITLE, LOOPBACK, 0, outstanding=0, idle_timeout=IDLE_TIMEOUT, maximum_associations=MOST_ASSOCIATIONS
        )
        acceptor = Acceptor(listening, server)
        print(acceptor.port, flush=True)
        for _ in sys.stdin:
            told = {"instances": server.instances, "bytes": server.bytes, "cpu": time.process_time()}
            print(json.dumps(told), flush=True)
        acceptor.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
