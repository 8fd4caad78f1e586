"""Tiny images: valid instances of about 1 KB, with which the cost of an instance shows, and that of its bytes does not.

They are Secondary Capture Images (PS3.3 A.8). No scanner acquires them, so that they are no examination protocol.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from simlab.draws import Draws
from simlab.studies.instances import add_file_meta, add_patient, add_study, add_values, image_values
from simlab.studies.study import Order, Series, Study
from simlab.studies.uids import derive_uid

TINY = "tiny"
"""Stands where a study names its protocol."""

INSTANCES = 100
"""In the one series of a study."""

NOMINAL_BYTES = 1000
SIDE = 16
"""Rows and columns."""

PIXELS = bytes(range(SIDE * SIDE))
"""A ramp through all grey values of 8 bits."""


def plan_tiny_study(order: Order, started: datetime) -> Study:
    """A study of tiny images, in place of the examination that was ordered."""
    description = "Tiny images"
    series = Series(
        number=1,
        uid=derive_uid(order.study_uid, "series", 1),
        modality="OT",
        sop_class=str(SecondaryCaptureImageStorage),
        description=description,
        instances=INSTANCES,
        nominal_bytes=NOMINAL_BYTES,
    )
    return Study(replace(order, protocol=TINY, modality="OT", description=description), (series,), started)


def make_tiny_instance(study: Study, index: int, _draws: Draws) -> Dataset:
    """The instance with flat index ``index``, pixels included, with file meta information. No draws are needed."""
    series, number = study.locate(index)
    instance = Dataset()
    instance.SOPClassUID = series.sop_class
    add_patient(instance, study)
    add_study(instance, study)
    instance.Modality = series.modality
    instance.SeriesInstanceUID = series.uid
    instance.SeriesNumber = series.number
    instance.Laterality = ""
    instance.ConversionType = "SYN"
    instance.InstanceNumber = number
    instance.PatientOrientation = ""
    add_values(instance, image_values(study, series, number))
    instance.SamplesPerPixel = 1
    instance.PhotometricInterpretation = "MONOCHROME2"
    instance.Rows = instance.Columns = SIDE
    instance.BitsAllocated = instance.BitsStored = 8
    instance.HighBit = 7
    instance.PixelRepresentation = 0
    instance.PixelData = PIXELS
    instance["PixelData"].VR = "OB"
    add_file_meta(instance)
    return instance
