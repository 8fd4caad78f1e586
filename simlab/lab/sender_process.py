"""``python -m simlab.lab.sender_process``: one of several processes that send.

The parent writes a pickled :class:`Consignment` to standard input, and then bytes: the first, ``g``, lets us go, any
other or the end of the input stops us. We answer with pickled objects on standard output: an AssociationError, or the
number of outstanding requests that was negotiated; how many instances have been answered, now and then; and at last
:class:`Sent`.
"""

from __future__ import annotations

import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from simlab.lab.sender import Sender
from simlab.network.live.descriptors import raise_descriptor_limit
from simlab.network.live.upper_layer import AssociationError

PROGRESS_INTERVAL = 0.2
"""Seconds between two reports of progress."""


def main() -> int:
    """Be a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it stops us in good order
    raise_descriptor_limit()
    writing = threading.Lock()

    def say(message: Any) -> None:
        with writing:
            pickle.dump(message, sys.stdout.buffer)
            sys.stdout.buffer.flush()

    consignment = pickle.load(sys.stdin.buffer)  # noqa: S301 -- from our own parent
    try:
        sender = Sender(consignment)
    except AssociationError as error:
        say(error)
        return 1
    say(sender.window)
    if sys.stdin.buffer.read(1) != b"g":
        sender.close()
        return 1
    threading.Thread(target=_heed, args=(sender.stop,), daemon=True).start()
    threading.Thread(target=_report, args=(sender, say), daemon=True).start()
    sent = sender.run()
    say(sent)
    return 0


def _heed(stop: Callable[[], None]) -> None:
    """Whatever comes now, or that nobody is there any more, means to stop."""
    sys.stdin.buffer.read(1)
    stop()


def _report(sender: Sender, say: Callable[[Any], None]) -> None:
    while True:
        time.sleep(PROGRESS_INTERVAL)
        say(sender.answered)


if __name__ == "__main__":
    sys.exit(main())
