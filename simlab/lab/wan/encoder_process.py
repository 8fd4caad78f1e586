"""``python -m simlab.lab.wan.encoder_process``: encodes instances ahead of their sending (pipelined).

Python runs one thread at a time, and not every codec lets others run meanwhile: beside a thread that sends, others
would encode more slowly, and hold it up. Tasks come as pickles on standard input; each is answered with a pickled
:class:`~simlab.lab.wan.encoders.Done` on standard output, in their order. It ends with its input.
"""

from __future__ import annotations

import mmap
import pickle
import signal
import sys
import time

from simlab.lab.wan.corpus import encode_again
from simlab.lab.wan.encoders import Done, Task


class _Files:
    """Files mapped into memory: they are there once for all processes."""

    def __init__(self) -> None:
        self._maps: dict[str, memoryview] = {}

    def __getitem__(self, name: str) -> memoryview:
        if name not in self._maps:
            with open(name, "rb") as file:  # noqa: PTH123 -- a path would be made for nothing
                self._maps[name] = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return self._maps[name]


def work(task: Task, data_sets: memoryview) -> Done:
    """Encode an instance."""
    began, cpu = time.perf_counter(), time.thread_time()
    encoded = encode_again(task.spot, data_sets, task.syntax)
    return Done(encoded, time.perf_counter() - began, time.thread_time() - cpu)


def main() -> int:
    """Be a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    files = _Files()
    while True:
        try:
            task = pickle.load(sys.stdin.buffer)  # noqa: S301 -- from our own parent
        except EOFError:
            return 0
        try:
            pickle.dump(work(task, files[task.file]), sys.stdout.buffer)
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # nobody waits for it any more
            return 0


if __name__ == "__main__":
    sys.exit(main())
