"""simlab's own receiver, which forgets what it has received: ``python -m benchmarks.link_receiver HOST FOLDER``.

Says its port on standard output, and ends when its standard input does. What comes in passes through files in
``FOLDER``, which had better be memory.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from simlab.network.live.receiving.acceptor import Acceptor, Listening
from simlab.network.live.server import Durability, Offer, ReceivedInstance, Respond, Storage
from simlab.network.seam import SUCCESS, Status
from simlab.nodes.halves import LiveHalf

TITLE = "DISCARD"


class Discarding(LiveHalf):
    """Takes every instance, and keeps none."""

    offers = frozenset({Offer.STORAGE})

    def __init__(self, folder: Path) -> None:
        self.storage = Storage(folder, Durability.WRITE)

    def take(self, instance: ReceivedInstance, examined: Any, respond: Respond) -> None:
        """Answer, then forget."""
        del examined
        respond(Status(SUCCESS))
        instance.path.unlink()


def main() -> None:
    """Receive until nobody needs it any more."""
    acceptor = Acceptor(Listening(TITLE, sys.argv[1], 0), Discarding(Path(sys.argv[2])))
    print(acceptor.port, flush=True)
    sys.stdin.read()
    acceptor.close()


if __name__ == "__main__":
    main()
