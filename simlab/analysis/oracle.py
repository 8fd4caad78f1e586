"""The oracle: what became of every instance. What was made and promised is compared with what can be had back.

Nothing is asked here: the ledger comes from the records of a run, what the archives hold from the audit at its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import pandas as pd

NO_SUCH_OBJECT_INSTANCE = 0x0112
"""Failure reason (PS3.3 section C.14.1.1): the one after which an instance is rightly stored once more."""


class Acknowledgement(NamedTuple):
    """A C-STORE that was answered with success or a warning. Times are run seconds."""

    started: float
    finished: float
    transfer_syntax: str = ""


@dataclass(slots=True)
class Ledger:
    """What was made, promised and deleted in a run; instances are SOP Instance UIDs."""

    generated: set[str] = field(default_factory=set)
    """Acquired by modalities."""
    derived: set[str] = field(default_factory=set)
    """Made from others (reconstructions, results)."""
    deleted: set[str] = field(default_factory=set)
    """Their maker has deleted its copy."""
    acknowledged: dict[str, dict[str, list[Acknowledgement]]] = field(default_factory=dict)
    """By archive and instance, in any order."""
    committed: dict[str, set[str]] = field(default_factory=dict)
    """By archive."""
    missed: dict[str, list[float]] = field(default_factory=dict)
    """By instance: when an archive reported (0112H) that it does not have it."""
    studies: dict[str, str] = field(default_factory=dict)
    """Study Instance UID by instance, as far as it is known."""


@dataclass(slots=True)
class Held:
    """What an archive was found to hold."""

    given: set[str] = field(default_factory=set)
    """It gave them back, whole and as they were made."""
    unknown: set[str] = field(default_factory=set)
    """It promised them, and could not be asked for them."""
    altered: set[str] = field(default_factory=set)
    """Those of them that came in other bytes than they went in, with the same pixels and identifying attributes."""
    corrupt: set[str] = field(default_factory=set)
    """It gave something else under their UID; they do not count as given."""
    unlisted: set[str] = field(default_factory=set)
    """Given, but not listed by C-FIND at IMAGE level."""
    listed_twice: set[str] = field(default_factory=set)
    """Listed more than once by C-FIND at IMAGE level."""


@dataclass(frozen=True, slots=True)
class InstanceCounts:
    """Numbers at the end of a run; ``MEANINGS`` says of what."""

    generated: int = 0
    derived: int = 0
    stored: int = 0
    committed: int = 0
    missing: int = 0
    dropped: int = 0
    lost: int = 0
    false_safe: int = 0
    unverified: int = 0
    corrupt: int = 0
    altered: int = 0
    unexpected: int = 0
    unlisted: int = 0
    listed_twice: int = 0
    stored_twice: int = 0
    needlessly_resent: int = 0

    @property
    def promises_broken(self) -> bool:
        """Whether anything acknowledged or committed, or anything at all, cannot be had back as it was made."""
        return any(getattr(self, name) for name in BROKEN_PROMISES)


MEANINGS = {
    "generated": "acquired by modalities",
    "derived": "made from others: reconstructions, results",
    "stored": "acknowledged: a C-STORE was answered with success or a warning",
    "committed": "reported by storage commitment as kept",
    "missing": "generated or derived, but never acknowledged: whoever made them knows that they did not arrive",
    "dropped": "acknowledged, but not retrievable at the end from the archive that acknowledged them",
    "lost": "made, and nobody has them any more: retrievable nowhere, and deleted where they were made",
    "false_safe": "committed, but not retrievable at the end from the archive that committed to them",
    "unverified": "acknowledged, or committed to, by an archive that could not be asked for them at the end",
    "corrupt": "given back with other pixels or identifying attributes; they do not count as retrievable",
    "altered": "given back with the same pixels and identifying attributes, but in other bytes than they were sent in",
    "unexpected": "given back, though nobody generated or derived them",
    "unlisted": "given back, though a C-FIND at IMAGE level does not list them",
    "listed_twice": "listed more than once by a C-FIND at IMAGE level: the archive keeps two copies",
    "stored_twice": "acknowledged more than once by the same archive",
    "needlessly_resent": "acknowledgements beyond the first that no report of a missing instance (0112H) had asked for",
}
"""What each of :class:`InstanceCounts` counts: instances, at each archive of its own where archives differ."""


PROGRESS = ("generated", "derived", "stored", "committed")
"""Those of the counts that say how far instances came; in a perfect run all others are 0."""


BROKEN_PROMISES = ("dropped", "lost", "false_safe", "corrupt")
"""Those that must be 0 whatever else is expected of a run."""


def label(name: str) -> str:
    """One of the counts as it is called before people."""
    return _LABELS.get(name, name.replace("_", " "))


_LABELS = {"false_safe": "false-safe"}


class Finding(NamedTuple):
    """Something that is not as it should be with an instance."""

    finding: str
    """The name of one of :class:`InstanceCounts`."""
    sop_instance: str
    study: str
    archive: str = ""
    """Empty where no archive in particular is concerned."""
    times: int = 1
    """How often, where an instance may be resent again and again."""


@dataclass(frozen=True, slots=True)
class Fates:
    """What was found out about all instances of a run."""

    counts: InstanceCounts
    findings: tuple[Finding, ...]
    """All that are not as they should be, those with the same name together."""


def reconcile(ledger: Ledger, held: Mapping[str, Held]) -> Fates:
    """Compare what was made and promised with what each archive holds; one that is left out holds nothing."""
    findings = tuple(_find(ledger, held))
    counts = dict.fromkeys(MEANINGS, 0)
    for finding in findings:
        counts[finding.finding] += finding.times
    counts |= {
        "generated": len(ledger.generated),
        "derived": len(ledger.derived),
        "stored": len(_union(ledger.acknowledged.values())),
        "committed": len(_union(ledger.committed.values())),
    }
    return Fates(InstanceCounts(**counts), findings)


def _find(ledger: Ledger, held: Mapping[str, Held]) -> Iterator[Finding]:
    made = ledger.generated | ledger.derived
    given = {archive: found.given for archive, found in held.items()}
    unknown = {archive: found.unknown - found.given for archive, found in held.items()}
    nowhere = made - _union(given.values()) - _union(unknown.values())

    def found_at(archive: str) -> set[str]:
        return given.get(archive, set()) | unknown.get(archive, set())

    yield from _named(ledger, "missing", made - _union(ledger.acknowledged.values()))
    for archive, acknowledged in ledger.acknowledged.items():
        yield from _named(ledger, "dropped", acknowledged.keys() - found_at(archive), archive)
    yield from _named(ledger, "lost", nowhere & ledger.deleted)
    for archive, committed in ledger.committed.items():
        yield from _named(ledger, "false_safe", committed - found_at(archive), archive)
    for archive, uids in unknown.items():
        yield from _named(ledger, "unverified", uids, archive)
    for name in ("corrupt", "altered"):
        for archive, found in held.items():
            yield from _named(ledger, name, getattr(found, name), archive)
    for archive, found in held.items():
        yield from _named(ledger, "unexpected", found.given - made, archive)
    for name in ("unlisted", "listed_twice"):
        for archive, found in held.items():
            yield from _named(ledger, name, getattr(found, name), archive)
    for archive, acknowledged in ledger.acknowledged.items():
        twice = {uid for uid, acknowledgements in acknowledged.items() if len(acknowledgements) > 1}
        yield from _named(ledger, "stored_twice", twice, archive)
        for uid in sorted(twice):
            if times := needless(acknowledged[uid], ledger.missed.get(uid, ())):
                yield Finding("needlessly_resent", uid, ledger.studies.get(uid, ""), archive, times)


def _named(ledger: Ledger, finding: str, uids: Iterable[str], archive: str = "") -> Iterator[Finding]:
    for uid in sorted(uids):
        yield Finding(finding, uid, ledger.studies.get(uid, ""), archive)


def needless(acknowledgements: Sequence[Acknowledgement], missed: Sequence[float]) -> int:
    """How many of an instance's acknowledgements nothing had asked for.

    The first always counts as asked for; each other one only if an archive has said, after the one before and before
    this one was begun, that the instance is missing.
    """
    inorder = sorted(acknowledgements, key=lambda each: each.finished)
    return sum(not any(before.finished <= at <= after.started for at in missed) for before, after in pairwise(inorder))


def _union(collections: Iterable[Iterable[str]]) -> set[str]:
    return {uid for uids in collections for uid in uids}


def findings_frame(findings: Iterable[Finding]) -> pd.DataFrame:
    """A DataFrame with one row per finding and instance, the columns of :class:`Finding`."""
    return pd.DataFrame(list(findings), columns=list(Finding._fields))
