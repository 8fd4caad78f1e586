"""DICOM instances out of studies: the CT and MR Image IODs (PS3.3 A.3 and A.4), complete and valid.

An instance depends on its study and on the seed alone: made twice, anywhere, it is the same byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import TypeAlias

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from simlab.draws import Draws
from simlab.studies.data_sets import write_data_set
from simlab.studies.phantoms import RESCALE_INTERCEPT, render
from simlab.studies.planes import Plane
from simlab.studies.protocols import (
    CODING_SCHEME,
    CTAcquisition,
    MRAcquisition,
    Protocol,
    SeriesPlan,
    get_protocol,
)
from simlab.studies.study import Series, Study
from simlab.studies.transfer_syntaxes import EXPLICIT, named
from simlab.studies.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, derive_uid

MANUFACTURER = "simlab"
PATIENT_COMMENTS = "Synthetic patient made by simlab; no such person exists"
ISSUER_OF_PATIENT_ID = "SIMLAB"

BITS_STORED = 12

Values: TypeAlias = "Mapping[str, str | Values]"
"""Attributes by keyword. A value that is such a mapping itself is the one item of a sequence."""


def make_instance(study: Study, index: int, draws: Draws, noise_level: float = 1.0) -> Dataset:
    """The instance with flat index ``index`` of an acquired study, pixels included, with file meta information.

    Its images are ``noise_level`` times as noisy as the protocol has them.
    """
    series, number = study.locate(index)
    protocol = get_protocol(study.order.protocol)
    plan = protocol.get_series(series.number)
    instance = Dataset()
    instance.SOPClassUID = series.sop_class
    add_patient(instance, study)
    add_study(instance, study)
    _add_series(instance, study, series, protocol)
    _add_image(instance, study, series, plan, number)
    add_plane(instance, plan.plane(number))
    instance.SliceThickness = plan.slice_thickness
    match plan.acquisition:
        case CTAcquisition():
            _add_ct(instance, plan, plan.acquisition)
        case MRAcquisition():
            _add_mr(instance, plan, plan.acquisition)
    values = render(draws, study.order.patient, protocol, series.number, number, instance.SOPInstanceUID, noise_level)
    add_pixels(instance, values.tobytes())
    add_file_meta(instance)
    return instance


# ---- modules that derived objects share


def add_patient(instance: Dataset, study: Study) -> None:
    """Patient and Patient Study modules (PS3.3 C.7.1.1, C.7.2.2)."""
    instance.SpecificCharacterSet = "ISO_IR 192"
    instance.IssuerOfPatientID = ISSUER_OF_PATIENT_ID
    instance.PatientComments = PATIENT_COMMENTS
    add_values(instance, patient_values(study))


def add_study(instance: Dataset, study: Study) -> None:
    """General Study module (PS3.3 C.7.2.1)."""
    add_values(instance, study_values(study))


def add_equipment(instance: Dataset, station: str) -> None:
    """General Equipment module (PS3.3 C.7.5.1)."""
    instance.Manufacturer = MANUFACTURER
    instance.InstitutionName = "SIMLAB"
    instance.StationName = station
    instance.ManufacturerModelName = f"{MANUFACTURER} emulated device"
    instance.DeviceSerialNumber = "1"
    instance.SoftwareVersions = IMPLEMENTATION_VERSION_NAME


def add_plane(instance: Dataset, plane: Plane) -> None:
    """Image Plane module (PS3.3 C.7.6.2), without the thickness."""
    instance.PixelSpacing = [plane.row_spacing, plane.column_spacing]
    instance.ImageOrientationPatient = list(plane.orientation.cosines)
    instance.ImagePositionPatient = list(plane.origin)
    instance.SliceLocation = round(plane.location, 6)
    instance.Rows, instance.Columns = plane.rows, plane.columns


def add_pixels(instance: Dataset, pixels: bytes) -> None:
    """Image Pixel module (PS3.3 C.7.6.3): 12 bits in 16, unsigned, monochrome. Rows and Columns are there."""
    instance.SamplesPerPixel = 1
    instance.PhotometricInterpretation = "MONOCHROME2"
    instance.BitsAllocated = 16
    instance.BitsStored = BITS_STORED
    instance.HighBit = BITS_STORED - 1
    instance.PixelRepresentation = 0
    instance.PixelData = pixels
    instance["PixelData"].VR = "OW"


def add_file_meta(instance: Dataset, transfer_syntax: str = EXPLICIT.uid) -> None:
    """File meta information that names simlab as the writer (PS3.10 section 7.1)."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = instance.SOPClassUID
    meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    instance.file_meta = meta


