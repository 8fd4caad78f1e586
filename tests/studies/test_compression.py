"""Frames and data sets through every codec and back, by our own decoders; other people's are asked elsewhere."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.encaps import generate_frames, parse_basic_offsets
from pydicom.uid import UID

from simlab.draws import Draws
from simlab.errors import UserError
from simlab.studies.codecs.pixels import PixelFormat
from simlab.studies.compression import (
    CodecError,
    LossyOptions,
    can_encode,
    compress,
    compressed_uid,
    decompress,
    transcode,
)
from simlab.studies.data_sets import read_data_set, write_data_set
from simlab.studies.instances import make_instance
from simlab.studies.transfer_syntaxes import ALL, EXPLICIT, named
from studies.examples import study
from studies.images import arrays, image, picture_for, smooth, values_of

ENCAPSULATED = [syntax for syntax in ALL if syntax.codec]
LOSSLESS = [syntax for syntax in ENCAPSULATED if syntax.lossless]
LOSSY = [syntax for syntax in ENCAPSULATED if not syntax.lossless]
UNCOMPRESSED = [syntax for syntax in ALL if not syntax.encapsulated]

every_lossless = pytest.mark.parametrize("syntax", LOSSLESS, ids=str)
every_lossy = pytest.mark.parametrize("syntax", LOSSY, ids=str)

SIGNED = {syntax.alias for syntax in LOSSLESS} - {"jxl"}


# ---- what is lossless


@every_lossless
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_lossless_means_every_value(syntax, data):
    dtype = data.draw(st.sampled_from(["u1", "<u2", "i1", "<i2"] if syntax.alias in SIGNED else ["u1", "<u2"]))
    stored = data.draw(st.integers(2, 8 * np.dtype(dtype).itemsize))
    values = data.draw(arrays(dtype=dtype, stored=stored))
    instance = image(values, stored=stored)
    packed = compress(instance, syntax)
    assert packed.file_meta.TransferSyntaxUID == syntax.uid
    assert packed.SOPInstanceUID == instance.SOPInstanceUID
    unpacked = decompress(packed)
    assert np.array_equal(values_of(unpacked), values)
    assert write_data_set(unpacked, EXPLICIT) == write_data_set(instance, EXPLICIT)


@every_lossless
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_lossless_means_every_colour(syntax, data):
    stored = data.draw(st.sampled_from([8, 12, 16]))
    values = data.draw(arrays(dtype="u1" if stored == 8 else "<u2", stored=stored, colour=True))
    packed = compress(image(values, stored=stored, photometric="RGB"), syntax)
    expected = "YBR_RCT" if syntax.alias in ("j2k", "htj2k", "htj2k-rpcl") else "RGB"
    assert (packed.PhotometricInterpretation, packed.PlanarConfiguration) == (expected, 0)
    unpacked = decompress(packed)
    assert unpacked.PhotometricInterpretation == "RGB"
    assert np.array_equal(values_of(unpacked), values)


@pytest.mark.parametrize("photometric", ["YBR_FULL", "PALETTE COLOR", "MONOCHROME1"])
@every_lossless
def test_other_meanings_of_samples_stay_what_they_are_or_are_refused(syntax, photometric):
    shape = (16, 20, 3) if photometric == "YBR_FULL" else (16, 20)
    values = np.random.default_rng(1).integers(0, 256, shape).astype("u1")
    instance = image(values, stored=8, photometric=photometric)
    if syntax.alias == "jxl" and photometric != "MONOCHROME1":
        with pytest.raises(CodecError, match=f"JPEGXLLossless takes no Photometric Interpretation {photometric}"):
            compress(instance, syntax)
        return
    packed = compress(instance, syntax)
    assert packed.PhotometricInterpretation == photometric
    unpacked = decompress(packed)
    assert unpacked.PhotometricInterpretation == photometric
    assert np.array_equal(values_of(unpacked), values)


@every_lossless
def test_colour_by_plane_is_brought_together(syntax):
    values = np.random.default_rng(2).integers(0, 256, (2, 16, 20, 3)).astype("u1")
    instance = image(values, stored=8, photometric="RGB")
    instance.PlanarConfiguration = 1
    instance.PixelData = np.moveaxis(values, -1, 1).tobytes()
    unpacked = decompress(compress(instance, syntax))
    assert unpacked.PlanarConfiguration == 0
    assert np.array_equal(values_of(unpacked), values)


@pytest.mark.parametrize("alias", ["rle", "deflated-frame"])
def test_bits_beyond_those_stored_survive_where_bytes_are_compressed(alias):
    values = np.array([[0xF123, 0x0FFF], [0xFFFF, 0]], "<u2")
    assert np.array_equal(values_of(decompress(compress(image(values, stored=12), named(alias)))), values)


# ---- what is lossy


@every_lossy
def test_a_lossy_instance_is_another_one_and_says_so(syntax):
    instance = picture_for(syntax)
    packed = compress(instance, syntax)
    assert packed.SOPInstanceUID == compressed_uid(instance.SOPInstanceUID, syntax) != instance.SOPInstanceUID
    assert packed.file_meta.MediaStorageSOPInstanceUID == packed.SOPInstanceUID
    assert UID(packed.SOPInstanceUID).is_valid
    assert list(packed.ImageType) == ["DERIVED", "PRIMARY"]
    assert packed.LossyImageCompression == "01"
    frames = list(generate_frames(packed.PixelData, number_of_frames=1))
    ratio = len(instance.PixelData) / sum(map(len, frames))
    assert packed.LossyImageCompressionRatio == pytest.approx(ratio, rel=0.05)
    assert packed.LossyImageCompressionMethod.startswith("ISO_")
    assert packed.DerivationDescription.endswith(f"{float(packed.LossyImageCompressionRatio):.2f}:1")
    [code] = packed.DerivationCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("113040", "DCM")
    [source] = packed.SourceImageSequence
    assert source.ReferencedSOPClassUID == instance.SOPClassUID
    assert source.ReferencedSOPInstanceUID == instance.SOPInstanceUID
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121320"


@every_lossy
def test_what_was_lossy_once_stays_so(syntax):
    once = compress(picture_for(syntax), syntax)
    plain = decompress(once)
    assert plain.LossyImageCompression == "01"
    assert plain.SOPInstanceUID == once.SOPInstanceUID
    twice = compress(plain, syntax)
    assert twice.SOPInstanceUID not in (once.SOPInstanceUID, plain.SourceImageSequence[0].ReferencedSOPInstanceUID)
    assert len(twice.LossyImageCompressionRatio) == len(twice.LossyImageCompressionMethod) == 2
    assert twice.LossyImageCompressionRatio[0] == once.LossyImageCompressionRatio
    assert len(twice.DerivationDescription.split("; ")) == len(twice.SourceImageSequence) == 2
    then = compress(twice, named("rle"))
    assert then.SOPInstanceUID == twice.SOPInstanceUID
    assert then.LossyImageCompression == "01"


@settings(max_examples=40, deadline=None)
@given(near=st.integers(1, 20), stored=st.integers(6, 16), data=st.data())
def test_near_lossless_keeps_its_promise(near, stored, data):
    values = data.draw(arrays(dtype="<u2", stored=stored))
    if values.shape[-2] * values.shape[-1] < 100:
        return
    unpacked = values_of(
        decompress(compress(image(values, stored=stored), named("jpegls-near"), LossyOptions(near=near)))
    )
    assert np.abs(unpacked.astype(int) - values).max() <= near


@pytest.mark.parametrize(
    ("alias", "finer", "coarser"),
    [
        ("jpeg12", LossyOptions(quality=99), LossyOptions(quality=60)),
        ("j2k-lossy", LossyOptions(error=0.5), LossyOptions(error=10)),
        ("htj2k-lossy", LossyOptions(step=1), LossyOptions(step=50)),
        ("jxl-lossy", LossyOptions(distance=0.05), LossyOptions(distance=3)),
        ("jpegls-near", LossyOptions(near=1), LossyOptions(near=15)),
    ],
)
def test_options_are_heeded(alias, finer, coarser):
    instance, syntax = make_instance(study("mr-knee"), 3, Draws(1)), named(alias)
    fine, coarse = (compress(instance, syntax, options) for options in (finer, coarser))
    assert len(coarse.PixelData) < 0.8 * len(fine.PixelData)
    assert fine.SOPInstanceUID != coarse.SOPInstanceUID
    assert compressed_uid(instance.SOPInstanceUID, syntax, finer) == fine.SOPInstanceUID
    errors = [np.abs(values_of(decompress(one)).astype(int) - values_of(instance)).mean() for one in (fine, coarse)]
    assert errors[0] < errors[1]


def test_the_root_mean_square_error_of_jpeg_2000_is_about_what_was_asked_for():
    instance = make_instance(study("mr-knee"), 3, Draws(1))
    for wanted in (1.0, 4.0):
        unpacked = decompress(compress(instance, named("j2k-lossy"), LossyOptions(error=wanted)))
        error = np.sqrt(np.mean((values_of(unpacked).astype(float) - values_of(instance)) ** 2))
        assert error == pytest.approx(wanted, rel=0.25)


@pytest.mark.parametrize(
    "options", [{"near": 0}, {"quality": 101}, {"error": 0}, {"step": -1}, {"distance": 26}], ids=str
)
def test_options_out_of_range_are_refused(options):
    [(name, _)] = options.items()
    with pytest.raises(UserError, match=rf"^{name} -?\d+: expected "):
        LossyOptions(**options)


def test_a_jpeg_recompressed_is_the_same_instance_and_comes_back_byte_for_byte():
    jpeg, jxl = named("jpeg"), named("jxl-jpeg")
    before = compress(picture_for(jpeg), jpeg)
    packed = compress(before, jxl)
    assert packed.SOPInstanceUID == before.SOPInstanceUID
    assert len(packed.PixelData) != len(before.PixelData)
    assert write_data_set(compress(packed, jpeg), jpeg) == write_data_set(before, jpeg)
    assert np.array_equal(values_of(decompress(packed)), values_of(decompress(before)))


# ---- the input, and its encapsulation


@pytest.mark.parametrize("syntax", [each for each in ALL if each.encodable], ids=str)
def test_the_input_is_unharmed(syntax):
    instance = picture_for(syntax)
    if not can_encode(syntax, PixelFormat.of(instance)):
        return
    before = deepcopy(instance)
    packed = compress(instance, syntax)
    packed.PatientName = "Somebody^Else"
    packed.ImageType[0] = "CHANGED"
    assert instance == before
    assert instance.file_meta == before.file_meta


@pytest.mark.parametrize("syntax", ENCAPSULATED, ids=str)
def test_each_frame_is_a_fragment_that_the_basic_offset_table_finds(syntax):
    frames = [smooth(stored=8, dtype="u1") // (1 + number) for number in range(3)]
    if syntax.alias == "jpeg12":
        frames = [frame.astype("<u2") * 16 for frame in frames]
    instance = image(np.array(frames), stored=frames[0].itemsize * 4 + 4 if frames[0].itemsize == 2 else 8)
    packed = compress(instance, syntax)
    element = packed["PixelData"]
    assert (element.VR, element.is_undefined_length) == ("OB", True)
    offsets = parse_basic_offsets(element.value)
    data = list(generate_frames(element.value, number_of_frames=3))
    assert len(offsets) == len(data) == 3
    assert offsets == [sum(len(each) + 8 for each in data[:number]) for number in range(3)]
    assert all(len(each) % 2 == 0 for each in data)


@pytest.mark.parametrize("stored", [9, 12, 16])
@pytest.mark.parametrize(("alias", "marker", "offset"), [
    ("jpegls", b"\xff\xf7", 4), ("sv1", b"\xff\xc3", 4), ("jpeg-lossless", b"\xff\xc3", 4),
    ("j2k", b"\xff\x51", 40), ("htj2k", b"\xff\x51", 40),
    ("htj2k-lossy", b"\xff\x51", 40), ("j2k-lossy", b"\xff\x51", 40),
])  # fmt: skip
def test_codestreams_declare_as_many_bits_as_are_stored(alias, marker, offset, stored):
    if alias == "htj2k-lossy" and stored == 9:
        stored = 10  # 9 is refused
    packed = compress(image(smooth(stored=stored), stored=stored), named(alias))
    [data] = generate_frames(packed.PixelData, number_of_frames=1)
    depth = data[data.index(marker) + offset]
    assert (depth & 0x7F) + 1 == stored if marker == b"\xff\x51" else depth == stored


def test_htj2k_rpcl_is_as_the_standard_wants_it():
    instance = image(smooth((700, 9000)), stored=12)
    [data] = generate_frames(compress(instance, named("htj2k-rpcl")).PixelData, number_of_frames=1)
    assert b"\xff\x55" in data[:400]  # TLM
    style = data.index(b"\xff\x52")
    assert data[style + 5] == 2  # RPCL
    decompositions = data[style + 9]
    assert max(instance.Rows, instance.Columns) / 2**decompositions <= 64


# ---- transcoding


@pytest.mark.parametrize("target", [syntax for syntax in ALL if syntax.encodable and syntax.lossless], ids=str)
@pytest.mark.parametrize("source", [*UNCOMPRESSED, named("jpegls"), named("rle")], ids=str)
def test_any_lossless_way_there_and_back_is_the_same_data_set(source, target):
    plain = write_data_set(make_instance(study("mr-knee"), 3, Draws(1)), EXPLICIT)
    start = transcode(plain, EXPLICIT.uid, source.uid)
    there = transcode(start, source.uid, target.uid)
    assert transcode(there, target.uid, EXPLICIT.uid) == plain
    assert transcode(there, target.uid, source.uid) == start


def test_transcoding_is_deterministic_and_what_compressing_gives():
    instance = make_instance(study("mr-knee"), 3, Draws(1))
    plain = write_data_set(instance, EXPLICIT)
    for syntax in ENCAPSULATED:
        if can_encode(syntax, PixelFormat.of(instance)):
            first, again = (transcode(plain, EXPLICIT.uid, syntax.uid) for _ in range(2))
            assert first == again == write_data_set(compress(instance, syntax), syntax)


def test_only_lossy_transcoding_changes_the_uid():
    instance = picture_for(named("jpegls"))
    plain = write_data_set(instance, EXPLICIT)
    for syntax in ALL:
        if not can_encode(syntax, PixelFormat.of(instance)):
            continue
        there = read_data_set(transcode(plain, EXPLICIT.uid, syntax.uid), syntax)
        assert (there.SOPInstanceUID == instance.SOPInstanceUID) == syntax.lossless
        assert there.SOPInstanceUID == compressed_uid(instance.SOPInstanceUID, syntax)
