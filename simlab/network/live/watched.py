"""A node's decisions, watched: an exception in one of them is a bug, and ends the run with its traceback.

pynetdicom turns an exception in a handler into a failure status. The peer still gets that; but a bug that only shows as
a status on the wire would be taken for something that the node decided.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from simlab.network.live.environment import LiveEnvironment
from simlab.network.live.server import LiveServer


class Watched:
    """Passes everything on to a node's server."""

    def __init__(self, server: LiveServer, env: LiveEnvironment) -> None:
        self._server = server
        self._env = env

    def __getattr__(self, name: str) -> Any:
        decide = getattr(self._server, name)
        if not callable(decide):
            return decide

        @wraps(decide)
        def watched(*arguments: Any) -> Any:
            try:
                return decide(*arguments)
            except Exception as error:
                self._env.crash(error)
                raise

        return watched
