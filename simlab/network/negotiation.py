"""In which transfer syntaxes an instance may be sent: what a sender proposes, and what it makes of what was accepted.

The acceptor says which presentation contexts it takes; which of these an instance goes in is the sender's choice. Here
are the decisions, without any wire.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from itertools import zip_longest

from pydicom.uid import UID, RTDoseStorage, SegmentationStorage

from simlab.network.seam import StoreOptions
from simlab.studies import transfer_syntaxes

EXPLICIT, IMPLICIT = UNCOMPRESSED = (transfer_syntaxes.EXPLICIT.uid, transfer_syntaxes.IMPLICIT.uid)
"""To send in one of them what is kept in the other, only the headers are made anew."""

_KNOWN = {syntax.uid: syntax for syntax in transfer_syntaxes.ALL}

_MORE_IMAGES = (str(RTDoseStorage), str(SegmentationStorage))


@lru_cache(maxsize=4096)
def ways(kept: str, sop_class: str, options: StoreOptions) -> tuple[str, ...]:
    """The transfer syntaxes in which an instance that is kept in ``kept`` may be sent, the best first.

    They are what is proposed, and nothing else. The node's own preference decides; but where instances are stored as
    they are (``encode``), what needs no codec comes before what does. What is lossy is never made on the way: that
    would be another instance (PS3.3 section C.7.6.1.1.5).
    """
    preference = options.propose or (kept, EXPLICIT)
    if options.default_syntax:
        preference = (*preference, IMPLICIT)
    elif not options.propose:
        preference = tuple(syntax for syntax in preference if syntax != IMPLICIT)
    only_as_kept = options.mismatch == "fail" and options.encode == "stored"
    found = [
        syntax
        for syntax in dict.fromkeys(preference)
        if syntax == kept or (not only_as_kept and convertible(kept, syntax, sop_class))
    ]
    if options.encode == "stored":
        found.sort(key=lambda syntax: (syntax != kept, not _alike(kept, syntax)))
    return tuple(found)


def choose(possible: Iterable[str], accepted: Collection[str]) -> tuple[str, ...]:
    """What was accepted of the ways to send an instance, the best first."""
    return tuple(syntax for syntax in possible if syntax in accepted)


def proposals(kept: Iterable[tuple[str, str]], options: StoreOptions) -> Iterator[tuple[str, str]]:
    """(SOP class, transfer syntax) for instances of the given SOP classes, kept in the given transfer syntaxes.

    Everyone's best way comes first, then everyone's second: only so many contexts fit into a request, and what is left
    out then is what is needed least.
    """
    pairs = list(dict.fromkeys(kept))
    ranks = zip_longest(*(ways(syntax, sop_class, options) for sop_class, syntax in pairs))
    in_turn = (
        (sop_class, syntax)
        for rank in ranks
        for (sop_class, _), syntax in zip(pairs, rank, strict=True)
        if syntax is not None
    )
    yield from dict.fromkeys(in_turn)


@lru_cache(maxsize=4096)
def convertible(source: str, target: str, sop_class: str) -> bool:
    """Whether an instance can be sent in another transfer syntax without becoming another instance."""
    if _alike(source, target):
        return True
    kept, wanted = _KNOWN.get(source), _KNOWN.get(target)
    if kept is None or wanted is None or not (kept.encodable and wanted.encodable and wanted.lossless):
        return False
    return not wanted.encapsulated or has_pixels(sop_class)


def has_pixels(sop_class: str) -> bool:
    """Whether instances of a storage SOP class are images, as far as its name tells (PS3.4 annex B.5)."""
    return "Image" in UID(sop_class).name or sop_class in _MORE_IMAGES


def keyword(syntax: str) -> str:
    """What the standard calls a transfer syntax (PS3.6 table A-1); the UID, if nobody knows it."""
    known = _KNOWN.get(syntax)
    return known.keyword if known is not None else syntax


def _alike(source: str, target: str) -> bool:
    return source == target or (source in UNCOMPRESSED and target in UNCOMPRESSED)
