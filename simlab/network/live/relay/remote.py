"""The parent's side of a relay process."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from simlab.network.link.settings import LinkSettings
from simlab.network.live.relay.control import Control
from simlab.network.live.relay.relay import RelayError

START_TIMEOUT = 30.0
"""Seconds within which the process must take commands."""

EXIT_TIMEOUT = 3.0
"""Seconds within which it must have ended once it was told to; then it is killed."""

LOOPBACK = "127.0.0.1"


class RelayProcess:
    """A relay in a process of its own. A context manager. All methods raise RelayError, and are bounded in time."""

    def __init__(self, control: tuple[str, int] = (LOOPBACK, 0)) -> None:
        self._asking = threading.Lock()
        self._control: Control | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simlab.network.live.relay.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # signals that are meant for all of us are the parent's to handle
        )
        try:
            self._control = Control(self._start(control))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, control: tuple[str, int]) -> tuple[str, int]:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps({"control": control}).encode() + b"\n")
            self._process.stdin.flush()
        line: Future[bytes] = Future()
        threading.Thread(target=self._read_line, args=(line,), daemon=True).start()
        try:
            told = json.loads(line.result(START_TIMEOUT) or b"{}")
        except (TimeoutError, ValueError) as error:
            raise RelayError(f"the relay did not start within {START_TIMEOUT:g} s") from error
        if "control" not in told:
            where = f"{control[0]}:{control[1]}"
            raise RelayError(f"the relay cannot take commands at {where}: {told.get('error', 'it ended')}")
        host, port = told["control"]
        return str(host), int(port)

    def _read_line(self, line: Future[bytes]) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            line.set_result(pipe.readline())

    @property
    def control(self) -> tuple[str, int]:
        """Where the relay takes commands."""
        assert self._control is not None
        return self._control.address

    def _ask(self, do: str, **message: Any) -> dict[str, Any]:
        with self._asking:
            if self._control is None or self._process.poll() is not None:
                raise RelayError("the relay has ended")
            return self._control.ask(do, **message)

    def check(self) -> None:
        """Raise RelayError if the process has ended."""
        if self._process.poll() is not None:
            raise RelayError(f"the process of the links ended unexpectedly (exit code {self._process.returncode})")

    def add_link(self, name: str, settings: LinkSettings) -> None:
        """Add a link."""
        self._ask("link", link=name, settings=settings.as_json())

    def listen(
        self, name: str, to: tuple[str, int], *, at: tuple[str, int] = (LOOPBACK, 0), reverse: bool = False
    ) -> tuple[str, int]:
        """Relay what calls an address to another one, over a link; return where it listens.

        ``reverse``: callers are at the link's second site.
        """
        answer = self._ask("listen", link=name, at=at, to=to, reverse=reverse)
        return str(answer["host"]), int(answer["port"])

    def begin(self, after: float = 0.0) -> None:
        """Count scheduled outages from so many seconds after now."""
        self._ask("begin", after=after)

    def change(self, name: str, settings: Mapping[str, Any]) -> None:
        """Change settings of a link; see :meth:`LinkSettings.changed`."""
        self.tell(name, {"settings": dict(settings)})

    def tell(self, name: str, changes: Mapping[str, Any]) -> None:
        """Change a link in several ways at once: ``settings``, ``outage`` with ``how`` and ``duration``, ``up``."""
        self._ask("change", **{**changes, "link": name})

    def interrupt(self, name: str, how: str, duration: float | None) -> None:
        """Begin an outage (``stall``, ``reset``, ``refuse``) now; without a duration it lasts until :meth:`up`."""
        self.tell(name, {"outage": {"how": how, "duration": duration}})

    def up(self, name: str) -> None:
        """End any outage of a link."""
        self.tell(name, {"up": True})

    def counters(self) -> dict[str, Any]:
        """What passed so far; see :meth:`Relay.counters`."""
        return self._ask("counters")

    def close(self) -> None:
        """End the process, within a bound."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        with self._asking:
            if self._control is not None:
                self._control.close()
                self._control = None
        try:
            self._process.wait(EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
