"""simlab's own sender, with its instances ready: ``python -m benchmarks.link_sender``, for many transfers.

Takes a line of JSON for each transfer on standard input, and answers each with one on standard output:

    {"template": PATH, "host": HOST, "port": PORT, "count": N, "associations": K, "interval": seconds between two}
    {"seconds": of everything, "latencies": [seconds of each instance], "bytes": of all data sets}

With an interval, latencies count from when an instance had been sent.

A transfer begins with the first connection and ends when the last association is released.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.link_receiver import TITLE
from simlab.lab.sender import Consignment, Sender, Synthetic
from simlab.network.live.directory import Peer
from simlab.studies.templates import StudyTemplate, synthetic_studies

SEED = 20260115
TIMEOUT = 60.0
"""Seconds."""


@cache
def load(path: Path) -> StudyTemplate:
    """Have a template in memory."""
    return StudyTemplate.load(path)


def transfer(template: str, host: str, port: int, count: int, associations: int, interval: float) -> dict[str, Any]:
    """Send so many instances of a template."""
    made = load(Path(template))
    study = next(synthetic_studies(made.protocol, SEED))
    classes = tuple(dict.fromkeys((series.sop_class, made.transfer_syntax) for series in study.series))
    source = Synthetic(made, SEED, 0, count, classes)
    gc.collect()
    began = time.perf_counter()
    peer = Peer("receiver", TITLE, host, port)
    sender = Sender(Consignment("SIMLAB", peer, source, associations, 1, TIMEOUT, interval))
    sent = sender.run()
    seconds = time.perf_counter() - began
    trouble = "" if sent.answered == count and not sent.troubles else "; ".join(sent.troubles) or "not all answered"
    latencies = sent.latencies
    if interval:  # from when each was sent: how late the timer was is nobody's cost
        rows = [train.rows for train in sender._trains]  # noqa: SLF001 -- nobody else wants to know
        latencies = [end - out for each in rows for out, end in zip(each.sent, each.finished, strict=True)]
    return {"seconds": seconds, "latencies": latencies, "bytes": sent.bytes, "trouble": trouble}


def main() -> None:
    """Do what is asked until nobody asks any more."""
    for line in sys.stdin:
        try:
            said = transfer(**json.loads(line))
        except Exception as error:  # noqa: BLE001 -- told to whoever measures
            said = {"trouble": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
