"""JPEG XL that libjxl has encoded, before a decoder that is not libjxl: jxl-rs, as it is in Chromium.

A browser shows images. It has all of 8 bits, and of more bits as many as a half-precision float: all of 11, and the
eleven most significant ones of 12 or 16.
"""

import numpy as np
import pytest
from pydicom.encaps import generate_frames

from simlab.studies.codecs.verified import VERIFIED
from simlab.studies.compression import compress, decompress
from simlab.studies.transfer_syntaxes import named
from studies.chromium import decode_jxl, lost
from studies.images import image, picture_for, values_of
from studies.test_compression_peers import PICTURES, picture_of, takes

pytestmark = pytest.mark.peers

DECODER = "jxl-rs"
LOSSLESS, LOSSY, RECOMPRESSED = (named(alias) for alias in ("jxl", "jxl-lossy", "jxl-jpeg"))

SHOWN_BITS = 11
"""Of a half-precision float."""


def shown(packed, folder):
    """The frames as Chromium shows them, with samples last: from 0.0 to 1.0, the largest value."""
    frames = generate_frames(packed.PixelData, number_of_frames=packed.get("NumberOfFrames", 1))
    decoded = []
    for number, frame in enumerate(frames):
        own = folder / f"frame-{number}"
        own.mkdir()
        decoded.append(decode_jxl(frame, packed.Rows, packed.Columns, own))
    return np.stack(decoded)


def expected(values, packed):
    """Stored values in that shape: of grey, red, green and blue are alike."""
    samples = values.reshape(-1, packed.Rows, packed.Columns, packed.SamplesPerPixel)
    return np.broadcast_to(samples, (*samples.shape[:3], 3)).astype(float)


def all_that(syntax):
    """Parametrise over the pictures that the codec takes."""
    return pytest.mark.parametrize("name", [name for name in PICTURES if takes(syntax, name)])


def test_it_decodes_what_it_is_said_to():
    claimed = {alias for alias, decoders in VERIFIED.items() if DECODER in decoders}
    assert claimed == {LOSSLESS.alias, LOSSY.alias, RECOMPRESSED.alias}


@all_that(LOSSLESS)
def test_lossless_pixels_come_out_as_they_went_in(name, tmp_path):
    packed = compress(picture_of(name), LOSSLESS)
    largest, values = (1 << packed.BitsStored) - 1, expected(values_of(picture_of(name)), packed)
    theirs = shown(packed, tmp_path)
    if packed.BitsStored <= SHOWN_BITS:
        assert np.array_equal(np.rint(theirs * largest), values)
    if packed.BitsStored > 8:
        assert (np.abs(theirs - values / largest) <= lost(values / largest)).all()


@pytest.mark.parametrize(("stored", "least"), [(12, 0), (16, 4)])
def test_small_values_come_out_whole_with_all_their_bits(stored, least, tmp_path):
    """Those that half-precision floats tell apart: the least significant bits of 16, too."""
    values = np.random.default_rng(stored).integers(least, (1 << SHOWN_BITS) - 1, (50, 61)).astype("<u2")
    packed = compress(image(values, stored=stored), LOSSLESS)
    theirs = shown(packed, tmp_path)
    assert np.array_equal(np.rint(theirs * ((1 << stored) - 1)), expected(values, packed))


@all_that(LOSSY)
def test_both_decoders_agree_on_what_is_lossy(name, tmp_path):
    agree_within_one(compress(picture_of(name), LOSSY), tmp_path)


@pytest.mark.parametrize("picture", [picture_of("tiny"), picture_for(RECOMPRESSED)], ids=["tiny", "smooth"])
def test_a_jpeg_that_was_compressed_again_looks_the_same(picture, tmp_path):
    """We decode the JPEG in it, with a transform of whole numbers; in noise the two are 2 apart."""
    agree_within_one(compress(picture, RECOMPRESSED), tmp_path)


def agree_within_one(packed, folder):
    largest, ours = (1 << packed.BitsStored) - 1, expected(values_of(decompress(packed)), packed)
    theirs = np.clip(shown(packed, folder), 0, 1)  # a browser has whiter than white
    apart = np.abs(theirs * largest - ours) - largest * lost(ours / largest)
    assert apart.max() < 1.001  # single precision
