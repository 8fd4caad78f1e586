"""Being woken when it is time: a link that waits for a processor is slower than it should be."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def be_prompt() -> None:
    """Be woken at once, and before others that want to run too, as far as this system lets us (Linux; root for both).

    Who passes bytes on has little to do at a time, and nothing before others have sent something.
    """
    with suppress(OSError):  # Linux lets timers be 50 us late, for the sake of saving power
        Path("/proc/self/timerslack_ns").write_text("1", encoding="ascii")
    if hasattr(os, "sched_setscheduler"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
