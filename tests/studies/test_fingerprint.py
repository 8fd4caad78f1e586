"""An instance is known again in any lossless transfer syntax, and taken for no other."""

from copy import deepcopy

import pytest

from simlab.draws import Draws
from simlab.errors import CodecError
from simlab.studies.compression import can_encode, compress
from simlab.studies.digests import content_digest, decoded_digest
from simlab.studies.fingerprint import Fingerprint, Likeness
from simlab.studies.instances import encode, make_instance
from simlab.studies.key_objects import select_key_objects
from simlab.studies.templates import synthetic_studies
from simlab.studies.transfer_syntaxes import ALL, EXPLICIT, IMPLICIT

LOSSLESS = [syntax for syntax in ALL if syntax.lossless and syntax.encodable and can_encode(syntax)]


@pytest.fixture(scope="module")
def image():
    study = next(synthetic_studies("mr-knee", 1, 1))
    return make_instance(study, 3, Draws(1))


@pytest.fixture(scope="module")
def document(image):
    _, document = select_key_objects([image], 1)
    return document


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.alias)
def test_the_content_is_the_same_in_every_lossless_syntax(image, syntax):
    encoded = encode(compress(image, syntax), syntax.uid)
    assert decoded_digest(encoded, syntax.uid) == content_digest(image)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT], ids=lambda syntax: syntax.alias)
def test_a_document_has_no_pixels_but_a_content(document, syntax):
    explicit = decoded_digest(encode(document), EXPLICIT.uid)
    assert decoded_digest(encode(document, syntax.uid), syntax.uid) == explicit
    changed = compress(document, EXPLICIT)
    changed.ContentSequence[0].ValueType = "TEXT"
    assert decoded_digest(encode(changed), EXPLICIT.uid) != explicit


@pytest.mark.parametrize(
    ("keyword", "value", "same"),
    [
        ("PatientName", "Somebody^Else", True),
        ("InstitutionName", None, True),
        ("PatientID", "SIM-0", False),
        ("SeriesInstanceUID", "1.2.3", False),
        ("SOPInstanceUID", "1.2.3", False),
        ("Rows", 1, False),
    ],
)
def test_only_what_identifies_an_image_enters_its_content(image, keyword, value, same):
    other = compress(image, EXPLICIT)
    if value is None:
        delattr(other, keyword)
    else:
        setattr(other, keyword, value)
    if keyword == "Rows":
        with pytest.raises(CodecError):
            content_digest(other)
    else:
        assert (content_digest(other) == content_digest(image)) is same


def test_a_single_pixel_is_noticed(image):
    other = deepcopy(image)
    other.PixelData = bytes([other.PixelData[0] ^ 1]) + other.PixelData[1:]
    assert content_digest(other) != content_digest(image)


@pytest.mark.parametrize("size", [7, 500, -1])
def test_what_is_cut_short_has_no_content(image, size):
    encoded = encode(image)
    assert len(encoded) > 1000
    with pytest.raises(CodecError):
        decoded_digest(encoded[:size], EXPLICIT.uid)


MADE = Fingerprint("explicit", b"bytes", b"content")


@pytest.mark.parametrize(
    ("made", "came", "likeness"),
    [
        (MADE, Fingerprint("explicit", b"bytes"), Likeness.IDENTICAL),
        (MADE, Fingerprint("explicit", b"others", b"content"), Likeness.ALTERED),
        (MADE, Fingerprint("jpegls", b"others", b"content"), Likeness.EQUIVALENT),
        (MADE, Fingerprint("jpegls", b"others", b"noise"), Likeness.CORRUPT),
        (MADE, Fingerprint("explicit", b"others"), Likeness.CORRUPT),
        (Fingerprint(), Fingerprint(), Likeness.UNKNOWN),
    ],
)
def test_likeness(made, came, likeness):
    assert made.likeness(came) is likeness
