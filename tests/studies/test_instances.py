from datetime import timedelta
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from simlab.draws import Draws
from simlab.errors import UserError
from simlab.studies.compression import compressed_uid
from simlab.studies.generate import generate
from simlab.studies.instances import age, encode, make_instance, write_part10
from simlab.studies.protocols import PROTOCOLS, get_protocol
from simlab.studies.restored import order_of, started_of
from simlab.studies.transfer_syntaxes import named
from simlab.studies.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from studies.examples import made, study

any_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


@any_protocol
def test_the_same_instance_twice_is_the_same_byte_for_byte(protocol):
    first, again = (encode(make_instance(study(protocol), 5, Draws(1))) for _ in range(2))
    assert first == again
    assert first != encode(make_instance(study(protocol, seed=2), 5, Draws(2)))


@any_protocol
def test_an_instance_is_the_one_that_the_study_announced(protocol):
    announced = study(protocol)
    for index in (0, announced.total // 2, announced.total - 1):
        instance = make_instance(announced, index, Draws(1))
        series, number = announced.locate(index)
        assert announced.reference(index) == (instance.SOPClassUID, instance.SOPInstanceUID)
        assert instance.StudyInstanceUID == announced.uid
        assert (instance.SeriesInstanceUID, instance.InstanceNumber) == (series.uid, number)
        assert (instance.SeriesNumber, instance.SeriesDescription) == (series.number, series.description)
        assert len(encode(instance)) == pytest.approx(series.nominal_bytes, abs=300)


@any_protocol
def test_an_instance_lies_where_its_protocol_says(protocol):
    announced = study(protocol)
    for index in (0, announced.total - 1):
        instance = make_instance(announced, index, Draws(1))
        series, number = announced.locate(index)
        plane = get_protocol(protocol).get_series(series.number).plane(number)
        assert tuple(instance.ImagePositionPatient) == plane.origin
        assert tuple(instance.ImageOrientationPatient) == plane.orientation.cosines
        assert tuple(instance.PixelSpacing) == (plane.row_spacing, plane.column_spacing)
        assert instance.SliceLocation == pytest.approx(plane.location)
        assert instance.pixel_array.shape == (plane.rows, plane.columns)


def test_all_series_share_one_frame_of_reference():
    this = study("mr-brain")
    instances = [make_instance(this, index, Draws(1)) for index in (0, 30, this.total - 1)]
    assert len({instance.SeriesInstanceUID for instance in instances}) == 3
    assert len({instance.FrameOfReferenceUID for instance in instances}) == 1


def test_a_person_is_plain_to_be_synthetic():
    instance = make_instance(study(), 0, Draws(1))
    assert instance.PatientName.name_suffix == "SIM"
    assert instance.PatientID.startswith("SIM-")
    assert instance.IssuerOfPatientID == "SIMLAB"
    assert "Synthetic" in instance.PatientComments


def test_times_are_scenario_times_that_cross_midnight():
    this = study("ct-head")
    first, last = (make_instance(this, index, Draws(1)) for index in (0, this.total - 1))
    assert (first.StudyDate, first.StudyTime) == ("20260228", "235800")
    assert (first.AcquisitionDate, first.AcquisitionTime) == ("20260228", "235900.250000")
    assert last.AcquisitionTime > first.AcquisitionTime
    later = make_instance(study("mr-knee"), 75 - 1 - 1, Draws(1))  # the third series begins three minutes in
    assert (later.StudyDate, later.AcquisitionDate) == ("20260228", "20260301")


def test_ct_is_stored_unsigned_with_an_intercept():
    instance = make_instance(study("ct-head"), 10, Draws(1))
    assert (instance.PixelRepresentation, instance.BitsStored, instance.RescaleIntercept) == (0, 12, -1024)


@given(st.dates(), st.integers(0, 40000))
def test_age_counts_birthdays(born, days):
    try:
        today = born + timedelta(days=days)
    except OverflowError:
        return
    years = age(born, today)
    assert years >= 0
    assert (born.year + years, born.month, born.day) <= (today.year, today.month, today.day)
    assert (born.year + years + 1, born.month, born.day) > (today.year, today.month, today.day)


# ---- bytes and files


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_what_is_encoded_reads_back_as_it_was(syntax):
    instance = make_instance(study("mr-brain"), 3, Draws(1))
    data_set = encode(instance, syntax)
    assert data_set[4:6] == (b"CS" if syntax == ExplicitVRLittleEndian else b"\x0a\0")
    file = BytesIO(data_set)
    back = dcmread(file, force=True)
    back.file_meta = instance.file_meta
    assert {element.tag: element.value for element in back} == {element.tag: element.value for element in instance}


def test_compressed_transfer_syntaxes_are_refused_for_pixels_that_are_not():
    with pytest.raises(ValueError, match="cannot encode in JPEGLSLossless: Pixel Data are not compressed"):
        encode(make_instance(study("mr-brain"), 3, Draws(1)), JPEGLSLossless)


def test_a_file_names_its_writer_and_tells_where_its_data_set_begins(tmp_path):
    instance = make_instance(study("mr-brain"), 3, Draws(1))
    path = tmp_path / "one.dcm"
    offset = write_part10(instance, path)
    assert path.read_bytes()[offset:] == encode(instance)
    back = dcmread(path)
    assert back.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert back.file_meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert back.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert back.file_meta.MediaStorageSOPInstanceUID == instance.SOPInstanceUID
    assert np.array_equal(back.pixel_array, instance.pixel_array)


def test_a_generated_study_is_one_folder_per_series(tmp_path):
    told = []
    this = generate("mr-knee", tmp_path, on_progress=lambda done, total: told.append((done, total)))
    assert [folder.name for folder in sorted(tmp_path.iterdir())] == ["1-pd-sag", "2-pd-cor", "3-t2-ax"]
    files = sorted(tmp_path.rglob("*.dcm"))
    assert told == [(done, this.total) for done in range(1, this.total + 1)]
    written = [dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in files]
    assert written == [reference.sop_instance for reference in this]


def test_generating_again_gives_the_same_bytes_and_another_number_another_patient(tmp_path):
    for name, number in (("one", 1), ("again", 1), ("other", 2)):
        generate("mr-knee", tmp_path / name, number=number)
    one, again, other = (
        [file.read_bytes() for file in sorted((tmp_path / name).rglob("*.dcm"))] for name in ("one", "again", "other")
    )
    assert one == again
    assert not set(one) & set(other)


def test_no_other_study_is_overwritten(tmp_path):
    generate("mr-knee", tmp_path, seed=1)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.dcm")}
    generate("mr-knee", tmp_path, seed=1)
    with pytest.raises(
        UserError, match=r"0001\.dcm is of another study; expected a folder without one, such as .*/NAME"
    ):
        generate("mr-knee", tmp_path, seed=2)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.dcm")} == before
    (file, *_) = before
    file.write_text("no DICOM file")
    with pytest.raises(UserError, match="is of another study"):
        generate("mr-knee", tmp_path, seed=1)


@pytest.mark.parametrize("alias", ["implicit", pytest.param("deflated", marks=pytest.mark.slow), "jpegls", "j2k-lossy"])
def test_a_study_is_generated_in_any_transfer_syntax(alias, tmp_path):
    syntax = named(alias)
    this = generate("mr-knee", tmp_path, syntax=syntax)
    files = sorted(tmp_path.rglob("*.dcm"))
    assert len(files) == this.total
    for index in (0, this.total - 1):
        back, instance = dcmread(files[index]), make_instance(this, index, Draws(1))
        assert back.file_meta.TransferSyntaxUID == syntax.uid
        assert back.SOPInstanceUID == back.file_meta.MediaStorageSOPInstanceUID
        assert back.SOPInstanceUID == compressed_uid(instance.SOPInstanceUID, syntax)


def test_a_study_that_cannot_be_in_a_transfer_syntax_leaves_no_file(tmp_path):
    with pytest.raises(UserError, match=r"^mr-knee: JPEGBaseline8Bit takes 8 Bits Allocated, not 16$"):
        generate("mr-knee", tmp_path, syntax=named("jpeg"))
    assert list(tmp_path.iterdir()) == []


# ---- what an instance tells of its order


@settings(max_examples=10, deadline=None)
@given(number=st.integers(1, 500), protocol=st.sampled_from(["mr-brain", "mr-knee"]))
def test_an_instance_tells_its_order(number, protocol):
    this = study(protocol, number)
    instance = make_instance(this, 0, Draws(1))
    order = order_of(instance)
    assert (order.patient, order.accession, order.study_uid) == (
        this.order.patient,
        this.order.accession,
        this.order.study_uid,
    )
    assert (order.step_id, order.protocol, order.modality, order.station) == (
        this.order.step_id,
        this.order.protocol,
        this.order.modality,
        this.order.station,
    )
    assert started_of(instance) == this.started


def test_a_series_of_examples_is_complete():
    assert len(made(study("mr-knee"), 3)) == 24
