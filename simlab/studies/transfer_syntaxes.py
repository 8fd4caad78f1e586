"""Transfer syntaxes: what each is called, how it encodes a data set, and what becomes of the pixels (PS3.5, PS3.6).

Names are the keywords of PS3.6 table A-1. Those without a codec are negotiated and relayed, never encoded here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from simlab.errors import UserError
from simlab.wording import advice, shown

_ROOT = "1.2.840.10008.1.2"


@dataclass(frozen=True)
class TransferSyntax:
    """How data sets are encoded (PS3.5 section 10 and annex A)."""

    uid: str
    keyword: str
    alias: str
    """A short name for the command line."""
    encapsulated: bool = True
    """Whether Pixel Data are compressed, frame by frame, in items."""
    lossless: bool = True
    """Whether every pixel survives. JPEG XL JPEG Recompression is counted as lossy: the JPEG in it is."""
    codec: str = ""
    """Key of ``simlab.studies.codecs.CODECS``; empty if pixels are not compressed, or not by us."""
    implicit: bool = False
    little_endian: bool = True
    deflated: bool = False
    """Whether the whole data set is compressed (PS3.5 section A.5)."""

    @cached_property
    def encodable(self) -> bool:
        """Whether we can encode at all in it; whether a given image can is ``compression.can_encode``."""
        return bool(self.codec) or not self.encapsulated

    def __str__(self) -> str:
        return self.keyword


IMPLICIT = TransferSyntax(_ROOT, "ImplicitVRLittleEndian", "implicit", encapsulated=False, implicit=True)
EXPLICIT = TransferSyntax(f"{_ROOT}.1", "ExplicitVRLittleEndian", "explicit", encapsulated=False)
BIG_ENDIAN = TransferSyntax(f"{_ROOT}.2", "ExplicitVRBigEndian", "big-endian", encapsulated=False, little_endian=False)
DEFLATED = TransferSyntax(
    f"{_ROOT}.1.99", "DeflatedExplicitVRLittleEndian", "deflated", encapsulated=False, deflated=True
)

JPEG_BASELINE = TransferSyntax(f"{_ROOT}.4.50", "JPEGBaseline8Bit", "jpeg", lossless=False, codec="jpeg")
JPEG_XL_JPEG = TransferSyntax(f"{_ROOT}.4.111", "JPEGXLJPEGRecompression", "jxl-jpeg", lossless=False, codec="jxl-jpeg")


def _lossless(number: str, keyword: str, alias: str) -> TransferSyntax:
    return TransferSyntax(f"{_ROOT}.{number}", keyword, alias, codec=alias)


def _lossy(number: str, keyword: str, alias: str) -> TransferSyntax:
    return TransferSyntax(f"{_ROOT}.{number}", keyword, alias, lossless=False, codec=alias)


def _negotiated(number: str, keyword: str, alias: str, *, lossless: bool = False) -> TransferSyntax:
    return TransferSyntax(f"{_ROOT}.4.{number}", keyword, alias, lossless=lossless)


ALL = (
    IMPLICIT,
    EXPLICIT,
    BIG_ENDIAN,
    DEFLATED,
    _lossless("5", "RLELossless", "rle"),
    JPEG_BASELINE,
    _lossy("4.51", "JPEGExtended12Bit", "jpeg12"),
    _lossless("4.57", "JPEGLossless", "jpeg-lossless"),
    _lossless("4.70", "JPEGLosslessSV1", "sv1"),
    _lossless("4.80", "JPEGLSLossless", "jpegls"),
    _lossy("4.81", "JPEGLSNearLossless", "jpegls-near"),
    _lossless("4.90", "JPEG2000Lossless", "j2k"),
    _lossy("4.91", "JPEG2000", "j2k-lossy"),
    _lossless("4.201", "HTJ2KLossless", "htj2k"),
    _lossless("4.202", "HTJ2KLosslessRPCL", "htj2k-rpcl"),
    _lossy("4.203", "HTJ2K", "htj2k-lossy"),
    _lossless("4.110", "JPEGXLLossless", "jxl"),
    JPEG_XL_JPEG,
    _lossy("4.112", "JPEGXL", "jxl-lossy"),
    _lossless("8.1", "DeflatedImageFrameCompression", "deflated-frame"),
    _negotiated("92", "JPEG2000MCLossless", "j2k-mc", lossless=True),
    _negotiated("93", "JPEG2000MC", "j2k-mc-lossy"),
    _negotiated("100", "MPEG2MPML", "mpeg2"),
    _negotiated("100.1", "MPEG2MPMLF", "mpeg2-fragmented"),
    _negotiated("101", "MPEG2MPHL", "mpeg2-high"),
    _negotiated("101.1", "MPEG2MPHLF", "mpeg2-high-fragmented"),
    _negotiated("102", "MPEG4HP41", "h264"),
    _negotiated("102.1", "MPEG4HP41F", "h264-fragmented"),
    _negotiated("103", "MPEG4HP41BD", "h264-bd"),
    _negotiated("103.1", "MPEG4HP41BDF", "h264-bd-fragmented"),
    _negotiated("104", "MPEG4HP422D", "h264-2d"),
    _negotiated("104.1", "MPEG4HP422DF", "h264-2d-fragmented"),
    _negotiated("105", "MPEG4HP423D", "h264-3d"),
    _negotiated("105.1", "MPEG4HP423DF", "h264-3d-fragmented"),
    _negotiated("106", "MPEG4HP42STEREO", "h264-stereo"),
    _negotiated("106.1", "MPEG4HP42STEREOF", "h264-stereo-fragmented"),
    _negotiated("107", "HEVCMP51", "hevc"),
    _negotiated("108", "HEVCM10P51", "hevc10"),
)
"""All that simlab knows by name, in the order in which they are told."""

_BY_NAME = {name: syntax for syntax in ALL for name in (syntax.uid, syntax.keyword, syntax.alias)}
_BY_SMALL_LETTERS: dict[str, set[TransferSyntax]] = {}
for _name, _syntax in _BY_NAME.items():
    _BY_SMALL_LETTERS.setdefault(_name.lower(), set()).add(_syntax)


def named(text: str) -> TransferSyntax:
    """The transfer syntax with this keyword, alias or UID; in other letters too, if that leaves no doubt.

    It leaves doubt for one: HTJ2K is the keyword of the lossy one, htj2k the alias of the lossless one. Raises
    UserError for any other text, with the name that was probably meant.
    """
    text = text.strip()
    syntax = _BY_NAME.get(text)
    if syntax is None:
        alike = _BY_SMALL_LETTERS.get(text.lower(), set())
        if len(alike) == 1:
            return next(iter(alike))
        names = [name for each in ALL for name in (each.alias, each.keyword)]
        meant = advice(text, names)
        if "did you mean" not in meant:
            meant = f"expected one of {', '.join(each.alias for each in ALL if each.encodable)}"
        raise UserError(f"unknown transfer syntax {shown(text)}: {meant}")
    return syntax


def uncompressed_form(syntax: TransferSyntax) -> TransferSyntax:
    """In what an instance is kept that comes without compression: itself, or Explicit VR Little Endian."""
    return EXPLICIT if syntax.encapsulated or syntax.deflated else syntax
