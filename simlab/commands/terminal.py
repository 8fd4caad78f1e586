"""What commands share: talking to a terminal, and heeding its signals."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from types import FrameType
from typing import Any

from rich.console import Console

from simlab.errors import UserError
from simlab.files import write_whole

OK, NOT_WELL, MISTAKE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

WIDTH_OF_A_FILE = 160
"""Columns of what is written into a file or a pipe, where 80 would break every table."""


def open_console(*, stderr: bool = False) -> Console:
    """A console that says text as it is."""
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if is_terminal or "COLUMNS" in os.environ else WIDTH_OF_A_FILE
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def say(*lines: str) -> None:
    """Print lines on standard output, unbroken."""
    console = open_console()
    for line in lines:
        console.print(line, soft_wrap=True)


def complain(line: str) -> None:
    """Print a line on standard error, unbroken."""
    open_console(stderr=True).print(line, soft_wrap=True)


@contextmanager
def told_to_stop() -> Iterator[threading.Event]:
    """An event that is set by the signals that would end us otherwise, for as long as the block lasts."""
    stop = threading.Event()
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    with handled({number: lambda *_: stop.set() for number in numbers}):
        yield stop


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Ctrl-C and SIGTERM cut a run short, but only the first time: stopping is bounded, and writes what was measured.

    Tools that limit a command's time, and impatient people, send the signal twice.
    """
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    with handled({signal.SIGINT: interrupt, signal.SIGTERM: interrupt}):
        yield


@contextmanager
def handled(handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], Any]]) -> Iterator[None]:
    """Handlers of signals for as long as the block lasts. Only the main thread may have any; others do without."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def expect_to_write(path: Path) -> None:
    """Raise UserError now for a file that could not be written later, when there is something to lose."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def write_atomically(path: Path, text: str) -> None:
    """Write a file that is either not there or whole. Raises UserError if it cannot be written."""
    try:
        write_whole(path, text)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
