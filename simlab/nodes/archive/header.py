"""What the archive reads of an instance: the attributes in front of the pixels, as identifiers by level."""

from __future__ import annotations

import re
from dataclasses import dataclass

from simlab.network.live.attributes import UnreadableError, read_attributes
from simlab.network.live.elements import wanted
from simlab.network.live.server import ReceivedInstance
from simlab.network.query import Identifier, Level, Value
from simlab.network.seam import Status
from simlab.nodes.archive.hierarchy import STORED, UNIQUE_KEY, WRONG_IDENTIFIER
from simlab.studies.study import InstanceReference

CANNOT_UNDERSTAND = 0xC000
"""A storage status (PS3.4 table B.2-1)."""

_UID = re.compile(r"[0-9.]{1,64}")
_LEVEL = {keyword: level for level, keywords in STORED.items() for keyword in keywords}
_WANTED = wanted([*_LEVEL, "SpecificCharacterSet"])


@dataclass(frozen=True, slots=True)
class Header:
    """The queryable attributes of one instance, by level."""

    levels: dict[Level, Identifier]

    def text(self, level: Level, keyword: str) -> str:
        """The first value of an attribute, or ""."""
        value = self.levels[level].get(keyword, "")
        return value if isinstance(value, str) else next((each for each in value if each and isinstance(each, str)), "")

    def unique(self, level: Level) -> str:
        """The value of a level's unique key."""
        return self.text(level, UNIQUE_KEY[level])

    @property
    def reference(self) -> InstanceReference:
        """SOP Class and Instance UID as the data set states them."""
        return InstanceReference(self.text(Level.IMAGE, "SOPClassUID"), self.unique(Level.IMAGE))


def examine(instance: ReceivedInstance, head: bytes) -> Header | Status:
    """Read an instance's header, or refuse it: it cannot be understood, or is not what the command calls it."""
    try:
        header = read_header(instance, head)
    except UnreadableError as error:
        return Status(CANNOT_UNDERSTAND, str(error)[:64])
    if header.reference != instance.reference:
        return Status(WRONG_IDENTIFIER, "SOP class or instance UID differs from the command's")
    return header


def read_header(instance: ReceivedInstance, head: bytes) -> Header:
    """Read what stands in front of the pixels. Raises UnreadableError if that cannot be parsed or lacks a UID."""
    levels: dict[Level, dict[str, Value]] = {level: {} for level in Level}
    for keyword, value in read_attributes(instance, head, _WANTED).items():
        if keyword in _LEVEL:
            levels[_LEVEL[keyword]][keyword] = value
    header = Header({**levels})
    for level in (Level.STUDY, Level.SERIES, Level.IMAGE):
        if not _UID.fullmatch(header.unique(level)):
            raise UnreadableError(f"{UNIQUE_KEY[level]} is missing or no UID")
    if not header.reference.sop_class:
        raise UnreadableError("SOPClassUID is missing")
    return header
