"""The registry, against pynetdicom's and against our own tables."""

import subprocess
import sys

import pytest
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES

from simlab.errors import UserError
from simlab.studies.codecs import CODECS
from simlab.studies.codecs.verified import VERIFIED
from simlab.studies.transfer_syntaxes import ALL, EXPLICIT, named, uncompressed_form

NOT_LISTED = ("JPIP", "SMPTE")
"""Pixels by reference, and video in real time: nothing that C-STORE carries."""


@pytest.mark.parametrize("syntax", ALL, ids=str)
def test_keyword_and_flags_are_those_of_the_standard(syntax):
    uid = UID(syntax.uid)
    assert uid.is_transfer_syntax
    assert uid.keyword == syntax.keyword
    assert (uid.is_implicit_VR, uid.is_little_endian) == (syntax.implicit, syntax.little_endian)
    assert (uid.is_encapsulated, uid.is_deflated) == (syntax.encapsulated, syntax.deflated)


def test_all_that_pynetdicom_negotiates_are_listed():
    expected = {uid for uid in ALL_TRANSFER_SYNTAXES if not UID(uid).keyword.startswith(NOT_LISTED)}
    assert {syntax.uid for syntax in ALL} == expected


@pytest.mark.parametrize("syntax", ALL, ids=str)
def test_each_has_three_names_in_any_case(syntax):
    for text in (syntax.uid, syntax.keyword, syntax.alias, f" {syntax.alias} "):
        assert named(text) is syntax
    if syntax.keyword != "HTJ2K":
        assert named(syntax.keyword.swapcase()) is syntax


def test_names_are_unambiguous():
    names = [name for syntax in ALL for name in (syntax.uid, syntax.keyword, syntax.alias)]
    assert len(set(names)) == len(names)
    assert len({name.lower() for name in names}) == len(names) - 1
    assert (named("HTJ2K").lossless, named("htj2k").lossless) == (False, True)
    with pytest.raises(UserError, match=r"^unknown transfer syntax"):
        named("Htj2k")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("jpgls", 'unknown transfer syntax "jpgls": did you mean "jpegls"?'),
        ("JPEG2000Losless", 'unknown transfer syntax "JPEG2000Losless": did you mean "JPEG2000Lossless"?'),
        ("", 'unknown transfer syntax "": expected one of implicit, explicit, big-endian'),
        ("1.2.3", 'unknown transfer syntax "1.2.3": expected one of implicit'),
    ],
)
def test_an_unknown_name_is_told_in_one_line(text, complaint):
    with pytest.raises(UserError) as told:
        named(text)
    assert str(told.value).startswith(complaint)
    assert "\n" not in str(told.value)


def test_whatever_is_encodable_has_its_codec_and_its_judges():
    encodable = {syntax.alias for syntax in ALL if syntax.encodable}
    assert set(VERIFIED) == encodable
    assert {syntax.codec for syntax in ALL if syntax.codec} == set(CODECS)
    for syntax in ALL:
        if syntax.codec:
            assert bool(CODECS[syntax.codec].method) != syntax.lossless


def test_what_is_uncompressed_is_explicit_unless_it_was_so_already():
    assert uncompressed_form(named("jpegls")) is EXPLICIT
    assert uncompressed_form(named("deflated")) is EXPLICIT
    assert uncompressed_form(named("implicit")) is named("implicit")


def test_codec_libraries_are_not_loaded_before_they_are_used():
    for modules, libraries in (
        ("simlab.cli", {"imagecodecs", "jpeg_ls", "pydicom"}),
        ("simlab.commands.wire, simlab.commands.syntaxes", {"imagecodecs"}),  # pydicom itself loads the others
    ):
        program = f"import sys, {modules}\nprint(*({libraries} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() == ""
