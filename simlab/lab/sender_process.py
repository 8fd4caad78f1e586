"""``python -m simlab.lab.sender_process``: one of several processes that send.

The parent writes a pickled :class:`Consignment` to standard input, and then bytes: the first, ``g``, lets us go, any
other or the end of the input stops us. We answer with pickled objects on standard output: an AssociationError, or the
number of outstanding requests that was negotiated; how many instances have been answered, now and then; and at last
:class:`Sent`, or a UserError.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from simlab.errors import UserError
from simlab.lab.sender import Sender
from simlab.network.live.receiving.descriptors import raise_descriptor_limit
from simlab.network.live.wire.upper_layer import AssociationError

PROGRESS_INTERVAL = 0.2
"""Seconds between two reports of progress."""


def main() -> int:
    """Be a process of its own."""
    # Standard input and output are used past Python's buffers, whose locks no thread may hold when Python ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it stops us in good order
    raise_descriptor_limit()
    writing = threading.Lock()

    def say(message: Any) -> None:
        rest = memoryview(pickle.dumps(message))
        with writing, suppress(BrokenPipeError):  # that nobody listens any more, _heed finds out
            while rest:
                rest = rest[os.write(sys.stdout.fileno(), rest) :]

    try:
        consignment = pickle.load(sys.stdin.buffer)  # noqa: S301 -- from our own parent
    except (EOFError, pickle.UnpicklingError):  # which was interrupted while it started us
        return 1
    try:
        sender = Sender(consignment)
        say(sender.window)
        if os.read(sys.stdin.fileno(), 1) != b"g":
            sender.close()
            return 1
        threading.Thread(target=_heed, args=(sender.stop,), daemon=True).start()
        threading.Thread(target=_report, args=(sender, say), daemon=True).start()
        say(sender.run())
    except (AssociationError, UserError) as error:
        say(error)
        return 1
    return 0


def _heed(stop: Callable[[], None]) -> None:
    """Whatever comes now, or that nobody is there any more, means to stop."""
    os.read(sys.stdin.fileno(), 1)
    stop()


def _report(sender: Sender, say: Callable[[Any], None]) -> None:
    while True:
        time.sleep(PROGRESS_INTERVAL)
        say(sender.answered)


if __name__ == "__main__":
    sys.exit(main())
