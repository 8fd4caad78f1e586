"""Where and with what was measured."""

from __future__ import annotations

import os
import platform
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.archive import FEW_RECEIVERS, MANY_RECEIVERS, OUTSTANDING
from benchmarks.peers import HERE, FailedError, UnavailableError, call, find
from benchmarks.servers import BIG_PDU, MANY

SETTINGS = {
    "all": f"127.0.0.1, TCP_NODELAY=1; servers announce a maximum PDU of {BIG_PDU}, the largest that DCMTK uses",
    "simlab": f"archive: receivers: {MANY_RECEIVERS} (fsync: {FEW_RECEIVERS}), outstanding {OUTSTANDING}, "
    f"maximum_associations {MANY}",
    "dcmsend": "+sd FOLDER; as it comes otherwise",
    "storescu": "-R +sd FOLDER; as it comes otherwise",
    "storescp": f"--fork -pdu {BIG_PDU}, with -od FOLDER, with +B -od FOLDER or with --ignore",
    "Orthanc": f"SQLite index, DicomThreadsCount 16, MaximumPduLength {BIG_PDU}; as it comes otherwise",
    "pynetdicom": "sender: data sets from memory, TCP_NODELAY set by a handler, its reactor paused so that no response "
    "is lost; server: writes event.encoded_dataset(), TCP_NODELAY set by a handler",
}


def describe() -> dict[str, Any]:
    """The machine, and versions of everything."""
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "load_before": os.getloadavg()[0],
        "versions": {
            "Python": platform.python_version(),
            "simlab": f"{version('simlab')} {_commit()}".strip(),
            "pydicom": version("pydicom"),
            "pynetdicom": version("pynetdicom"),
            "DCMTK": _first_line("dcmsend", "--version"),
            "Orthanc": _first_line("Orthanc", "--version"),
            "cc": _first_line("cc", "--version"),
        },
        "settings": SETTINGS,
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _first_line(program: str, *arguments: str) -> str:
    try:
        return call([find(program), *arguments])[1].partition("\n")[0].strip("$ ")
    except (UnavailableError, FailedError) as error:
        return str(error)


def _commit() -> str:
    """The commit that is checked out, and whether something differs from it."""
    try:
        code, said = call([find("git"), "-C", str(HERE), "describe", "--always", "--dirty"])
    except (UnavailableError, FailedError):
        return ""
    return "" if code else f"({said})"
