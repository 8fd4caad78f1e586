"""Instances from one transfer syntax into another: pixels encoded and decoded, and what the header then has to say.

Lossless compression keeps the SOP Instance UID, lossy compression makes another instance (PS3.3 C.7.6.1.1.5).
"""

from __future__ import annotations

import struct
import zlib
from copy import deepcopy
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.tag import Tag
from pydicom.uid import UID

from simlab.errors import CodecError
from simlab.studies.codecs import CODECS, Codec
from simlab.studies.codecs.options import DEFAULT_OPTIONS, LossyOptions
from simlab.studies.codecs.others import jpeg_to_jxl, jxl_to_jpeg
from simlab.studies.codecs.pixels import PixelFormat, narrowed, to_stored
from simlab.studies.data_sets import is_encapsulated, read_data_set, write_data_set
from simlab.studies.derivation import lossy_uid, mark_lossy, replace_element
from simlab.studies.transfer_syntaxes import EXPLICIT, JPEG_BASELINE, JPEG_XL_JPEG, TransferSyntax, named

__all__ = [
    "CodecError",
    "LossyOptions",
    "can_decode",
    "can_encode",
    "compress",
    "compressed_uid",
    "convert",
    "decompress",
    "transcode",
    "why_not",
]

_PIXEL_DATA = Tag("PixelData")

_FAULTS = (RuntimeError, ValueError, TypeError, IndexError, OSError, EOFError, zlib.error, struct.error)
"""What codecs raise for what they cannot encode or decode."""

_CONVERTED = ("YBR_FULL_422", "YBR_RCT", "YBR_ICT", "XYB")
"""Colours that decoders give back as RGB."""


def can_decode(syntax: TransferSyntax) -> bool:
    """Whether pixels in this transfer syntax can be decoded here."""
    return syntax.encodable


def can_encode(syntax: TransferSyntax, form: PixelFormat | None = None) -> bool:
    """Whether images of a format can be encoded in a transfer syntax; without a format, whether any can."""
    return not why_not(syntax, form)


def why_not(syntax: TransferSyntax, form: PixelFormat | None = None) -> str:
    """Why images of a format cannot be encoded in a transfer syntax, in one line; empty if they can."""
    if not syntax.encodable:
        return f"{syntax} is only negotiated and relayed; simlab does not encode it"
    if not syntax.codec or form is None:
        return ""
    reason = CODECS[syntax.codec].why_not(form)
    return reason and f"{syntax} {reason}"


def compressed_uid(source_uid: str, syntax: TransferSyntax, options: LossyOptions | None = None) -> str:
    """SOP Instance UID of an instance once it is in a transfer syntax: its own, unless compression loses something."""
    return source_uid if syntax.lossless else lossy_uid(source_uid, syntax, told_loss(syntax, options))


def told_loss(syntax: TransferSyntax, options: LossyOptions | None = None) -> str:
    """What a lossy codec is asked for, in words; empty for others."""
    return CODECS[syntax.codec].loss(options or DEFAULT_OPTIONS) if syntax.codec else ""


def compress(instance: Dataset, syntax: TransferSyntax, options: LossyOptions | None = None) -> Dataset:
    """The instance in another transfer syntax; a new data set, file meta information included if there was any.

    If nothing is lost, the SOP Instance UID stays. Otherwise the instance is a derived one: it has a UID of its own,
    names its source, and tells ratio and method of the compression (PS3.3 C.7.6.1.1.5). Raises CodecError if it
    cannot be done; also for a value beyond Bits Stored, which some codecs would change silently.
    """
    converted = _copy(instance)
    convert(converted, _syntax_of(instance), syntax, options)
    return converted


def decompress(instance: Dataset) -> Dataset:
    """The instance in Explicit VR Little Endian; a new data set. Raises CodecError if it cannot be decoded."""
    return compress(instance, EXPLICIT)


def transcode(data_set: bytes, source: str, target: str, options: LossyOptions | None = None) -> bytes:
    """An encoded data set, without file meta information, from one transfer syntax into another.

    Transfer syntaxes are UIDs, keywords or aliases. Between two that do not compress frames, no more changes than
    the encoding of elements, and the order of bytes in words. Raises CodecError if it cannot be done, UserError for
    a transfer syntax that nobody knows.
    """
    before, after = named(source), named(target)
    if before == after:
        return data_set
    instance = read_data_set(data_set, before)
    try:
        convert(instance, before, after, options)
        return write_data_set(instance, after)
    except (*_FAULTS, KeyError, AttributeError, NotImplementedError) as error:
        raise CodecError(f"cannot encode in {after}: {error}") from error


def convert(
    instance: Dataset, source: TransferSyntax, target: TransferSyntax, options: LossyOptions | None = None
) -> None:
    """Bring an instance into another transfer syntax: this very data set, whose values may be shared with others.

    Raises CodecError if it cannot be done.
    """
    refusal = why_not(target)
    if refusal:
        raise CodecError(refusal)
    if source != target and (source.encapsulated or target.encapsulated):
        if {source, target} == {JPEG_BASELINE, JPEG_XL_JPEG}:
            _repack(instance, target)
        else:
            if source.encapsulated:
                _decode(instance, source)
            if target.encapsulated:
                _encode(instance, target, options or DEFAULT_OPTIONS)
    meta = getattr(instance, "file_meta", None)
    if meta is not None:
        meta.TransferSyntaxUID = UID(target.uid)


