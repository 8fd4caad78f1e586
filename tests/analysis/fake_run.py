"""A small run, made by hand: six studies on two scanners at a remote site, one of which fails."""

from datetime import datetime
from typing import Annotated

import numpy as np
import pandas as pd

from simlab.analysis.frames import instances_frame, links_frame, records_frame
from simlab.analysis.oracle import Acknowledgement, Held, Ledger, findings_frame, reconcile
from simlab.analysis.run import Run
from simlab.records import InstanceBatch, InstanceRows, Record
from simlab.studies.study import InstanceReference
from simlab.topology.model import Expectation, LinkSpec, NodeSpec, Refers, SiteSpec, Topology

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
OUT_OF_RESOURCES = 0xA700


class Worklist(NodeSpec):
    kind: str = "worklist"


class Archive(NodeSpec):
    kind: str = "archive"


class Modality(NodeSpec):
    kind: str = "modality"
    modality: str = "CT"
    worklist: Annotated[str | None, Refers(("worklist",))] = None
    store: Annotated[str | None, Refers(("archive", "router"))] = None
    commit: Annotated[str | None, Refers(("archive",))] = None


class Workstation(NodeSpec):
    kind: str = "workstation"
    reads: tuple[str, ...] = ("CT", "MR")
    archive: Annotated[str | None, Refers(("archive",))] = None
    store: Annotated[str | None, Refers(("archive",))] = None


class Router(NodeSpec):
    kind: str = "router"
    forward_to: Annotated[str | None, Refers(("archive",))] = None


def clinic(**changes: object) -> Topology:
    """Two scanners in the north, everything else in the main building."""
    settings = {
        "simlab": 1,
        "name": "two-sites",
        "description": "Two scanners behind a thin line.",
        "duration": 120.0,
        "compress": 30.0,
        "sites": {"north": SiteSpec(label="North clinic"), "main": SiteSpec(label="Main building")},
        "nodes": {
            "ris": Worklist(ae_title="RIS"),
            "archive": Archive(ae_title="ARCHIVE"),
            "ct1": Modality(ae_title="CT1", site="north", worklist="ris", store="archive", commit="archive"),
            "mr1": Modality(
                ae_title="MR1", modality="MR", site="north", worklist="ris", store="archive", commit="archive"
            ),
            "reader": Workstation(ae_title="READ1", archive="archive", store="archive"),
        },
        "links": (LinkSpec(between=("north", "main"), latency=0.02, bandwidth=12.5e6),),
        "expect": (
            Expectation(node="ct1", operation="C-STORE", p95="< 2 s", failures=0),
            Expectation(node="mr1", operation="N-ACTION", p95="< 1 ms"),
            Expectation(lost=0),
        ),
    }
    return Topology(**(settings | changes))


