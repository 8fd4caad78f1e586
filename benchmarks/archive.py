"""simlab's archive, up in a department of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Literal

import yaml
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from benchmarks.peers import LOOPBACK, SIMLAB, FailedError, UnavailableError, call, running
from benchmarks.pynetdicom_receive import without_nagle
from benchmarks.servers import BIG_PDU, MANY, Server, a_folder

MANY_RECEIVERS, FEW_RECEIVERS = os.cpu_count() or 1, max(1, (os.cpu_count() or 1) - 1)
"""Processes that take instances: one for each processor; fewer where each waits for the disk on threads of its own."""

OUTSTANDING = 16
"""Operations that a peer may have outstanding, if it asks for more than one."""

Durability = Literal["none", "write", "fsync"]


@dataclass(frozen=True)
class Archive:
    """An archive of simlab's."""

    durability: Durability = "write"

    @property
    def name(self) -> str:
        """For tables."""
        return f"simlab archive ({self.durability})"

    @contextmanager
    def up(self) -> Iterator[Server]:
        """Bring it up. What it stores lies in the folder that goes away."""
        with a_folder() as folder:
            node = {
                "kind": "archive",
                "ae_title": "ARCHIVE",
                "durability": self.durability,
                "receivers": FEW_RECEIVERS if self.durability == "fsync" else MANY_RECEIVERS,
                "maximum_associations": MANY,
                "outstanding": OUTSTANDING,
                "maximum_length": f"{BIG_PDU // 1024} KiB",
            }
            topology = folder / "archive.yaml"
            text = yaml.safe_dump({"simlab": 1, "name": "benchmark", "nodes": {"archive": node}})
            require_valid(text)
            topology.write_text(text)
            addresses = folder / "addresses.json"
            command = [*SIMLAB, "up", str(topology), "--addresses", str(addresses), "--out", str(folder)]
            with running(command, addresses.exists, folder) as process:
                port = int(json.loads(addresses.read_text())["archive"]["port"])
                yield Server("ARCHIVE", port, process, lambda: count_instances("ARCHIVE", port))


@cache
def require_valid(topology: str) -> None:
    """Raises UnavailableError unless simlab takes a topology."""
    with a_folder() as folder:
        path = folder / "topology.yaml"
        path.write_text(topology)
        code, said = call([*SIMLAB, "validate", str(path)])
        if code:
            raise UnavailableError(f"simlab's archive: not available yet ({said.splitlines()[-1]})")


def count_instances(title: str, port: int) -> int:
    """How many instances an archive finds in its index: a C-FIND for all studies. Raises FailedError."""
    entity = AE("BENCHMARK")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = 20.0
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = ""
    query.NumberOfStudyRelatedInstances = ""
    association = entity.associate(LOOPBACK, port, ae_title=title, evt_handlers=[(evt.EVT_CONN_OPEN, without_nagle)])
    if not association.is_established:
        raise FailedError(f"{title} takes no query")
    count, done = 0, False
    for status, found in association.send_c_find(query, StudyRootQueryRetrieveInformationModelFind):
        done = "Status" in status and status.Status == 0
        if found is not None:
            count += int(found.NumberOfStudyRelatedInstances)
    association.release()
    if not done:
        raise FailedError(f"{title} does not answer a query")
    return count
