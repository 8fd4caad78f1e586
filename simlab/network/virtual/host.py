"""The computer of an AE in simulated time: what it does for others, and on its own account, is done there."""

from __future__ import annotations

import simpy

from simlab.network.virtual.station import Station
from simlab.network.virtual.times import UNCALIBRATED, Times
from simlab.network.virtual.traffic import Shared


class Host(Shared):
    """So many servers alike. Trains share them; messages queue for them, first come, first served."""

    def __init__(
        self,
        env: simpy.Environment,
        times: Times = UNCALIBRATED,
        maximum_associations: int = 100,
        *,
        shared: bool = False,
    ) -> None:
        """``shared``: several AEs have it, as nodes of the live world have a process."""
        super().__init__(env)
        self.shared = shared
        self.times = times
        self.servers = times.serving.servers
        self.maximum_associations = maximum_associations
        self.associations = 0
        """That others have with it."""
        self._messages = Station(env, self.servers)

    def visit(self, seconds: float, ahead: float = 0.0) -> float:
        """Come so many seconds ahead, with so many seconds of work. Returns the seconds from then until it is done.

        Trains that are there meanwhile have their turns too (Seidmann, Schweitzer and Shalev-Oren 1987, for several
        servers).
        """
        each = seconds / self.servers
        return self._messages.enter(seconds - each + self.take(each), ahead)
