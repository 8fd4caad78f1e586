"""DICOM file format around data sets that stay as they were received (PS3.10 section 7)."""

from __future__ import annotations

import struct
from functools import lru_cache

from simlab.studies.study import InstanceReference
from simlab.studies.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PREAMBLE = bytes(128) + b"DICM"
_group_length = struct.Struct("<HH2sHI").pack
_element = struct.Struct("<HH2sH").pack


def file_header(reference: InstanceReference, transfer_syntax: str, calling: str) -> bytes:
    """Preamble and file meta information (PS3.10 section 7.1) for a data set that follows as it was received.

    Nothing is validated: what the sender called itself and its instance is to be kept, not judged.
    """
    before, after = _around(reference.sop_class, transfer_syntax, calling)
    elements = before + _uid(0x0003, reference.sop_instance) + after
    return _PREAMBLE + _group_length(0x0002, 0x0000, b"UL", 4, len(elements)) + elements


@lru_cache(maxsize=256)
def _around(sop_class: str, transfer_syntax: str, calling: str) -> tuple[bytes, bytes]:
    """What stands before and after the SOP Instance UID: the same for all instances of a train."""
    before = _VERSION + _uid(0x0002, sop_class)
    return before, _uid(0x0010, transfer_syntax) + _IMPLEMENTATION + _text(0x0016, b"AE", calling)


def _uid(element: int, uid: str) -> bytes:
    return _short(element, b"UI", uid, b"\0")


def _text(element: int, representation: bytes, text: str) -> bytes:
    return _short(element, representation, text, b" ")


def _short(element: int, representation: bytes, text: str, padding: bytes) -> bytes:
    """An element of group 2 in Explicit VR Little Endian, its value of an even length."""
    value = text.encode("latin-1", errors="replace")
    if len(value) % 2:
        value += padding
    return _element(0x0002, element, representation, len(value)) + value


_VERSION = struct.pack("<HH2s2xI2s", 0x0002, 0x0001, b"OB", 2, b"\0\1")
_IMPLEMENTATION = _uid(0x0012, IMPLEMENTATION_CLASS_UID) + _text(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME)
