"""Queries and identifiers as plain values: what C-FIND, C-MOVE and C-GET ask for, in both worlds.

An identifier is a mapping from DICOM keyword to value: a string for a single value, a tuple of strings for several,
and for a sequence a tuple of identifiers. An empty string asks for the attribute back without matching on it
(universal matching, PS3.4 C.2.2.2.3). The live world translates to and from data sets; the virtual one does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

Value: TypeAlias = "str | tuple[str, ...] | tuple[Identifier, ...]"
Identifier: TypeAlias = Mapping[str, Value]


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
