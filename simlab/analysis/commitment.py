"""The commitment matrix: what a fault costs under a policy, measured from a run, beside what must come of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from enum import Enum

import numpy as np
import pandas as pd

from simlab.analysis.run import Run

OCCURRENCES = ("once", "always")
POLICIES = ("study", "failed", "by-reason")
DELETIONS = ("after-safe", "after-store")

LATER = (0x0213, 0x0110)
PERMANENT = (0x0119, 0x0122)
ASK_ANEW = (0x0131,)
"""Failure reasons (PS3.3 section C.14.1.1) after which nothing is to be sent again: it is full or failed for now; it
will never be otherwise; the transaction was the problem."""


class Effect(Enum):
    """What a modality notices of a fault."""

    NONE = "none"
    """Nothing, or nothing that keeps it from being told in time."""
    SILENCE = "silence"
    """No report in time."""
    GAPS = "gaps"
    """A report without some of the instances."""
    FAILURES = "failures"
    """A report with failed instances."""
    REFUSALS = "refusals"
    """C-STOREs that are refused for now."""
    CUT = "cut"
    """Associations that are aborted in the middle of an instance."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault, as far as it matters to how much is sent again."""

    effect: Effect
    instances: int = 0
    """How many instances it strikes; of ``CUT``, how many get through before each abort."""
    reason: int = 0
    """Failure reason, of ``FAILURES``."""
    heard_in_the_end: bool = False
    """Of ``SILENCE``: the report comes before the modality has asked for the second time."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a modality tries."""

    attempts: int
    """N-ACTIONs, or C-STOREs of an instance without any success, in all."""
    escalate: int
    """Reports in a row that say "later", after which an instance is sent again all the same."""


def expected_resent(
    struck: Struck, occurrence: str, policy: str, deletion: str, *, instances: int, patience: Patience
) -> int:
    """How many instances a modality sends again, by the rules that its policy is made of.

    ``instances`` are those of the study. Every attempt but the last one may be followed by sending again.
    """
    again = 1 if occurrence == "once" else patience.attempts - 1
    if struck.effect is Effect.REFUSALS:
        return struck.instances * again
    if struck.effect is Effect.CUT:
        return min(1, again) if occurrence == "once" else (instances - 1) // max(struck.instances, 1)
    if deletion == "after-store" or struck.effect is Effect.NONE:
        return 0
    if policy == "study":
        return instances * (1 if struck.heard_in_the_end else again)
    if struck.effect is not Effect.FAILURES:
        return 0  # nothing was said to be missing
    if policy == "failed":
        return struck.instances * again
    if struck.reason in LATER:
        return struck.instances * (0 if occurrence == "once" else again // patience.escalate)
    return 0 if struck.reason in (*PERMANENT, *ASK_ANEW) else struck.instances * again


@dataclass(frozen=True)
class CellRow:
    """One cell of the matrix: one study, under one fault and one policy. Times are seconds, sizes bytes."""

    fault: str
    occurrence: str
    """``once`` (to each instance, study or association), ``always``, or ``none``."""
    policy: str
    """What the modality sends again: ``study``, ``failed``, ``by-reason``."""
    delete_local: str
    instances: int
    unique_bytes: int
    sent_bytes: int
    resent: int
    """C-STOREs of instances that had been sent before."""
    expected_resent: int
    resent_bytes: int
    waste: float
    """``resent_bytes / unique_bytes``."""
    requests: int
    """N-ACTIONs."""
    reports: int
    """N-EVENT-REPORTs, each attempt to deliver one."""
    safe: int
    """Instances that were committed to, as far as the modality knows."""
    time_to_safe_p50: float
    time_to_safe_p95: float
    """From the end of the acquisition to the report that covers an instance; NaN where none did."""
    kept: int
    """Instances that are still on the scanner at the end."""
    dropped: int
    lost: int
    false_safe: int
    needless: int
    """As in :class:`simlab.analysis.oracle.InstanceCounts`."""
    alarms: int
    outcome: str
    """``safe``, ``failed``, or ``unfinished``."""
    seconds: float


COLUMNS = tuple(each.name for each in fields(CellRow))
UNFINISHED = "unfinished"


def measure(run: Run, scanner: str, *, fault: str, occurrence: str, expected: int) -> CellRow:
    """What a run with one study of ``scanner`` came to. Where nothing was audited, nothing is known to be lost."""
    spec = run.topology.nodes[scanner]
    mine = run.records[run.records["node"] == scanner]
    sent = run.instances[(run.instances["node"] == scanner) & (run.instances["transfer_syntax"] != "")]
    first = sent.drop_duplicates("sop_instance")
    resent_bytes = int(sent["bytes"].sum() - first["bytes"].sum())
    unique = int(first["bytes"].sum())
    times = times_to_safe(run, scanner)
    made, gone = (mine[mine["operation"] == name] for name in ("make", "discard"))
    kept = made[~made["study"].isin(gone["study"])]
    ends = [name for name in ("safe", "failed") if (mine["operation"] == name).any()]
    return CellRow(
        fault=fault,
        occurrence=occurrence,
        policy=getattr(spec, "resend", ""),
        delete_local=getattr(spec, "delete_local", ""),
        instances=int(made["instances"].sum()),
        unique_bytes=unique,
        sent_bytes=int(sent["bytes"].sum()),
        resent=len(sent) - len(first),
        expected_resent=expected,
        resent_bytes=resent_bytes,
        waste=resent_bytes / unique if unique else 0.0,
        requests=int((mine["operation"] == "N-ACTION").sum()),
        reports=int(((run.records["operation"] == "N-EVENT-REPORT") & (run.records["peer"] == scanner)).sum()),
        safe=len(times),
        time_to_safe_p50=float(np.median(times)) if len(times) else float("nan"),
        time_to_safe_p95=float(np.quantile(times, 0.95)) if len(times) else float("nan"),
        kept=int(kept["instances"].sum()),
        dropped=run.counts.dropped,
        lost=run.counts.lost,
        false_safe=run.counts.false_safe,
        needless=run.counts.needlessly_resent,
        alarms=int((mine["operation"] == "alarm").sum()),
        outcome=ends[-1] if ends else UNFINISHED,
        seconds=run.elapsed,
    )


def times_to_safe(run: Run, scanner: str) -> list[float]:
    """Seconds from the end of the acquisition to the first report that commits, for each instance that has one."""
    reports = run.commitments[(run.commitments["node"] == scanner) & (run.commitments["status"] == 0)]
    first = reports.sort_values("finished").drop_duplicates("sop_instance")
    ends = run.records[run.records["operation"] == "acquired"].drop_duplicates("study")
    acquired = dict(zip(ends["study"], ends["finished"], strict=True))
    return [when - acquired[study] for study, when in zip(first["study"], first["finished"], strict=True)]


def matrix_frame(rows: list[CellRow]) -> pd.DataFrame:
    """The tidy table: one row per cell, the columns of :class:`CellRow`."""
    return pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS))


def unexpected(matrix: pd.DataFrame) -> pd.DataFrame:
    """The cells in which other than the expected number of instances was sent again, or that came to no end."""
    return matrix[(matrix["resent"] != matrix["expected_resent"]) | (matrix["outcome"] == UNFINISHED)]