# ---- modules of what is acquired


def _add_series(instance: Dataset, study: Study, series: Series, protocol: Protocol) -> None:
    """General Series and Equipment modules (PS3.3 C.7.3.1, C.7.5.1), with the request that they answer."""
    instance.Modality = series.modality
    instance.SeriesNumber = series.number
    instance.ProtocolName = protocol.name
    instance.BodyPartExamined = protocol.body_part
    if protocol.laterality:
        instance.Laterality = protocol.laterality
    instance.PatientPosition = "HFS" if protocol.anatomy != "knee" else "FFS"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = (
        protocol.code_value,
        CODING_SCHEME,
        protocol.code_meaning,
    )
    instance.ProcedureCodeSequence = [code]
    add_equipment(instance, study.order.station)
    instance.PositionReferenceIndicator = ""
    add_values(instance, series_values(study, series))


def _add_image(instance: Dataset, study: Study, series: Series, plan: SeriesPlan, number: int) -> None:
    """General Image and SOP Common modules (PS3.3 C.7.6.1, C.12.1), without the SOP class."""
    instance.InstanceNumber = number
    instance.AcquisitionNumber = series.number
    instance.PatientOrientation = ""
    instance.ImagesInAcquisition = plan.instances
    instance.BurnedInAnnotation = "NO"
    instance.LossyImageCompression = "00"
    add_values(instance, image_values(study, series, number))


def _add_ct(instance: Dataset, plan: SeriesPlan, acquisition: CTAcquisition) -> None:
    """CT Image module (PS3.3 C.8.2.1)."""
    instance.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    instance.RescaleIntercept = RESCALE_INTERCEPT
    instance.RescaleSlope = 1
    instance.RescaleType = "HU"
    instance.KVP = 120
    instance.DataCollectionDiameter = 500
    instance.ReconstructionDiameter = round(plan.pixel_spacing * plan.columns, 3)
    instance.GantryDetectorTilt = 0
    instance.TableHeight = 150
    instance.RotationDirection = "CW"
    instance.ExposureTime = acquisition.exposure_time
    instance.XRayTubeCurrent = acquisition.tube_current
    instance.Exposure = acquisition.tube_current * acquisition.exposure_time // 1000
    instance.FilterType = "BODY"
    instance.ConvolutionKernel = acquisition.kernel.value
    instance.SpacingBetweenSlices = plan.spacing_between_slices
    instance.WindowCenter, instance.WindowWidth = acquisition.window


def _add_mr(instance: Dataset, plan: SeriesPlan, acquisition: MRAcquisition) -> None:
    """MR Image module (PS3.3 C.8.3.1)."""
    instance.ImageType = ["ORIGINAL", "PRIMARY", "M", acquisition.sequence]
    instance.ScanningSequence = acquisition.sequence
    instance.SequenceVariant = "SK"
    instance.ScanOptions = ""
    instance.MRAcquisitionType = "2D"
    instance.SequenceName = f"sim_{acquisition.weighting.lower()}"
    instance.RepetitionTime = acquisition.repetition_time
    instance.EchoTime = acquisition.echo_time
    instance.EchoTrainLength = acquisition.echo_train_length
    if acquisition.inversion_time:
        instance.InversionTime = acquisition.inversion_time
    instance.MagneticFieldStrength = 1.5
    instance.ImagingFrequency = 63.87
    instance.ImagedNucleus = "1H"
    instance.EchoNumbers = 1
    instance.SpacingBetweenSlices = plan.spacing_between_slices
    instance.NumberOfAverages = 1
    instance.PercentSampling = 100
    instance.PercentPhaseFieldOfView = 100
    instance.PixelBandwidth = 130
    instance.AcquisitionMatrix = [plan.columns // 2, 0, 0, plan.rows // 2]
    instance.InPlanePhaseEncodingDirection = "ROW"
    instance.FlipAngle = 90
    instance.WindowCenter, instance.WindowWidth = 200, 400


# ---- what depends on the study: all else is the same in every study of a protocol


def patient_values(study: Study) -> dict[str, str]:
    """Who the patient is (PS3.3 C.7.1.1, C.7.2.2)."""
    patient = study.order.patient
    return {
        "PatientName": patient.name,
        "PatientID": patient.id,
        "PatientBirthDate": dicom_date(patient.birth_date),
        "PatientSex": patient.sex,
        "PatientAge": f"{age(patient.birth_date, study.started.date()):03d}Y",
    }


def study_values(study: Study) -> dict[str, str]:
    """Which study it is (PS3.3 C.7.2.1)."""
    return {
        "StudyInstanceUID": study.uid,
        "StudyDate": dicom_date(study.started),
        "StudyTime": dicom_time(study.started),
        "ReferringPhysicianName": study.order.referring_physician,
        "StudyID": study.order.step_id,
        "AccessionNumber": study.order.accession,
        "StudyDescription": study.order.description,
    }


def series_values(study: Study, series: Series) -> Values:
    """Which series it is, made where, when and for which request (PS3.3 C.7.3.1, C.7.4.1, C.7.5.1)."""
    order = study.order
    day, time = dicom_date(study.started), dicom_time(study.started)
    return {
        "SeriesInstanceUID": series.uid,
        "SeriesDescription": series.description,
        "SeriesDate": day,
        "SeriesTime": time,
        "StationName": order.station,
        "FrameOfReferenceUID": derive_uid(study.uid, "frame of reference"),
        "PerformedProcedureStepID": order.performed_step_id,
        "PerformedProcedureStepStartDate": day,
        "PerformedProcedureStepStartTime": time,
        "PerformedProcedureStepDescription": order.description,
        "RequestAttributesSequence": {
            "AccessionNumber": order.accession,
            "StudyInstanceUID": study.uid,
            "RequestedProcedureID": f"RP{order.number}",
            "RequestedProcedureDescription": order.description,
            "ScheduledProcedureStepID": order.step_id,
            "ScheduledProcedureStepDescription": order.description,
        },
    }


def image_values(study: Study, series: Series, number: int) -> dict[str, str]:
    """Which instance it is, and when it was made (PS3.3 C.7.6.1, C.12.1)."""
    return {"SOPInstanceUID": series.instance_uid(number), **moment_values(study.started, series.number, number)}


def moment_values(started: datetime, series: int, number: int) -> dict[str, str]:
    """When an instance was made; slices follow one another by a quarter of a second."""
    taken = started + timedelta(seconds=60 * series + 0.25 * number)
    day, time = dicom_date(taken), f"{taken:%H%M%S.%f}"
    return {
        f"{what}{part}": value
        for what in ("InstanceCreation", "Acquisition", "Content")
        for part, value in (("Date", day), ("Time", time))
    }


def add_values(instance: Dataset, values: Values) -> None:
    """Set attributes by keyword."""
    for keyword, value in values.items():
        if isinstance(value, str):
            setattr(instance, keyword, value)
        else:
            item = Dataset()
            add_values(item, value)
            setattr(instance, keyword, [item])


# ---- values and files


def dicom_date(day: date | datetime) -> str:
    """A DA value."""
    return f"{day:%Y%m%d}"


def dicom_time(moment: datetime) -> str:
    """A TM value, to the second."""
    return f"{moment:%H%M%S}"


def age(born: date, day: date) -> int:
    """Whole years."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def encode(instance: Dataset, transfer_syntax: str = EXPLICIT.uid) -> bytes:
    """The data set in a transfer syntax (UID, keyword or alias), without file meta information.

    Pixels stay as they are: raises ValueError if they are compressed and must not be, or the other way round.
    """
    return write_data_set(instance, named(transfer_syntax))


def write_part10(instance: Dataset, path: Path) -> int:
    """Write an instance as a PS3.10 file, in the transfer syntax that its file meta information names.

    Returns where in the file the data set begins, in bytes.
    """
    header = BytesIO()
    header.write(bytes(128) + b"DICM")
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_file_meta_info(buffer, instance.file_meta)
    header.write(buffer.getvalue())
    with path.open("wb") as file:
        file.write(header.getvalue())
        file.write(encode(instance, str(instance.file_meta.TransferSyntaxUID)))
    return len(header.getvalue())
