"""What the agreement of the two worlds is tried on: eight departments, each short of something else."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import HERE, LOOPBACK, UnavailableError, find, free_ports, listens, running
from simlab.lab.lab import Lab

FOLDER = HERE / "agreement_scenarios"


@dataclass(frozen=True)
class Scenario:
    """A topology, and whose calibration predicts it."""

    name: str
    """Of its file."""
    about: str
    calibrated_on: str
    """The scenario that is calibrated for it: this one itself, or one with nodes of the same names."""

    @property
    def calibrates(self) -> bool:
        """Whether it is calibrated, and so no test of how well a calibration carries over to what it has not seen."""
        return self.calibrated_on == self.name

    @contextmanager
    def lab(self) -> Iterator[Lab]:
        """The scenario, ready to run; what it needs besides is up meanwhile. Raises UnavailableError."""
        lab = Lab.load(FOLDER / f"{self.name}.yaml")
        if any(spec.kind == "external" for spec in lab.topology.nodes.values()):
            with _orthanc(lab) as port:
                yield lab.replace("archive", port=port)
        else:
            yield lab


SCENARIOS = (
    Scenario("archive-bound", "archive: two scanners over six associations, fsync", "archive-bound"),
    Scenario("wan-compression", "20 Mbit/s, 40 ms, JPEG-LS while it is sent", "wan-compression"),
    Scenario("mixed", "scanners on both sides of a link, readers", "mixed"),
    Scenario("orthanc", "Orthanc as archive", "orthanc"),
    Scenario("link-bound", "100 Mbit/s, 20 ms, five scanners", "mixed"),
    Scenario("small-mr", "many small images at once, 200 Mbit/s, 10 ms", "mixed"),
    Scenario("commitment", "faults of commitment, and resending", "mixed"),
    Scenario("reading", "C-MOVE over a link", "mixed"),
)
"""Those that calibrate come before those that they calibrate."""


@contextmanager
def _orthanc(lab: Lab) -> Iterator[int]:
    """An empty Orthanc that knows a lab's scanners, while the block lasts; its port. Raises UnavailableError."""
    program = find("Orthanc")
    scanners = {
        name: (spec.ae_title, spec.port) for name, spec in lab.topology.nodes.items() if spec.kind == "modality"
    }
    for name, (_, port) in scanners.items():
        if port is not None and listens(port):
            raise UnavailableError(f"port {port} of {name} is in use")
    port, http_port = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="simlab-agreement-") as folder:
        path = Path(folder) / "orthanc.json"
        path.write_text(json.dumps(_configuration(scanners, Path(folder) / "storage", port, http_port), indent=2))
        with running([program, str(path)], lambda: listens(port), Path(folder)):
            yield port


def _configuration(
    scanners: Mapping[str, tuple[str, int | None]], storage: Path, port: int, http_port: int
) -> dict[str, object]:
    """Of an Orthanc as it comes, but for more associations at a time than its default of 4."""
    return {
        "Name": "simlab agreement",
        "StorageDirectory": str(storage),
        "IndexDirectory": str(storage),
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "DicomThreadsCount": 16,
        "DicomModalities": {name: [title, LOOPBACK, at] for name, (title, at) in scanners.items()},
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
    }
