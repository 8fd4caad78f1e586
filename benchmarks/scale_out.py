"""``python -m benchmarks.scale_out``: the same replications on Dask with 1, 2 and 4 workers, and the speed-up.

Each number of workers is a local cluster with one thread per worker, started and warmed up before the clock runs. All
of them run the same replications, a block at a time and in turns, so that whatever else the machine does strikes all
alike; speed-ups are medians over the blocks. Dask's scheduler and this process have a share of the cores too: with as
many workers as there are cores the speed-up is less than their number. The tables have to be identical, or it fails.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from statistics import median

from rich.console import Console
from rich.table import Table

from simlab.errors import SimlabError
from simlab.lab.lab import Lab
from simlab.lab.plan.cluster import LOCAL, Cluster
from simlab.lab.plan.simulate import Measured, Task

WORKERS = (1, 2, 4)
ROUNDS = 4


def tasks(topology: str, until: str, replications: int) -> list[Task]:
    """Replications of a topology, each under a seed of its own."""
    base = Lab.load(topology).varied(until=until).topology
    return [Task(base, base.seed + number, base.duration / 10, ()) for number in range(replications)]


def run(pool: Cluster, block: Sequence[Task]) -> tuple[float, list[Measured]]:
    """Run a block. Returns the seconds it took, and what was measured, in the order of the tasks."""
    began = time.perf_counter()
    measured = dict(pool.run(block))
    return time.perf_counter() - began, [measured[place] for place in range(len(block))]


def measure(replications: Sequence[Task], console: Console) -> dict[int, list[float]]:
    """Seconds of each block, by the number of workers. Raises SimlabError if their tables differ."""
    taken: dict[int, list[float]] = {count: [] for count in WORKERS}
    with ExitStack() as stack:
        pools = {count: stack.enter_context(closing(Cluster(LOCAL, count))) for count in WORKERS}
        for count, pool in pools.items():
            run(pool, replications[:1] * 2 * count)  # imports
        for number in range(ROUNDS):
            block = replications[number::ROUNDS]
            tables = []
            for count, pool in pools.items():
                seconds, table = run(pool, block)
                taken[count].append(seconds)
                tables.append(repr(table))
            if len(set(tables)) > 1:
                raise SimlabError(f"block {number + 1}: the number of workers has changed a number")
            told = ", ".join(f"{count}: {len(block) / taken[count][-1]:.2f}" for count in WORKERS)
            console.print(f"block {number + 1} of {ROUNDS}, {len(block)} runs; runs/s by workers: {told}")
    return taken


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Replications on Dask with 1, 2 and 4 workers, and the speed-up.")
    parser.add_argument("--topology", default="topologies/hospital.yaml")
    parser.add_argument("--until", default="1 h", help="of orders in each run [1 h]")
    parser.add_argument("--replications", type=int, default=200)
    chosen = parser.parse_args(arguments)
    console = Console(highlight=False)
    try:
        replications = tasks(chosen.topology, chosen.until, max(chosen.replications, ROUNDS))
        before = os.getloadavg()[0]
        taken = measure(replications, console)
    except SimlabError as error:
        console.print(str(error))
        return 1
    table = Table(title=f"{len(replications)} replications of {chosen.topology}, {chosen.until}", title_justify="left")
    for heading in ("workers", "seconds", "runs/s", "speed-up"):
        table.add_column(heading, justify="right")
    for count, seconds in taken.items():
        ratio = median(one / ours for one, ours in zip(taken[WORKERS[0]], seconds, strict=True))
        total = sum(seconds)
        table.add_row(str(count), f"{total:.1f}", f"{len(replications) / total:.2f}", f"{ratio:.2f}")
    console.print(table)
    console.print(f"{os.cpu_count()} cores, load before: {before:.1f}. Tables identical.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
