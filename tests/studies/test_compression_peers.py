"""What we encode, before other people's decoders: bit for bit, or as we decode it ourselves, and with valid headers."""

from functools import cache

import imagecodecs
import numpy as np
import pytest
from peers import call
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from simlab.draws import Draws
from simlab.studies.codecs.pixels import PixelFormat
from simlab.studies.codecs.verified import VERIFIED
from simlab.studies.compression import LossyOptions, can_encode, compress, decompress
from simlab.studies.instances import make_instance, write_part10
from simlab.studies.tiny import make_tiny_instance
from simlab.studies.transfer_syntaxes import ALL, named
from studies.decoders import DCMTK, DECODERS
from studies.examples import study
from studies.images import image, values_of
from studies.test_templates import study_of

pytestmark = pytest.mark.peers

CLAIMS = [(named(alias), one) for alias, decoders in VERIFIED.items() for one in decoders if one in DECODERS]
"""Those of JPEG XL are in test_jpeg_xl_peers.py: a browser shows pixels in a way of its own."""
IMAGES = ("ct", "mr", "tiny")
LOSSY = [syntax for syntax in ALL if syntax.codec and not syntax.lossless]

DCMTK_ENCODES = {
    "rle": ("dcmcrle",),
    "jpeg": ("dcmcjpeg", "+eb"),
    "jpeg12": ("dcmcjpeg", "+ee"),
    "sv1": ("dcmcjpeg", "+e1"),
    "jpegls": ("dcmcjpls",),
    "jpegls-near": ("dcmcjpls", "+en", "+md", "2"),
}

UNKNOWN_TO_DCIODVFY = ("HTJ2K", "JPEGXL", "Deflated")


GENERATOR = np.random.default_rng(5)

PICTURES = {
    "ct": (12, lambda: make_instance(study("ct-head"), 10, Draws(1))),
    "mr": (12, lambda: make_instance(study("mr-knee"), 10, Draws(1))),
    "tiny": (8, lambda: make_tiny_instance(study_of("tiny"), 0, Draws(1))),
    "16 bits": (16, lambda: image(GENERATOR.integers(0, 1 << 16, (33, 47)).astype("<u2"), stored=16)),
    "10 bits": (10, lambda: image(GENERATOR.integers(0, 1 << 10, (47, 33)).astype("<u2"), stored=10)),
    "signed": (12, lambda: image(GENERATOR.integers(-2048, 2048, (40, 41)).astype("<i2"), stored=12)),
    "frames": (8, lambda: image(GENERATOR.integers(0, 256, (3, 31, 29)).astype("u1"), stored=8)),
    "colour": (8, lambda: image(GENERATOR.integers(0, 256, (30, 44, 3)).astype("u1"), stored=8, photometric="RGB")),
}
"""Something of each kind: Bits Stored, and how it is made."""


@cache
def picture_of(name):
    return PICTURES[name][1]()


def takes(syntax, name):
    """Whether the codec takes that kind of picture."""
    stored, colour = PICTURES[name][0], name == "colour"
    photometric = "RGB" if colour else "MONOCHROME2"
    allocated = 8 if stored == 8 else 16
    return can_encode(syntax, PixelFormat(1, 1, 3 if colour else 1, allocated, stored, name == "signed", photometric))


def every_picture(*rows, names=tuple(PICTURES)):
    """Parametrise over these rows, each a syntax and more, and over the pictures that the codec takes."""
    return [(name, *row) for row in rows for name in names if takes(row[0], name)]


def encoded(name, syntax, folder, options=None):
    """The picture, what it was compressed to, and the file of that."""
    picture = picture_of(name)
    packed = compress(picture, syntax, options)
    path = folder / f"{syntax.alias}.dcm"
    write_part10(packed, path)
    return picture, packed, path


def signs_extended(values, picture):
    """Some decoders leave what is above Bits Stored as it comes."""
    if not picture.PixelRepresentation:
        return values
    room = picture.BitsAllocated - picture.BitsStored
    return (values.astype(f"<u{picture.BitsAllocated // 8}") << room).view(f"<i{picture.BitsAllocated // 8}") >> room