# ---- pixels


def _encode(instance: Dataset, syntax: TransferSyntax, options: LossyOptions) -> None:
    if "PixelData" not in instance:
        raise CodecError(f"cannot encode in {syntax}: there are no Pixel Data")
    form = PixelFormat.of(instance)
    refusal = why_not(syntax, form)
    if refusal:
        raise CodecError(refusal)
    codec = CODECS[syntax.codec]
    frames = form.split(instance.PixelData)
    encoded = []
    for frame in frames:
        try:
            if codec.raw:
                encoded.append(codec.encode(frame, form, options))
            else:
                form.expect_stored_values(frame, syntax.keyword)
                encoded.append(codec.encode(*narrowed(frame, form), options))
        except _FAULTS as error:
            raise CodecError(f"cannot encode in {syntax}: {error}") from error
    _set_frames(instance, encoded)
    if form.samples > 1:
        replace_element(instance, "PlanarConfiguration", 0)
    if form.photometric == "RGB":
        replace_element(instance, "PhotometricInterpretation", codec.colour)
    if codec.method:
        ratio = form.frame_bytes * form.frames / sum(map(len, encoded))
        mark_lossy(instance, syntax, codec.loss(options), codec.method, ratio)


def _decode(instance: Dataset, syntax: TransferSyntax) -> None:
    codec = _decoder(syntax)
    if "PixelData" not in instance and "Rows" not in instance:
        return
    if "PixelData" not in instance:
        raise CodecError(f"cannot decode {syntax}: there are no Pixel Data, or they do not end")
    form = PixelFormat.of(instance)
    pixels = []
    try:
        for data in generate_frames(instance.PixelData, number_of_frames=form.frames):
            decoded = codec.decode(data, form)
            if decoded.shape != form.shape:
                raise CodecError(f"cannot decode {syntax}: a frame of shape {decoded.shape}; expected {form.shape}")
            pixels.append(to_stored(decoded, form).tobytes())
    except _FAULTS as error:
        raise CodecError(f"cannot decode {syntax}: {error}") from error
    if len(pixels) != form.frames:
        raise CodecError(f"cannot decode {syntax}: {len(pixels)} frames; expected {form.frames}")
    if form.samples > 1:
        replace_element(instance, "PlanarConfiguration", 0)
        if form.photometric in _CONVERTED or (form.photometric == "YBR_FULL" and not syntax.lossless):
            replace_element(instance, "PhotometricInterpretation", "RGB")
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        instance.pop(Tag(keyword), None)
    native = b"".join(pixels)
    vr = "OW" if form.allocated > 8 else "OB"
    instance[_PIXEL_DATA] = DataElement(_PIXEL_DATA, vr, native + bytes(len(native) % 2))


def _decoder(syntax: TransferSyntax) -> Codec:
    if not can_decode(syntax):
        raise CodecError(f"{syntax} is only negotiated and relayed; simlab does not decode it")
    return CODECS[syntax.codec]


def _repack(instance: Dataset, target: TransferSyntax) -> None:
    """JPEG as JPEG XL and back: the JPEG stays the same byte for byte, so that nothing is lost."""
    change = jpeg_to_jxl if target is JPEG_XL_JPEG else jxl_to_jpeg
    frames = int(instance.get("NumberOfFrames") or 1)
    try:
        _set_frames(instance, [change(data) for data in generate_frames(instance.PixelData, number_of_frames=frames)])
    except _FAULTS as error:
        raise CodecError(f"cannot encode in {target}: {error}") from error


def _set_frames(instance: Dataset, frames: list[bytes]) -> None:
    """Encapsulate: a basic offset table, then one fragment for each frame (PS3.5 section A.4)."""
    element = DataElement(_PIXEL_DATA, "OB", encapsulate(frames, has_bot=True))
    element.is_undefined_length = True
    instance[_PIXEL_DATA] = element


# ---- data sets


def _syntax_of(instance: Dataset) -> TransferSyntax:
    meta = getattr(instance, "file_meta", None)
    uid: Any = meta.get("TransferSyntaxUID") if meta is not None else None
    if uid:
        return named(uid)
    if is_encapsulated(instance):
        raise CodecError("Pixel Data are compressed, and no file meta information says how")
    return EXPLICIT


def _copy(instance: Dataset) -> Dataset:
    """A copy that shares nothing with the instance but the value of Pixel Data."""
    copied = Dataset()
    implicit, little_endian = instance.original_encoding
    copied.set_original_encoding(implicit, little_endian, instance.original_character_set)
    for tag, element in instance.items():
        copied[tag] = element if tag == _PIXEL_DATA else deepcopy(element)
    if hasattr(instance, "file_meta"):
        copied.file_meta = deepcopy(instance.file_meta)
    return copied
