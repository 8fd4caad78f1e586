"""What cannot be encoded or decoded is told in one line: values, formats, data sets that are none, and damage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simlab.studies.codecs import CODECS
from simlab.studies.codecs.pixels import PixelFormat
from simlab.studies.compression import CodecError, can_decode, can_encode, compress, transcode
from simlab.studies.data_sets import read_data_set, write_data_set
from simlab.studies.transfer_syntaxes import ALL, EXPLICIT, named
from studies.images import image, picture_for

ENCAPSULATED = [syntax for syntax in ALL if syntax.codec]


@pytest.mark.parametrize("syntax", [each for each in ENCAPSULATED if not CODECS[each.codec].raw], ids=str)
@pytest.mark.parametrize(("dtype", "stored", "value"), [("<u2", 12, 4096), ("<u2", 12, 65535), ("<i2", 12, -2049)])
def test_values_beyond_bits_stored_are_refused(syntax, dtype, stored, value):
    values = np.zeros((16, 16), dtype)
    values[7, 7] = value
    instance = image(values, stored=stored)
    if not can_encode(syntax, PixelFormat.of(instance)):
        return
    with pytest.raises(CodecError, match=f"^{syntax} cannot encode a pixel of {value}: Bits Stored 12 has room for "):
        compress(instance, syntax)


@pytest.mark.parametrize(
    ("alias", "dtype", "stored", "complaint"),
    [
        ("jpeg", "<u2", 12, "JPEGBaseline8Bit takes 8 Bits Allocated, not 16"),
        ("jpeg12", "u1", 8, "JPEGExtended12Bit takes 16 Bits Allocated, not 8"),
        ("jpeg12", "<u2", 16, "JPEGExtended12Bit takes 9 to 12 Bits Stored, not 16"),
        ("jpegls-near", "<i2", 12, "JPEGLSNearLossless takes no signed pixels"),
        ("jxl", "<i2", 12, "JPEGXLLossless takes no signed pixels"),
        ("htj2k-lossy", "<u2", 9, "HTJ2K with loss takes 8 or 10 to 16 Bits Stored, not 9"),
        ("j2k", "<u4", 32, "JPEG2000Lossless takes 8 or 16 Bits Allocated, not 32"),
        ("h264", "u1", 8, "MPEG4HP41 is only negotiated and relayed; simlab does not encode it"),
    ],
)
def test_what_a_codec_does_not_take_is_told_in_one_line(alias, dtype, stored, complaint):
    with pytest.raises(CodecError) as told:
        compress(image(np.zeros((16, 16), dtype), stored=stored), named(alias))
    assert complaint in str(told.value)
    assert "\n" not in str(told.value)


def test_what_is_only_negotiated_is_not_decoded():
    assert not can_decode(named("hevc"))
    assert not can_encode(named("hevc"))
    with pytest.raises(CodecError, match=r"^HEVCMP51 is only negotiated and relayed; simlab does not decode it$"):
        transcode(write_data_set(compress(picture_for(named("rle")), named("rle")), named("rle")), "hevc", "explicit")


def without(keyword):
    instance = picture_for(named("rle"))
    delattr(instance, keyword)
    return instance


def changed(**attributes):
    instance = picture_for(named("rle"))
    for keyword, value in attributes.items():
        setattr(instance, keyword, value)
    return instance


@pytest.mark.parametrize(
    ("instance", "complaint"),
    [
        (without("PixelData"), "cannot encode in JPEGLSLossless: there are no Pixel Data"),
        (without("Rows"), "no image to encode: Rows missing"),
        (changed(HighBit=15), "Bits Allocated 16, Bits Stored 12 and High Bit 15 do not go together"),
        (changed(Rows=49), "3840 bytes of Pixel Data; expected 3920 for 1 frames of 40 x 49, 1 samples of 16 bits"),
        (changed(SamplesPerPixel=2), "JPEGLSLossless takes 1 or 3 Samples per Pixel, not 2"),
        (changed(PhotometricInterpretation="HSV"), "takes no Photometric Interpretation HSV"),
        (Dataset(), "there are no Pixel Data"),
    ],
    ids=str,
)
def test_what_is_no_image_is_told_in_one_line(instance, complaint):
    with pytest.raises(CodecError) as told:
        compress(instance, named("jpegls"))
    assert complaint in str(told.value)


@pytest.mark.parametrize("syntax", ENCAPSULATED, ids=str)
@pytest.mark.filterwarnings("ignore:End of file reached before delimiter")
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_damage_is_told_in_one_line_and_never_crashes(syntax, data):
    packed = compress(picture_for(syntax), syntax)
    encoded = bytearray(write_data_set(packed, syntax))
    start = len(encoded) - len(packed.PixelData)
    match data.draw(st.sampled_from(["cut", "flip"])):
        case "cut":
            del encoded[data.draw(st.integers(start, len(encoded) - 1)) :]
        case _:
            position = data.draw(st.integers(start, len(encoded) - 1))
            encoded[position] ^= data.draw(st.integers(1, 255))
    complaint = "?"
    try:
        plain = transcode(bytes(encoded), syntax.uid, EXPLICIT.uid)
    except CodecError as error:
        complaint = str(error)
    else:
        unpacked = read_data_set(plain, EXPLICIT)
        assert len(unpacked.PixelData) == PixelFormat.of(unpacked).frame_bytes
    assert complaint
    assert "\n" not in complaint
