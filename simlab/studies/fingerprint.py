"""What an instance is known again by: digests of its bytes, and of what no lossless transfer syntax changes of it."""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import NamedTuple

new_digest = hashlib.sha256
"""Most processors compute it in silicon: 0.3 ms for a CT slice of 512 x 512."""


class Likeness(Enum):
    """How an instance compares with what was once made under its UID."""

    UNKNOWN = "unknown"
    """Nobody has said what was made: the virtual world has no bytes."""
    IDENTICAL = "identical"
    """The same data set, byte for byte."""
    EQUIVALENT = "equivalent"
    """The same content in another transfer syntax."""
    ALTERED = "altered"
    """The same content in the same transfer syntax, in other bytes: a header was changed."""
    CORRUPT = "corrupt"
    """Another content, or one that cannot be read."""


class Fingerprint(NamedTuple):
    """Digests of an instance. Empty ones say that nobody looked."""

    transfer_syntax: str = ""
    data_set: bytes = b""
    """Of the encoded data set, without file meta information."""
    content: bytes = b""
    """As from :func:`simlab.studies.digests.content_digest`."""

    def likeness(self, other: Fingerprint) -> Likeness:
        """How another instance compares with this one."""
        if not self.data_set:
            return Likeness.UNKNOWN
        same_syntax = self.transfer_syntax == other.transfer_syntax
        if same_syntax and self.data_set == other.data_set:
            return Likeness.IDENTICAL
        if self.content != other.content:
            return Likeness.CORRUPT
        return Likeness.ALTERED if same_syntax else Likeness.EQUIVALENT
