"""Data sets in and out of bytes: what no codec touches."""

import zlib
from functools import cache
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import call
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID

from simlab.draws import Draws
from simlab.errors import CodecError
from simlab.studies.compression import convert, transcode
from simlab.studies.data_sets import deflate_header, deflate_rest, inflate, read_data_set, swap_words, write_data_set
from simlab.studies.instances import add_file_meta, make_instance, write_part10
from simlab.studies.transfer_syntaxes import ALL, BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, named
from studies.examples import study

UNCOMPRESSED = [syntax for syntax in ALL if not syntax.encapsulated]
every_pair = pytest.mark.parametrize(
    ("source", "target"),
    [(a, b) for a in UNCOMPRESSED for b in UNCOMPRESSED if a != b],
    ids=lambda syntax: syntax.alias,
)

WORDS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def with_everything():
    """A data set with a value of every VR that is made of words, at the top and in sequences, known and private."""
    instance = make_instance(study("mr-knee"), 3, Draws(1))
    inner = Dataset()
    inner.SelectorOFValue = bytes(range(8))
    inner.SelectorODValue = bytes(range(16))
    inner.SelectorOLValue = bytes(range(4))
    inner.SelectorOVValue = bytes(range(24))
    inner.SelectorOWValue = bytes(range(6))
    inner.SelectorOBValue = bytes(range(6))
    inner.SelectorUSValue = [1, 2, 40000]
    inner.SelectorSLValue = [-1, 2]
    inner.SelectorFDValue = 1.5
    inner.SelectorATValue = [0x00100020]
    outer = Dataset()
    outer.SelectorSequencePointer = 0x00081140
    outer.RelatedGeneralSOPClassUID = "1.2.3"
    outer.ReferencedImageSequence = [inner, Dataset()]
    instance.ReferencedImageSequence = [outer]
    block = instance.private_block(0x0029, "SIMLAB TEST", create=True)
    block.add_new(0x10, "OW", bytes(range(10)))
    block.add_new(0x11, "UN", bytes(range(7)) + b"\0")
    block.add_new(0x12, "LO", "Grün & gelb")
    instance.RedPaletteColorLookupTableData = bytes(range(12))
    return instance


@every_pair
def test_there_and_back_is_the_same_byte_for_byte(source, target):
    instance = with_everything()
    if IMPLICIT in (source, target):
        instance.remove_private_tags()  # without a VR, nobody knows what they are
    start = transcode(write_data_set(instance, EXPLICIT), EXPLICIT.uid, source.uid)
    there = transcode(start, source.uid, target.uid)
    back = read_data_set(transcode(there, target.uid, source.uid), source)
    assert back == read_data_set(start, source)
    if IMPLICIT not in (source, target):
        assert write_data_set(back, source) == start


def test_big_endian_words_are_swapped_and_bytes_are_not():
    encoded = write_data_set(with_everything(), BIG_ENDIAN)
    for vr, size in WORDS.items():
        expected = b"".join(bytes(range(start, start + size))[::-1] for start in range(0, size, size))
        assert expected in encoded, vr
    assert bytes(range(6)) in encoded  # OB
    pixels = make_instance(study("mr-knee"), 3, Draws(1)).PixelData
    assert encoded.endswith(bytes(byte for pair in zip(pixels[1::2], pixels[::2], strict=True) for byte in pair))


def test_swapping_leaves_the_data_set_as_it_was_and_twice_is_none():
    instance = with_everything()
    before = write_data_set(instance, EXPLICIT)
    assert write_data_set(swap_words(swap_words(instance)), EXPLICIT) == before
    assert write_data_set(instance, EXPLICIT) == before


def test_half_a_word_is_told():
    instance = make_instance(study("mr-knee"), 3, Draws(1))
    instance.add_new(0x00720067, "OF", b"123456")
    with pytest.raises(CodecError, match=r"^cannot encode in ExplicitVRBigEndian: Selector OF Value: 6 bytes are not"):
        transcode(write_data_set(instance, EXPLICIT), EXPLICIT.uid, BIG_ENDIAN.uid)


