"""Whole processes timed from outside, and slopes between two of their runs."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.peers import FailedError, last_line, start, stop


class Timed(NamedTuple):
    """What a run took."""

    seconds: float
    cpu: float
    """CPU seconds, user and system, of the processes and of all their children."""


class Slope(NamedTuple):
    """What one instance more costs."""

    seconds: float
    cpu: float


def time_side_by_side(
    commands: Sequence[Sequence[str]], folder: Path, bound: float, settle: Callable[[], None]
) -> Timed:
    """Run commands at the same time, from the start of the first until ``settle()`` returns after the last one's end.

    Raises FailedError if one of them fails, or if they take longer than ``bound`` seconds.
    """
    logs = [folder / f"sender-{number}.txt" for number in range(len(commands))]
    with ExitStack() as stack:
        outputs = [stack.enter_context(log.open("wb")) for log in logs]
        processes: list[subprocess.Popen[bytes]] = []
        overdue = threading.Event()

        def give_up() -> None:
            overdue.set()
            for process in processes:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(bound, give_up)
        stack.callback(timer.cancel)
        timer.start()
        started = time.perf_counter()
        for command, output in zip(commands, outputs, strict=True):
            processes.append(start(command, output))
            stack.callback(stop, processes[-1])
        cpu = sum(map(_wait, processes))
        timer.cancel()
        if overdue.is_set():
            raise FailedError(f"not within {bound:g} s")
        for process, log in zip(processes, logs, strict=True):
            if process.returncode:
                raise FailedError(f"exit code {process.returncode}: {last_line(log)}")
        settle()
        return Timed(time.perf_counter() - started, cpu)


def _wait(process: subprocess.Popen[bytes]) -> float:
    """Wait for a process; its CPU seconds, with those of the children that it waited for."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def slope(small: Timed, large: Timed, instances: int) -> Slope:
    """What an instance costs, by two runs of which the larger has so many ``instances`` more. Raises FailedError."""
    if large.seconds <= small.seconds:
        raise FailedError("the larger run took no longer than the smaller one")
    return Slope((large.seconds - small.seconds) / instances, max(0.0, large.cpu - small.cpu) / instances)
