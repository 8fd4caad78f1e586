"""Links in simulated time: a clock, and connections whose bytes are numbered."""

import heapq
from itertools import count

from simlab.network.link.link import Link
from simlab.network.link.settings import WIRE, LinkSettings


class Clock:
    """Simulated time."""

    reaction = 0.0

    def __init__(self):
        self._now = 0.0
        self._events = []
        self._numbers = count()

    def now(self):
        return self._now

    def at(self, when, call, *arguments):
        heapq.heappush(self._events, (max(when, self._now), next(self._numbers), call, arguments))

    def run(self, until, each=lambda: None):
        """Until nothing is left to happen, or a time; ``each`` is called after every event."""
        while self._events and self._events[0][0] <= until:
            self._now, _, call, arguments = heapq.heappop(self._events)
            call(*arguments)
            each()
        if self._events:
            self._now = until


class Numbers:
    """Both ends of one direction: so many bytes, each of which is its own number. The sink takes them at once."""

    def __init__(self, clock, amount):
        self.clock = clock
        self.given, self.amount = 0, amount
        self.received = 0
        self.arrivals = []
        self.ended = False
        self.held = 0
        self.wanted = False

    def read(self, most):
        if self.given == self.amount and not self.ending:
            return None
        piece = range(self.given, min(self.given + most, self.amount))
        self.given = piece.stop
        return piece

    ending = True
    """Whether the end follows the last byte."""

    def want(self, *, more):
        self.wanted = more

    def write(self, data):
        assert not self.ended
        assert data.start == self.received, "overtaken, lost or twice"
        self.received = data.stop
        self.arrivals.append((self.clock.now(), self.received))

    def end(self):
        assert not self.ended
        self.ended = True


class Nothing(Numbers):
    """The direction that nobody uses."""

    ending = False

    def __init__(self, clock):
        super().__init__(clock, 0)


class Sharing:
    """Connections that send over one link, from its first site."""

    def __init__(self, settings=None, **changes):
        self.clock = Clock()
        self.link = Link(self.clock, "link", (settings or LinkSettings()).changed(changes))
        self.sent = []
        self.flows = []

    def send(self, amount, at=0.0, *, ending=True):
        """Have a new connection send so much."""
        numbers = Numbers(self.clock, amount)
        numbers.ending = ending
        silent = Nothing(self.clock)
        out, _ = self.link.flows((numbers, silent), (silent, numbers), reverse=False)
        self.sent.append(numbers)
        self.flows.append(out)
        self.clock.at(at, out.pump)
        return numbers, out

    @property
    def received(self):
        return sum(numbers.received for numbers in self.sent)

    @property
    def wire(self):
        """IP bytes that have come out."""
        return self.received * WIRE


def jain(shares):
    """How fair: 1 if all shares are equal, 1/n if one has everything (Jain, Chiu and Hawe 1984)."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
