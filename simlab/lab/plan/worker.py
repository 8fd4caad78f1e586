"""``python -m simlab.lab.plan.worker``: simulates runs of a plan.

Tasks come as pickles on standard input; each is answered with its pickled measures on standard output. It ends with its
input, and with a traceback if a run is a bug.
"""

from __future__ import annotations

import pickle
import signal
import sys
import threading

from simlab.lab.plan.simulate import simulate


def main() -> int:
    """Be a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    never = threading.Event()
    while True:
        try:
            task = pickle.load(sys.stdin.buffer)  # noqa: S301 -- from our own parent
        except EOFError:
            return 0
        try:
            pickle.dump(simulate(task, never), sys.stdout.buffer)
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # nobody waits for it any more
            return 0


if __name__ == "__main__":
    sys.exit(main())
