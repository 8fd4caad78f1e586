"""Unique identifiers that depend only on what they name (PS3.5 annex B.2: 2.25 and a UUID as a decimal number)."""

from __future__ import annotations

import hashlib


def derive_uid(*parts: object) -> str:
    """A valid UID under 2.25, at most 44 characters, the same for the same parts.

    The parts are joined by a separator that no UID or name contains, so ("a", "bc") and ("ab", "c") differ.
    """
    digest = bytearray(hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).digest())
    digest[6] = 0x80 | digest[6] & 0x0F  # version 8 of RFC 9562: a hash of one's own making
    digest[8] = 0x80 | digest[8] & 0x3F  # the variant that RFC 9562 describes
    return f"2.25.{int.from_bytes(digest, 'big')}"


IMPLEMENTATION_CLASS_UID = derive_uid("simlab", "implementation")
"""Names simlab in file meta information and in association negotiation (PS3.7 annex D.3.3.2)."""

IMPLEMENTATION_VERSION_NAME = "SIMLAB_1"
