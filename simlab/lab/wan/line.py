"""The one link of the experiment: a relay in a process of its own, before the receiver.

With the backend ``tun`` TCP is the kernel's, over a bridge of packets between its two halves.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple, Self

from simlab.errors import GroupError
from simlab.network.link.settings import Direction, LinkSettings
from simlab.network.live.directory import Peer
from simlab.network.live.relay.relay import RelayError
from simlab.network.live.relay.remote import RelayProcess

_NAME = "wan"


class Passed(NamedTuple):
    """What a line has carried so far."""

    forth: float
    """Bytes of IP from the sender to the receiver."""
    back: float
    late: float
    """How late the relay's latest timers were, or the packets of its bridge, in seconds: their median."""
    latest: float
    """And their p99."""


class Line:
    """A context manager; leaving it ends the relay."""

    def __init__(self, to: Peer, congestion: str, window: int, queue: int | None, backend: str = "relay") -> None:
        """Lead to a peer. Raises GroupError if the relay cannot be started."""
        settings = LinkSettings(Direction(queue=queue), Direction(queue=queue), window).changed(
            {"congestion": congestion, "backend": backend}
        )
        try:
            self._relay = RelayProcess()
            try:
                self._relay.add_link(_NAME, settings)
                host, port = self._relay.listen(_NAME, (to.host, to.port))
            except BaseException:
                self._relay.close()
                raise
        except RelayError as error:
            raise GroupError(f"cannot start the link: {error}") from error
        self.peer = Peer(to.node, to.ae_title, host, port)
        """The peer behind the line."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._relay.close()

    def change(self, rtt: float, bandwidth: float | None) -> None:
        """Make it a line of this round trip (seconds) and bandwidth (bytes per second; None: unlimited)."""
        self._ask("change", _NAME, {"latency": rtt / 2, "bandwidth": bandwidth})

    def counters(self) -> Passed:
        """What it has carried so far."""
        told = self._ask("counters")
        link = told["links"][_NAME]
        late = link.get("late", told["lateness"])  # a bridge has its own, of what it has carried since the last change
        return Passed(link["forth"]["wire"], link["back"]["wire"], late["p50"], late["p99"])

    def _ask(self, what: str, *arguments: Any) -> Any:
        try:
            return getattr(self._relay, what)(*arguments)
        except RelayError as error:
            raise GroupError(f"the link has failed: {error}") from error
