"""Trains of C-STOREs in simulated time, and what they share: events where trains begin and end only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from itertools import chain, pairwise
from typing import NamedTuple, cast

import simpy
from simpy import Event

from simlab.network.virtual.in_step import in_step
from simlab.network.virtual.sharing import IDLE, Demand, Load, Shares, shares

TOLERANCE = 1e-9
"""Of a train: what is left is nothing. Relative, since after a year of run seconds a float resolves 4 ns."""

REMEMBERED = 20_000
"""Combinations of associations whose rates are kept."""


NEGLIGIBLE = 0.01
"""Share of the time for which a place may be busy without anybody noticing who else is there."""

NOTHING = Demand(0.0)
"""What takes no time, and no place."""


class Moment(NamedTuple):
    """How far a train was, and when."""

    when: float
    """Run seconds."""
    ended: float
    """Instances, and the part of one that was under way."""


class Passage:
    """A train's way. Between two moments its instances end at equal distances."""

    __slots__ = ("count", "moments")

    def __init__(self, count: int, began: float) -> None:
        self.count = count
        self.moments = [Moment(began, 0.0)]

    @property
    def ends(self) -> list[float]:
        """Run seconds at which each instance ends."""
        found: list[float] = []
        for (since, done), (until, then) in pairwise(self.moments):
            while len(found) + 1 <= then:
                found.append(since + (until - since) * (len(found) + 1 - done) / (then - done))
        return found


class Shared:
    """A place that trains share: a line, or the computer of an AE."""

    servers = 1
    """How many instances it works on at a time."""
    queue = 0.0
    """Seconds of work that wait in a queue there, at most, first come, first served."""

    def __init__(self, env: simpy.Environment) -> None:
        self.present = 0.0
        """Instances there, on average, for as long as the same trains are under way."""
        self.backlog = 0.0
        """Seconds of work that is there, on average."""
        self.flows: dict[Flow, None] = {}
        self.answered: dict[Flow, None] = {}
        """Trains whose responses come through here."""
        self._env = env
        self._since = 0.0
        self._utilisation = 0.0
        self._busy = 0.0

    @property
    def busy(self) -> float:
        """Seconds of its time taken so far."""
        return self._busy + self._utilisation * (self._env.now - self._since)

    def take(self, seconds: float) -> float:
        """Do something small that nobody else notices; returns the seconds that it takes, in turns with others."""
        self._busy += seconds
        return seconds * (1 + self.present)

    def busy_besides(self, seconds: float) -> None:
        """Take so much of its time for what nobody notices."""
        self._busy += seconds

    def settle(self, load: Load) -> None:
        """From now on the trains that go through it load it like that."""
        self._busy = self.busy
        self._since = self._env.now
        self._utilisation = load.utilisation
        self.present = load.present
        self.backlog = load.backlog


class Flow:
    """A train that is under way."""

    __slots__ = ("back", "demand", "ended", "factor", "left", "pace", "passage", "places", "since", "version")

    def __init__(self, demand: Demand, passage: Passage, factor: float, ended: Event) -> None:
        self.demand = demand
        self.places = tuple(cast("Shared", place) for place, _ in demand.needs)
        """What it shares with others."""
        self.back = cast("Shared | None", demand.back)
        self.passage = passage
        self.factor = factor
        self.ended = ended
        self.left = float(passage.count)
        """Instances."""
        self.pace = 0.0
        """Instances a second."""
        self.since = passage.moments[0].when
        self.version = 0

    def advance(self, now: float) -> None:
        """Take account of what has ended since the rates were set."""
        if now > self.since and self.pace:
            self.left = max(0.0, self.left - self.pace * (now - self.since))
            self.passage.moments.append(Moment(now, self.passage.count - self.left))
        self.since = now

    def is_over(self, now: float) -> bool:
        """Whether nothing is left that time could tell."""
        return self.left <= TOLERANCE * self.passage.count or now + self.left / self.pace == now


