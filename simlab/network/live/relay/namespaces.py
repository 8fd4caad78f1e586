"""Work within a network namespace (Linux): a socket belongs to the namespace in which it was made."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAMESPACES = Path("/run/netns")
"""Where ``ip netns`` keeps their names."""


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Have this thread, and no other, in a namespace. Raises OSError."""
    with Path("/proc/thread-self/ns/net").open("rb") as home, (NAMESPACES / namespace).open("rb") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    # The first call of CDLL looks the library up; the others find it loaded. Python 3.12 has os.setns.
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
