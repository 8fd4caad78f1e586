"""Queries and identifiers as plain values: what C-FIND, C-MOVE and C-GET ask for, in both worlds.

An identifier is a mapping from DICOM keyword to value: a string for a single value, a tuple of strings for several,
and for a sequence a tuple of identifiers. An empty string asks for the attribute back without matching on it
(universal matching, PS3.4 C.2.2.2.3). The live world translates to and from data sets; the virtual one does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Any, TypeAlias, TypeVar

Value: TypeAlias = "str | tuple[str, ...] | tuple[Identifier, ...]"
Identifier: TypeAlias = Mapping[str, Value]
T = TypeVar("T")


class Model(Enum):
    """Information models that can be queried (PS3.4 annexes C and K)."""

    PATIENT_ROOT = "patient root"
    STUDY_ROOT = "study root"
    WORKLIST = "modality worklist"


class Level(Enum):
    """Query/retrieve levels (PS3.4 C.6), from the top down."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


@dataclass(frozen=True, slots=True)
class Query:
    """A C-FIND, C-MOVE or C-GET identifier with the information model it is asked under."""

    keys: Identifier
    """Keys without Query/Retrieve Level (0008,0052), which is ``level``."""
    model: Model = Model.STUDY_ROOT
    level: Level | None = Level.STUDY
    """None for the worklist, which has no levels; also None if the peer left the level out."""
    among: tuple[str, ...] | None = None
    """Study Instance UIDs: only these are asked about (list of UID matching, PS3.4 C.2.2.2.2). None: as the keys say.
    Only models of the virtual world are asked like this."""
    _readings: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    def about(self, studies: Iterable[str]) -> Query:
        """The same query for these studies only."""
        return Query(self.keys, self.model, self.level, tuple(studies), self._readings)

    def read(self, reader: Callable[[Identifier], T]) -> T:
        """What a function makes of the keys: it reads them once, also for queries that differ in ``among`` alone."""
        if reader not in self._readings:
            self._readings[reader] = reader(self.keys)
        reading: T = self._readings[reader]
        return reading


STUDY = "StudyInstanceUID"

INSTANT = 1e-6
"""Seconds. What is no further apart happens at the same moment: sums of floats differ in their last digits."""


class Poll:
    """A query that is repeated, and what has been seen of its answers; for one caller and one peer.

    Matches are told apart by their study (which the query has to ask back), and by what they say: a match is new if its
    study's last answer had none like it.
    """

    def __init__(self, query: Query, every: float) -> None:
        """``every`` is in seconds."""
        self.query = query
        self.every = every
        self.asked = -inf
        """Run second of the last query."""
        self._seen: dict[str, list[Identifier]] = {}
        """By Study Instance UID."""
        self._left: set[str] = set()

    def __contains__(self, study: str) -> bool:
        """Whether a study was there when it was last asked about, and was not left alone since."""
        return study in self._seen

    @property
    def studies(self) -> Collection[str]:
        """UIDs of all studies of which that is true."""
        return self._seen.keys()

    def reached(self, moment: float) -> bool:
        """Whether the last query was asked at a run second, or later."""
        return self.asked >= moment - INSTANT

    def leave(self, study: str) -> None:
        """Leave a study alone: whatever becomes of it is no news."""
        self._seen.pop(study, None)
        self._left.add(study)

    def follows(self, study: str) -> bool:
        """Whether a study has not been left alone."""
        return study not in self._left

    def forget(self) -> None:
        """Begin anew: the next query is asked at once, and all that it finds is new."""
        self.asked = -inf
        self._seen.clear()

    def news(self, matches: Iterable[Identifier], about: Iterable[str] | None = None) -> tuple[Identifier, ...]:
        """Take note of an answer; returns what is new or different in it.

        ``about`` are the studies that were asked about; None: everything was.
        """
        found: defaultdict[str, list[Identifier]] = defaultdict(list)
        for match in matches:
            study = str(match.get(STUDY, ""))
            if study not in self._left:
                found[study].append(match)
        new = tuple(each for study, those in found.items() for each in those if each not in self._seen.get(study, ()))
        for study in tuple(self._seen) if about is None else about:
            self._seen.pop(study, None)
        self._seen.update(found)
        return new
