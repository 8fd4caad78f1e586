"""Encoded data sets as patterns: bytes in which a few elements are left out, to be filled in again and again.

A pattern is a format in the sense of ``bytes % mapping``: ``%(StudyDate)b`` stands where the whole element Study Date
was. Filling it in is some hundred times faster than encoding a data set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from typing import Literal, NamedTuple

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from simlab.studies.instances import Values
from simlab.studies.transfer_syntaxes import TransferSyntax

ITEM = 0xFFFEE000
"""Tag of a sequence's item (PS3.5 section 7.5)."""


class Encoding(NamedTuple):
    """How elements are encoded (PS3.5 sections 7.1 and 7.3)."""

    implicit: bool
    """Whether VRs are left out."""
    byte_order: Literal["little", "big"]

    @classmethod
    def of(cls, syntax: TransferSyntax) -> Encoding:
        """That of a transfer syntax, before anything is deflated."""
        return cls(syntax.implicit, "little" if syntax.little_endian else "big")

    def tag(self, tag: int) -> bytes:
        """A tag: group and element, each in this order of bytes."""
        return self.number(tag >> 16, 2) + self.number(tag & 0xFFFF, 2)

    def number(self, value: int, size: int) -> bytes:
        """A number of ``size`` bytes."""
        return value.to_bytes(size, self.byte_order)


def make_pattern(header: bytes, keywords: Collection[str], encoding: Encoding) -> bytes:
    """The pattern of ``header``, a data set up to the value of Pixel Data: elements of these keywords are left out.

    No length but that of Pixel Data may be undefined. Keywords that the header does not have are ignored, and so are
    elements within sequences.
    """
    names = {_get_frame(keyword, encoding).start[:4]: keyword for keyword in keywords}
    parts = []
    kept = 0
    for tag, start, end in _elements(header, encoding):
        if tag in names:
            parts.append(header[kept:start].replace(b"%", b"%%") + b"%%(%b)b" % names[tag].encode())
            kept = end
    parts.append(header[kept:].replace(b"%", b"%%"))
    return b"".join(parts)


def _elements(header: bytes, encoding: Encoding) -> Iterator[tuple[bytes, int, int]]:
    """Encoded tag, start and end of each element (PS3.5 section 7.1)."""
    start = 0
    while start < len(header):
        value = start + 8
        length = header[start + 4 : value] if encoding.implicit else header[start + 6 : value]
        if not encoding.implicit and header[start + 4 : start + 6].decode() in EXPLICIT_VR_LENGTH_32:
            value = start + 12
            length = header[start + 8 : value]
        end = value + int.from_bytes(length, encoding.byte_order)
        yield header[start : start + 4], start, end
        start = end


def encode_values(values: Values, encoding: Encoding) -> dict[bytes, bytes]:
    """What fills in a pattern: the encoded element of each keyword. Text is in UTF-8, ISO_IR 192."""
    encoded = {}
    for keyword, value in values.items():
        frame = _get_frame(keyword, encoding)
        content = value.encode() if isinstance(value, str) else _encode_item(value, encoding)
        if len(content) % 2:
            content += frame.padding
        encoded[frame.name] = frame.start + len(content).to_bytes(frame.length_bytes, encoding.byte_order) + content
    return encoded


def _encode_item(values: Values, encoding: Encoding) -> bytes:
    """An item of a sequence with these elements, in order of their tags."""
    elements = encode_values(values, encoding)
    content = b"".join(elements[keyword.encode()] for keyword in sorted(values, key=_get_tag))
    return encoding.tag(ITEM) + encoding.number(len(content), 4) + content


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
def _get_frame(keyword: str, encoding: Encoding) -> _Frame:
    tag = _get_tag(keyword)
    vr = dictionary_VR(tag)
    start = encoding.tag(tag)
    length_bytes = 4
    if not encoding.implicit:
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
