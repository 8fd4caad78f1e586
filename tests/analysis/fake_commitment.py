"""A commitment matrix that nobody measured, and one study whose commitment goes wrong in most ways."""

import pandas as pd

from analysis.fake_run import CT_IMAGE, EXPLICIT_LITTLE
from simlab.analysis.commitment import COLUMNS
from simlab.analysis.frames import instances_frame, records_frame
from simlab.records import InstanceBatch, InstanceRows, Record

INSTANCES, SIZE = 30, 526_000
NAN = float("nan")

RESENT = {
    # fault: (resent once under study, failed, by-reason; always under the same)
    "dropped": ((30, 3, 3), (90, 9, 9)),
    "failed-0112": ((30, 3, 3), (90, 9, 9)),
    "failed-0213": ((30, 15, 0), (90, 45, 15)),
    "failed-0110": ((30, 30, 0), (90, 90, 30)),
    "failed-0122": ((30, 30, 0), (90, 90, 0)),
    "never": ((30, 0, 0), (90, 0, 0)),
    "late": ((30, 0, 0), (30, 0, 0)),
    "liar": ((0, 0, 0), (0, 0, 0)),
}
UNSAFE_IF_ALWAYS = ("failed-0112", "failed-0213", "failed-0110", "failed-0122", "never")
POLICIES = ("study", "failed", "by-reason")
SECONDS = {"study": 9.8, "failed": 6.2, "by-reason": 5.7}


def cell(fault, occurrence, policy, delete_local="after-safe", **changes):
    often = RESENT.get(fault, ((0, 0, 0), (0, 0, 0)))[occurrence == "always"]
    local = delete_local == "after-safe"
    resent = often[POLICIES.index(policy)] if local else 0
    unsafe = fault in UNSAFE_IF_ALWAYS and occurrence == "always"
    gone = 3 if fault == "liar" or (fault in {"dropped", "failed-0112"} and not local) else 0
    time = NAN if unsafe else SECONDS[policy] if resent else 4.65
    values = {
        "fault": fault, "occurrence": occurrence, "policy": policy, "delete_local": delete_local,
        "instances": INSTANCES, "unique_bytes": INSTANCES * SIZE, "sent_bytes": (INSTANCES + resent) * SIZE,
        "resent": resent, "expected_resent": resent, "resent_bytes": resent * SIZE, "waste": resent / INSTANCES,
        "requests": 4 if unsafe else 2 if resent else 1, "reports": 0 if fault == "never" else 1,
        "safe": 0 if unsafe else INSTANCES, "time_to_safe_p50": time * 0.8, "time_to_safe_p95": time,
        "kept": INSTANCES if unsafe and local else 0, "dropped": 3 if fault == "dropped" else 0,
        "lost": gone, "false_safe": 3 if fault == "liar" else 0, "needless": max(resent - 3, 0),
        "alarms": int(fault == "failed-0122"), "outcome": "failed" if unsafe else "safe",
        "seconds": 14.0 if unsafe else 6.0,
    }  # fmt: skip
    return values | changes


def fake_matrix(deletions=("after-safe",)):
    rows = []
    for deletion in deletions:
        rows += [cell("none", "none", policy, deletion) for policy in POLICIES]
        rows += [
            cell(fault, occurrence, policy, deletion)
            for fault in RESENT
            for occurrence in ("once", "always")
            for policy in POLICIES
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def fake_disks(deletions=("after-safe",)):
    """The study is acquired at 1 s, and gone when it is safe (or stored)."""
    rows = []
    for row in fake_matrix(deletions).to_dict("records"):
        keys = {name: row[name] for name in ("fault", "occurrence", "policy", "delete_local")}
        steps = [(0.0, 0), (1.0, INSTANCES * SIZE)]
        if row["delete_local"] == "after-store":
            steps.append((3.6, 0))
        elif row["outcome"] == "safe":
            steps.append((1.0 + row["time_to_safe_p95"], 0))
        rows += [{**keys, "time": time, "bytes": size} for time, size in steps]
    return pd.DataFrame(rows)


STUDY = "1.2.3"


class Story:
    """Records of one study, written in the order in which they happen."""

    def __init__(self):
        self.records, self.batches, self.now = [], [], 100.0

    def operation(self, node, peer, name, seconds, **more):
        began, self.now = self.now, self.now + seconds
        more = {"study": STUDY} | more
        self.records.append(Record("live", node, peer, name, began, self.now, began, **more))

    def mark(self, node, name, comment="", *, peer="", study=STUDY, at=None):
        at = self.now if at is None else at
        self.records.append(Record("live", node, peer, name, at, at, at, comment=comment, study=study))

    def fault(self, what, about="", at=None):
        self.mark("archive", "fault", f"{what}: {about}" if about else what, peer="ct1", study="", at=at)

    def store(self, numbers, seconds, failures=0, status=0):
        rows, each = InstanceRows(), seconds / len(numbers)
        for place, number in enumerate(numbers):
            sent = self.now + place * each
            rows.append(f"{STUDY}.{number}", CT_IMAGE, EXPLICIT_LITTLE, SIZE, sent, sent + each, 0)
        self.batches.append(InstanceBatch("live", "ct1", "archive", STUDY, rows))
        count = len(numbers)
        more = {"instances": count, "bytes": count * SIZE, "failures": failures, "status": status}
        self.operation("ct1", "archive", "C-STORE", seconds, **more)

    def report(self, asked, failed=(), reason=0x0112, **more):
        """The archive reports; the scanner has it a moment before it answers."""
        rows = InstanceRows()
        for number in asked:
            at = self.now + 0.03
            status = reason if number in failed else 0
            rows.append(f"{STUDY}.{number}", CT_IMAGE, "", 0, at, at, status)
        self.batches.append(InstanceBatch("live", "ct1", "archive", STUDY, rows, "N-EVENT-REPORT"))
        self.operation("archive", "ct1", "N-EVENT-REPORT", 0.045, instances=len(asked), **more)

    def frames(self):
        return records_frame(self.records), instances_frame(self.batches)


def fake_study(attempts=1):
    """Dropped instances, a report that never comes, one that says no, a cut request: ``attempts`` times, then safe."""
    story = Story()
    story.mark("ris", "ordered", "A00001 ct-head")
    story.now += 40.0
    story.operation("ct1", "ris", "N-CREATE", 0.012)
    story.operation("ct1", "", "make", 1.5, instances=INSTANCES, bytes=INSTANCES * SIZE)
    story.mark("ct1", "acquired")
    for number in (10, 20, 30):
        story.fault("C-STORE drop", f"{STUDY}.{number}", at=story.now + number * 0.09)
    story.store(range(1, 31), 2.9)
    story.mark("ct1", "stored")
    story.operation("ct1", "ris", "N-SET", 0.011)
    for _ in range(attempts):
        story.fault("commitment never", "A00001", at=story.now + 0.09)
        story.operation("ct1", "archive", "N-ACTION", 0.08, instances=30)
        story.now += 3.5
        story.operation("ct1", "archive", "N-ACTION", 0.08, instances=30, status=-1, failures=1,
                        comment="association aborted")  # fmt: skip
        story.now += 0.5
        story.operation("ct1", "archive", "N-ACTION", 0.08, instances=30)
        story.now += 0.02
        story.report(range(1, 31), failed=(10, 20, 30))
        story.now += 0.5
        story.store((10, 20, 30), 0.35)
        # The report overtakes the response.
        asked, story.now = story.now, story.now + 0.06
        story.report((10, 20, 30))
        story.now = asked
        story.operation("ct1", "archive", "N-ACTION", 0.3, instances=3)
    story.mark("ct1", "safe")
    story.mark("ct1", "report", "for a transaction that is over", peer="archive", at=story.now + 0.01)
    story.now += 0.1
    story.operation("ct1", "", "discard", 0.002)
    return story.frames()


def fake_occupancy():
    """Two scanners; the disk of the first fills up, for good in the end."""
    steps = [("ct1", 0.0, 0)] + [("ct1", 5.0 * number, number * 15_780_000) for number in range(1, 5)]
    steps += [("ct1", 31.0, 47_340_000), ("ct1", 36.0, 63_120_000)]
    steps += [("mr1", 0.0, 0), ("mr1", 8.0, 4_700_000), ("mr1", 12.0, 0), ("mr1", 28.0, 4_700_000), ("mr1", 33.0, 0)]
    occupancy = pd.DataFrame(steps, columns=["node", "time", "bytes"])
    halts = pd.DataFrame(
        [("ct1", 20.0, 31.0, "63.1 MB of 70 MB"), ("ct1", 36.0, NAN, "63.1 MB of 70 MB")],
        columns=["node", "halted", "resumed", "comment"],
    )
    return occupancy, halts, {"ct1": 70_000_000, "mr1": None}
