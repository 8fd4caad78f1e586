"""The processes that encode ahead (pipelined), as the sender sees them: tasks in, futures out."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import NamedTuple, Self

from simlab.errors import GroupError
from simlab.lab.wan.corpus import Corpus, Spot

_BOUND = 60.0
"""Seconds within which an instance must have been encoded. A cold start imports a lot."""


class Task(NamedTuple):
    """An instance to be encoded."""

    file: str
    """Where the data sets of its corpus lie, one behind the other."""
    spot: Spot
    syntax: str


class Done(NamedTuple):
    """What came of it."""

    encoded: bytes
    """As by :func:`simlab.lab.wan.corpus.encode_again`."""
    wall: float
    """Seconds, of the wall clock and of processor time."""
    cpu: float


class Encoders:
    """Some processes that encode, and the files in which they find what; a context manager that ends them."""

    def __init__(self, count: int) -> None:
        # Windows keeps a file from going away while anybody has it open.
        self._folder = TemporaryDirectory(prefix="simlab-wan-", ignore_cleanup_errors=True)
        self._files: dict[int, tuple[Corpus, str]] = {}
        self._warm: set[tuple[str, str]] = set()
        self._processes: list[_Process] = []
        try:
            for _ in range(count):
                self._processes.append(_Process())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._processes)

    def prepare(self, corpus: Corpus, syntax: str) -> None:
        """Let every process have encoded once what is to be encoded, so that it begins at once later.

        Raises CodecError if it cannot be encoded, GroupError if a process does not answer.
        """
        corpus.encoded(syntax)
        file = self._file(corpus)
        if (file, syntax) not in self._warm:
            task = Task(file, corpus.spots[0], syntax)
            for future in [process.submit(task) for process in self._processes]:
                result(future)
            self._warm.add((file, syntax))

    def submit(self, corpus: Corpus, syntax: str, place: int) -> Future[Done]:
        """Have an instance encoded, by its place in the corpus, in whichever process has least to do."""
        process = min(self._processes, key=lambda process: process.waiting)
        return process.submit(Task(self._file(corpus), corpus.spots[place], syntax))

    def _file(self, corpus: Corpus) -> str:
        if id(corpus) not in self._files:
            path = Path(self._folder.name, f"{len(self._files)}.data")
            with path.open("wb") as file:
                file.writelines(instance.data_set for instance in corpus.instances)
            self._files[id(corpus)] = corpus, str(path)  # with the corpus: its id is not given to another
        return self._files[id(corpus)][1]

    def close(self) -> None:
        """End them. A second call does nothing."""
        _end(self._processes)
        self._folder.cleanup()


class _Process:
    """One process that encodes, task after task."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simlab.lab.wan.encoder_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # signals that are meant for all of us are the parent's to handle
        )
        self._asked: deque[Future[Done]] = deque()
        self._over = False
        self._lock = threading.Lock()
        self._listening = threading.Thread(target=self._listen, name="encoder", daemon=True)
        self._listening.start()

    @property
    def waiting(self) -> int:
        """Tasks that are not done."""
        return len(self._asked)

    def submit(self, task: Task) -> Future[Done]:
        """Have it do something when it has done what came before. Tasks are small: a pipe has room for many."""
        assert self._process.stdin is not None
        future: Future[Done] = Future()
        with self._lock:
            if self._over:
                raise GroupError("a process that encodes has ended; see above")
            self._asked.append(future)
            with suppress(OSError):  # that it has ended, whoever listens to it finds out
                pickle.dump(task, self._process.stdin)
                self._process.stdin.flush()
        return future

    def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            with suppress(EOFError, pickle.UnpicklingError):
                while True:
                    done = pickle.load(self._process.stdout)  # noqa: S301 -- from our own child
                    self._asked.popleft().set_result(done)
        finally:
            with self._lock:
                self._over = True
            for future in self._asked:
                future.set_exception(GroupError("a process that encodes has ended; see above"))

    def let_go(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def end(self) -> None:
        """Wait until it has ended."""
        assert self._process.stdout is not None
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listening.join()
        self._process.stdout.close()


def _end(processes: Sequence[_Process]) -> None:
    for process in processes:
        process.let_go()
    for process in processes:
        process.end()


def result(future: Future[Done], bound: float = _BOUND) -> Done:
    """What came of a task. Raises GroupError if its process has ended, or takes longer than ``bound`` seconds."""
    try:
        return future.result(bound)
    except TimeoutError:
        raise GroupError(f"an instance has not been encoded within {bound:g} s") from None
