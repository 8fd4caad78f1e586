"""What the relay costs: how much it carries, how late it is, and how fairly it shares a link."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

from benchmarks.goals import Goal
from benchmarks.link_routes import program, relay
from benchmarks.peers import LOOPBACK
from simlab.network.link.settings import WIRE, Direction, LinkSettings

ENDS = "benchmarks.link_cost_ends"

CONNECTIONS = 200
SHARED = LinkSettings(Direction(latency=0.01, bandwidth=100e6 / 8), Direction(latency=0.01, bandwidth=100e6 / 8))
"""The link that they share."""

ECHOES, BLOCK = 4000, 50
"""In all, and before the next one's turn."""
ECHOED = bytes(100)

EDGE = 0.002
"""What was sent before may be read within the time that is counted: this share of the bandwidth, at most."""


@dataclass(frozen=True)
class Costs:
    """What was measured."""

    copied: Sequence[float]
    """Bytes per second through the loop of two calls, by round."""
    relayed: Sequence[float]
    """The same through the relay without limits."""
    direct_p50: float
    """Seconds of an echo without anything between."""
    direct_p99: float
    relayed_p50: float
    relayed_p99: float
    jain: float
    """Jain's index of fairness over all connections: 1 if all carry the same, 1/n if one carries all."""
    share: float
    """Of the link's bandwidth that all of them use, headers and all."""

    @property
    def ratio(self) -> float:
        """What the relay carries, in terms of what the loop does: the median of the rounds' ratios."""
        return median(one / other for one, other in zip(self.relayed, self.copied, strict=True))

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {**asdict(self), "ratio": self.ratio}


def cost_goals(costs: Costs) -> Iterator[Goal]:
    """What is asked of the relay."""
    yield Goal("relay without limits / two-socket copy loop, bytes per second", costs.ratio, 0.8)
    for name, added, bound in (
        ("p50", costs.relayed_p50 - costs.direct_p50, 0.2),
        ("p99", costs.relayed_p99 - costs.direct_p99, 1.0),
    ):
        yield Goal(
            f"latency that a relay without delay adds to an echo, {name}, ms", added * 1e3, bound, at_least=False
        )
    yield Goal(f"{CONNECTIONS} connections over one link, Jain's index", costs.jain, 0.95)
    yield Goal(f"{CONNECTIONS} connections over one link, share of it", costs.share, 1 + EDGE, at_least=False)


def measure_costs(*, quick: bool, say: Callable[[str], None]) -> Costs:
    """Measure all. Raises FailedError."""
    copied, relayed = _throughput(2 if quick else 7, 0.5 if quick else 2.0)
    say(f"copy loop {_megabytes(copied)}, relay {_megabytes(relayed)} MB/s")
    direct, through = _echoes(ECHOES // 10 if quick else ECHOES)
    say(f"echo: direct {_milliseconds(direct)}, through the relay {_milliseconds(through)} ms (p50, p99)")
    jain, share = _fairness(*((1.0, 2.0) if quick else (3.0, 10.0)))
    say(f"{CONNECTIONS} connections: Jain {jain:.4f}, {share:.2%} of the link")
    return Costs(copied, relayed, *direct, *through, jain, share)


def _megabytes(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate / 1e6:.0f}" for rate in rates)


def _milliseconds(times: Sequence[float]) -> str:
    return ", ".join(f"{one * 1e3:.3f}" for one in times)


def _throughput(rounds: int, seconds: float) -> tuple[list[float], list[float]]:
    rates: dict[int, list[float]] = {}
    with ExitStack() as stack:
        sink = stack.enter_context(program("-m", ENDS, "drain"))
        target = int(sink.hear())
        loop = int(stack.enter_context(program("-m", ENDS, "copy", f"{target}")).hear())
        ours = stack.enter_context(relay(target, LinkSettings()))
        for port in (loop, ours) * rounds:
            with program("-m", ENDS, "blast", f"{port}", "1") as sending:
                sending.hear()
                sink.ask("0.2")  # until everything is warm
                rates.setdefault(port, []).append(_rate(sink.ask_json(f"{seconds}")))
    return rates[loop], rates[ours]


def _rate(said: dict[str, Any]) -> float:
    return float(sum(said["bytes"]) / said["seconds"])


def _echoes(number: int) -> tuple[tuple[float, float], tuple[float, float]]:
    with ExitStack() as stack:
        target = int(stack.enter_context(program("-m", ENDS, "echo")).hear())
        ports = target, stack.enter_context(relay(target, LinkSettings()))
        ends = [stack.enter_context(socket.create_connection((LOOPBACK, port), timeout=10.0)) for port in ports]
        for end in ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _echo(end, 2 * BLOCK)
        times: list[list[float]] = [[], []]
        for _ in range(number // BLOCK):
            for end, taken in zip(ends, times, strict=True):
                taken.extend(_echo(end, BLOCK))
    direct, through = ((median(taken), quantiles(taken, n=100)[98]) for taken in times)
    return direct, through


def _echo(end: socket.socket, number: int) -> list[float]:
    times = []
    for _ in range(number):
        began = time.perf_counter()
        end.sendall(ECHOED)
        left = len(ECHOED)
        while left:
            left -= len(end.recv(left))
        times.append(time.perf_counter() - began)
    return times


def _fairness(warm_up: float, seconds: float) -> tuple[float, float]:
    with ExitStack() as stack:
        sink = stack.enter_context(program("-m", ENDS, "drain"))
        port = stack.enter_context(relay(int(sink.hear()), SHARED))
        stack.enter_context(program("-m", ENDS, "blast", f"{port}", f"{CONNECTIONS}")).hear()
        sink.ask(f"{warm_up}")
        said = sink.ask_json(f"{seconds}")
    carried = said["bytes"]
    missing = [0] * (CONNECTIONS - len(carried))
    return jain([*carried, *missing]), _rate(said) * WIRE / SHARED.forth.bandwidth


def jain(shares: Sequence[float]) -> float:
    """Jain's index of fairness (Jain, Chiu and Hawe, DEC TR-301, 1984); 0 if nobody has anything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0
