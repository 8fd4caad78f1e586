"""Runs of a plan on a Dask cluster: other people's machines, or processes of this one.

Dask hands tasks to workers as they become free, and gives a task to another when its worker dies. What is handed out
are pickles, which can be any code: whoever reaches a scheduler can run what he likes on its workers, and what they
answer is unpickled here. Use a scheduler of your own, in a network of your own.

Imported only when a scheduler is asked for, since Dask is an extra (``pip install "simlab[distributed]"``).
"""

from __future__ import annotations

import asyncio
import logging
import platform
import threading
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from queue import Empty, SimpleQueue
from typing import TypeAlias
from urllib.parse import urlsplit

from distributed import Client, Future, LocalCluster
from distributed.comm import connect
from distributed.scheduler import KilledWorker
from distributed.security import Security
from distributed.utils import LoopRunner
from distributed.versions import VersionMismatchWarning

from simlab.errors import GroupError, UserError
from simlab.lab.plan.simulate import Measured, Task, simulate
from simlab.wording import shown

LOCAL = "local"
"""Instead of an address: a cluster of our own, on this machine."""

REACHED_WITHIN = 10.0
"""Seconds in which a scheduler answers, and in which it has a worker."""

MISSED_FOR = 60.0
"""Seconds for which a cluster may be without a single worker, while they are started anew."""

LOOK_INTERVAL = 5.0
"""Seconds without a result after which we look whether the cluster is still there."""

DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""Run by each local worker: Ctrl-C is for us to handle."""

Versions: TypeAlias = Mapping[str, str]
"""What must be the same everywhere, by name."""


def our_versions() -> Versions:
    """Those of this process."""
    return {
        "simlab": version("simlab"),
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "distributed": version("distributed"),
    }


def simulate_there(versions: Versions, task: Task) -> Measured:
    """Run a task on a worker. Raises UserError if it came to the cluster later, and with other versions."""
    expect_versions("a worker", our_versions(), versions)
    return simulate(task, threading.Event())


def expect_versions(who: str, theirs: Versions, ours: Versions) -> None:
    """Raise UserError for the first version that is not ours: results could differ, and nobody would know why."""
    for name, wanted in ours.items():
        if theirs[name] != wanted:
            has = f"has {name} {theirs[name]}" if theirs[name] else f"has no {name}"
            raise UserError(f"{who} {has}; expected {wanted}, as here")


class Cluster:
    """A pool on a Dask cluster. It lasts until it is closed; a local cluster ends with it."""

    def __init__(self, scheduler: str, workers: int) -> None:
        """Reach a scheduler, such as ``tcp://10.0.0.5:8786``, or start a local one with so many workers.

        Raises UserError if nobody answers, there is no worker, or one has other versions than we have.
        """
        if scheduler != LOCAL:
            _expect_address(scheduler)
        self._log = logging.getLogger("distributed")
        self._level = self._log.level
        self._log.setLevel(logging.CRITICAL)  # what matters is told in one line of ours
        self._local: LocalCluster | None = None
        if scheduler == LOCAL:
            self._local = LocalCluster(
                n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL, preload=[DEAF],
            )  # fmt: skip
        self._versions = our_versions()
        self._client: Client | None = None
        try:
            self._client = _client(scheduler if self._local is None else self._local.scheduler_address)
            self._expect_workers(workers if self._local is not None else 1)
            self._expect_versions()
        except BaseException:
            self.close()
            raise

    def _expect_workers(self, count: int) -> None:
        assert self._client is not None
        try:
            self._client.wait_for_workers(count, timeout=REACHED_WITHIN)
        except TimeoutError:
            address = self._client.scheduler_info()["address"]
            raise UserError(f"the scheduler at {address} has no workers; start some: dask worker {address}") from None

    def _expect_versions(self) -> None:
        """Ask for versions without any code of ours, which the other side may not have."""
        assert self._client is not None
        told: dict[str, dict[str, str]] = {}
        for name in self._versions:
            ask = platform.python_version if name == "Python" else partial(version, name)
            answers = {"the scheduler": _answer(self._client, ask)}
            answers |= self._client.run(ask, on_error="return")
            for who, answer in answers.items():
                text = answer if isinstance(answer, str) else ""
                told.setdefault(who, {})[name] = ".".join(text.split(".")[:2]) if name == "Python" else text
        for who, theirs in told.items():
            expect_versions(who if who == "the scheduler" else f"worker {who}", theirs, self._versions)

    def run(self, tasks: Sequence[Task]) -> Generator[tuple[int, Measured], None, None]:
        """Run all tasks; a worker that dies costs its task only, which is run again elsewhere.

        Raises GroupError if a task has cost several workers their lives, or the cluster is gone.
        """
        assert self._client is not None
        # Not pure: a scheduler that has seen the same task before would give its old answer.
        futures = self._client.map(partial(simulate_there, self._versions), tasks, pure=False)
        places = {future.key: place for place, future in enumerate(futures)}
        ended: SimpleQueue[Future[Measured]] = SimpleQueue()
        try:
            for future in futures:
                future.add_done_callback(ended.put)
            for _ in tasks:
                future = self._next(ended)
                yield places[future.key], _result(future)
                future.release()
        finally:
            # What has begun on somebody else's worker ends there, and nobody hears of it.
            with suppress(OSError, TimeoutError):
                self._client.cancel(futures)

    def _next(self, ended: SimpleQueue[Future[Measured]]) -> Future[Measured]:
        """The next task that has ended. Raises GroupError if nobody is there any more to end one."""
        assert self._client is not None
        while True:
            try:
                return ended.get(timeout=LOOK_INTERVAL)
            except Empty:
                pass
            if self._client.status != "running":
                raise GroupError(GONE)
            try:
                self._client.wait_for_workers(1, timeout=MISSED_FOR)
            except (TimeoutError, OSError):
                raise GroupError(f"the cluster had no worker for {MISSED_FOR:g} s") from None

    def close(self) -> None:
        """Leave the cluster; end our own, within some seconds."""
        with suppress(OSError, TimeoutError):
            if self._client is not None:
                self._client.close()
        with suppress(OSError, TimeoutError):
            if self._local is not None:
                self._local.close()
        self._log.setLevel(self._level)


GONE = "the scheduler is gone"


def _expect_address(scheduler: str) -> None:
    try:
        address = urlsplit(scheduler)
        good = address.scheme in ("tcp", "tls") and bool(address.hostname) and bool(address.port)
    except ValueError:  # a port that is none
        good = False
    if not good:
        raise UserError(f'scheduler {shown(scheduler)}: expected one such as "tcp://10.0.0.5:8786", or "{LOCAL}"')


async def _greet(address: str) -> None:
    """Exchange the first messages. Dask's client would wait for ever for those of somebody who is no scheduler."""
    encryption = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(address, timeout=REACHED_WITHIN, **encryption), REACHED_WITHIN)
    comm.abort()


def _client(address: str) -> Client:
    loop = LoopRunner()
    try:
        loop.start()
        loop.run_sync(_greet, address)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)  # those that matter are compared by us
            return Client(address, timeout=REACHED_WITHIN, set_as_default=False)
    except (OSError, TimeoutError):
        raise UserError(f"no Dask scheduler answers at {address} in {REACHED_WITHIN:g} s") from None
    finally:
        loop.stop()


def _answer(client: Client, ask: object) -> object:
    """What the scheduler says; an exception is an answer as well."""
    try:
        return client.run_on_scheduler(ask)
    except Exception as error:  # noqa: BLE001 -- whatever it raised there
        return error


def _result(future: Future[Measured]) -> Measured:
    if future.status == "cancelled":
        raise GroupError(GONE)
    try:
        measured: Measured = future.result(timeout=LOOK_INTERVAL)
    except KilledWorker as error:
        raise GroupError(
            f"{error.allowed_failures + 1} workers ended while they simulated one and the same run; is there memory?"
        ) from None
    return measured