class Traffic:
    """All trains of a world. Those that share a place, directly or through others, slow each other down.

    So do those in the two directions of a link: the responses of each wait for the instances of the other.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._known: dict[Demand | frozenset[tuple[Demand, int]], Shares] = {}

    def carry(self, demand: Demand, count: int, factor: float = 1.0) -> Event:
        """Send a train of so many instances, one after the other. Value: :class:`Passage`.

        It takes ``factor`` times as long as its demand says; places do not notice.
        """
        flow = Flow(demand, Passage(count, self._env.now), factor, self._env.event())
        if not count or demand == NOTHING:
            flow.passage.moments.append(Moment(self._env.now, count))
            return flow.ended.succeed(flow.passage)
        for place in flow.places:
            place.flows[flow] = None
        if flow.back is not None:
            flow.back.answered[flow] = None
        self._share(self._together(flow))
        return flow.ended

    def _together(self, flow: Flow) -> list[Flow]:
        """The flow, and all that it meets, directly or through others."""
        found, seen = [flow], {flow}
        for each in found:  # which grows meanwhile
            meets = [place.flows for place in each.places]
            meets += [place.answered for place in each.places if place.answered]
            meets += [each.back.flows] if each.back is not None else []
            for other in chain.from_iterable(meets):
                if other not in seen:
                    seen.add(other)
                    found.append(other)
        return found

    def _share(self, flows: list[Flow]) -> None:
        """Set the rates of flows that share places anew, and wait for the first of them to end."""
        now = self._env.now
        came = self._shares([flow.demand for flow in flows])
        for flow in flows:
            flow.advance(now)
            flow.pace = came.rates[flow.demand] / flow.factor
            flow.version += 1
        for place, load in came.loads.items():
            cast("Shared", place).settle(load)
        first = min(flows, key=_time_left) if len(flows) > 1 else flows[0]
        wake = self._env.timeout(first.left / first.pace, (first, first.version))
        cast("list[object]", wake.callbacks).append(self._wake)

    def _shares(self, demands: list[Demand]) -> Shares:
        # Kept for one world only: in another the same associations may come together in another order, and sums of
        # floats would differ in their last digits.
        customers = Counter(demands) if len(demands) > 1 else {demands[0]: 1}
        key = frozenset(customers.items()) if len(demands) > 1 else demands[0]
        came = self._known.get(key)
        if came is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            servers = {place: cast("Shared", place).servers for demand in customers for place, _ in demand.needs}
            came = self._known[key] = self._computed(customers, servers)
        return came

    @staticmethod
    def _computed(customers: Mapping[Demand, int], servers: Mapping[Hashable, int]) -> Shares:
        def share(those: Mapping[Demand, int]) -> Shares:
            return shares(those, servers, NEGLIGIBLE)

        queues = {place: room for place in servers if (room := cast("Shared", place).queue)}
        return in_step(customers, queues, share) if queues else share(customers)

    def _wake(self, event: Event) -> None:
        first, version = cast("tuple[Flow, int]", event.value)
        if first.version != version:
            return  # the rates have changed since
        now = self._env.now
        flows = self._together(first)
        for flow in flows:
            flow.advance(now)
        ended: list[Flow] = []
        left: dict[Flow, None] = {}
        for flow in flows:
            if not flow.is_over(now):
                left[flow] = None
                continue
            ended.append(flow)
            if flow.back is not None:
                del flow.back.answered[flow]
            for place in flow.places:
                del place.flows[flow]
                if not place.flows:
                    place.settle(IDLE)
        while left:
            together = self._together(next(iter(left)))
            self._share(together)
            for flow in together:
                del left[flow]
        for flow in ended:
            flow.passage.moments.append(Moment(now, flow.passage.count))
            flow.ended.succeed(flow.passage)


def _time_left(flow: Flow) -> float:
    return flow.left / flow.pace