class Script:
    """Writes the records of studies as a world would."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        self.records: list[Record] = []
        self.batches: list[InstanceBatch] = []
        self.now = 0.0

    def operation(self, node: str, peer: str, name: str, seconds: float, study: str, **more: object) -> None:
        """One operation that starts now; the clock moves to its end."""
        taken = seconds * float(self.draw.lognormal(0, 0.35))
        finished = self.now + taken
        started = self.now + 0.001
        self.records.append(Record("live", node, peer, name, started, finished, self.now, study=study, **more))
        self.now = finished

    def milestone(self, node: str, name: str, study: str, comment: str = "") -> None:
        """A milestone that is reached now."""
        self.records.append(Record("live", node, "", name, self.now, self.now, self.now, study=study, comment=comment))

    def store(self, node: str, peer: str, study: str, count: int, size: int, broken: int = 0) -> None:
        """A study stored at about 10 MB/s; the last ``broken`` instances are refused."""
        rows, begun = InstanceRows(), self.now
        for number in range(count):
            taken = size / 10e6 * float(self.draw.lognormal(0, 0.3)) + 0.04
            status = OUT_OF_RESOURCES if number >= count - broken else 0
            rows.append(f"{study}.{number}", CT_IMAGE, EXPLICIT_LITTLE, size, self.now, self.now + taken, status)
            self.now += taken
        self.batches.append(InstanceBatch("live", node, peer, study, rows))
        self.records.append(
            Record(
                "live", node, peer, "C-STORE", begun, self.now, begun, instances=count, bytes=(count - broken) * size,
                wire_bytes=count * size,
                failures=broken, status=OUT_OF_RESOURCES if broken else 0, study=study,
                comment="Out of resources: the disk is full" if broken else "",
            )
        )  # fmt: skip

    def note(self, node: str, operation: str, study: str, count: int) -> None:
        """An entry in the ledger: instances that were made, or committed to."""
        rows = InstanceRows.of(InstanceReference(CT_IMAGE, f"{study}.{number}") for number in range(count))
        self.batches.append(InstanceBatch("live", node, "", study, rows, operation))


def study(script: Script, number: int, ordered: float, *, broken: int = 0) -> None:
    """One study's way, from the order to the reading."""
    scanner, count, size = (("ct1", 60, 526_000), ("mr1", 36, 132_000))[number % 2]
    uid = f"1.2.3.{number}"
    script.now = ordered
    script.milestone("ris", "ordered", uid, f"A{number:05} {'ct-chest' if scanner == 'ct1' else 'mr-brain'}")
    script.now += 2.0 + number
    script.operation(scanner, "ris", "C-FIND", 0.06, uid)
    script.operation(scanner, "ris", "N-CREATE", 0.05, uid)
    script.milestone(scanner, "started", uid)
    script.operation(scanner, "", "make", 5.0, uid, instances=count, bytes=count * size)
    script.note(scanner, "make", uid, count)
    script.milestone(scanner, "acquired", uid)
    script.store(scanner, "archive", uid, count, size, broken)
    if broken:
        script.milestone(scanner, "failed", uid, "Out of resources: the disk is full")
        return
    script.milestone(scanner, "stored", uid)
    script.operation(scanner, "ris", "N-SET", 0.05, uid)
    script.milestone(scanner, "completed", uid)
    script.operation(scanner, "archive", "N-ACTION", 0.06, uid)
    script.now += 0.8
    script.operation("archive", scanner, "N-EVENT-REPORT", 0.05, uid)
    script.note("archive", "N-EVENT-REPORT", uid, count)
    script.milestone(scanner, "safe", uid)
    script.now += 2.0
    script.operation("reader", "archive", "C-FIND", 0.01, uid)
    moved = script.now
    script.store("archive", "reader", uid, count, size // 8)
    script.now = moved
    script.operation("reader", "archive", "C-MOVE", count * 0.05, uid, instances=count)
    script.milestone("reader", "reconstructed", uid)
    script.now += 3.0
    script.milestone("reader", "read", uid)
    script.operation(scanner, "", "discard", 0.01, uid)


def fake_run(**changes: object) -> Run:
    """The whole run. ``changes`` replace fields of :class:`Run`."""
    script = Script(seed=7)
    for number in range(6):
        study(script, number, ordered=3.0 + 15.0 * number, broken=4 if number == 4 else 0)
    records, instances = records_frame(script.records), instances_frame(script.batches)
    by_operation = {name: set(rows["sop_instance"]) for name, rows in instances.groupby("operation")}
    stored = set(instances.query("operation == 'C-STORE' and status == 0")["sop_instance"])
    ledger = Ledger(
        generated=by_operation["make"],
        acknowledged={"archive": {uid: [Acknowledgement(1.0, 2.0)] for uid in stored}},
        committed={"archive": by_operation["N-EVENT-REPORT"]},
    )
    fates = reconcile(ledger, {"archive": Held(given=stored)})
    settings = {
        "topology": clinic(),
        "world": "live",
        "seed": 1,
        "started_at": datetime(2026, 1, 15, 9, 30),
        "elapsed": float(records["finished"].max()),
        "records": records,
        "instances": instances,
        "counts": fates.counts,
        "findings": findings_frame(fates.findings),
        "generator": {"lag_p99": 0.0021, "cpu": 0.34},
        "links": links_frame(links()),
        "notices": ("The archives were not asked what they hold in the end.",),
    }
    return Run(**(settings | changes))


def links() -> list[dict[str, object]]:
    """What passed the link of the clinic."""
    forth = {
        "link": "north-main", "source": "north", "target": "main", "connections": 12, "payload": 94_680_000,
        "wire": 98_080_110.5, "busy": 7.85, "utilisation": 0.08, "dropped": 31, "cuts": 2, "outages": 1, "resets": 1,
    }  # fmt: skip
    return [forth, {**forth, "source": "main", "target": "north", "payload": 81_200, "wire": 84_116.0, "busy": 0.007}]


def no_records() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The frames of a run in which nothing happened."""
    return records_frame([]), instances_frame([])
