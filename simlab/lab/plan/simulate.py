"""One run of a plan, and who does it: this process, or others beside it.

A *pool* takes many tasks and gives what was measured as the runs end. What a run measures depends on its task alone, so
whichever pool it was, the numbers are the same.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol, TypeAlias

from simlab.analysis.planning import measure
from simlab.analysis.replications import BETWEEN_NOTICES
from simlab.analysis.run import Run
from simlab.analysis.service_level import ServiceLevel
from simlab.errors import GroupError
from simlab.lab.happened import Progress
from simlab.lab.lab import Lab
from simlab.topology.calibration import Calibration
from simlab.topology.model import Topology

Measured: TypeAlias = dict[str, Any]
"""What a run told, by the names of columns."""

Gauge: TypeAlias = Callable[[Run, float, Sequence[ServiceLevel]], Measured]
"""Measures a run, given the warm-up and service levels. A function of a module: processes find it by its name."""


@dataclass(frozen=True, slots=True)
class Task:
    """A run that is to be simulated and measured."""

    topology: Topology
    seed: int
    warm_up: float
    """Run seconds."""
    service_levels: tuple[ServiceLevel, ...]
    gauge: Gauge = measure
    calibration: Calibration | None = None


def simulate(task: Task, stopped: threading.Event) -> Measured:
    """Run a task, and measure it. Raises KeyboardInterrupt if it was stopped before its end."""

    def heed(_: Progress) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt

    # A run id of its own would make the UIDs, and what is drawn by them, new every time.
    run = Lab(task.topology, task.calibration).run("virtual", seed=task.seed, run_id="", watch=heed).run
    if stopped.is_set():
        raise KeyboardInterrupt
    told = {"complete": run.complete, "notices": BETWEEN_NOTICES.join(run.notices)}
    return task.gauge(run, task.warm_up, task.service_levels) | told


class Pool(Protocol):
    """Runs tasks side by side."""

    def run(self, tasks: Sequence[Task]) -> Generator[tuple[int, Measured], None, None]:
        """Run all tasks; yield the place of each among them, and what it measured, as soon as it is there.

        Closing the generator, or an exception in it, stops what is under way, and the pool is of no more use. Raises
        GroupError if a process fails.
        """

    def close(self) -> None:
        """Let go of everything. Called once nobody runs anything on it."""


class SideBySide:
    """A pool on this machine: so many processes beside this one; with one, this process itself."""

    def __init__(self, workers: int) -> None:
        self._simulators: list[Simulator] = [Here()] if workers == 1 else [Beside() for _ in range(workers)]

    def run(self, tasks: Sequence[Task]) -> Generator[tuple[int, Measured], None, None]:
        """Run all tasks; whoever is idle takes the next."""
        idle: SimpleQueue[Simulator] = SimpleQueue()
        for simulator in self._simulators:
            idle.put(simulator)

        def run(task: Task) -> Measured:
            simulator = idle.get()
            try:
                return simulator.run(task)
            finally:
                idle.put(simulator)

        with ThreadPoolExecutor(len(self._simulators), "plan") as threads:
            try:
                futures = {threads.submit(run, task): place for place, task in enumerate(tasks)}
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                for simulator in self._simulators:
                    simulator.stop()
                raise

    def close(self) -> None:
        """End the processes."""
        for simulator in self._simulators:
            simulator.close()


class Simulator(Protocol):
    """Somebody who runs one task after the other."""

    def run(self, task: Task) -> Measured:
        """Run a task, and return what was measured. Raises KeyboardInterrupt or GroupError if it was stopped."""

    def stop(self) -> None:
        """End what it is doing. Called from any thread, and more than once."""

    def close(self) -> None:
        """Let go of it, once nobody runs anything on it."""


class Here:
    """Runs tasks in this process, where a debugger sees them."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def run(self, task: Task) -> Measured:
        """Run a task."""
        return simulate(task, self._stopped)

    def stop(self) -> None:
        """End the run that is under way, within a second of its time."""
        self._stopped.set()

    def close(self) -> None:
        """Nothing is held."""


class Beside:
    """Runs tasks in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simlab.lab.plan.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # signals that are meant for all of us are the parent's to handle
        )

    def run(self, task: Task) -> Measured:
        """Have a task run."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump(task, self._process.stdin)
            self._process.stdin.flush()
            measured: Measured = pickle.load(self._process.stdout)  # noqa: S301 -- from our own child
        except (OSError, EOFError, pickle.UnpicklingError):
            raise GroupError(f"a process that simulates {self._why()}") from None
        return measured

    def _why(self) -> str:
        """What has become of it."""
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "no longer answers"
        return f"was ended by signal {-code}; is there memory enough?" if code < 0 else f"has ended, exit code {code}"

    def stop(self) -> None:
        """End the process: nobody needs what it has not told yet."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process, and close the pipes to it."""
        self.stop()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
