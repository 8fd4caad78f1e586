"""Encoded data sets as patterns: bytes in which a few elements are left out, to be filled in again and again.

A pattern is a format in the sense of ``bytes % mapping``: ``%(StudyDate)b`` stands where the whole element Study Date
was. Filling it in is some hundred times faster than encoding a data set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from typing import NamedTuple

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from simlab.studies.instances import Values

ITEM = b"\xfe\xff\x00\xe0"
"""Tag of a sequence's item (PS3.5 section 7.5)."""


def make_pattern(header: bytes, keywords: Collection[str], *, implicit: bool) -> bytes:
    """The pattern of ``header``, a data set up to the value of Pixel Data: elements of these keywords are left out.

    ``implicit`` tells Implicit from Explicit VR Little Endian; no length may be undefined. Keywords that the header
    does not have are ignored, and so are elements within sequences.
    """
    names = {_get_frame(keyword, implicit).start[:4]: keyword for keyword in keywords}
    parts = []
    kept = 0
    for tag, start, end in _elements(header, implicit=implicit):
        if tag in names:
            parts.append(header[kept:start].replace(b"%", b"%%") + b"%%(%b)b" % names[tag].encode())
            kept = end
    parts.append(header[kept:].replace(b"%", b"%%"))
    return b"".join(parts)


def _elements(header: bytes, *, implicit: bool) -> Iterator[tuple[bytes, int, int]]:
    """Encoded tag, start and end of each element (PS3.5 section 7.1)."""
    start = 0
    while start < len(header):
        value = start + 8
        length = header[start + 4 : value] if implicit else header[start + 6 : value]
        if not implicit and header[start + 4 : start + 6].decode() in EXPLICIT_VR_LENGTH_32:
            value = start + 12
            length = header[start + 8 : value]
        end = value + int.from_bytes(length, "little")
        yield header[start : start + 4], start, end
        start = end


def encode_values(values: Values, *, implicit: bool) -> dict[bytes, bytes]:
    """What fills in a pattern: the encoded element of each keyword. Text is in UTF-8, ISO_IR 192."""
    encoded = {}
    for keyword, value in values.items():
        frame = _get_frame(keyword, implicit)
        content = value.encode() if isinstance(value, str) else _encode_item(value, implicit=implicit)
        if len(content) % 2:
            content += frame.padding
        encoded[frame.name] = frame.start + len(content).to_bytes(frame.length_bytes, "little") + content
    return encoded


def _encode_item(values: Values, *, implicit: bool) -> bytes:
    """An item of a sequence with these elements, in order of their tags."""
    elements = encode_values(values, implicit=implicit)
    content = b"".join(elements[keyword.encode()] for keyword in sorted(values, key=_get_tag))
    return ITEM + len(content).to_bytes(4, "little") + content


class _Frame(NamedTuple):
    """What an element has around its value (PS3.5 sections 6.2 and 7.1)."""

    name: bytes
    """The keyword, as patterns know it."""
    start: bytes
    """All that stands before the length, the tag first."""
    length_bytes: int
    padding: bytes
    """What makes an odd length even."""


@cache
def _get_frame(keyword: str, implicit: bool) -> _Frame:
    tag = _get_tag(keyword)
    vr = dictionary_VR(tag)
    start = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    length_bytes = 4
    if not implicit:
        start += vr.encode()
        if vr in EXPLICIT_VR_LENGTH_32:
            start += bytes(2)
        else:
            length_bytes = 2
    return _Frame(keyword.encode(), start, length_bytes, b"\0" if vr == "UI" else b" ")


def _get_tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag
