"""Open files and connections: systems allow a process far fewer by default than it may ask for."""

from __future__ import annotations

from contextlib import suppress

try:
    import resource
except ImportError:  # Windows, which has no such limit
    resource = None  # type: ignore[assignment]


def raise_descriptor_limit() -> None:
    """Let this process have as many open descriptors as the system grants it."""
    if resource is None:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS names an infinite limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