@pytest.mark.peers
@every_pair
def test_dcmconv_makes_the_same(source, target, tmp_path):
    instance = with_everything()
    for tag in (0x00291010, 0x00291011, 0x00291012):
        del instance[tag]  # DCMTK takes private elements without a VR for UN, and never comes back from it
    instance.file_meta.TransferSyntaxUID = UID(source.uid)
    write_part10(instance, tmp_path / "before.dcm")
    option = {IMPLICIT: "+ti", EXPLICIT: "+te", BIG_ENDIAN: "+tb", DEFLATED: "+td"}[target]
    done = call("dcmconv", "-e", option, tmp_path / "before.dcm", tmp_path / "after.dcm")
    assert done.code == 0, done.output
    theirs = dcmread(tmp_path / "after.dcm")
    assert theirs.file_meta.TransferSyntaxUID == target.uid
    convert(instance, source, target)
    ours = read_data_set(write_data_set(instance, target), target)
    assert ours == (theirs if target.little_endian else swap_words(theirs))


# ---- deflate


@given(header=st.binary(max_size=3000), rest=st.binary(max_size=3000))
def test_deflated_in_two_parts_is_one_stream_of_even_length(header, rest):
    beginning, end = deflate_header(header), deflate_rest(rest)
    assert len(beginning) % 2 == len(end) % 2 == 0
    assert inflate(beginning + end) == header + rest
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    assert decoder.decompress(beginning + end) == header + rest
    assert decoder.eof
    assert decoder.unused_data in (b"", b"\0")


@pytest.mark.parametrize("damage", [b"", b"\x07" * 40, deflate_header(b"no end")])
def test_what_is_no_deflated_data_set_is_told(damage):
    with pytest.raises(CodecError, match=r"^not a deflated data set: "):
        read_data_set(damage, DEFLATED)


# ---- what is refused


def test_pixels_must_be_as_the_transfer_syntax_wants_them():
    instance = make_instance(study("mr-knee"), 3, Draws(1))
    with pytest.raises(ValueError, match=r"^cannot encode in JPEGLSLossless: Pixel Data are not compressed$"):
        write_data_set(instance, named("jpegls"))
    convert(instance, EXPLICIT, named("jpegls"))
    with pytest.raises(ValueError, match=r"^cannot encode in ExplicitVRLittleEndian: Pixel Data are compressed$"):
        write_data_set(instance, EXPLICIT)


@cache
def knee(syntax):
    return write_data_set(make_instance(study("mr-knee"), 3, Draws(1)), syntax)


@settings(max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize("syntax", UNCOMPRESSED, ids=str)
def test_a_data_set_cut_short_is_told(syntax, data):
    whole = knee(syntax)
    encoded = whole[: data.draw(st.integers(30, 3000))]  # behind Specific Character Set, which pydicom reads at once
    try:
        read = read_data_set(encoded, syntax)
    except CodecError:
        return
    # Between two elements, nothing tells that there were more.
    assert whole.startswith(write_data_set(read, syntax))


def test_a_data_set_without_pixels_only_changes_its_encoding():
    instance = make_instance(study("mr-knee"), 3, Draws(1))
    for keyword in ("PixelData", "Rows"):
        delattr(instance, keyword)
    plain = write_data_set(instance, EXPLICIT)
    assert transcode(plain, EXPLICIT.uid, IMPLICIT.uid) == write_data_set(instance, IMPLICIT)
    assert transcode(plain, "jpegls", "explicit") == plain
    with pytest.raises(CodecError, match=r"^cannot encode in RLELossless: there are no Pixel Data$"):
        transcode(plain, "explicit", "rle")


def test_files_in_every_transfer_syntax_read_back(tmp_path):
    expected = make_instance(study("mr-knee"), 3, Draws(1)).pixel_array
    for syntax in UNCOMPRESSED:
        instance = make_instance(study("mr-knee"), 3, Draws(1))
        add_file_meta(instance, syntax.uid)
        offset = write_part10(instance, tmp_path / "file.dcm")
        content = (tmp_path / "file.dcm").read_bytes()
        assert content[offset:] == write_data_set(instance, syntax)
        assert (dcmread(BytesIO(content)).pixel_array == expected).all()
