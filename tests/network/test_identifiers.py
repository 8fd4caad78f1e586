"""Identifiers between plain values and data sets, as strangers send them."""

import random
import warnings
from io import BytesIO

import pytest
from pydicom import Dataset, Sequence
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pynetdicom.dsutils import decode, encode

from simlab.network.live.wire.identifiers import from_data_set, query_from_data_set, query_to_data_set, to_data_set
from simlab.network.query import Level, Model, Query


def over_the_wire(data_set, implicit=True):
    encoded = encode(data_set, implicit, True)
    assert encoded is not None
    return decode(BytesIO(encoded), implicit, True)


def raw(*elements):
    """A data set in Implicit VR Little Endian from (tag, bytes)."""
    data = b"".join(
        (tag >> 16).to_bytes(2, "little")
        + (tag & 0xFFFF).to_bytes(2, "little")
        + len(value).to_bytes(4, "little")
        + value
        for tag, value in elements
    )
    return decode(BytesIO(data), True, True)


WORDS = ("", "CT", "Doe^Jane", "Müller^Änne=山田^太郎", "a", "*", "?x*")
VALUES = {
    "PatientName": WORDS,
    "PatientID": ("", "SIM-1", "SIM*"),
    "StudyDate": ("", "20260115", "20260101-", "20260101-20260131"),
    "StudyTime": ("", "080000", "08-10"),
    "StudyInstanceUID": ("", "2.25.1", ("2.25.1", "2.25.2")),
    "ModalitiesInStudy": ("", "CT", ("CT", "KO")),
    "OtherPatientNames": ("", "Doe^J", ("Doe^J", "Roe^K")),
    "NumberOfStudyRelatedInstances": ("", "12"),
    "PixelSpacing": ("", ("0.5", "0.5")),
    "Rows": ("", "512"),
    "GrayLookupTableDescriptor": ("", "7"),
    "SimpleFrameList": ("", "1", ("1", "2", "3")),
    "RecommendedDisplayFrameRateInFloat": ("", "1.5"),
    "DiffusionBValue": ("", "0.25"),
    "FrameIncrementPointer": ("", "00181063", ("00181063", "00181065")),
    "ImageComments": ("", "one\\two"),
    "PatientComments": ("", "grüße"),
}
SEQUENCES = ("ScheduledProcedureStepSequence", "RequestAttributesSequence", "ReferencedStudySequence")


def random_identifier(draw, depth=0):
    identifier = {key: draw.choice(VALUES[key]) for key in draw.sample(sorted(VALUES), draw.randint(1, 6))}
    if depth < 2:
        for keyword in draw.sample(SEQUENCES, draw.randint(0, 2)):
            identifier[keyword] = tuple(random_identifier(draw, depth + 1) for _ in range(draw.randint(0, 2)))
    return identifier


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("implicit", [True, False])
def test_identifiers_survive_the_wire(seed, implicit):
    identifier = random_identifier(random.Random(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom on ranges and wild cards
        assert from_data_set(over_the_wire(to_data_set(identifier), implicit)) == identifier


def test_every_number_of_an_archive_can_be_returned():
    """The archive reads odd bytes as they are; one odd value must not spoil the whole answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data_set = over_the_wire(
            to_data_set(
                {"InstanceNumber": "seven", "PatientWeight": "80 kg", "Rows": ("512", "256")}
                | {"Columns": "x", "PatientID": "1"}
            )
        )
        read = from_data_set(data_set)
    assert read["PatientID"] == "1"
    assert read["InstanceNumber"] == "seven"
    assert read["PatientWeight"] == "80 kg"
    assert read["Rows"] == ("512", "256")
    assert read["Columns"] == ""


def test_queries_keep_level_and_model():
    query = Query({"PatientID": "1"}, Model.PATIENT_ROOT, Level.SERIES)
    assert query_from_data_set(over_the_wire(query_to_data_set(query)), Model.PATIENT_ROOT) == query
    for level in ("", "PLANET", "STUDY\\SERIES"):
        data_set = Dataset()
        data_set.PatientID = "1"
        data_set.add_new("QueryRetrieveLevel", "CS", level)
        assert query_from_data_set(data_set, Model.STUDY_ROOT).level is None


@pytest.mark.parametrize(
    ("terms", "codec", "name"),
    [
        (b"ISO_IR 100", "latin-1", "Müller^Jörg"),
        (b"ISO_IR 101", "iso8859-2", "Dvořák^Antonín"),
        (b"ISO_IR 144", "iso8859-5", "Ж^ЖЯ"),
        (b"ISO_IR 192", "utf-8", "山田^太郎"),
        (b"GB18030 ", "gb18030", "王^小东"),
    ],
)
def test_character_sets_of_others(terms, codec, name):
    text = name.encode(codec)
    text += b" " * (len(text) % 2)
    data_set = raw((0x00080005, terms), (0x00100010, text), (0x00104000, text))
    assert from_data_set(data_set) == {"PatientName": name, "PatientComments": name}


@pytest.mark.parametrize("terms", [b"", b"NONSENSE", b"\\ISO 2022 IR 87"])
def test_odd_character_sets_do_no_harm(terms):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = raw((0x00080005, terms), (0x00100010, b"M\xfcller"), (0x00100020, b"1 "))
        read = from_data_set(data_set)
    assert read["PatientID"] == "1"
    assert read["PatientName"].startswith("M")


def test_binary_and_private_attributes_of_a_query():
    data_set = Dataset()
    data_set.PatientID = "1"
    data_set.add_new(0x00280009, "AT", [0x00181063, 0x00181065])
    data_set.add_new(0x7FE00010, "OW", b"\1\2\3\4")
    data_set.add_new(0x00091001, "UN", b"private")
    data_set.add_new(0x00090010, "LO", "SOMEBODY")
    data_set.add_new(0x00080000, "UL", 12)
    data_set.ReferencedStudySequence = Sequence([Dataset()])
    data_set.RequestAttributesSequence = Sequence()
    read = from_data_set(over_the_wire(data_set, implicit=False))
    assert read == {
        "PatientID": "1",
        "FrameIncrementPointer": ("00181063", "00181065"),
        "PixelData": "",
        "ReferencedStudySequence": ({},),
        "RequestAttributesSequence": (),
    }
    assert from_data_set(over_the_wire(to_data_set(read))) == read


def test_values_that_pydicom_refuses_are_taken_as_text():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data_set = raw(
            (0x00200013, b"abc "),
            (0x00101030, b"1,5 "),
            (0x00280010, b"\1"),
            (0x00080020, b"yesterday "),
            (0x0020000D, b"not a uid "),
            (0x00100020, b"1\0"),
        )
        read = from_data_set(data_set)
    assert read == {
        "InstanceNumber": "abc",
        "PatientWeight": "1,5",
        "Rows": "",
        "StudyDate": "yesterday",
        "StudyInstanceUID": "not a uid",
        "PatientID": "1",
    }


@pytest.mark.parametrize("seed", range(200))
def test_any_garbage_becomes_an_identifier_or_an_error_that_is_expected(seed):
    """Whatever parses as a data set is an identifier of texts, and can be sent on."""
    draw = random.Random(seed)
    keywords = [*VALUES, "QueryRetrieveLevel", "FrameOfReferenceUID", "PatientAge", "InstanceNumber"]
    elements = sorted(
        (tag_for_keyword(keyword), draw.randbytes(draw.choice((0, 2, 4, 6, 7, 20)))) for keyword in keywords
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = from_data_set(raw(*elements))
        assert all(dictionary_VR(keyword) for keyword in read)
        assert encode(to_data_set(read), True, True) is not None
