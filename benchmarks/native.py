"""The programs in C that come with the benchmarks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.peers import HERE, UnavailableError, call, find


@dataclass(frozen=True)
class Native:
    """Where the programs are, once they are built."""

    sink: str
    client: str


@contextmanager
def built() -> Iterator[Native]:
    """Build them into a folder that goes away. Raises UnavailableError."""
    compiler = find("cc")
    with tempfile.TemporaryDirectory(prefix="simlab-bench-") as folder:
        for name in ("sink", "client"):
            source = str(HERE / f"{name}.c")
            code, said = call([compiler, "-O2", "-pthread", "-o", f"{folder}/{name}", source], seconds=60.0)
            if code:
                raise UnavailableError(f"cannot build {name}.c: {said}")
        yield Native(f"{folder}/sink", f"{folder}/client")