@pytest.mark.parametrize(("name", "syntax", "decoder"), every_picture(*CLAIMS), ids=str)
def test_others_decode_what_we_encode(name, syntax, decoder, tmp_path):
    picture, packed, path = encoded(name, syntax, tmp_path)
    theirs = signs_extended(DECODERS[decoder](path, syntax), picture)
    if syntax.lossless:
        assert np.array_equal(theirs, values_of(picture))
        return
    assert theirs.shape == values_of(picture).shape
    if packed.SamplesPerPixel > 1:
        return  # decoders interpolate subsampled colours each in its own way
    assert np.abs(theirs.astype(int) - values_of(decompress(packed))).max() <= 1


@pytest.mark.parametrize("near", [1, 3, 10])
@pytest.mark.parametrize("decoder", ["DCMTK", "GDCM"])
@pytest.mark.parametrize("name", ["ct", "mr", "tiny", "16 bits", "frames"])
def test_near_lossless_keeps_its_promise_before_others(name, decoder, near, tmp_path):
    syntax = named("jpegls-near")
    picture, _, path = encoded(name, syntax, tmp_path, LossyOptions(near=near))
    theirs = DECODERS[decoder](path, syntax)
    assert np.abs(theirs.astype(int) - values_of(picture)).max() <= near


@pytest.mark.parametrize("options", [LossyOptions(), LossyOptions(step=20), LossyOptions(step=1)], ids=str)
@pytest.mark.parametrize("name", ["ct", "mr", "10 bits"])  # 16 bits of noise their floats round differently, by 3
def test_openjph_and_openjpeg_agree_on_lossy_htj2k(name, options):
    packed = compress(picture_of(name), named("htj2k-lossy"), options)
    [data] = generate_frames(packed.PixelData, number_of_frames=1)
    openjph = imagecodecs.htj2k_decode(data).astype(int)
    openjpeg = values_of(decompress(packed)).astype(int)
    within = (openjpeg > 0) & (openjpeg < (1 << packed.BitsStored) - 1)  # beyond them OpenJPH wraps in imagecodecs
    assert within.any()
    assert np.abs(openjph - openjpeg)[within].max() <= 1


@pytest.mark.parametrize(("name", "syntax"), every_picture(*((named(alias),) for alias in DCMTK_ENCODES)), ids=str)
def test_we_decode_what_dcmtk_encodes(name, syntax, tmp_path):
    picture = picture_of(name)
    write_part10(picture, tmp_path / "plain.dcm")
    program, *options = DCMTK_ENCODES[syntax.alias]
    path = tmp_path / "theirs.dcm"
    done = call(program, *options, tmp_path / "plain.dcm", path)
    assert done.code == 0, done.output
    theirs = DECODERS["DCMTK"](path, syntax)
    ours = values_of(decompress(dcmread(path)))
    if not syntax.lossless and picture.SamplesPerPixel > 1:
        return  # decoders interpolate subsampled colours each in its own way
    assert np.abs(signs_extended(theirs, picture).astype(int) - ours).max() <= (0 if syntax.lossless else 1)
    if syntax.lossless:
        assert np.array_equal(ours, values_of(picture))


# ---- headers


@pytest.mark.parametrize(
    ("name", "syntax"), every_picture(*((syntax,) for syntax in ALL if syntax.encodable), names=IMAGES), ids=str
)
def test_dciodvfy_finds_no_error(name, syntax, tmp_path):
    _, packed, path = encoded(name, syntax, tmp_path)
    if syntax.keyword.startswith(UNKNOWN_TO_DCIODVFY):
        packed = decompress(packed)  # with all that is said of the compression
        write_part10(packed, path)
    output = call("dciodvfy", path).output
    assert output.startswith(("CTImage", "MRImage", "SCImage")), output
    assert [line for line in output.splitlines() if line.startswith("Error")] == []


@pytest.mark.parametrize("syntax", LOSSY, ids=str)
def test_what_was_compressed_twice_is_still_valid(syntax, tmp_path):
    name = "tiny" if syntax.alias in ("jpeg", "jxl-jpeg") else "ct"
    _, packed, _ = encoded(name, syntax, tmp_path)
    twice = decompress(compress(decompress(packed), named("jpegls-near")))
    path = tmp_path / "twice.dcm"
    write_part10(twice, path)
    output = call("dciodvfy", path).output
    assert [line for line in output.splitlines() if line.startswith("Error")] == []


def test_dcmtk_has_a_program_for_each_that_it_is_said_to_decode():
    claimed = {alias for alias, decoders in VERIFIED.items() if "DCMTK" in decoders}
    assert {alias for alias in claimed if UID(named(alias).uid).is_encapsulated} == set(DCMTK)
