"""One run of a plan, and who does it: this process, or others beside it."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from simlab.analysis.planning import measure
from simlab.analysis.replications import BETWEEN_NOTICES
from simlab.analysis.service_level import ServiceLevel
from simlab.errors import GroupError
from simlab.lab.happened import Progress
from simlab.lab.lab import Lab
from simlab.topology.model import Topology


@dataclass(frozen=True, slots=True)
class Task:
    """A run that is to be simulated and measured."""

    topology: Topology
    """With the run's seed."""
    warm_up: float
    service_levels: tuple[ServiceLevel, ...]


def simulate(task: Task, stopped: threading.Event) -> dict[str, Any]:
    """Run a task, and measure it. Raises KeyboardInterrupt if it was stopped before its end."""

    def heed(_: Progress) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt

    # A run id of its own would make the UIDs, and what is drawn by them, new every time.
    run = Lab(task.topology).run("virtual", run_id="", watch=heed).run
    if stopped.is_set():
        raise KeyboardInterrupt
    told = {"complete": run.complete, "notices": BETWEEN_NOTICES.join(run.notices)}
    return measure(run, task.warm_up, task.service_levels) | told


class Simulator(Protocol):
    """Somebody who runs one task after the other."""

    def run(self, task: Task) -> dict[str, Any]:
        """Run a task, and return what was measured. Raises KeyboardInterrupt or GroupError if it was stopped."""

    def stop(self) -> None:
        """End what it is doing. Called from any thread, and more than once."""


class Here:
    """Runs tasks in this process, where a debugger sees them."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def run(self, task: Task) -> dict[str, Any]:
        """Run a task."""
        return simulate(task, self._stopped)

    def stop(self) -> None:
        """End the run that is under way, within a second of its time."""
        self._stopped.set()


class Beside:
    """Runs tasks in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simlab.lab.plan.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # signals that are meant for all of us are the parent's to handle
        )

    def run(self, task: Task) -> dict[str, Any]:
        """Have a task run."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump(task, self._process.stdin)
            self._process.stdin.flush()
            measured: dict[str, Any] = pickle.load(self._process.stdout)  # noqa: S301 -- from our own child
        except (OSError, EOFError, pickle.UnpicklingError):
            raise GroupError("a process that simulates has ended; see above") from None
        return measured

    def stop(self) -> None:
        """End the process: nobody needs what it has not told yet."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let go of it, once nobody runs anything on it."""
        self.stop()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
