"""A station in simulated time: servers, and one queue before them, first come, first served."""

from __future__ import annotations

from heapq import heapify, heapreplace

import simpy


class Station:
    """So many servers alike.

    Who comes first is served first, so when somebody will be served is known as he comes (Kiefer and Wolfowitz 1955):
    by the server that is free the earliest. A visit costs no event of its own.
    """

    def __init__(self, env: simpy.Environment, servers: int) -> None:
        """Raises ValueError for less than one server."""
        if servers < 1:
            raise ValueError(f"{servers} servers; expected at least 1")
        self.visits = 0
        self.busy = 0.0
        """Seconds of service that were asked for, by all servers together."""
        self.waited = 0.0
        """Seconds that all visits together wait before they are served."""
        self._env = env
        self._free = [0.0] * servers
        """Run seconds at which each server has done what there is to do: a heap."""
        heapify(self._free)

    def enter(self, service: float, ahead: float = 0.0) -> float:
        """Come so many seconds ahead, with so many seconds of work. Returns the seconds from then until it is done.

        It is served before those who come later and say so earlier: what is ahead should be little.
        """
        now = self._env.now + ahead
        begins = max(now, self._free[0])
        heapreplace(self._free, begins + service)
        self.visits += 1
        self.busy += service
        self.waited += begins - now
        return begins - now + service
