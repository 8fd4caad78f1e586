"""Associations that go round and round, instance by instance, on a heap: a line, servers, and a wait in between.

It is what the rates of the virtual world are held against where associations share more than a line.
"""

from heapq import heappop, heappush
from itertools import count
from math import inf


class Turns:
    """So many servers alike that work in turns: among more instances than servers, each has its share.

    Every instance has had the same since any moment, so it ends when that, summed up, has reached its mark.
    """

    def __init__(self, servers=1):
        self.servers = servers
        self.had = 0.0
        """Seconds of service that an instance has had that was always there."""
        self.since = 0.0
        self.marks = []

    @property
    def pace(self):
        return min(1.0, self.servers / len(self.marks))

    @property
    def next(self):
        """When the first that is there ends."""
        return self.since + (self.marks[0][0] - self.had) / self.pace if self.marks else inf

    def advance(self, now):
        if self.marks:
            self.had += (now - self.since) * self.pace
        self.since = now

    def enter(self, now, who, seconds):
        self.advance(now)
        heappush(self.marks, (self.had + seconds, who))

    def leave(self, now):
        self.advance(now)
        return heappop(self.marks)[1]


class InLine:
    """So many servers alike; who comes first is served first."""

    def __init__(self, servers=1):
        self.free = [0.0] * servers
        self.ends = []

    @property
    def next(self):
        return self.ends[0][0] if self.ends else inf

    def enter(self, now, who, seconds):
        begins = max(now, heappop(self.free))
        heappush(self.free, begins + seconds)
        heappush(self.ends, (begins + seconds, who))

    def leave(self, now):
        return heappop(self.ends)[1]


class Thinking:
    """A wait in which nobody needs anything of others."""

    def __init__(self):
        self.ends = []

    @property
    def next(self):
        return self.ends[0][0] if self.ends else inf

    def enter(self, now, who, seconds):
        heappush(self.ends, (now + seconds, who))

    def leave(self, now):
        return heappop(self.ends)[1]


def instances_a_second(customers, stages, instances, warm_up):
    """How many instances end in a second, all together, once so many have been for the warm-up.

    ``stages`` are places and what draws the seconds that an instance takes there, in the order in which it goes.
    """
    ended, now, began = count(1), 0.0, 0.0
    for who in range(customers):
        place, draw = stages[who % len(stages)]
        place.enter(0.0, who, draw())
    following = {id(place): stages[(number + 1) % len(stages)] for number, (place, _) in enumerate(stages)}
    last = stages[-1][0]
    while True:
        place = min((each for each, _ in stages), key=lambda each: each.next)
        now = place.next
        who = place.leave(now)
        after, draw = following[id(place)]
        after.enter(now, who, draw())
        if place is last:
            number = next(ended)
            if number == warm_up:
                began = now
            elif number == warm_up + instances:
                return instances / (now - began)
