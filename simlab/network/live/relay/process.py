"""``python -m simlab.network.live.relay.process``: a relay in a process of its own.

The parent passes one JSON line on standard input, ``{"control": [host, port]}``, and reads one from standard output:
where the relay takes commands, or ``{"error": text}``. The process ends when its standard input does, and so with its
parent.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import threading
from selectors import EVENT_READ

from simlab.network.live.receiving.descriptors import raise_descriptor_limit
from simlab.network.live.relay.control import ControlListener
from simlab.network.live.relay.loop import Loop
from simlab.network.live.relay.promptness import be_prompt
from simlab.network.live.relay.relay import Relay
from simlab.network.live.relay.tun import TunUnavailableError


def main() -> int:
    """Serve until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    be_prompt()
    loop = Loop()  # first, so that its descriptor is a low one
    raise_descriptor_limit()
    told = json.loads(sys.stdin.readline())
    relay = Relay(loop)
    try:
        control = ControlListener(loop, tuple(told["control"]), relay.obey)
    except OSError as error:
        print(json.dumps({"error": error.strerror or str(error)}), flush=True)
        return 1
    print(json.dumps({"control": control.address}), flush=True)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop.watch(ours, EVENT_READ, lambda _: loop.stop())

    def watch_parent() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        theirs.send(b"!")

    threading.Thread(target=watch_parent, daemon=True).start()
    # Chunks come and go by counting references; a collection would stop the line for milliseconds.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    try:
        loop.run()
    except TunUnavailableError as error:
        print(f"simlab: {error}", file=sys.stderr, flush=True)
        return 1
    finally:
        control.close()
        relay.close()
        loop.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
